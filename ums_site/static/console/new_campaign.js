// Shows the three steps of a new campaign one after another and counts the people while tags are chosen.
"use strict";
(() => {
  const form = document.getElementById("new-campaign");
  const steps = [...form.querySelectorAll("[data-step]")];
  const marks = [...form.querySelectorAll(".ums-steps li")];
  const [back, next, submit] = ["back", "next", "submit"].map((name) => form.querySelector(`[data-${name}]`));
  let at = Math.max(0, steps.findIndex((step) => step.querySelector(".errorlist")));

  const show = () => {
    steps.forEach((step, number) => { step.hidden = number !== at; });
    marks.forEach((mark, number) => number === at ? mark.setAttribute("aria-current", "step") : mark.removeAttribute("aria-current"));
    back.hidden = at === 0;
    next.hidden = at === steps.length - 1;
    submit.hidden = !next.hidden;
  };
  const complete = () => [...steps[at].querySelectorAll("input, select")].every((field) => field.reportValidity());
  next.addEventListener("click", () => { if (complete()) { at += 1; show(); } });
  back.addEventListener("click", () => { at -= 1; show(); });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.tagName === "INPUT" && at < steps.length - 1) { event.preventDefault(); next.click(); }
  });
  show();

  const count = form.querySelector("[data-count]");
  let asked = 0;
  const recount = async () => {
    const number = ++asked;
    const chosen = new URLSearchParams([...new FormData(form)].filter(([name]) => name.startsWith("tags_") || name === "target_list"));
    const answer = await fetch(`${form.dataset.people}?${chosen}`, { headers: { Accept: "application/json" } });
    const said = await answer.json();
    if (number === asked) count.textContent = answer.ok ? said.people.toLocaleString() : said.error;
  };
  form.addEventListener("change", (event) => { if (event.target.name.startsWith("tags_") || event.target.name === "target_list") recount(); });
  recount();

  const policy = form.elements.policy;
  const describe = () => form.querySelectorAll("[data-policy]").forEach((one) => { one.hidden = one.dataset.policy !== policy.value; });
  policy.addEventListener("change", describe);
  describe();
})();
