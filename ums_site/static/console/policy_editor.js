// An editor of steps over the policy's JSON; the textarea stays what is sent.
"use strict";
(() => {
  const source = document.getElementById("id_plan");
  const place = document.getElementById("policy-steps");
  const offers = JSON.parse(document.getElementById("policy-offers").textContent);
  const words = document.getElementById("policy-words").dataset;
  const empty = () => ({ channels: [{ account: offers.accounts[0]?.code || "" }], mode: "first", until: "delivered" });

  const read = () => {
    try {
      const held = JSON.parse(source.value || "{}");
      return Array.isArray(held.steps) && held.steps.every((step) => step && Array.isArray(step.channels)) ? held : source.value ? null : { steps: [empty()] };
    } catch { return null; }
  };
  const make = (tag, properties, ...children) => {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  };
  const select = (options, value, change, label) => {
    const node = make("select", { className: "ums-input" });
    node.setAttribute("aria-label", label);
    const known = options.some(([code]) => code === value);
    (known ? options : [...options, [value, value]]).forEach(([code, name]) => node.append(new Option(name, code, false, code === value)));
    node.addEventListener("change", () => { change(node.value); save(); });
    return node;
  };
  const number = (value, change, label) => {
    const node = make("input", { className: "ums-input", type: "number", min: "1", value: value ?? "" });
    node.setAttribute("aria-label", label);
    node.addEventListener("input", () => { change(node.value ? Number(node.value) : null); save(); });
    return node;
  };
  const button = (text, deed) => {
    const node = make("button", { className: "ums-button", type: "button", textContent: text });
    node.addEventListener("click", () => { deed(); save(); draw(); });
    return node;
  };
  const field = (label, node) => make("label", { className: "ums-field" }, make("span", { className: "ums-label", textContent: label }), node);

  let plan = read();
  const save = () => { source.value = JSON.stringify(plan, null, 2); };
  const set = (target, name, value) => { if (value === null || value === "") delete target[name]; else target[name] = value; };

  const channelRow = (step, channel) => {
    const accounts = offers.accounts.map((one) => [one.code, `${one.name} (${one.code}) · ${one.label}`]);
    const tags = [["", words.everybody], ...offers.tags.map((tag) => [tag, tag])];
    const choose = (code) => { channel.account = code; delete channel.kind; };
    return make("div", { className: "ums-row" },
      select(accounts, channel.account, choose, words.channels),
      select(tags, channel.only_tag || "", (tag) => set(channel, "only_tag", tag), words.onlyTag),
      ...(step.channels.length > 1 ? [button(words.remove, () => step.channels.splice(step.channels.indexOf(channel), 1))] : []));
  };
  const stepCard = (step, index) => {
    const last = index === plan.steps.length - 1;
    const modes = [["first", words.modeFirst], ["all", words.modeAll]];
    const goals = [["delivered", words.untilDelivered], ["accepted", words.untilAccepted]];
    const card = make("div", { className: "ums-step" }, make("strong", { className: "ums-ink", textContent: `${words.step} ${index + 1}` }));
    card.append(make("div", { className: "ums-field" }, make("span", { className: "ums-label", textContent: words.channels }), ...step.channels.map((channel) => channelRow(step, channel))));
    card.append(make("div", { className: "ums-row" }, button(words.addChannel, () => step.channels.push({ account: offers.accounts[0]?.code || "" }))));
    if (step.channels.length > 1) card.append(field(words.mode, select(modes, step.mode || "first", (mode) => { step.mode = mode; }, words.mode)));
    if (!last) {
      card.append(field(words.until, select(goals, step.until || "delivered", (goal) => { step.until = goal; }, words.until)));
      card.append(field(words.wait, number(step.wait_seconds, (seconds) => set(step, "wait_seconds", seconds), words.wait)));
    }
    if (plan.steps.length > 1) card.append(make("div", { className: "ums-row" }, button(words.remove, () => plan.steps.splice(index, 1))));
    return card;
  };
  const draw = () => {
    place.replaceChildren();
    if (!plan) return;  // not readable: the textarea says what is wrong
    place.append(...plan.steps.map(stepCard), make("div", { className: "ums-row" }, button(words.addStep, () => plan.steps.push(empty()))));
    place.append(field(words.expires, number(plan.expires_seconds, (seconds) => set(plan, "expires_seconds", seconds), words.expires)));
  };
  source.addEventListener("change", () => { plan = read(); draw(); });
  if (plan && !source.value) save();
  draw();
})();
