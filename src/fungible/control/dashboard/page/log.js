// The tail of the log: what a stranger wrote, as text. Bounded; filtered here.

import { byId, clock, element, plain } from "./parts.js";

const KEPT = 2000;
const SHOWN = 600;

export class Log {
  #lines = [];
  #box = byId("log");
  #names = new Set();

  constructor() {
    byId("log-filter").addEventListener("input", () => this.#all());
    byId("log-process").addEventListener("change", () => this.#all());
    byId("log-follow").addEventListener("change", () => this.#follow());
    // Whoever scrolls up wants to read; whoever comes back to the end wants more.
    this.#box.addEventListener("scroll", () => {
      const { scrollTop, scrollHeight, clientHeight } = this.#box;
      byId("log-follow").checked = scrollHeight - scrollTop - clientHeight < 24;
    });
  }

  clear() {
    this.#lines = [];
    this.#box.replaceChildren();
  }

  show(events, missed) {
    const lines = events.map((event) => ({ at: event.at, who: event.process ?? "fungible", text: plain(event.text), loud: event.loud }));
    if (missed > 0) lines.unshift({ at: events[0]?.at ?? Date.now() / 1000, who: "fungible", text: `${missed} lines came too fast to be shown`, loud: true });
    if (!lines.length) return;
    this.#lines.push(...lines);
    this.#lines.splice(0, Math.max(0, this.#lines.length - KEPT));
    this.#offer(lines);
    const wanted = this.#wanted();
    this.#box.append(...lines.filter(wanted).slice(-SHOWN).map(line));
    while (this.#box.children.length > SHOWN) this.#box.firstChild.remove();
    this.#follow();
  }

  #all() {
    this.#box.replaceChildren(...this.#lines.filter(this.#wanted()).slice(-SHOWN).map(line));
    this.#follow();
  }

  #wanted() {
    const text = byId("log-filter").value.toLowerCase();
    const who = byId("log-process").value;
    return (each) => (!who || each.who === who || each.who.startsWith(`${who}.`)) && (!text || each.text.toLowerCase().includes(text));
  }

  #offer(lines) {
    const names = lines.flatMap(({ who }) => (who.includes(".") ? [who.slice(0, who.lastIndexOf(".")), who] : [who]));
    const fresh = [...new Set(names)].filter((name) => !this.#names.has(name));
    if (!fresh.length || this.#names.size > 500) return;
    fresh.forEach((name) => this.#names.add(name));
    const chosen = byId("log-process").value;
    const sorted = [...this.#names].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
    byId("log-process").replaceChildren(element("option", { value: "" }, "all"), ...sorted.map((name) => element("option", { value: name }, plain(name, 60))));
    byId("log-process").value = chosen;
  }

  #follow() {
    if (byId("log-follow").checked) this.#box.scrollTop = this.#box.scrollHeight;
  }
}

function line({ at, who, text, loud }) {
  return element("li", { class: loud ? "loud" : "" },
    element("time", {}, clock(at)), element("b", {}, plain(who, 40)), element("span", {}, text));
}
