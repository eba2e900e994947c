// A data set that waits for a worker: look again until that has ended, and show it without loading the page anew.
// Without scripts the page loads itself again (see dataset.html). Whichever process answers, the state is the store's.
const SECONDS = 2;

async function look() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return location.reload();
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of ["main", "footer"]) {
    document.querySelector(part).replaceWith(page.querySelector(part));
  }
  if (document.querySelector(".status.queued")) wait();
}

function wait() {
  setTimeout(() => look().catch(wait), SECONDS * 1000);
}

wait();
