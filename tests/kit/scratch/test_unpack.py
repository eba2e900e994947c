"""F2: archives come out whole and inside, or not at all."""

from __future__ import annotations

import asyncio
import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fungible_kit import Scratch, ScratchError, ScratchFull, UnsafeArchive, scratch

Files = dict[str, bytes]
CONTENT: Files = {"a.txt": b"one", "folder/b.csv": b"1,2\n" * 1000, "folder/deep/c": b""}


@pytest.fixture
def tmp(base: Path) -> Iterator[Scratch]:
    with scratch(limit="20MiB", files=100) as opened:
        yield opened


def zip_of(files: Files, method: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return packed


def tar_of(files: Files, *special: tarfile.TarInfo) -> io.BytesIO:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(body), 0o4777
            archive.addfile(info, io.BytesIO(body))
        for info in special:
            archive.addfile(info)
    return packed


def squeezed(squeeze: Callable[[bytes], bytes]) -> Callable[[Files], io.BytesIO]:
    return lambda files: io.BytesIO(squeeze(tar_of(files).getvalue()))


KINDS: dict[str, Callable[[Files], io.BytesIO]] = {
    "zip": zip_of,
    "stored": lambda files: zip_of(files, zipfile.ZIP_STORED),
    "tar": tar_of,
    "tar.gz": squeezed(gzip.compress),
    "tar.bz2": squeezed(bz2.compress),
    "tar.xz": squeezed(lzma.compress),
}


def content_of(folder: Path) -> Files:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_comes_out_as_it_went_in(tmp: Scratch, kind: str) -> None:
    folder = tmp.unpack(KINDS[kind](CONTENT))
    assert content_of(folder) == CONTENT
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")} == {0o600, 0o700}
    with tmp.open("packed", "wb") as file:
        file.write(KINDS[kind](CONTENT).getvalue())
    assert content_of(tmp.unpack(tmp / "packed", name="in/here")) == CONTENT
    with pytest.raises(ScratchError, match="is there already"):
        tmp.unpack(tmp / "packed", name="in/here")


def test_an_async_space_unpacks_too(base: Path) -> None:
    async def main() -> None:
        async with scratch() as tmp:
            assert content_of(await tmp.unpack(zip_of(CONTENT))) == CONTENT

    asyncio.run(main())


OUTSIDE = ["../evil", "/etc/evil", "a/../../evil", "..", "C:\\evil", "a\\..\\..\\evil", "x" * 300, "a/" * 70 + "b"]


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("name", OUTSIDE)
def test_f2_no_path_leads_out(tmp: Scratch, base: Path, tmp_path: Path, kind: str, name: str) -> None:
    archive = KINDS[kind]({"good": b"x", name: b"evil"})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UnsafeArchive):
        tmp.unpack(archive)
    assert sorted(tmp_path.rglob("*")) == before and tmp.used == (0, 0)


def info_of(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE]
)
def test_f2_no_link_and_no_device_comes_out_of_a_tar(tmp: Scratch, kind: bytes) -> None:
    archive = tar_of({"good": b"x"}, info_of("evil", kind, "/etc/passwd"))
    if kind == tarfile.CONTTYPE:  # a contiguous file is a file
        assert content_of(tmp.unpack(archive)) == {"good": b"x", "evil": b""}
        return
    with pytest.raises(UnsafeArchive, match="'evil', which is a link or a device"):
        tmp.unpack(archive)
    assert tmp.used == (0, 0)


