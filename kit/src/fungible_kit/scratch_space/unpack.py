"""Zip and tar archives, unpacked so that nothing leaves the folder and nothing grows without bound.

Only files and folders come out, of modes 0600 and 0700. A path that leads out, a link, a device, a second entry of
one name, too many entries, too many bytes or too high a ratio ends the unpacking, and what came out before is wiped
(OWASP ASVS 5.0: 5.2.3, 5.2.5, 5.3.3).
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, BinaryIO

from fungible_kit.scratch_space.errors import UnsafeArchive
from fungible_kit.scratch_space.files import parts_of
from fungible_kit.scratch_space.quantity import written

_CHUNK = 256 * 1024
_ALLOWANCE = 1024 * 1024  # bytes that may come out whatever the ratio: a short text may be packed very well
_LARGEST_HEADER = 1024 * 1024  # bytes of one header of a tar, extended names included
_LZMA_MEMORY = 128 * 1024 * 1024  # what `xz -9` needs to unpack is 65 MiB
_DIRECTORY_ENTRY = 512  # bytes of a zip's directory for one entry, generously
_BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, struct.error, OSError, RuntimeError,
    ValueError, LookupError, OverflowError,
)  # fmt: skip


@dataclass(frozen=True)
class Bounds:
    """What may come out: bytes and entries in all, and bytes for each byte of the archive."""

    max_bytes: int
    max_files: int
    max_ratio: float


class _Budget:
    """What has come out so far, of an archive of `packed` bytes."""

    def __init__(self, bounds: Bounds, packed: int) -> None:
        self._bounds = bounds
        self._by_ratio = max(_ALLOWANCE, int(packed * bounds.max_ratio))
        self._bytes = self._passed = self._files = 0
        self._seen = set[tuple[str, ...]]()

    def entry(self, name: str) -> tuple[str, ...]:
        """The parts of an entry's path, which is counted."""
        self._files += 1
        if self._files > self._bounds.max_files:
            raise UnsafeArchive(f"the archive has more than {self._bounds.max_files} entries")
        if "\\" in name or (len(name) > 1 and name[1] == ":"):
            raise UnsafeArchive(f"the archive has the path {name[:200]!r}: it is one of another system")
        try:
            parts = parts_of(name)
        except ValueError as problem:
            raise UnsafeArchive(f"the archive has the path {name[:200]!r}: {problem}") from None
        if parts in self._seen:
            raise UnsafeArchive(f"the archive has {name[:200]!r} twice")
        self._seen.add(parts)
        return parts

    def expect(self, size: int) -> None:
        """So many bytes of files are announced: refused before they come, where they are too many."""
        self._judge(self._bytes + size, self._passed)

    def spend(self, size: int) -> None:
        """So many bytes of files came out."""
        self._bytes += size
        self._judge(self._bytes, max(self._passed, self._bytes))

    def passed(self, size: int) -> None:
        """So many bytes were unpacked, headers and padding among them."""
        self._passed += size
        self._judge(self._bytes, self._passed)

    def _judge(self, size: int, passed: int) -> None:
        if size > self._bounds.max_bytes:
            raise UnsafeArchive(
                f"the archive holds more than the {written(self._bounds.max_bytes)} that may come out"
            )
        if passed > self._by_ratio:
            raise UnsafeArchive(f"the archive grows to more than {self._bounds.max_ratio:g} times its size")


Create = Callable[[tuple[str, ...]], IO[bytes]]
MakeFolder = Callable[[tuple[str, ...]], None]


def unpack(archive: BinaryIO, bounds: Bounds, create: Create, make_folder: MakeFolder) -> None:
    """Unpack a seekable `archive`; `create` opens a new file of it, `make_folder` makes a folder.

    Raises `UnsafeArchive`, and what the two raise.
    """
    packed = archive.seek(0, os.SEEK_END)
    archive.seek(0)
    budget = _Budget(bounds, packed)
    begin = archive.read(6)
    archive.seek(0)
    try:
        if begin[:4] in (b"PK\3\4", b"PK\5\6"):
            _unpack_zip(archive, packed, bounds, budget, create, make_folder)
        else:
            _unpack_tar(_plain(archive, begin), budget, create, make_folder)
    except _BROKEN as error:
        # An OSError with a number is of the disk; those of the decompressors have none.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UnsafeArchive(f"the archive is neither a zip nor a tar that can be read ({error})") from None


