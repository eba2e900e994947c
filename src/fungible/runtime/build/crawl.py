"""Fetch an app's pages, and everything that they load, from a process that runs."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from urllib.parse import unquote, urljoin, urlsplit

import httpx

from fungible.app.problem import Exit, Problem
from fungible.app.wording import counted, few, plain
from fungible.build.assets.css import css_references, normalised
from fungible.build.assets.manifest import Manifest
from fungible.build.assets.scripts import script_imports
from fungible.build.proof.html import read_page
from fungible.runtime.build.fetching import Fetched, NoAnswerError, fetch
from fungible.runtime.build.journey import Visit

MOST_PAGES = 40
_LONGEST = 120.0
"""Seconds after which no further page is fetched, and no further request of a workload sent."""
_TOLD_EVERY = 1.0
_SHOWN = 3
_LEAVES = re.compile(r"log-?out|sign-?out|delete|remove|destroy", re.IGNORECASE)
_PAGES = frozenset({"text/html", "application/xhtml+xml"})
_SCRIPT_TYPES = frozenset({"text/javascript", "application/javascript", "application/x-javascript"})


@dataclass
class Crawl:
    """What was fetched from the app that `client` asks by the name of `host`: `pages` by address, `assets` with the
    address of who loads them; how many `requests` of a journey were answered. `unproved` is what could not be judged,
    a line each; `failed` are pages that answered with an error of the app's (5xx), `failed_visits` those that a
    journey asked for. `tell` hears how far it is."""

    client: httpx.AsyncClient
    manifest: Manifest | None
    host: str = "localhost"
    tell: Callable[[str], None] = lambda _: None
    pages: list[str] = field(default_factory=list)
    assets: dict[str, str] = field(default_factory=dict)
    unproved: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    failed_visits: list[str] = field(default_factory=list)
    requests: int = 0
    _told: float = field(default_factory=time.monotonic)
    _cookie: Callable[[str], str | None] = lambda _: None

    async def run(self, starts: tuple[str, ...]) -> None:
        """Fetch `starts` and the pages of the same app that they link to, at most `MOST_PAGES`, with what they load.

        Raises Problem for the first thing that a page loads which is not there, or is of another type.
        """
        waiting = list(dict.fromkeys(starts))
        seen = set(waiting)
        begin = time.monotonic()
        while waiting and len(self.pages) < MOST_PAGES and time.monotonic() - begin < _LONGEST:
            address = waiting.pop(0)
            for link in await self._page(address, address in starts):
                if link not in seen:
                    seen.add(link)
                    waiting.append(link)
        if waiting:
            first = plain(waiting[0])
            self.unproved.append(f"{counted(len(waiting), 'further page')} that others link to ({first} first)")

    async def follow(self, visits: AsyncIterator[Visit]) -> None:
        """Look at the pages that a client was answered, and fetch what they load as that client would.

        Raises Problem as `run` does.
        """
        wrong = []
        begin = time.monotonic()
        async for visit in visits:
            self.requests += 1
            if time.monotonic() - begin > _LONGEST:
                self.unproved.append(f"what the workload does after {visit.what}: it took too long")
                break
            if visit.status == 0 or visit.status >= 400:
                wrong.append(f"{visit.what} ({visit.status or 'no answer'})")
                if visit.status >= 500 and visit.method == "GET":
                    self.failed_visits.append(plain(visit.address))
            elif visit.status < 300 and visit.type in _PAGES:
                self._cookie = visit.cookie
                await self._look(visit.address, visit.text, visit.what)
        self._cookie = lambda _: None
        if wrong:
            self.unproved.append(f"requests of the workload that answer with an error: {few(wrong, _SHOWN)}")

    async def status(self, address: str, client: httpx.AsyncClient) -> int:
        """The status with which another process answers, asked by `client`; 599 for no answer."""
        try:
            return (await fetch(client, address, only=())).status
        except NoAnswerError:
            return 599

    async def _page(self, address: str, asked: bool) -> list[str]:
        try:
            answer = await fetch(self.client, address, only=_PAGES)
        except NoAnswerError as error:
            self.unproved.append(f"GET {plain(address)} has no answer ({error}): what it loads is not known")
            return []
        if answer.location is not None:
            return self._own(urljoin(self._origin + address, answer.location))
        if answer.status >= 400:
            if answer.status >= 500:
                self.failed.append(address)
            if asked or answer.status >= 500:
                self.unproved.append(f"GET {plain(address)} answers {answer.status}: what it loads is not known")
            return []
        return await self._look(address, answer.text, plain(address)) if answer.type in _PAGES else []

    async def _look(self, address: str, text: str, what: str) -> list[str]:
        """Fetch what a page loads; returns what it links to."""
        if address not in self.pages:
            self.pages.append(address)
        page = read_page(text)
        base = urljoin(self._origin + address, page.base or "")
        for loaded in page.loaded:
            await self._asset(urljoin(base, loaded.url), f"{what} (line {loaded.line})", loaded.integrity)
        links = [own for link in page.links for own in self._own(urljoin(base, link))]
        return [link for link in links if "?" not in link and not _LEAVES.search(link)]

    @property
    def _origin(self) -> str:
        return f"http://{self.host}"

    def _own(self, url: str) -> list[str]:
        """The address of a page of this app's, as a list; nothing for another one's."""
        split = urlsplit(url)
        if split.netloc not in ("", self.host) or split.scheme not in ("http", "https"):
            return []
        return [(split.path or "/") + (f"?{split.query}" if split.query else "")]

    async def _asset(self, url: str, by: str, integrity: str | None = None) -> None:
        self._progress()
        split = urlsplit(url)
        if self.manifest is not None and urlsplit(self.manifest.url).netloc and url.startswith(self.manifest.url):
            path = url[len(self.manifest.url) :].split("?")[0].split("#")[0]
            if path not in self.manifest.files:
                raise _refused(f"{by} loads {plain(url)}, and no asset of this build has that address")
            return
        if split.scheme not in ("http", "https") or split.netloc != self.host:
            return
        address = split.path + (f"?{split.query}" if split.query else "")
        if address in self.assets and integrity is None:
            return
        known, self.assets[address] = address in self.assets, by
        answer = await self._get(address, by)
        for _ in range(5):
            if answer.location is None:
                break
            own = self._own(urljoin(self._origin + address, answer.location))
            if not own:
                return
            answer = await self._get(own[0], by)
        if answer.status != 200:
            asked = self._name_of(split.path)
            if asked is not None:
                raise Problem(
                    f"proof: {by} loads {plain(address)}, which answers {answer.status}: it is served by a name "
                    f"that changes with its content. Let the page ask for that ({asked})",
                    Exit.NO,
                )
            raise _refused(f"{by} loads {plain(address)}, which answers {answer.status}")
        self._check_type(split.path, answer.type, by, address)
        if integrity is not None and not answer.cut:
            _check_integrity(answer.content, integrity, by, address)
        if known or answer.cut:
            return
        if answer.type == "text/css":
            found = [r.url for r in css_references(normalised(answer.text)) if not r.url.endswith(".map")]
        elif answer.type in _SCRIPT_TYPES:
            found = [r.url for r in script_imports(answer.text)]
        else:
            found = []
        for each in found:
            if each.strip() and not each.startswith(("data:", "#", "blob:", "about:")):
                await self._asset(urljoin(self._origin + address, each), plain(address))

    def _name_of(self, path: str) -> str | None:
        """How a page asks for the asset that would be at `path` if it had kept its name."""
        if self.manifest is None or not path.startswith(self.manifest.url):
            return None
        name = unquote(path[len(self.manifest.url) :])
        if self.manifest.names.get(name, name) == name:
            return None
        return f"`asset({name!r})`; Django's `static` does so with ManifestStaticFilesStorage"

    def _progress(self) -> None:
        if time.monotonic() - self._told >= _TOLD_EVERY:
            self._told = time.monotonic()
            self.tell(f"{counted(len(self.pages), 'page')}, {counted(len(self.assets), 'file')}")

    def _check_type(self, path: str, given: str, by: str, address: str) -> None:
        suffix = path.rsplit(".", 1)[-1].lower()
        wrong = (
            (suffix == "css" and given != "text/css")
            or (suffix in ("js", "mjs") and given not in _SCRIPT_TYPES)
            or (given == "text/html" and suffix not in ("html", "htm") and "." in path.rsplit("/", 1)[-1])
        )
        if wrong:
            raise _refused(f"{by} loads {plain(address)}, which answers with the type {plain(given) or 'of nothing'}")

    async def _get(self, address: str, by: str) -> Fetched:
        try:
            return await fetch(self.client, address, cookie=self._cookie(address))
        except NoAnswerError as error:
            raise _refused(f"{by} loads {plain(address)}, which has no answer ({error})") from None


def _check_integrity(data: bytes, integrity: str, by: str, address: str) -> None:
    """Subresource Integrity, 3.3: one of the digests of the strongest kind has to be right."""
    said = [each.partition("?")[0].partition("-") for each in integrity.split()]
    kinds = [kind for kind in ("sha512", "sha384", "sha256") if any(each[0] == kind for each in said)]
    if not kinds:
        return
    right = base64.b64encode(hashlib.new(kinds[0], data).digest()).decode()
    if not any(kind == kinds[0] and digest == right for kind, _, digest in said):
        raise _refused(f"{by} loads {plain(address)} with an `integrity` that is not that of its bytes")


def _refused(what: str) -> Problem:
    return Problem(
        f"proof: {what}. A browser would be refused it too: mend the address in the page, or let the build make the "
        "file and the app serve it.",
        Exit.NO,
    )
