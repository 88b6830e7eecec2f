// Keeps the moving part of a page current: asks a second after each answer, stops when nothing moves any more.
"use strict";
(() => {
  const place = document.getElementById("live");
  let shown = "";
  let faults = 0;
  const again = () => setTimeout(look, Math.min(1000 * 2 ** faults, 30000));
  const put = (html) => {
    if (html === shown) return;
    shown = html;
    const held = document.activeElement?.getAttribute?.("href");
    place.innerHTML = html;
    if (held) [...place.querySelectorAll("a")].find((link) => link.getAttribute("href") === held)?.focus();
  };
  const look = async () => {
    if (document.hidden) { again(); return; }
    try {
      const answer = await fetch(place.dataset.url, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(String(answer.status));
      const said = await answer.json();
      faults = 0;
      put(said.html);
      if (said.over) { place.dataset.over = "1"; return; }
    } catch { faults += 1; }
    again();
  };
  if (!place.dataset.over) again();
})();
