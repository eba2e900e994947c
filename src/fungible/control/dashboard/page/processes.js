// A table for each process type, with buttons to scale and restart. Rows stay the same elements while they live, so
// that a focused button keeps its focus.

import { amount, byId, duration, element, memory, plain, setText } from "./parts.js";

const COLUMNS = [
  ["State", (each) => each.state + (each.leaves && each.state === "ready" ? ", to go" : "")],
  ["Release", (each) => each.release],
  ["Up", (each) => duration(each.uptime_s)],
  ["Memory", (each) => memory(each.memory_bytes)],
  ["In flight", (each) => (each.type === "web" ? amount(each.in_flight) : "–")],
  ["Requests", (each) => (each.type === "web" ? amount(each.requests) : "–")],
  ["PID", (each) => (each.pid === null ? "–" : String(each.pid))],
  ["Restarts", (each) => String(each.restarts)],
  ["Last end", (each) => each.last_end ?? "–"],
];
const SETTLE = 450; // several clicks are one wish
const HEARD_OF = 3000;

export class Processes {
  #types = new Map();
  #operate;
  #confirm;

  /** `operate(path, body, words)` asks for an operation and says what comes of it; `confirm(question)` asks the user. */
  constructor(operate, confirm) {
    this.#operate = operate;
    this.#confirm = confirm;
    byId("restart-all").addEventListener("click", () => operate("/v1/restart", {}, "restart of all"));
  }

  clear() {
    for (const type of this.#types.values()) clearTimeout(type.timer);
    this.#types.clear();
    byId("types").replaceChildren();
  }

  show(formation) {
    const names = new Set([...Object.keys(formation.wanted), ...formation.processes.map((each) => each.type)]);
    for (const [name, type] of this.#types) {
      if (names.has(name)) continue;
      type.box.remove();
      this.#types.delete(name);
    }
    for (const name of names) {
      const type = this.#types.get(name) ?? this.#make(name);
      this.#showType(type, formation, formation.processes.filter((each) => each.type === name));
    }
  }

  #make(name) {
    const count = element("output", { "aria-label": `${name} processes wanted` });
    const button = (text, label, act) => element("button", { type: "button", "aria-label": label, title: label, onclick: act }, text);
    const type = { name, count, rows: new Map(), wanted: 0, target: null, forget: Infinity, timer: 0 };
    const stepper = element("div", { class: "stepper", role: "group", "aria-label": `Scale ${name}` },
      (type.fewer = button("−", `One ${name} process fewer`, () => this.#step(type, -1))),
      count,
      (type.more = button("+", `One ${name} process more`, () => this.#step(type, 1))));
    type.body = element("tbody");
    type.soft = element("span", { class: "soft" });
    type.box = element("div", { class: "type card" },
      element("div", { class: "type-head" }, element("h3", {}, plain(name, 60)), type.soft, stepper,
        element("button", { type: "button", onclick: () => this.#operate("/v1/restart", { name }, `restart of ${name}`) }, "Restart ", element("span", { class: "unseen" }, name))),
      element("table", { class: "processes" },
        element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Name"),
          ...COLUMNS.map(([title]) => element("th", { scope: "col" }, title)), element("th", { scope: "col" }, element("span", { class: "unseen" }, "Restart")))),
        type.body));
    this.#types.set(name, type);
    byId("types").append(type.box);
    return type;
  }

  #step(type, by) {
    const target = Math.max(0, (type.target ?? type.wanted) + by);
    type.target = target;
    type.forget = Infinity;
    setText(type.count, String(target));
    clearTimeout(type.timer);
    type.timer = setTimeout(async () => {
      const sure = target > 0 || type.name !== "web" || type.wanted === 0 ||
        (await this.#confirm("Without a web process every request is answered with 503. Scale web to zero?"));
      const done = sure && (await this.#operate("/v1/scale", { formation: [`${type.name}=${target}`] }, `${type.name}=${target}`));
      // What was wished stays shown until it is heard of; not for long, as others may wish something else.
      if (type.target === target) type.forget = done ? Date.now() + HEARD_OF : 0;
    }, SETTLE);
  }

  #showType(type, formation, processes) {
    type.wanted = formation.wanted[type.name] ?? 0;
    if (type.target === type.wanted || Date.now() > type.forget) type.target = null;
    setText(type.count, String(type.target ?? type.wanted));
    type.fewer.disabled = (type.target ?? type.wanted) === 0;
    type.more.disabled = formation.singletons.includes(type.name) && (type.target ?? type.wanted) >= 1;
    const ready = processes.filter((each) => each.state === "ready" && !each.leaves).length;
    setText(type.soft, ready === type.wanted ? "" : `${ready} of ${type.wanted} ready`);
    const rows = processes.map((each) => [each.instance, each]);
    for (const each of formation.resting.filter((one) => one.type === type.name)) rows.push([`resting ${each.name}`, each]);
    const keys = new Set(rows.map(([key]) => key));
    for (const [key, row] of type.rows) {
      if (keys.has(key)) continue;
      row.line.remove();
      type.rows.delete(key);
    }
    rows.forEach(([key, each], index) => {
      const row = type.rows.get(key) ?? this.#makeRow(type, key, each);
      if (type.body.children[index] !== row.line) type.body.insertBefore(row.line, type.body.children[index] ?? null);
      row.show(each);
    });
    type.box.classList.toggle("none", rows.length === 0);
  }

  #makeRow(type, key, each) {
    const name = plain(each.name, 60);
    const line = element("tr", {}, element("th", { scope: "row" }, name));
    let show;
    if (key.startsWith("resting ")) {
      const cell = element("td", { class: "resting", colspan: String(COLUMNS.length + 1) });
      line.append(cell);
      show = (now) => setText(cell, plain(`crashed ${now.crashes} times in a row (${now.cause ?? "unknown"}): next start in ${Math.max(0, now.next_start_s)} s`, 200));
    } else {
      const cells = COLUMNS.map(([title]) => element("td", { "data-title": title }));
      const badge = element("span", { class: "state" });
      cells[0].append(badge);
      const restart = element("button", { type: "button", "aria-label": `Restart ${name}`, onclick: () => this.#operate("/v1/restart", { name: each.name }, `restart of ${name}`) }, "Restart");
      line.append(...cells, element("td", { class: "act" }, restart));
      show = (now) => {
        COLUMNS.forEach(([title, told], index) => {
          const text = plain(told(now), 80);
          setText(title === "State" ? badge : cells[index], text);
          cells[index].classList.toggle("nil", text === "–" || (text === "0" && title === "Restarts"));
        });
        badge.className = `state ${now.leaves && now.state === "ready" ? "leaves" : now.state}`;
        const asked = document.activeElement === restart;
        restart.hidden = now.leaves && !asked;
      };
    }
    const row = { line, show };
    type.rows.set(key, row);
    return row;
  }
}
