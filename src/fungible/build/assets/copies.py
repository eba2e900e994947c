"""Compressed copies of assets, each made once: a build has most contents of the one before, and Django's under two
names."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path

from fungible.build.assets.compress import compressed
from fungible.build.assets.manifest import FILES, SUFFIXES, read_manifest
from fungible.build.links import link_or_copy


def integrity_of(data: bytes) -> str:
    """The SHA-384 of a file as a page says it (Subresource Integrity)."""
    return "sha384-" + base64.b64encode(hashlib.sha384(data).digest()).decode()


class Copies:
    """Puts compressed copies beside files, in whatever thread; those of the builds in `earlier` are linked to.

    `earlier` are builds of this version of Fungible: another one may compress otherwise.
    """

    def __init__(self, earlier: Iterable[Path] = ()) -> None:
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str], Future[tuple[Path, tuple[str, ...]]]] = {}
        for content in earlier:
            manifest = read_manifest(content)
            for path, file in manifest.files.items() if manifest is not None else ():
                made: Future[tuple[Path, tuple[str, ...]]] = Future()
                made.set_result((content / FILES / path, file.encodings))
                self._made.setdefault(_key(path, file.integrity), made)

    def put_beside(self, target: Path, data: bytes, integrity: str) -> tuple[str, ...]:
        """Put copies beside `target`, which holds `data`; returns their content codings. Raises OSError."""
        with self._lock:
            key = _key(target.name, integrity)
            other = self._made.get(key)
            if other is None:
                mine = self._made[key] = Future()
        if other is not None:
            with contextlib.suppress(OSError):  # it could not be made, or its build has been deleted meanwhile
                return _link(*other.result(), target)
            return _make(target, data)
        try:
            encodings = _make(target, data)
        except BaseException as error:
            mine.set_exception(error)
            raise
        mine.set_result((target, encodings))
        return encodings


def _key(path: str, integrity: str) -> tuple[str, str]:
    return Path(path).suffix.lower(), integrity  # some kinds are not compressed, whatever they hold


def _link(source: Path, encodings: tuple[str, ...], target: Path) -> tuple[str, ...]:
    for coding in encodings:
        link_or_copy(source.with_name(source.name + SUFFIXES[coding]), _free(target, coding))
    return encodings


def _make(target: Path, data: bytes) -> tuple[str, ...]:
    copies = compressed(target.name, data)
    for coding, copy in copies.items():
        _free(target, coding).write_bytes(copy)
    return tuple(sorted(copies))


def _free(target: Path, coding: str) -> Path:
    """Where the copy goes. What is there may be a name for a file of another build: it is not written to."""
    beside = target.with_name(target.name + SUFFIXES[coding])
    beside.unlink(missing_ok=True)
    return beside
