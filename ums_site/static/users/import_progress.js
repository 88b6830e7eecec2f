"use strict";
// Asks for the counts of a running import every second; loads the page once more when it is over, for its links.
document.addEventListener("DOMContentLoaded", () => {
  const section = document.getElementById("import-progress");
  if (!section || section.dataset.over) return;
  const show = (facts) => {
    for (const place of section.querySelectorAll("[data-field]")) {
      place.textContent = facts[place.dataset.field] ?? "";
    }
    section.querySelector("progress").value = facts.percent;
  };
  const ask = async () => {
    try {
      const answer = await fetch(section.dataset.url, { headers: { Accept: "application/json" } });
      if (answer.ok) {
        const facts = await answer.json();
        show(facts);
        if (facts.over) return window.location.reload();
      }
    } catch {
      // the network is away for a moment: ask again
    }
    window.setTimeout(ask, 1000);
  };
  ask();
});
