// The link to the gateway: the token, the stream of messages, operations.
//
// The token comes in the fragment of the address, which no browser sends, and goes into the tab's own storage. No cookie:
// a browser would send it to every port of this machine, the app's own among them. EventSource cannot send a header,
// so the stream is read by hand.

const KEPT = "fungible-token";
const SILENCE = 10_000; // a formation speaks every second
const PAUSES = [500, 1000, 2000, 3000];

/** The token of this tab, or null; takes it out of the address. */
export function token() {
  const given = location.hash.slice(1);
  if (/^[\w-]{20,200}$/.test(given)) {
    sessionStorage.setItem(KEPT, given);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem(KEPT);
}

const headers = () => ({ Authorization: `Bearer ${sessionStorage.getItem(KEPT) ?? ""}` });

export class Refused extends Error {}

/** Asks for an operation; gives what came of it, or throws an Error with the sentence to show. */
export async function ask(path, body) {
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { ...headers(), "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Error("`fungible dashboard` does not answer: does it still run?");
  }
  const document = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(document.error ?? `answered with ${answer.status}`);
  return document;
}

/**
 * Follows the formation for as long as the page lives: `heard` gets each message, `moved` each change of the link:
 * "live", "lost" (the gateway does not answer), "none" (no formation runs) or "refused". A page that nobody looks at
 * lets go, and comes back when it is looked at.
 */
export async function follow(heard, moved) {
  let failures = 0;
  for (;;) {
    await visible();
    const cut = new AbortController();
    const hidden = () => document.hidden && cut.abort();
    document.addEventListener("visibilitychange", hidden);
    try {
      await read(cut, (message) => {
        failures = 0;
        moved("live");
        heard(message);
      });
      moved("none");
    } catch (error) {
      if (error instanceof Refused) {
        moved("refused");
        return;
      }
      if (!document.hidden) moved(error.status === 503 ? "none" : "lost");
    } finally {
      document.removeEventListener("visibilitychange", hidden);
      cut.abort();
    }
    await new Promise((done) => setTimeout(done, PAUSES[Math.min(failures++, PAUSES.length - 1)]));
  }
}

async function read(cut, heard) {
  let silence = setTimeout(() => cut.abort(), SILENCE);
  try {
    const answer = await fetch("/v1/live", { headers: headers(), signal: cut.signal, cache: "no-store" });
    if (answer.status === 401) throw new Refused("refused");
    if (!answer.ok) throw Object.assign(new Error(), { status: answer.status });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(silence);
      silence = setTimeout(() => cut.abort(), SILENCE);
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) if (event.startsWith("data: ")) heard(JSON.parse(event.slice(6)));
    }
  } finally {
    clearTimeout(silence);
  }
}

function visible() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((done) => {
    const look = () => {
      if (document.hidden) return;
      document.removeEventListener("visibilitychange", look);
      done();
    };
    document.addEventListener("visibilitychange", look);
  });
}
