"use strict";
// Narrows the kinds down while somebody types; without this script the button asks the server.
document.addEventListener("DOMContentLoaded", () => {
  const field = document.querySelector("[data-kinds-search]");
  if (!field) return;
  const none = document.querySelector("[data-kinds-none]");
  field.form.querySelector("button").hidden = true;
  field.form.addEventListener("submit", (event) => event.preventDefault());
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let any = false;
    for (const family of document.querySelectorAll("[data-family]")) {
      let some = false;
      for (const tile of family.querySelectorAll("[data-said]")) {
        tile.hidden = !words.every((word) => tile.dataset.said.toLowerCase().includes(word));
        some = some || !tile.hidden;
      }
      family.hidden = !some;
      any = any || some;
    }
    none.hidden = any;
  });
});
