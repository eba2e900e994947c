"""The manifest of compiled assets: what the app's kit, a server of files and the proof read.

`.fungible/assets/manifest.json` of a build:

    {"version": 1, "url": "/assets/",
     "names": {"css/site.css": "css/site.9f3c….css"},
     "files": {"css/site.9f3c….css": {"type": "text/css", "size": 912, "integrity": "sha384-…", "hashed": true,
                                      "encodings": ["br", "gzip", "zstd"]}},
     "entries": {"src/main.js": {"css": ["main-….css"], "imports": ["vendor-….js"]}}}

`names` are what an app calls its assets, `files` what is served, relative to `url`; `entries` what a page that loads
a bundler's entry has to load with it. The kit has its own reader: it does not import this.
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = ".fungible/assets"
FILES = f"{FOLDER}/files"
MANIFEST = f"{FOLDER}/manifest.json"
SUFFIXES = {"br": ".br", "gzip": ".gz", "zstd": ".zstd"}
"""Content codings (IANA registry) and what is appended to a file's name for them, as servestatic looks for them."""

_TYPES = {
    ".js": "text/javascript",  # RFC 9239
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".map": "application/json",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".ico": "image/x-icon",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".ttf": "font/ttf",
    ".otf": "font/otf",
    ".wasm": "application/wasm",
    ".avif": "image/avif",
    ".webp": "image/webp",
    ".html": "text/html",
    ".txt": "text/plain",
    ".xml": "application/xml",
}


@dataclass(frozen=True)
class File:
    """A file that is served: its media type, its bytes, their SHA-384 as a page says it (Subresource Integrity),
    whether its name changes with its content, and the codings it is there in besides."""

    type: str
    size: int
    integrity: str
    hashed: bool
    encodings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """What a page loads with a bundler's entry: style sheets, and modules that it imports at once."""

    css: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """See the module."""

    url: str
    names: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, File] = field(default_factory=dict)
    entries: Mapping[str, Entry] = field(default_factory=dict)

    def text(self) -> str:
        """As it is written: the same manifest, the same text."""
        document = {
            "version": 1,
            "url": self.url,
            "names": dict(self.names),
            "files": {path: _plain(vars(file)) for path, file in self.files.items()},
            "entries": {name: _plain(vars(entry)) for name, entry in self.entries.items()},
        }
        return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def read_manifest(content: Path) -> Manifest | None:
    """The manifest of the build in the folder `content`, None for one without assets."""
    try:
        data = json.loads((content / MANIFEST).read_text(encoding="utf-8"))
        return Manifest(
            data["url"],
            data["names"],
            {path: File(**{**file, "encodings": tuple(file["encodings"])}) for path, file in data["files"].items()},
            {name: Entry(tuple(e["css"]), tuple(e["imports"])) for name, e in data["entries"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def media_type(path: str) -> str:
    """The media type of a file by its name's end; the machine's own tables are not asked, they differ."""
    suffix = Path(path).suffix.lower()
    return _TYPES.get(suffix) or _BUILT_IN.guess_type(f"x{suffix}")[0] or "application/octet-stream"


_BUILT_IN = mimetypes.MimeTypes()


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}