def _unpack_zip(
    archive: BinaryIO, packed: int, bounds: Bounds, budget: _Budget, create: Create, make_folder: MakeFolder
) -> None:
    # `zipfile` reads the whole directory into memory before it says how much it is.
    directory = _directory_size(archive, packed)
    if directory > max(64 * 1024, bounds.max_files * _DIRECTORY_ENTRY):
        raise UnsafeArchive(f"the archive has more than {bounds.max_files} entries")
    with zipfile.ZipFile(archive) as opened:
        entries = []
        for info in opened.infolist():  # all are judged before the first comes out
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise UnsafeArchive(f"the archive has {info.filename[:200]!r}, which is a link or a device")
            if info.flag_bits & 1:
                raise UnsafeArchive("the archive is encrypted")
            entries.append((info, budget.entry(info.filename)))
        budget.expect(sum(info.file_size for info, _ in entries))
        for info, parts in entries:
            if info.is_dir():
                make_folder(parts)
            else:
                with opened.open(info) as source, create(parts) as target:
                    _pour(source, target, budget)


def _directory_size(archive: BinaryIO, packed: int) -> int:
    """Bytes of the central directory (APPNOTE 4.3.16 and 4.3.14)."""
    tail = min(packed, 65536 + 22 + 20)
    archive.seek(packed - tail)
    text = archive.read(tail)
    at = text.rfind(b"PK\5\6")
    if at < 0 or len(text) - at < 22:
        raise UnsafeArchive("the archive is a zip that breaks off")
    size: int = struct.unpack_from("<L", text, at + 12)[0]
    if at >= 20 and text[at - 20 : at - 16] == b"PK\6\7":
        (place,) = struct.unpack_from("<Q", text, at - 12)
        archive.seek(min(place, packed))
        record = archive.read(56)
        if len(record) == 56 and record[:4] == b"PK\6\6":
            size = max(size if size != 0xFFFFFFFF else 0, struct.unpack_from("<Q", record, 40)[0])
    archive.seek(0)
    return size


def _unpack_tar(source: Any, budget: _Budget, create: Create, make_folder: MakeFolder) -> None:
    with tarfile.open(fileobj=_Forward(source, budget), mode="r:") as opened:
        for member in opened:
            if member.issparse() or not (member.isreg() or member.isdir()):
                raise UnsafeArchive(f"the archive has {member.name[:200]!r}, which is a link or a device")
            if member.isdir() and member.name.strip("/.") == "":
                continue  # `tar -C folder .` begins with the folder itself
            parts = budget.entry(member.name)
            if member.isdir():
                make_folder(parts)
                continue
            budget.expect(member.size)
            inside = opened.extractfile(member)
            if inside is None:
                raise UnsafeArchive(f"the archive has {member.name[:200]!r}, which is no file")
            with inside, create(parts) as target:
                left = member.size
                while chunk := inside.read(_CHUNK):
                    target.write(chunk)
                    budget.spend(len(chunk))
                    left -= len(chunk)
                if left:
                    raise UnsafeArchive("the archive breaks off")


def _pour(source: IO[bytes], target: IO[bytes], budget: _Budget) -> None:
    while chunk := source.read(_CHUNK):
        budget.spend(len(chunk))
        target.write(chunk)


def _plain(archive: BinaryIO, begin: bytes) -> BinaryIO | gzip.GzipFile | bz2.BZ2File | io.BufferedReader:
    if begin[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=archive, mode="rb")
    if begin[:3] == b"BZh":
        return bz2.BZ2File(archive)
    if begin[:6] == b"\xfd7zXZ\0":
        return io.BufferedReader(_Xz(archive))
    return archive


class _Xz(io.RawIOBase):
    """An xz stream read with bounded memory, which `lzma.open` cannot be told."""

    def __init__(self, archive: BinaryIO) -> None:
        self._archive = archive
        self._opened = lzma.LZMADecompressor(lzma.FORMAT_XZ, _LZMA_MEMORY)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._opened.eof:
            packed = self._archive.read(64 * 1024) if self._opened.needs_input else b""
            if self._opened.needs_input and not packed:
                raise EOFError("it breaks off")
            chunk = self._opened.decompress(packed, len(buffer))
            if chunk:
                buffer[: len(chunk)] = chunk
                return len(chunk)
        return 0


class _Forward(io.RawIOBase):
    """A stream for `tarfile` that only goes forward, spends what passes, and refuses to hand out a large header.

    `tarfile` reads extended headers whole, of whatever size they say they are.
    """

    def __init__(self, source: Any, budget: _Budget) -> None:
        self._source, self._budget = source, budget
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, place: int, whence: int = os.SEEK_SET, /) -> int:
        if whence != os.SEEK_SET or place < self._at:
            raise tarfile.ReadError("it leads backwards")
        while self._at < place:
            if not self.read(min(_CHUNK, place - self._at)):
                break
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _LARGEST_HEADER:
            raise UnsafeArchive(f"the archive has a header of more than {written(_LARGEST_HEADER)}")
        found = b""
        while len(found) < size and (chunk := self._source.read(size - len(found))):
            found += chunk
        self._at += len(found)
        self._budget.passed(len(found))
        return found
