"""`with scratch(...) as tmp`: a private folder with a quota, gone at the end of the block however that comes."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, BinaryIO, TypeVar

from fungible_kit.scratch_space import disk, files, home, tree, watch
from fungible_kit.scratch_space.apart import apart
from fungible_kit.scratch_space.arriving import Arriving
from fungible_kit.scratch_space.async_space import AsyncScratch
from fungible_kit.scratch_space.errors import FetchRefused, ScratchError, ScratchFull, UnsafeArchive
from fungible_kit.scratch_space.quantity import Size, size_of
from fungible_kit.scratch_space.quota import Quota
from fungible_kit.transactions.caller import app_line
from fungible_kit.transactions.scope import Leak, Transaction, current

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fungible_kit.scratch_space.fetch import Download

T = TypeVar("T")
Digest = str
"""A SHA-256 in hexadecimal."""

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, 5.1


def scratch(
    limit: Size = "1GiB",
    files: int = 10_000,
    *,
    keep_free: Size = "64MiB",
    on_full: Callable[[ScratchFull], object] | None = None,
) -> Scratch:
    """A private folder for one transaction: `with scratch(limit="2GiB") as tmp:`, or `async with`.

    `limit` bounds its bytes and `files` its files and folders; `keep_free` bytes of the disk are never used. What is
    written through `tmp` counts before it is written, and `ScratchFull` is raised instead of going over. What others
    write in it (a subprocess, a library) is counted twice a second and at the end: then `on_full` is called, from
    another thread, whatever is asked of `tmp` next raises `ScratchFull`, and so does the end of the block.

    The folder is wiped when the block ends: after success, an exception, a cancellation, TERM; after KILL by the next
    process that uses scratch there. It lies below $FUNGIBLE_SCRATCH, else the platform's temporary folder.

    Raises ValueError for a limit that is none.
    """
    if not isinstance(files, int) or isinstance(files, bool) or files < 1:
        raise ValueError(f"files={files!r}: give a number from 1")
    return Scratch(size_of(limit, "limit"), files, size_of(keep_free, "keep_free"), on_full)


class Scratch:
    """One space. Made by `scratch`; entered once; safe to use from several threads."""

    def __init__(
        self, limit: int, most_files: int, keep_free: int, on_full: Callable[[ScratchFull], object] | None
    ) -> None:
        self._limit, self._most_files, self._keep_free, self._on_full = limit, most_files, keep_free, on_full
        self._made_at = app_line()
        self._path: str | None = None
        self._root = -1
        self._quota: Quota | None = None
        self._owner = 0
        self._transaction: Transaction | None = None
        self._for_transaction = False
        self._over: ScratchFull | None = None
        self._busy = threading.RLock()
        self._number = 0

    # The life of a space.

    def __enter__(self) -> Scratch:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        over = self._close()
        if over is not None and error is None:
            raise over

    async def __aenter__(self) -> AsyncScratch:
        self._open()
        return AsyncScratch(self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # In a thread, since a large tree takes its time; shielded, since a second cancellation must not spare it.
        over = await asyncio.shield(apart(self._close))
        if over is not None and error is None:
            raise over

    def for_transaction(self) -> Scratch:
        """Open it without a block: it lives until the current transaction ends, the last byte of a stream included.

        Raises `ScratchError` outside of a transaction.
        """
        if current() is None:
            raise ScratchError("there is no transaction here that the space could end with: use `with scratch()`")
        self._for_transaction = True
        self._open()
        return self

    def _open(self) -> None:
        if self._quota is not None:
            raise ScratchError("a space is entered once: call scratch() again")
        self._owner = os.getpid()
        path = home.take()
        try:
            below = os.path.dirname(os.path.dirname(path))
            disk.require_free(below, 0, self._keep_free)
            disk.warn_if_memory(below, self._limit)
            self._root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except BaseException:
            home.give_back(path)
            raise
        self._path = path
        self._quota = Quota(
            self._limit,
            self._most_files,
            lambda: tree.measure(path),
            lambda size: disk.require_free(below, size, self._keep_free),
        )
        self._transaction = current()
        if self._transaction is not None:
            self._transaction.hold(self)
        watch.add(self)

    def _close(self) -> ScratchFull | None:
        """Wipe it; what is returned was over the limit."""
        with self._busy:
            path, self._path = self._path, None
        if path is None:
            return None
        watch.remove(self)
        if self._transaction is not None:
            self._transaction.release(self)
        os.close(self._root)
        if self._owner != os.getpid():  # the block was entered before a fork: the folder is the parent's
            return None
        over = self._over
        if over is None and self._quota is not None:
            try:
                self._quota.check()
            except ScratchFull as full:
                over = full
        home.give_back(path)
        return over

    def transaction_ended(self) -> Leak | None:
        """Called where the transaction ends before the block: what is still open then is wiped."""
        with self._busy:
            if self._path is None or self._quota is None:
                return None
            path, usage = self._path, self._quota.recount()
            self._close()
        if self._for_transaction:
            return None
        return Leak("scratch", path, self._made_at, usage.bytes, usage.files, True)

    def watch(self) -> None:
        """Called by the watching thread."""
        with self._busy:
            if self._path is None or self._quota is None or self._over is not None:
                return
            try:
                self._quota.check()
                return
            except ScratchFull as full:
                self._over = over = full
        if self._on_full is not None:
            self._on_full(over)

    # What is in it.

    @property
    def path(self) -> Path:
        """The folder. Raises `ScratchError` before and after the block."""
        return Path(self._living()[0])

    def __fspath__(self) -> str:
        return self._living()[0]

    def __truediv__(self, name: str) -> Path:
        """The path of `name` in it, for code that wants a path. Raises `ScratchError` for a name that leads out."""
        return Path(self._living()[0], *self._parts(name))

    @property
    def used(self) -> tree.Usage:
        """Bytes and files that are there now, counted on the disk."""
        return self._living()[1].recount()

    def open(
        self,
        name: str,
        mode: str = "r",
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """As the built-in `open`, of a file in it; text is UTF-8 unless said otherwise. Missing folders are made.

        Raises `ScratchFull` at the write that would go over the limit, `ScratchError` for a name that leads out,
        OSError.
        """
        path, quota = self._living()
        parts = self._parts(name)
        text = {} if "b" in mode else {"encoding": encoding, "errors": errors, "newline": newline}
        return files.open_counted(self._root, parts, mode, quota, os.path.join(path, *parts), **text)

    def file(self) -> IO[bytes]:
        """A file without a name, to write and read; the kernel frees it when it is closed, and after KILL, too."""
        path, quota = self._living()
        return files.open_unnamed(self._root, quota, path)

    # What is brought in.

    def fetch(
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
        stop: Callable[[], bool] | None = None,
    ) -> Path:
        """Download a file over http or https, in at most `timeout` seconds; the path it is at.

        `max_bytes` bounds it (default: what is left of the limit). `hosts` allows only these names ("*.example.org"
        is every name below); `networks` allows addresses that are not on the public internet, of which none is by
        default. `redirects` says how many to follow; each is judged anew. `headers` go to the first host only.
        `stop` is asked now and then.

        The file appears under its name when it is whole and has the digest `sha256`. Raises `FetchRefused`,
        `FetchStopped`, `FetchError` (`retry` says whether it may work later), `ScratchFull`.
        """
        download, digest = self._download(max_bytes, sha256, timeout, hosts, networks, redirects, headers, tls, stop)
        return self._fetched(download, digest, url, name)

    def _download(
        self,
        max_bytes: Size | None,
        sha256: Digest | None,
        timeout: float,
        hosts: Iterable[str] | None,
        networks: Iterable[str],
        redirects: int,
        headers: Mapping[str, str] | None,
        tls: ssl.SSLContext | None,
        stop: Callable[[], bool] | None,
    ) -> tuple[Download, Digest | None]:
        from fungible_kit.scratch_space.address import networks_of
        from fungible_kit.scratch_space.fetch import Download, Policy

        if isinstance(hosts, str) or isinstance(networks, str):
            raise ValueError("hosts and networks are lists")
        if not 0 < timeout < 10**6:
            raise ValueError(f"timeout={timeout!r}: give a number of seconds")
        if sha256 is not None:
            sha256 = sha256.strip().lower()
            if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
                raise ValueError("sha256 is 64 hexadecimal digits")
        for key, value in (headers or {}).items():
            if not _HEADER.fullmatch(key) or not value.isprintable() or not value.isascii():
                raise ValueError(f"headers: {key[:40]!r} has a name or a value that no header may have")
        most = self._living()[1].left if max_bytes is None else size_of(max_bytes, "max_bytes")
        allowed = None if hosts is None else tuple(hosts)
        policy = Policy(most, timeout, allowed, networks_of(networks), max(0, redirects), dict(headers or {}), tls)
        return Download(policy, stop), sha256

    def _fetched(self, download: Download, sha256: Digest | None, url: str, name: str | None) -> Path:
        with self._arriving(name, "fetched") as arriving:
            download.run(url, arriving.begin)
            arriving.close()
            if sha256 is not None and arriving.digest() != sha256:
                raise FetchRefused("the file that came has another SHA-256 than the one that was asked for", "digest")
            return arriving.whole()

    def copy_in(
        self,
        source: str | os.PathLike[str],
        *,
        name: str | None = None,
        max_bytes: Size | None = None,
        stop: Callable[[], bool] | None = None,
        **options: Any,
    ) -> Path:
        """Copy a file of the app's own stores, as in "s3://bucket/key" (by fsspec, which gets `options`) or a path.

        The address is the app's, never a user's: this asks whatever it names. Raises `ScratchError`, `ScratchFull`,
        `FetchStopped`, and what the store's own package raises.
        """
        from fungible_kit.scratch_space import copy

        most = None if max_bytes is None else size_of(max_bytes, "max_bytes")
        with self._arriving(name, "copied", most) as arriving:
            copy.copy_in(source, arriving.begin, stop or (lambda: False), options)
            arriving.close()
            return arriving.whole()

    def unpack(
        self,
        archive: str | os.PathLike[str] | BinaryIO,
        *,
        name: str | None = None,
        max_bytes: Size | None = None,
        max_files: int | None = None,
        max_ratio: float = 100,
    ) -> Path:
        """Unpack a zip or a tar (plain, gzip, bzip2, xz) into a new folder; its path.

        `archive` is a path or a seekable binary file (an upload). Only files and folders come out: at most
        `max_bytes` and `max_files` (default: what is left of the limits), and at most `max_ratio` times the archive's
        size once that is more than 1 MiB. Raises `UnsafeArchive` or `ScratchFull`, and then nothing of it is left.
        """
        from fungible_kit.scratch_space.unpack import Bounds, unpack

        path, quota = self._living()
        parts = self._parts(name if name is not None else self._next("unpacked"))
        most_files = quota.limit.files if max_files is None else max_files
        bounds = Bounds(quota.left if max_bytes is None else size_of(max_bytes, "max_bytes"), most_files, max_ratio)
        folder = os.path.join(path, *parts)
        if os.path.lexists(folder):
            raise ScratchError(f"{'/'.join(parts)} is there already")

        def create(inside: tuple[str, ...]) -> IO[bytes]:
            return files.open_counted(self._root, parts + inside, "xb", quota, os.path.join(folder, *inside))

        def make_folder(inside: tuple[str, ...]) -> None:
            os.close(files.open_folder(self._root, parts + inside, quota))

        try:
            make_folder(())
            if isinstance(archive, str | os.PathLike):
                with open(archive, "rb") as opened:
                    unpack(opened, bounds, create, make_folder)
            else:
                unpack(archive, bounds, create, make_folder)
        except BaseException as error:
            tree.wipe(folder)
            quota.recount()
            if isinstance(error, FileExistsError | NotADirectoryError):
                raise UnsafeArchive("the archive has a path that is both a file and a folder") from None
            raise
        return Path(folder)

    def _living(self) -> tuple[str, Quota]:
        path, quota = self._path, self._quota
        if path is None or quota is None:
            raise ScratchError(
                "this space is not open: use `with scratch() as tmp`, or `scratch().for_transaction()`"
                if quota is None
                else f"this space, made at {self._made_at}, has ended"
            )
        if self._over is not None:
            raise self._over
        return path, quota

    def _parts(self, name: str) -> tuple[str, ...]:
        try:
            return files.parts_of(name)
        except ValueError as problem:
            raise files.refuse(name, problem) from None

    def _next(self, what: str) -> str:
        with self._busy:
            self._number += 1
            return f"{what}-{self._number}"

    @contextmanager
    def _arriving(self, name: str | None, what: str, most: int | None = None) -> Iterator[Arriving]:
        self._living()
        arriving = Arriving(self, "/".join(self._parts(name if name is not None else self._next(what))), most)
        try:
            yield arriving
        except BaseException:
            arriving.discard()
            raise
