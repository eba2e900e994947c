"""Files of a space: names that stay inside, opened without following a link, and writers that count."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from typing import IO, Any

from fungible_kit.scratch_space.errors import ScratchError
from fungible_kit.scratch_space.quota import Quota

_DEEPEST = 64
_MODES = {
    "r": os.O_RDONLY,
    "r+": os.O_RDWR,
    "w": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    "w+": os.O_RDWR | os.O_CREAT | os.O_TRUNC,
    "x": os.O_WRONLY | os.O_CREAT | os.O_EXCL,
    "x+": os.O_RDWR | os.O_CREAT | os.O_EXCL,
    "a": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
    "a+": os.O_RDWR | os.O_CREAT | os.O_APPEND,
}
_BUFFER = 64 * 1024


def parts_of(name: str) -> tuple[str, ...]:
    """The components of a relative path that stays below its folder. Raises ValueError that says what is wrong."""
    if not isinstance(name, str) or not name:
        raise ValueError("it is empty")
    if "\0" in name:
        raise ValueError("it has a NUL character")
    if name.startswith("/"):
        raise ValueError("it is an absolute path")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if not parts:
        raise ValueError("it is empty")
    if ".." in parts:
        raise ValueError("it leads out of its folder")
    if len(parts) > _DEEPEST:
        raise ValueError(f"it is more than {_DEEPEST} folders deep")
    try:
        if any(len(os.fsencode(part)) > 255 for part in parts):
            raise ValueError("a part of it is longer than 255 bytes")
    except UnicodeEncodeError:
        raise ValueError("it is not text that a file system takes") from None
    return parts


def open_counted(root: int, parts: tuple[str, ...], mode: str, quota: Quota, path: str, **text: Any) -> IO[Any]:
    """The file at `parts` below the folder `root` (a descriptor), its folders made where it is written.

    `mode` is one of `open`; what is written is reserved in `quota` first. No component may be a link (O_NOFOLLOW),
    and a new file is made by this call and no other (O_EXCL). Raises `ScratchFull`, OSError, ValueError.
    """
    plain = mode.replace("b", "").replace("t", "")
    if plain not in _MODES or mode.count("b") + mode.count("t") > 1:
        raise ValueError(f"invalid mode: {mode!r}")
    flags = _MODES[plain]
    descriptor = open_below(root, parts, flags, quota)
    return _dressed(CountedFile(descriptor, plain, quota, path), plain, binary="b" in mode, **text)


def open_unnamed(root: int, quota: Quota, path: str) -> IO[bytes]:
    """A file without a name, to read and write: gone with its descriptor, even when the process is killed."""
    quota.reserve(0, 1, named=False)
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        try:
            descriptor = os.open(".", flags | os.O_TMPFILE, 0o600, dir_fd=root)
        except (OSError, AttributeError):  # not every file system knows it: NFS, older overlays
            name = f".{os.urandom(16).hex()}"
            descriptor = os.open(name, flags | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=root)
            os.unlink(name, dir_fd=root)
    except BaseException:
        quota.give_back(0, 1, named=False)
        raise
    return _dressed(CountedFile(descriptor, "w+", quota, path, named=False), "w+", binary=True)


def open_below(root: int, parts: tuple[str, ...], flags: int, quota: Quota) -> int:
    """A descriptor of the file; missing folders are made where `flags` may create it."""
    folder = open_folder(root, parts[:-1], quota if flags & os.O_CREAT else None)
    try:
        if flags & os.O_EXCL:
            return _made(folder, parts[-1], flags, quota)
        while True:
            cut = _size_at(folder, parts[-1]) if flags & os.O_TRUNC else 0
            try:
                found = os.open(parts[-1], (flags & ~os.O_CREAT) | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            except FileNotFoundError:
                if not flags & os.O_CREAT:
                    raise
            else:
                quota.give_back(cut)
                return found
            with suppress(FileExistsError):  # another thread made it just now
                return _made(folder, parts[-1], flags, quota)
    except ScratchError:
        raise
    except OSError as error:
        error.filename = "/".join(parts)
        raise
    finally:
        os.close(folder)


def _made(folder: int, name: str, flags: int, quota: Quota) -> int:
    with quota.writing:
        quota.reserve(0, 1)
        try:
            return os.open(name, flags | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
        except BaseException:
            quota.give_back(0, 1)
            raise


def open_folder(root: int, parts: tuple[str, ...], quota: Quota | None) -> int:
    """A descriptor of the folder at `parts`; with `quota`, what is missing is made and counted."""
    at = os.dup(root)
    try:
        for part in parts:
            if quota is not None:
                _make_folder(at, part, quota)
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            os.close(at)
            at = inner
    except BaseException:
        os.close(at)
        raise
    return at


def _make_folder(at: int, name: str, quota: Quota) -> None:
    with quota.writing:
        try:
            os.stat(name, dir_fd=at, follow_symlinks=False)
        except FileNotFoundError:
            quota.reserve(0, 1)
            try:
                os.mkdir(name, 0o700, dir_fd=at)
            except BaseException:
                quota.give_back(0, 1)
                raise


def _size_at(folder: int, name: str) -> int:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_size
    except OSError:
        return 0


class CountedFile(io.FileIO):
    """A file whose growth is reserved before it is written. `open_counted` dresses it with a buffer.

    What C code or a subprocess writes to its descriptor is found by the next count of the space.
    """

    def __init__(self, descriptor: int, mode: str, quota: Quota, path: str, *, named: bool = True) -> None:
        super().__init__(descriptor, mode if mode != "x" and mode != "x+" else mode.replace("x", "w"))
        self._quota, self._named_file = quota, named
        self._appends = mode.startswith("a")
        self._size = os.fstat(descriptor).st_size
        self.name = path

    def write(self, data: Any, /) -> int:
        size = memoryview(data).nbytes
        with self._quota.writing:
            begin = os.fstat(self.fileno()).st_size if self._appends else self.tell()
            self._grow(begin + size)
            done = 0
            try:
                done = super().write(data) or 0
            finally:
                if done < size:
                    self._settle()
            return done

    def truncate(self, size: int | None = None, /) -> int:
        with self._quota.writing:
            wanted = self.tell() if size is None else size
            self._grow(wanted)
            try:
                return super().truncate(wanted)
            finally:
                self._settle()

    def close(self) -> None:
        if not self.closed and self.writable():
            with self._quota.writing:
                self._settle()
                if not self._named_file:
                    self._quota.give_back(self._size, 1, named=False)
        super().close()

    def _grow(self, size: int) -> None:
        if size > self._size:
            self._quota.reserve(size - self._size, named=self._named_file)
            self._size = size

    def _settle(self) -> None:
        """What was reserved and is not there is given back."""
        actual = os.fstat(self.fileno()).st_size
        if actual < self._size:
            self._quota.give_back(self._size - actual, named=self._named_file)
            self._size = actual


def _dressed(raw: CountedFile, mode: str, *, binary: bool, **text: Any) -> IO[Any]:
    buffered: Any
    if "+" in mode:
        buffered = io.BufferedRandom(raw, _BUFFER)
    elif mode == "r":
        buffered = io.BufferedReader(raw, _BUFFER)
    else:
        buffered = io.BufferedWriter(raw, _BUFFER)
    if binary:
        return buffered  # type: ignore[no-any-return]
    if text.get("encoding") is None:
        text["encoding"] = "utf-8"
    wrapped = io.TextIOWrapper(buffered, **text)
    wrapped.mode = mode  # type: ignore[misc]
    return wrapped


def refuse(name: object, problem: ValueError) -> ScratchError:
    """The error for a name that cannot be used."""
    return ScratchError(f"{str(name)[:200]!r} cannot be a name in scratch: {problem}")
