"""What a page loads besides itself: scripts, style sheets, pictures, fonts; and where it links to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser

from fungible.build.assets.css import css_references, normalised

_LOADED_LINKS = frozenset(
    {"stylesheet", "icon", "modulepreload", "preload", "manifest", "apple-touch-icon", "mask-icon", "prefetch"}
)
_SOURCES = {
    **dict.fromkeys(("script", "img", "audio", "video", "source", "track", "embed", "input"), "src"),
    "object": "data",
}
_DATA_BLOCKS = frozenset({"application/json", "application/ld+json", "importmap", "text/template", "text/html"})


@dataclass(frozen=True)
class Loaded:
    """A URL that a page loads; `integrity` is what it says of its bytes."""

    url: str
    line: int
    integrity: str | None = None


@dataclass(frozen=True)
class Page:
    """What a page loads, and the addresses that it links to; `base` is what relative ones start from, if it says."""

    loaded: tuple[Loaded, ...]
    links: tuple[str, ...]
    base: str | None


def read_page(text: str) -> Page:
    """What an HTML page loads. Whatever the page holds, this fails on nothing."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return Page(tuple(reader.loaded), tuple(reader.links), reader.base)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.loaded: list[Loaded] = []
        self.links: list[str] = []
        self.base: str | None = None
        self._style: list[str] | None = None

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        line = self.getpos()[0]
        if tag == "base" and self.base is None:
            self.base = given.get("href")
        elif tag == "a":
            self.links.append(given.get("href", ""))
        elif tag == "link" and set(given.get("rel", "").lower().split()) & _LOADED_LINKS:
            self._load(given.get("href"), line, given.get("integrity"))
        elif tag == "style":
            self._style = []
        elif tag == "use":
            self._load(given.get("href") or given.get("xlink:href"), line)
        elif tag in _SOURCES and given.get("type", "").lower() not in _DATA_BLOCKS:
            self._load(given.get(_SOURCES[tag]), line, given.get("integrity"))
        if tag == "video":
            self._load(given.get("poster"), line)
        if tag in ("img", "source"):
            for part in re.split(r",\s+", given.get("srcset", "")):
                self._load(part.strip().split(" ")[0], line)
        for reference in css_references(normalised(given.get("style", ""))):
            self._load(reference.url, line)

    def handle_data(self, data: str) -> None:
        if self._style is not None:
            self._style.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "style" and self._style is not None:
            text = normalised("".join(self._style))
            for reference in css_references(text):
                self._load(reference.url, self.getpos()[0])
            self._style = None

    def _load(self, url: str | None, line: int, integrity: str | None = None) -> None:
        if url and url.strip() and not url.strip().startswith(("data:", "blob:", "about:", "#", "javascript:")):
            self.loaded.append(Loaded(url.strip(), line, integrity or None))
