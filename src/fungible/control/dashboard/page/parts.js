// What every part of the page uses: elements, text that is safe to show, figures as people read them.

/** An element with a class, attributes and children; strings become text, never markup. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/** The same for SVG. */
export function shape(name, attributes = {}) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export const byId = (id) => document.getElementById(id);

/** Sets text only where it differs, so that nothing is laid out or read aloud again. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const COLOURS = /\x1b\[[0-9;:?]*[ -/]*[@-~]/g;
// Control characters, and those that turn the direction of what comes after them (Unicode TR 36).
const UNSAFE = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ufeff]/g;

/** What a stranger wrote, as one line: without terminal colours, with what cannot be shown replaced. */
export function plain(text, most = 4000) {
  const whole = String(text);
  const shown = whole.slice(0, most).replace(COLOURS, "").replace(UNSAFE, "\ufffd");
  return whole.length > most ? `${shown} …` : shown;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** 14:03:27 of seconds since the epoch. */
export const clock = (at) => CLOCK.format(at * 1000);

/** 7s, 3m12s, 2h05m, 3d04h: as `fungible ps` writes it. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  for (const [unit, size, below, part] of [["d", 86400, "h", 3600], ["h", 3600, "m", 60], ["m", 60, "s", 1]]) {
    if (whole >= size) {
      return `${Math.floor(whole / size)}${unit}${String(Math.floor((whole % size) / part)).padStart(2, "0")}${below}`;
    }
  }
  return `${whole}s`;
}

/** 12 ms, 1.4 s; a dash where there is none. */
export function milliseconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 1) return "<\u00a01\u00a0ms";
  return value < 1000 ? `${value}\u00a0ms` : `${(value / 1000).toFixed(value < 10000 ? 1 : 0)}\u00a0s`;
}

/** 3.2 MiB, 34 MiB; a dash where nothing is known. */
export function memory(bytes) {
  if (bytes === null || bytes === undefined) return "–";
  const mebibytes = bytes / 2 ** 20;
  return `${mebibytes < 10 ? mebibytes.toFixed(1) : Math.round(mebibytes)} MiB`;
}

/** 3.4, 34, 3 400: as many figures as are worth reading. */
export function amount(value) {
  return value < 10 ? String(Math.round(value * 10) / 10) : Math.round(value).toLocaleString("en").replaceAll(",", "\u202f");
}
