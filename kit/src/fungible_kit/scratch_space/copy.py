"""One file from a store of the app's own into scratch: by fsspec where it is installed, else from the local disk."""

from __future__ import annotations

import importlib
import os
import re
import stat
from collections.abc import Callable
from typing import IO, Any

from fungible_kit.scratch_space.errors import FetchStopped, ScratchError

_CHUNK = 1024 * 1024
_PROTOCOL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_BY_FETCH = frozenset(("http", "https", "ftp", "sftp", "ssh", "smb", "webhdfs"))
"""What connects to a host that a URL names, and knows no rule for it."""


def copy_in(
    source: str | os.PathLike[str],
    begin: Callable[[int | None], IO[bytes]],
    stop: Callable[[], bool],
    options: dict[str, Any],
) -> None:
    """Write the file at `source` to what `begin` returns, which gets its size, or None.

    Raises `ScratchError` for what is no file or cannot be read, and `FetchStopped` once `stop` says so.
    """
    place = os.fspath(source)
    match = _PROTOCOL.match(place)
    protocol = match[1].lower() if match else ""
    if "::" in place:
        raise ScratchError("a chained address cannot be copied in: give the address of one file")
    if protocol in ("http", "https"):
        raise ScratchError("what is on the web comes by `fetch`, which knows whom not to ask")
    if protocol in _BY_FETCH:
        raise ScratchError(f"{protocol}:// is not copied in: it connects to whatever host is named")
    try:
        if not protocol:
            _pour_local(place, begin, stop)
        else:
            _pour_remote(place, protocol, begin, stop, options)
    except FileNotFoundError:
        raise ScratchError(f"{_shown(place)} is not there") from None


def _pour_local(place: str, begin: Callable[[int | None], IO[bytes]], stop: Callable[[], bool]) -> None:
    # Not blocking: a pipe would wait for its writer.
    with open(os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ScratchError(f"{place} is no file")
        _pour(file, begin(status.st_size), stop)


def _pour_remote(
    place: str,
    protocol: str,
    begin: Callable[[int | None], IO[bytes]],
    stop: Callable[[], bool],
    options: dict[str, Any],
) -> None:
    try:
        fsspec = importlib.import_module("fsspec")
    except ImportError:
        raise ScratchError(f"{protocol}:// needs fsspec: install fungible-kit[scratch]") from None
    try:
        system, path = fsspec.core.url_to_fs(place, **options)
        size = system.info(path).get("size")
        with system.open(path, "rb") as file:
            _pour(file, begin(size), stop)
    except (ScratchError, FileNotFoundError):
        raise
    except ImportError as error:
        raise ScratchError(f"{protocol}:// needs another package: {error}") from None


def _pour(source: IO[bytes], target: IO[bytes], stop: Callable[[], bool]) -> None:
    while chunk := source.read(_CHUNK):
        target.write(chunk)
        if stop():
            raise FetchStopped("the copy was stopped", "stop")


def _shown(place: str) -> str:
    return place.partition("?")[0]