def test_f2_no_link_comes_out_of_a_zip(tmp: Scratch) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        link = zipfile.ZipInfo("evil")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UnsafeArchive, match="link or a device"):
        tmp.unpack(packed)


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_f2_an_archive_that_grows_too_much_is_refused(tmp: Scratch, kind: str) -> None:
    bomb = KINDS[kind]({"zeros": b"\0" * 10_000_000})
    with pytest.raises(UnsafeArchive, match="more than 100 times its size"):
        tmp.unpack(bomb)
    assert tmp.used == (0, 0)
    assert tmp.unpack(bomb, max_ratio=1e6).joinpath("zeros").stat().st_size == 10_000_000
    short = KINDS[kind]({"zeros": b"\0" * 500_000})  # of little size, whatever the ratio
    assert tmp.unpack(short).joinpath("zeros").stat().st_size == 500_000


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_f2_bytes_and_entries_are_bounded(tmp: Scratch, kind: str) -> None:
    many = KINDS[kind]({f"{number}": b"x" for number in range(60)})
    with pytest.raises(UnsafeArchive, match="more than 59 entries"):
        tmp.unpack(many, max_files=59)
    large = KINDS[kind]({"a": os.urandom(30_000), "b": os.urandom(30_000)})
    with pytest.raises(UnsafeArchive, match=r"more than the 58\.6 KiB"):
        tmp.unpack(large, max_bytes=59_999 + 1 - 1)
    assert tmp.used == (0, 0)
    assert len(content_of(tmp.unpack(large, max_bytes=60_000))) == 2
    with scratch(limit=50_000, files=100) as small:
        with pytest.raises((ScratchFull, UnsafeArchive)):
            small.unpack(large)
        with pytest.raises(ScratchFull):
            small.unpack(large, max_bytes="1GiB")
        with pytest.raises(ScratchFull):
            small.unpack(KINDS[kind]({"/".join("d" * 60) + f"/{n}/x": b"" for n in range(30)}))
        assert small.used == (0, 0)


def test_f2_a_zip_whose_entries_overlap_is_bounded_as_a_whole(tmp: Scratch) -> None:
    """Many directory entries that share one packed body: each grows little, all together do not."""
    body = zip_of({"a": b"\0" * 2_000_000}).getvalue()
    directory = body.rindex(b"PK\1\2")
    end = body.rindex(b"PK\5\6")
    entry = body[directory:end]
    entries = b"".join(entry[:46] + bytes([65 + number]) + entry[47:] for number in range(9))
    tail = bytearray(body[end:])
    struct.pack_into("<HHLL", tail, 8, 9, 9, len(entries), directory)
    with pytest.raises(UnsafeArchive):
        tmp.unpack(io.BytesIO(body[:directory] + entries + bytes(tail)), max_ratio=5000)
    assert tmp.used == (0, 0)


def test_f2_a_header_is_not_read_whole_if_it_is_huge(tmp: Scratch) -> None:
    huge = info_of("x", tarfile.XHDTYPE)
    huge.size = 1 << 30
    with pytest.raises(UnsafeArchive, match=r"a header of more than 1\.0 MiB"):
        tmp.unpack(io.BytesIO(huge.tobuf() + b"\0" * 10240))


def test_f2_the_directory_of_a_zip_is_not_read_if_it_is_huge(tmp: Scratch) -> None:
    packed = zip_of({f"{number:06}": b"" for number in range(5_000)})
    with pytest.raises(UnsafeArchive, match="more than 100 entries"):
        tmp.unpack(packed)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_f2_one_name_comes_once(tmp: Scratch, kind: str) -> None:
    packed = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(packed, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a", "1")
            archive.writestr("a", "2")
    else:
        packed = tar_of({"a": b"1", "./a": b"2"})
    with pytest.raises(UnsafeArchive, match="twice"):
        tmp.unpack(packed)
    with pytest.raises(UnsafeArchive, match="both a file and a folder"):
        tmp.unpack(KINDS[kind]({"a": b"1", "a/b": b"2"}))


def test_an_encrypted_zip_is_told(tmp: Scratch) -> None:
    packed = bytearray(zip_of({"a": b"x"}).getvalue())
    packed[packed.rindex(b"PK\1\2") + 8] |= 1
    with pytest.raises(UnsafeArchive, match="encrypted"):
        tmp.unpack(io.BytesIO(packed))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(KINDS)), st.data())
def test_f2_whatever_is_broken_is_one_error_and_nothing_is_left(base: Path, kind: str, data: st.DataObject) -> None:
    packed = bytearray(KINDS[kind](CONTENT).getvalue())
    for _ in range(data.draw(st.integers(1, 3))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    packed = packed[: data.draw(st.integers(0, len(packed)))]
    with scratch(limit="1MiB", files=50) as tmp:
        try:
            folder = tmp.unpack(io.BytesIO(packed))
        except (UnsafeArchive, ScratchFull):
            assert list(tmp.path.iterdir()) == []
        else:
            assert all(path.is_dir() or path.is_file() for path in folder.rglob("*"))


@given(st.binary(max_size=300))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_unpacked_or_refused(base: Path, text: bytes) -> None:
    with scratch() as tmp:
        try:
            tmp.unpack(io.BytesIO(text))
        except UnsafeArchive:
            assert list(tmp.path.iterdir()) == []
