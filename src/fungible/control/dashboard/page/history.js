// What became of the formation: starts, ends with their causes, releases. The newest first.

import { byId, clock, element, plain } from "./parts.js";

const SHOWN = 60;
const MARKS = { crash: "✕", end: "○", ready: "●", release: "▲", abandoned: "✕", notice: "!" };

export class History {
  entries = [];

  clear() {
    this.entries = [];
    byId("history").replaceChildren();
  }

  show(entries) {
    if (!entries.length && byId("history").children.length) return;
    this.entries.push(...entries);
    this.entries.splice(0, Math.max(0, this.entries.length - SHOWN));
    const items = this.entries.toReversed().map((entry) =>
      element("li", { class: entry.kind },
        element("time", {}, clock(entry.at)),
        element("i", { "aria-hidden": "true" }, MARKS[entry.kind] ?? "·"),
        element("span", {}, element("b", {}, plain(subject(entry), 40)), ` ${plain(entry.text, 200)}`)));
    byId("history").replaceChildren(...(items.length ? items : [element("li", { class: "empty" }, "Nothing yet.")]));
  }
}

/** Whom an entry concerns. */
export function subject(entry) {
  if (entry.name) return entry.release ? `${entry.name} ${entry.release}` : entry.name;
  return entry.release ?? "formation";
}
