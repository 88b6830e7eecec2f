// An editor over the policy's JSON; the textarea stays what is sent. Every control knows its place in the plan, so that what
// is wrong is said beside it; the picture and the problems come from the server, which alone knows what is right.
"use strict";
(() => {
  const form = document.getElementById("policy-form");
  const source = document.getElementById("id_plan");
  const place = document.getElementById("policy-steps");
  const offers = JSON.parse(document.getElementById("policy-offers").textContent);
  const words = offers.words;
  const picture = document.getElementById("policy-look");
  const told = document.getElementById("policy-problems");
  let problems = JSON.parse(document.getElementById("policy-found").textContent);
  const controls = new Map(); // place -> control
  const opened = new WeakSet(); // channels whose conditions are shown
  let count = 0;

  const firstAccount = () => offers.accounts[0]?.code || "";
  const emptyStep = () => ({ channels: [{ account: firstAccount() }], mode: "first", until: "delivered" });
  const read = () => {
    try {
      const held = JSON.parse(source.value || "{}");
      return Array.isArray(held.steps) && held.steps.every((step) => step && Array.isArray(step.channels)) ? held : source.value ? null : { version: 2, steps: [emptyStep()] };
    } catch { return null; }
  };
  let plan = read();

  const make = (tag, properties, ...children) => {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children.filter((child) => child !== null));
    return node;
  };
  const set = (target, name, value) => { if (value === null || value === "" || value === undefined) delete target[name]; else target[name] = value; };

  // -- saying what is wrong beside the field
  const mark = () => {
    document.querySelectorAll(".ums-said").forEach((node) => node.remove());
    controls.forEach((control) => { control.removeAttribute("aria-invalid"); control.removeAttribute("aria-describedby"); });
    const homeless = [];
    Object.entries(problems).forEach(([at, sentence]) => {
      const control = controls.get(at) || controls.get([...controls.keys()].filter((known) => at.startsWith(known)).sort((a, b) => b.length - a.length)[0]);
      if (!control) { homeless.push(at ? `${at}: ${sentence}` : sentence); return; }
      const id = `said-${count++}`;
      control.setAttribute("aria-invalid", "true");
      control.setAttribute("aria-describedby", id);
      (control.closest(".ums-field") || control).append(make("span", { className: "ums-said", id, textContent: sentence }));
    });
    told.replaceChildren(...(homeless.length ? [make("p", { textContent: words.problems }), make("ul", {}, ...homeless.map((one) => make("li", { textContent: one })))] : []));
  };
  let asked = 0;
  const look = async () => {
    const mine = ++asked;
    const answer = await fetch(form.dataset.look, { method: "POST", body: new URLSearchParams({ plan: source.value }), headers: { "X-CSRFToken": form.querySelector("[name=csrfmiddlewaretoken]").value } }).catch(() => null);
    if (!answer || !answer.ok || mine !== asked) return;
    const said = await answer.json();
    if (mine !== asked) return;
    problems = said.problems;
    if (said.html) picture.innerHTML = said.html;
    else if (!picture.querySelector(".ums-route")) picture.replaceChildren(make("p", { className: "ums-dim", textContent: words.cannotDraw }));
    picture.parentElement.parentElement.classList.toggle("ums-stale", !said.html);
    mark();
  };
  let due = 0;
  const save = () => {
    source.value = JSON.stringify(plan, null, 2);
    clearTimeout(due);
    due = setTimeout(look, 250);
  };

  // -- controls
  const named = (label, control, at, hint) => {
    control.id = `control-${count++}`;
    if (at) controls.set(at, control);
    return make("div", { className: "ums-field" }, make("label", { htmlFor: control.id, textContent: label }), control,
      hint ? make("span", { className: "ums-dim", textContent: hint }) : null);
  };
  const select = (options, value, change) => {
    const node = make("select", { className: "ums-input" });
    const known = options.some(([code]) => code === value);
    (known ? options : [...options, [value, value]]).forEach(([code, name]) => node.append(new Option(name, code, false, code === value)));
    node.addEventListener("change", () => { change(node.value); save(); });
    return node;
  };
  const entry = (value, change, properties = {}) => {
    const node = make("input", { className: "ums-input", type: "text", value: value ?? "", ...properties });
    node.addEventListener("input", () => { change(node.value.trim()); save(); });
    return node;
  };
  const number = (value, change, properties = {}) =>
    entry(value, (text) => change(text === "" ? null : Number(text)), { inputMode: "decimal", type: "number", step: "any", ...properties });
  const UNITS = [[1, words.seconds], [60, words.minutes], [3600, words.hours], [86400, words.days]];
  const duration = (label, seconds, change, at, hint) => {
    let size = UNITS.map(([one]) => one).filter((one) => seconds && seconds % one === 0).pop() || 60;
    if (!seconds) size = 60;
    const field = number(seconds ? seconds / size : "", () => told_(), { min: "0" });
    const unit = select(UNITS.map(([one, name]) => [String(one), name]), String(size), () => told_());
    const told_ = () => change(field.value === "" ? null : Number(field.value) * Number(unit.value));
    unit.setAttribute("aria-label", `${label}: ${words.unit}`);
    const whole = named(label, field, at, hint);
    const pair = make("div", { className: "ums-time-of" });
    field.replaceWith(pair);
    pair.append(field, unit);
    return whole;
  };
  const button = (text, deed, label) => {
    const node = make("button", { className: "ums-button ums-small", type: "button", textContent: text });
    if (label) node.setAttribute("aria-label", label);
    node.addEventListener("click", () => { deed(); save(); draw(); });
    return node;
  };
  const movers = (list, index, name) => list.length < 2 ? [] : [
    index ? button("↑", () => list.splice(index - 1, 0, ...list.splice(index, 1)), `${words.up}: ${name}`) : null,
    index < list.length - 1 ? button("↓", () => list.splice(index + 1, 0, ...list.splice(index, 1)), `${words.down}: ${name}`) : null,
    button(words.remove, () => list.splice(index, 1), `${words.remove}: ${name}`)].filter(Boolean);

  // -- whom a channel is for
  const condition = (channel) => channel.only_if || {};
  const holdCondition = (channel, held) => set(channel, "only_if", Object.keys(held).length ? held : null);
  const tagChips = (channel, part, label, at) => {
    const chosen = condition(channel)[part] || [];
    const all = [...new Set([...offers.tags, ...chosen])];
    const chips = make("div", { className: "ums-chips" }, ...all.map((tag) => {
      const box = make("input", { type: "checkbox", checked: chosen.includes(tag) });
      box.addEventListener("change", () => {
        const held = { ...condition(channel) };
        const tags = box.checked ? [...(held[part] || []), tag] : (held[part] || []).filter((one) => one !== tag);
        set(held, part, tags.length ? tags : null);
        holdCondition(channel, held);
        save();
      });
      return make("label", {}, box, ` ${tag}`);
    }));
    if (!all.length) chips.append(make("span", { className: "ums-dim", textContent: words.noTags }));
    chips.setAttribute("role", "group");
    chips.setAttribute("aria-label", label);
    controls.set(at, chips);
    return make("div", { className: "ums-field" }, make("span", { className: "ums-label", textContent: label }), chips);
  };
  const attributeRow = (channel, key, at) => {
    const held = condition(channel).attributes;
    const known = offers.attributes.find((one) => one.key === key) || { key, label: key, type: "text" };
    const write = (value) => {
      const attributes = { ...condition(channel).attributes };
      attributes[key] = value;
      holdCondition(channel, { ...condition(channel), attributes });
    };
    const wanted = held[key];
    const row = make("div", { className: "ums-pair" });
    if (known.type === "boolean") {
      row.append(named(`${words.attribute} ${known.label} ${words.is}`, select([["true", words.yes], ["false", words.no]], String(wanted), (value) => write(value === "true")), at));
    } else if (known.type === "number" || known.type === "date") {
      const ends = wanted && typeof wanted === "object" && !Array.isArray(wanted) ? wanted : { min: wanted, max: wanted };
      const kind = known.type === "date" ? { type: "date" } : { type: "number", step: "any" };
      const change = (end) => (text) => {
        const now = { ...ends };
        set(now, end, text === "" ? null : known.type === "number" ? Number(text) : text);
        Object.keys(ends).forEach((one) => delete ends[one]);
        Object.assign(ends, now);
        write(now);
      };
      row.append(named(`${words.attribute} ${known.label} ${words.atLeast}`, entry(ends.min, change("min"), kind), at),
        named(words.atMost, entry(ends.max, change("max"), kind)));
    } else {
      const text = Array.isArray(wanted) ? wanted.join(", ") : wanted;
      row.append(named(`${words.attribute} ${known.label} ${words.is}`, entry(text, (said) => {
        const several = said.split(/[,，]/).map((one) => one.trim()).filter(Boolean);
        write(several.length > 1 ? several : several[0] || "");
      }), at, words.orHint));
    }
    row.append(button(words.remove, () => {
      const attributes = { ...condition(channel).attributes };
      delete attributes[key];
      const all = { ...condition(channel) };
      set(all, "attributes", Object.keys(attributes).length ? attributes : null);
      holdCondition(channel, all);
    }, `${words.remove}: ${known.label}`));
    return row;
  };
  const whom = (channel, at) => {
    const details = make("details", { className: "ums-fold", open: opened.has(channel) || Boolean(channel.only_tag || channel.only_if || channel.body) });
    details.addEventListener("toggle", () => { if (details.open) opened.add(channel); else opened.delete(channel); });
    details.append(make("summary", { textContent: words.more }));
    if (channel.only_tag) details.append(named(words.onlyTag, select([["", words.everybody], ...offers.tags.map((tag) => [tag, tag])], channel.only_tag, (tag) => set(channel, "only_tag", tag)), `${at}.only_tag`));
    details.append(
      tagChips(channel, "tags_any", words.tagsAny, `${at}.only_if.tags_any`),
      tagChips(channel, "tags_all", words.tagsAll, `${at}.only_if.tags_all`),
      tagChips(channel, "tags_none", words.tagsNone, `${at}.only_if.tags_none`));
    controls.set(`${at}.only_if`, details);
    const held = condition(channel).attributes || {};
    Object.keys(held).forEach((key) => details.append(attributeRow(channel, key, `${at}.only_if.attributes.${key}`)));
    const free = offers.attributes.filter((one) => !(one.key in held));
    if (free.length) {
      const chooser = select([["", "—"], ...free.map((one) => [one.key, one.label])], "", (key) => {
        if (!key) return;
        const type = free.find((one) => one.key === key).type;
        holdCondition(channel, { ...condition(channel), attributes: { ...held, [key]: type === "boolean" ? true : type === "text" ? "" : {} } });
        opened.add(channel);
        draw();
      });
      details.append(named(words.addAttribute, chooser));
    }
    details.append(named(words.body, entry(channel.body, (text) => set(channel, "body", text)), `${at}.body`, words.bodyHint));
    return details;
  };

  // -- channels and steps
  const accounts = () => offers.accounts.map((one) => [one.code, `${one.name} (${one.code}) · ${one.label}`]);
  const accountField = (target, at, label) =>
    named(label, select(accounts(), target.account || "", (code) => { target.account = code; delete target.kind; }), `${at}.account`);
  const vendorRows = (channel, at) => channel.vendors.map((vendor, index) => make("div", { className: "ums-pair" },
    accountField(vendor, `${at}.vendors[${index}]`, words.account),
    Object.assign(named(words.weight, number(vendor.weight ?? 1, (weight) => set(vendor, "weight", weight), { min: "0", step: "1" }), `${at}.vendors[${index}].weight`), { className: "ums-field ums-short" }),
    ...movers(channel.vendors, index, vendor.account)));
  const channelCard = (step, channel, index, at) => {
    const name = `${words.channel} ${index + 1}`;
    const card = make("div", { className: "ums-place" });
    const head = make("div", { className: "ums-row ums-between" }, make("strong", { className: "ums-ink", textContent: name }),
      make("div", { className: "ums-row" }, ...movers(step.channels, index, name)));
    card.append(head);
    controls.set(`${at}.vendors`, card);
    if (Array.isArray(channel.vendors)) {
      card.append(...vendorRows(channel, at));
      card.append(duration(words.failover, channel.failover_seconds, (seconds) => set(channel, "failover_seconds", seconds), `${at}.failover_seconds`));
      card.append(make("div", { className: "ums-row" },
        button(words.addVendor, () => channel.vendors.push({ account: firstAccount(), weight: 1 })),
        button(words.oneVendor, () => { channel.account = channel.vendors[0]?.account || firstAccount(); delete channel.vendors; delete channel.failover_seconds; })));
    } else {
      card.append(accountField(channel, at, words.account));
      card.append(make("div", { className: "ums-row" }, button(words.vendors, () => {
        channel.vendors = [{ account: channel.account, weight: 1 }, { account: firstAccount(), weight: 1 }];
        delete channel.account;
        delete channel.kind;
      })));
    }
    card.append(whom(channel, at));
    return card;
  };
  const stepCard = (step, index) => {
    const at = `steps[${index}]`, last = index === plan.steps.length - 1, name = `${words.step} ${index + 1}`;
    const card = make("section", { className: "ums-step" });
    card.setAttribute("aria-label", name);
    card.append(make("div", { className: "ums-row ums-between" }, make("h3", { className: "ums-heading", textContent: name }),
      make("div", { className: "ums-row" }, ...movers(plan.steps, index, name))));
    controls.set(`${at}.channels`, card);
    const modes = [["first", words.modeFirst], ["all", words.modeAll], ["smart", words.modeSmart]];
    if (step.channels.length > 1) card.append(named(words.mode, select(modes, step.mode || "first", (mode) => { step.mode = mode; setTimeout(draw); }), `${at}.mode`));
    card.append(...step.channels.map((channel, number_) => channelCard(step, channel, number_, `${at}.channels[${number_}]`)));
    card.append(make("div", { className: "ums-row" }, button(words.addChannel, () => step.channels.push({ account: firstAccount() }), `${words.addChannel}: ${name}`)));
    const goal = named(words.until, select(offers.goals, step.until || "delivered", (until) => { step.until = until; }), `${at}.until`);
    const wait = duration(words.wait, step.wait_seconds, (seconds) => set(step, "wait_seconds", seconds), `${at}.wait_seconds`, words.waitHint);
    if (!last || step.wait_seconds) card.append(make("div", { className: "ums-pair" }, goal, wait));
    return card;
  };

  // -- what holds for the whole policy
  const smartCard = () => {
    const card = make("section", { className: "ums-step" }, make("h3", { className: "ums-heading", textContent: words.smart }));
    card.append(named(words.order, select(offers.orders, plan.order || "smart", (order) => set(plan, "order", order === "smart" ? null : order)), "order"));
    const details = make("details", { className: "ums-fold", open: Boolean(plan.weights) }, make("summary", { textContent: words.ownWeights }));
    const change = (name) => (value) => {
      const held = { ...plan.weights };
      set(held, name, value);
      set(plan, "weights", Object.keys(held).length ? held : null);
    };
    details.append(...offers.weights.map(([name, label, usual]) => named(label, number((plan.weights || {})[name], change(name), { min: "0", placeholder: String(usual) }), `weights.${name}`)));
    controls.set("weights", details);
    card.append(details);
    return card;
  };
  const keepFields = () => {
    const change = (name) => (value) => {
      const held = { ...plan.offline_save };
      set(held, name, value);
      set(plan, "offline_save", Object.keys(held).length ? held : null);
    };
    const kept = plan.offline_save || {};
    return [duration(words.keep, kept.seconds, change("seconds"), "offline_save.seconds", words.keepHint),
      named(words.collapse, entry(kept.collapse_key, change("collapse_key")), "offline_save.collapse_key")];
  };
  const limitsCard = () => {
    const unknown = [["", words.asClass], ["true", words.always], ["false", words.never]];
    const card = make("section", { className: "ums-step" }, make("h3", { className: "ums-heading", textContent: words.limits }));
    card.append(
      named(words.ceiling, entry(plan.ceiling_per_person, (text) => set(plan, "ceiling_per_person", text), { inputMode: "decimal" }), "ceiling_per_person", words.ceilingHint),
      duration(words.expires, plan.expires_seconds, (seconds) => set(plan, "expires_seconds", seconds), "expires_seconds", words.expiresHint),
      ...keepFields(),
      named(words.unknown, select(unknown, plan.unknown_starts_next === undefined || plan.unknown_starts_next === null ? "" : String(plan.unknown_starts_next),
        (said) => set(plan, "unknown_starts_next", said === "" ? null : said === "true")), "unknown_starts_next"));
    return card;
  };

  const draw = () => {
    controls.clear();
    place.replaceChildren();
    if (!plan) { mark(); return; } // not readable: the textarea says what is wrong
    place.append(...plan.steps.map(stepCard), make("div", { className: "ums-row" }, button(words.addStep, () => plan.steps.push(emptyStep()))));
    if (plan.steps.some((step) => step.mode === "smart" && step.channels.length > 1)) place.append(smartCard());
    place.append(limitsCard());
    mark();
  };
  source.addEventListener("change", () => { plan = read(); draw(); look(); });
  if (plan && !source.value) save();
  draw();
  look();
})();
