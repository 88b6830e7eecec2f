// The button prints; folded facts are unfolded for the paper.
document.querySelector("[data-print]").addEventListener("click", () => {
  document.querySelectorAll(".ums-evidence details").forEach((one) => { one.open = true; });
  window.print();
});
