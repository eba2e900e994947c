// The embedded backing services: a row each, and why one cannot be started.

import { byId, duration, element, memory, plain } from "./parts.js";

const COLUMNS = [
  ["State", (each) => each.state],
  ["Kind", (each) => each.kind],
  ["Up", (each) => (each.uptime_s === null ? "–" : duration(each.uptime_s))],
  ["Memory", (each) => memory(each.memory_bytes)],
  ["PID", (each) => (each.pid === null ? "–" : String(each.pid))],
  ["Restarts", (each) => String(each.restarts)],
  ["Last end", (each) => each.last_end ?? "–"],
];

export class Services {
  clear() {
    byId("services-rows").replaceChildren();
  }

  show(services = []) {
    byId("services").hidden = services.length === 0;
    const rows = services.flatMap((each) => (each.failure === null ? [row(each)] : [row(each), why(each)]));
    byId("services-rows").replaceChildren(...rows);
  }
}

function row(each) {
  const cells = COLUMNS.map(([title, told]) => {
    const text = plain(told(each), 80);
    const nil = text === "–" || (text === "0" && title === "Restarts");
    const inside = title === "State" ? element("span", { class: `state ${each.state}` }, text) : text;
    return element("td", { "data-title": title, class: nil ? "nil" : "" }, inside);
  });
  return element("tr", {}, element("th", { scope: "row" }, plain(each.name, 60)), ...cells);
}

function why(each) {
  const text = `${each.failure}; next start in ${each.next_start_s ?? 0} s`;
  return element("tr", {}, element("td", { class: "resting", colspan: String(COLUMNS.length + 1) }, plain(text, 400)));
}
