// However the sheet is printed, folded facts are unfolded for the paper.
addEventListener("beforeprint", () => document.querySelectorAll(".ums-evidence details").forEach((one) => { one.open = true; }));
document.querySelector("[data-print]").addEventListener("click", () => window.print());
