"""What an image holds, as values: files, links and folders by path, in layers that change at different times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class File:
    """A file at `path` (absolute, in the image): a copy of the one at `source`, or `content`."""

    path: str
    source: Path | None = None
    content: bytes = b""
    executable: bool = False
    modified: int = 0


@dataclass(frozen=True)
class Link:
    """A symbolic link at `path` to `target`."""

    path: str
    target: str


@dataclass(frozen=True)
class Folder:
    """A folder at `path`, writable by everybody if `shared`, as /tmp is."""

    path: str
    shared: bool = False


Entry = File | Link | Folder


@dataclass(frozen=True)
class Layer:
    """Entries sorted by path, each once, every folder before what is in it; `about` says what they are."""

    about: str
    entries: tuple[Entry, ...]


def layer(about: str, entries: Iterable[Entry], below: Iterable[Layer] = ()) -> Layer:
    """The layer of these entries without those that the layers `below` hold already, with the folders that they lie
    in. Of two entries at one path a link or a folder that was asked for wins over what only stands above another."""
    there = {each.path: each for under in below for each in under.entries}
    found: dict[str, Entry] = {}
    for entry in entries:
        if there.get(entry.path) != entry:
            found[entry.path] = entry
    for path in list(found):
        for parent in _parents(path):
            if parent not in there:
                found.setdefault(parent, Folder(parent))
    return Layer(about, tuple(found[path] for path in sorted(found)))


def _parents(path: str) -> Iterator[str]:
    return (str(parent) for parent in PurePosixPath(path).parents if str(parent) != "/")
