// Adds rows to the small tables of a form. Without it the empty rows at the end serve, two with every save.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("[data-rows]").forEach((table) => {
    const button = table.querySelector("[data-add-row]");
    const body = table.querySelector("tbody");
    button.hidden = false;
    button.addEventListener("click", () => {
      const row = body.lastElementChild.cloneNode(true);
      row.querySelectorAll("input, textarea").forEach((cell) => { cell.value = ""; });
      row.querySelectorAll("select").forEach((cell) => { cell.selectedIndex = 0; });
      body.append(row);
      row.querySelector("input, textarea, select").focus();
    });
  });
});
