// A lane for each process, a dot for each request: a formation without affinity spreads, a sticky one draws lines.

import { byId, clock, element, milliseconds, plain, setText, shape } from "./parts.js";

const COLOURS = 8;
const KEPT = 200;
const LISTED = 20;
const NOBODY = "";
const IGNORED = ["client-closed", "client-timeout", "closed"];

export class Lanes {
  #requests = [];
  #lanes = new Map(); // instance -> {row, strip, share, name}
  #colours = new Map();
  #processes = [];

  constructor() {
    new ResizeObserver(() => this.#draw()).observe(byId("lanes-scroll"));
  }

  clear() {
    this.#requests = [];
    this.#colours.clear();
  }

  show(requests, processes) {
    this.#requests.push(...requests);
    this.#requests.splice(0, Math.max(0, this.#requests.length - KEPT));
    this.#processes = processes.filter((each) => each.type === "web");
    this.#draw();
    this.#list();
  }

  #draw() {
    const wide = byId("lanes-scroll").clientWidth;
    if (!wide) return;
    const phone = wide < 520;
    const step = phone ? 9 : 13;
    const room = wide - (phone ? 128 : 226);
    const columns = Math.max(8, Math.floor(room / step));
    const seen = this.#requests.slice(-columns);
    const lanes = this.#wanted(seen);
    this.#arrange(lanes);
    const first = columns - seen.length;
    lanes.forEach((lane) => {
      const { strip, share, row, small } = this.#lanes.get(lane.instance);
      const own = seen.map((request, index) => [request, first + index]).filter(([each]) => (each.instance ?? NOBODY) === lane.instance);
      const width = columns * step;
      strip.setAttribute("width", width);
      strip.setAttribute("viewBox", `0 0 ${width} 20`);
      const line = shape("path", { class: "line", d: `M0 10H${width}` });
      strip.replaceChildren(line, ...own.map(([request, column]) => this.#dot(request, column * step + step / 2, step)));
      const percent = seen.length ? Math.round((own.length / seen.length) * 100) : 0;
      setText(share, `${percent} %`);
      row.classList.toggle("gone", lane.gone);
      setText(small, lane.instance === NOBODY ? "no process" : plain(`${lane.release}${lane.gone ? " ended" : ""}`, 20));
    });
    byId("no-requests").hidden = this.#requests.length > 0;
    byId("legend").hidden = this.#requests.length === 0;
    byId("lanes-scroll").hidden = lanes.length === 0;
    setText(byId("spread"), this.#spread(seen));
  }

  /** The lanes to draw: each web process, then those that have gone but served what is seen, then the router. */
  #wanted(seen) {
    const lanes = this.#processes.map((each) => ({ instance: each.instance, name: each.name, release: each.release, gone: false }));
    const known = new Set(lanes.map((lane) => lane.instance));
    for (const request of seen) {
      const instance = request.instance ?? NOBODY;
      if (known.has(instance)) continue;
      known.add(instance);
      lanes.push({ instance, name: instance ? request.process : "router", release: request.release, gone: instance !== NOBODY });
    }
    const number = (lane) => (lane.instance === NOBODY ? Infinity : Number(lane.name.split(".").pop()));
    return lanes.sort((a, b) => number(a) - number(b) || Number(b.gone) - Number(a.gone));
  }

  #arrange(lanes) {
    const wanted = new Set(lanes.map((lane) => lane.instance));
    for (const [instance, lane] of this.#lanes) {
      if (wanted.has(instance)) continue;
      lane.row.remove();
      this.#lanes.delete(instance);
    }
    for (const instance of this.#colours.keys()) if (!wanted.has(instance)) this.#colours.delete(instance);
    const body = byId("lanes");
    lanes.forEach((lane, index) => {
      let made = this.#lanes.get(lane.instance);
      if (!made) {
        const strip = shape("svg", { height: 20, "aria-hidden": "true" });
        const share = element("td", { class: "share" });
        const label = element("th", { scope: "row" }, element("span", {}, plain(lane.name, 40)));
        const small = element("small");
        label.append(small);
        made = { small, row: element("tr", {}, label, element("td", { class: "strip" }, strip), share), strip, share };
        this.#lanes.set(lane.instance, made);
      }
      if (body.children[index] !== made.row) body.insertBefore(made.row, body.children[index] ?? null);
    });
  }

  #dot(request, x, step) {
    const radius = step < 10 ? 3.4 : 4.4;
    const made = isFailed(request)
      ? shape("path", { class: "failed", d: `M${x - 3.5} 6.5l7 7m0-7l-7 7` })
      : shape("circle", { class: `dot p${this.#colour(request)}${request.retries ? " retried" : ""}`, cx: x, cy: 10, r: radius });
    const title = shape("title");
    title.textContent = told(request);
    made.append(title);
    return made;
  }

  /** A colour for as long as its lane is there; neighbours differ. */
  #colour(request) {
    const instance = request.instance ?? NOBODY;
    if (!this.#colours.has(instance)) {
      const taken = new Set(this.#colours.values());
      const free = [...Array(COLOURS).keys()].find((each) => !taken.has(each));
      this.#colours.set(instance, free ?? Number(request.process?.split(".").pop() ?? 0) % COLOURS);
    }
    return this.#colours.get(instance);
  }

  #spread(seen) {
    const met = seen.filter((request) => request.instance);
    if (met.length < 2) return "";
    const again = met.filter((request, index) => index > 0 && request.instance === met[index - 1].instance).length;
    const ready = this.#processes.filter((each) => each.state === "ready").length;
    if (ready === 1) return "One process serves everything.";
    return `${again === 0 ? "None" : again} of the last ${met.length} met the same process as the one before.`;
  }

  #list() {
    if (!byId("requests").closest("details").open) return;
    const rows = this.#requests.slice(-LISTED).reverse().map((request) =>
      element("tr", {},
        element("td", {}, clock(request.at)),
        element("td", { class: "path" }, plain(`${request.method ?? "?"} ${request.path ?? ""}`, 200)),
        element("td", { class: isFailed(request) ? "bad" : "" }, plain([request.status ?? "none", request.cause].filter(Boolean).join(" "), 40)),
        element("td", {}, milliseconds(request.total_ms)),
        element("td", {}, plain(request.process ?? "none", 40))));
    byId("requests").replaceChildren(...rows);
  }
}

function isFailed(request) {
  if (IGNORED.includes(request.cause)) return false;
  return Boolean(request.cause) || request.status >= 500;
}

function told(request) {
  const words = [request.method ?? "?", request.path ?? "", request.status ?? "no answer", request.cause, milliseconds(request.total_ms)];
  return plain(`${request.process ?? "no process"}: ${words.filter((word) => word).join(" ")}, ${clock(request.at)}`, 300);
}
