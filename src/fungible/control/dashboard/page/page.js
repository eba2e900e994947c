// The page: what is heard goes to its parts, what is asked goes to the formation.

import { showFigures } from "./figures.js";
import { History, subject } from "./history.js";
import { Lanes } from "./lanes.js";
import { ask, follow, token } from "./link.js";
import { Log } from "./log.js";
import { byId, clock, plain, setText } from "./parts.js";
import { Processes } from "./processes.js";
import { Services } from "./services.js";

const LINKS = {
  live: ["live", ""],
  lost: ["no answer", "`fungible dashboard` does not answer. This page tries again until it does."],
  none: ["not running", "The formation has ended. This page waits for the next `fungible start`."],
  refused: ["no access", "This page needs the whole address that `fungible dashboard` printed, with what comes after #."],
};

const lanes = new Lanes();
const log = new Log();
const history = new History();
const processes = new Processes(operate, confirmed);
const services = new Services();
let supervisor = null;
let restarted = "";
let state = null;
let pending = [];
let drawing = false;
let link = "";

function heard(message) {
  if (message.hello) meet(message.hello);
  pending.push(message);
  // A page that is not drawn keeps the last messages only: each tells all that is so now, and only news besides.
  pending.splice(0, Math.max(0, pending.length - 50));
  if (!drawing) {
    drawing = true;
    requestAnimationFrame(draw);
  }
}

/** A link begins with all that is remembered, so what is shown is replaced by it. */
function meet(hello) {
  const known = supervisor;
  supervisor = hello;
  pending = [];
  for (const part of [lanes, log, history, processes, services]) part.clear();
  state = null;
  if (known && (known.pid !== hello.pid || known.started_at !== hello.started_at)) {
    restarted = `The supervisor was restarted at ${clock(hello.started_at)}; this is the new one.`;
    say(restarted);
    setTimeout(() => { restarted = ""; }, 30_000);
  }
  document.title = `${hello.app} · Fungible`;
  setText(byId("app"), plain(hello.app, 60));
  byId("app").title = plain(hello.folder, 300);
  setText(byId("about"), `Fungible ${plain(hello.version, 40)}, supervisor ${hello.pid}, since ${clock(hello.started_at)}`);
}

function draw() {
  drawing = false;
  const messages = pending;
  pending = [];
  const last = messages.at(-1);
  if (!last) return;
  const all = (name) => messages.flatMap((message) => message[name]);
  const first = state === null;
  state = last;
  byId("main").hidden = false;
  const { formation, traffic } = last;
  const entries = all("history");
  history.show(entries);
  showFigures(traffic, formation, history.entries, last.at);
  lanes.show(all("requests"), formation.processes);
  processes.show(formation);
  services.show(formation.services);
  log.show(all("lines"), messages.reduce((sum, message) => sum + message.lines_missed, 0));
  showHead(formation);
  if (!first) announce(entries);
}

function showHead(formation) {
  byId("release").hidden = false;
  setText(byId("release"), plain(formation.release, 12));
  byId("url").hidden = !formation.url;
  if (formation.url && /^https?:\/\//.test(formation.url) && byId("url").getAttribute("href") !== formation.url) {
    byId("url").href = formation.url;
    setText(byId("url"), formation.url.replace(/^https?:\/\//, ""));
  }
  showBanner();
  const words = formation.stopping ? "" : doing(formation);
  byId("doing").hidden = words === "";
  setText(byId("doing"), plain(words, 200));
}

/** The roll that is under way, in one sentence. */
function doing(formation) {
  const leaving = formation.processes.filter((each) => each.leaves);
  if (!leaving.length) return "";
  const types = new Set(leaving.map((each) => each.type));
  const fresh = formation.processes.filter((each) => !each.leaves && types.has(each.type));
  const of = leaving.some((each) => each.release !== formation.release) ? `to ${formation.release}` : `of ${leaving.map((each) => each.name).slice(0, 3).join(", ")}`;
  const done = fresh.filter((each) => each.state === "ready").length;
  return `Rolling ${of}: ${done} of ${done + leaving.length} done`;
}

function moved(to) {
  if (to === link) return;
  link = to;
  byId("link").className = `link ${link}`;
  setText(byId("link-text"), LINKS[link][0]);
  document.body.classList.toggle("stale", link !== "live");
  showBanner();
}

/** One sentence above everything, about the link or the formation as a whole. */
function showBanner() {
  const stopping = state?.formation.stopping && `Stopping: ${state.formation.processes.length} processes finish what they have.`;
  const text = LINKS[link]?.[1] || stopping || restarted;
  const box = byId("banner");
  box.classList.toggle("bad", link === "refused");
  box.hidden = text === "";
  setText(box, plain(text, 400));
}

/** Said to those who listen instead of looking; short, and only what matters. */
function say(text) {
  setText(byId("said"), text);
}

function announce(entries) {
  const told = entries.filter((entry) => ["crash", "release", "abandoned"].includes(entry.kind)).slice(-3);
  if (told.length) say(told.map((entry) => plain(`${subject(entry)} ${entry.kind === "crash" ? "crashed: " : ""}${entry.text}`, 120)).join(". "));
}

/** Asks for an operation and says what comes of it; whether it was done. */
async function operate(path, body, words) {
  fail("");
  say(`${words} …`);
  document.body.classList.add("busy");
  try {
    const { message } = await ask(path, body);
    say(plain(message, 200));
    return true;
  } catch (error) {
    fail(`${words}: ${error.message}`);
    return false;
  } finally {
    document.body.classList.remove("busy");
  }
}

function fail(text) {
  byId("failure").hidden = text === "";
  setText(byId("failure-text"), plain(text, 600));
}

function confirmed(question) {
  const dialog = byId("ask");
  setText(byId("ask-text"), question);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true });
  });
}

byId("failure-close").addEventListener("click", () => fail(""));
if (token() === null) moved("refused");
else follow(heard, moved);
