// Shows the next occurrences of a rule while it is written.
"use strict";
(() => {
  const form = document.getElementById("schedule-form");
  const place = form.querySelector("[data-occurrences]");
  const parts = ["cron", "zone", "calendar", "on_day_off"];
  let asked = 0;
  let timer = 0;
  const show = async () => {
    const number = ++asked;
    const query = new URLSearchParams(parts.map((name) => [name, form.elements[name].value]));
    const answer = await fetch(`${form.dataset.preview}?${query}`);
    const said = await answer.text();
    if (number === asked && answer.ok) place.innerHTML = said;
  };
  const soon = () => { clearTimeout(timer); timer = setTimeout(show, 250); };
  parts.forEach((name) => form.elements[name].addEventListener("input", soon));
  show();
})();
