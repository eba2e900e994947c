"""What `async with scratch(...)` gives."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from fungible_kit.scratch_space import tree
from fungible_kit.scratch_space.apart import stoppable
from fungible_kit.scratch_space.quantity import Size

if TYPE_CHECKING:
    from fungible_kit.scratch_space.space import Digest, Scratch


class AsyncScratch:
    """What `async with scratch(...)` gives: what may take long is awaited and runs in a thread of its own.

    `open`, `file`, `path`, `used` and `/` are those of `Scratch`; `sync` is that one, for code in a thread.
    """

    def __init__(self, space: Scratch) -> None:
        self.sync = space

    @property
    def path(self) -> Path:
        return self.sync.path

    @property
    def used(self) -> tree.Usage:
        return self.sync.used

    def __fspath__(self) -> str:
        return self.sync.__fspath__()

    def __truediv__(self, name: str) -> Path:
        return self.sync / name

    def open(self, name: str, mode: str = "r", **text: Any) -> IO[Any]:
        """As `Scratch.open`. Writing is not awaited: use it for what is small, or in a thread."""
        return self.sync.open(name, mode, **text)

    def file(self) -> IO[bytes]:
        return self.sync.file()

    async def fetch(
        self,
        url: str,
        *,
        max_bytes: Size | None = None,
        sha256: Digest | None = None,
        timeout: float = 60,
        hosts: Iterable[str] | None = None,
        networks: Iterable[str] = (),
        redirects: int = 0,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        name: str | None = None,
    ) -> Path:
        """As `Scratch.fetch`; a cancellation ends the download."""
        space = self.sync
        download, digest = space._download(max_bytes, sha256, timeout, hosts, networks, redirects, headers, tls, None)
        return await stoppable(lambda: space._fetched(download, digest, url, name), download.stop)

    async def copy_in(
        self,
        source: str | os.PathLike[str],
        *,
        name: str | None = None,
        max_bytes: Size | None = None,
        **options: Any,
    ) -> Path:
        """As `Scratch.copy_in`; a cancellation ends the copy."""
        stopped = threading.Event()
        return await stoppable(
            lambda: self.sync.copy_in(source, name=name, max_bytes=max_bytes, stop=stopped.is_set, **options),
            stopped.set,
        )

    async def unpack(
        self,
        archive: str | os.PathLike[str] | BinaryIO,
        *,
        name: str | None = None,
        max_bytes: Size | None = None,
        max_files: int | None = None,
        max_ratio: float = 100,
    ) -> Path:
        """As `Scratch.unpack`."""
        return await stoppable(
            lambda: self.sync.unpack(
                archive, name=name, max_bytes=max_bytes, max_files=max_files, max_ratio=max_ratio
            ),
            lambda: None,
        )
