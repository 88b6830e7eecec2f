"use strict";
// A button with data-copy="id of an element" puts that element's text on the clipboard and says so.
document.addEventListener("DOMContentLoaded", () => {
  const select = (place) => {
    const range = document.createRange();
    range.selectNodeContents(place);
    const chosen = window.getSelection();
    chosen.removeAllRanges();
    chosen.addRange(range);
  };
  for (const button of document.querySelectorAll("button[data-copy]")) {
    const words = button.textContent;
    button.addEventListener("click", async () => {
      const place = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(place.textContent.trim());
      } catch {
        select(place); // no clipboard without HTTPS: the text is marked, to be copied by hand or by the old command
        if (!document.execCommand("copy")) return;
      }
      button.textContent = button.dataset.done;
      window.setTimeout(() => (button.textContent = words), 2000);
    });
  }
});
