"""A space: names stay inside, bytes and files are counted, and the folder is gone afterwards."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import shutil
import stat
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fungible_kit import ScratchError, ScratchFull, scratch
from fungible_kit.scratch_space.files import parts_of


def test_a_space_is_there_in_the_block_and_nothing_is_left_after_it(base: Path) -> None:
    with scratch() as tmp:
        with tmp.open("deep/down/a.txt", "w") as file:
            file.write("größer")
        assert (tmp / "deep/down/a.txt").read_text() == "größer"
        with tmp.open("deep/down/a.txt") as file:
            assert file.read() == "größer"
        assert Path(os.fspath(tmp)) == tmp.path
        assert tmp.used == (8, 3)
        with scratch() as other:
            assert other.path != tmp.path
    assert list(base.iterdir()) == []
    with pytest.raises(ScratchError, match=r"made at .*test_space.py:\d+, has ended"):
        tmp.open("x", "w")
    with pytest.raises(ScratchError, match="entered once"), tmp:
        pass
    with pytest.raises(ScratchError, match=r"not open: .*for_transaction\(\)"):
        scratch() / "x"


def test_f1_folders_are_private_and_have_names_of_our_own(base: Path) -> None:
    with scratch() as one, scratch() as two:
        for folder in (one.path, one.path.parent):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert one.path.name != two.path.name and len(one.path.name) == 16
        with one.open("folder/file", "wb"):
            pass
        assert stat.S_IMODE((one / "folder").stat().st_mode) == 0o700
        assert stat.S_IMODE((one / "folder/file").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["", ".", "/etc/passwd", "../x", "a/../../x", "a\0b", "x" * 256, "/".join("a" * 65)])
def test_f1_a_name_that_leads_out_is_refused(base: Path, name: str) -> None:
    with scratch() as tmp:
        for use in (lambda: tmp.open(name, "w"), lambda: tmp / name):
            with pytest.raises(ScratchError, match="cannot be a name in scratch"):
                use()


@pytest.mark.pure
@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=40) | st.from_regex(r"[a./]{1,12}"))
def test_f1_what_is_a_name_stays_below(name: str) -> None:
    try:
        parts = parts_of(name)
    except ValueError:
        return
    inside = os.path.normpath(os.path.join("/base", *parts))
    assert inside.startswith("/base/") and inside == os.path.join("/base", *parts)


def test_f1_no_link_is_followed(base: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    with scratch() as tmp:
        os.symlink(outside / "kept", tmp.path / "file")
        os.symlink(outside, tmp.path / "folder")
        for name, mode in [("file", "w"), ("file", "r"), ("file", "a"), ("folder/new", "w"), ("folder/kept", "r")]:
            with pytest.raises(OSError):
                tmp.open(name, mode)
        with pytest.raises(FileExistsError):
            tmp.open("file", "x")
    assert [path.name for path in outside.iterdir()] == ["kept"]
    assert (outside / "kept").read_text() == "kept"


def test_f2_bytes_are_counted_before_they_are_written(base: Path) -> None:
    with scratch(limit=100_000) as tmp:
        with tmp.open("a", "wb") as file:
            file.write(b"x" * 60_000)
        with pytest.raises(ScratchFull, match=r"97\.7 KiB") as caught, tmp.open("b", "wb") as file:
            file.write(b"x" * 60_000)
        assert isinstance(caught.value, OSError) and caught.value.errno == errno.ENOSPC
        assert tmp.used.bytes == 60_000
        os.unlink(tmp / "a")  # behind its back: found when room is needed
        with tmp.open("c", "wb") as file:
            file.write(b"x" * 90_000)
            file.flush()
            file.seek(0)
            file.write(b"y" * 90_000)  # no byte more
            file.truncate(10)
        with pytest.raises(ScratchFull), tmp.open("c", "r+b") as file:
            file.truncate(200_000)
        with tmp.open("c", "w+b") as file:  # cut, and room again
            file.write(b"x" * 99_000)
        assert tmp.used.bytes == 99_000


def test_f2_files_and_folders_are_counted(base: Path) -> None:
    with scratch(files=4) as tmp:
        for name in ("a", "folder/b", "c"):
            tmp.open(name, "w").close()
        tmp.open("a", "w").close()  # no new one
        for refused in (lambda: tmp.open("d", "w"), lambda: tmp.open("new/e", "w"), tmp.file):
            with pytest.raises(ScratchFull, match="5 files and folders"):
                refused()
        assert tmp.used.files == 4
        os.unlink(tmp / "c")
        with tmp.file() as file:
            file.write(b"x")
            with pytest.raises(ScratchFull):
                tmp.open("d", "w")
        tmp.open("d", "w").close()  # the one without a name is gone


def test_f2_what_others_wrote_is_counted_at_the_end(base: Path) -> None:
    with pytest.raises(ScratchFull, match=r"its limit of 1\.0 KiB"), scratch(limit="1KiB") as tmp:
        (tmp.path / "a").write_bytes(b"x" * 2000)
    with pytest.raises(KeyError), scratch(limit="1KiB") as tmp:  # the block's own exception goes first
        (tmp.path / "a").write_bytes(b"x" * 2000)
        raise KeyError
    assert list(base.iterdir()) == []


def test_f2_what_others_write_is_watched(base: Path) -> None:
    heard = threading.Event()
    with pytest.raises(ScratchFull), scratch(limit="64KiB", on_full=lambda full: heard.set()) as tmp:
        writer = subprocess.Popen(
            ["dd", "if=/dev/zero", f"of={tmp / 'a'}", "bs=1024", "count=1000"], stderr=subprocess.DEVNULL
        )
        writer.wait()
        assert heard.wait(60)
        tmp.open("b", "w")


def test_f2_threads_together_never_write_more_than_the_limit(base: Path) -> None:
    with scratch(limit=1_000_000) as tmp, ThreadPoolExecutor(8) as pool:

        def write(number: int) -> int:
            done = 0
            with tmp.open(f"{number}", "wb") as file:
                while True:
                    try:
                        file.write(b"x" * 1000)
                        file.flush()
                    except ScratchFull:
                        file.raw.close()
                        return done
                    done += 1000

        assert sum(pool.map(write, range(8))) == 1_000_000 == tmp.used.bytes


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_f2_the_count_is_what_is_there(base: Path, data: st.DataObject) -> None:
    """Whatever counted writers do, they never let more in than the limit, and a count agrees with them."""
    steps = st.tuples(
        st.sampled_from(["w", "a", "r+", "truncate", "unlink", "file"]),
        st.sampled_from(["a", "b", "c/d"]),
        st.integers(0, 5000),
    )
    with scratch(limit=10_000, files=6) as tmp:
        for action, name, size in data.draw(st.lists(steps, max_size=15)):
            try:
                if action == "unlink":
                    (tmp / name).unlink(missing_ok=True)
                elif action == "file":
                    with tmp.file() as file:
                        file.write(b"x" * size)
                elif action == "truncate":
                    with tmp.open(name, "r+b") as file:
                        file.truncate(size)
                else:
                    with tmp.open(name, f"{action}b") as file:
                        file.write(b"x" * size)
            except (ScratchFull, FileNotFoundError):
                pass
            there = sum(path.stat().st_size for path in tmp.path.rglob("*") if path.is_file())
            assert there <= 10_000
            assert there == tmp.used.bytes


def test_a_disk_that_is_nearly_full_is_left_alone(base: Path) -> None:
    free = shutil.disk_usage(base).free
    with pytest.raises(ScratchFull, match="scratch leaves"), scratch(keep_free=free * 2):
        pass
    assert list(base.iterdir()) == []


def test_a_file_without_a_name_is_read_back_and_not_seen(base: Path) -> None:
    with scratch() as tmp, tmp.file() as file:
        file.write(b"secret")
        file.seek(0)
        assert file.read() == b"secret"
        assert list(tmp.path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"limit": "2 gigs"}, "limit='2 gigs' is no size"),
        ({"limit": -1}, "limit=-1 is no size"),
        ({"limit": True}, "limit=True"),
        ({"files": 0}, "files=0"),
        ({"keep_free": "much"}, "keep_free='much'"),
    ],
)
def test_a_limit_that_is_none_is_named(arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        scratch(**arguments)  # type: ignore[arg-type]


def test_a_base_that_cannot_be_is_named(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FUNGIBLE_SCRATCH", str(tmp_path / "file"))
    with pytest.raises(ScratchError, match="FUNGIBLE_SCRATCH"), scratch():
        pass


def test_f4_wiped_after_success_and_after_an_exception(base: Path) -> None:
    for error in (None, RuntimeError(), KeyboardInterrupt(), SystemExit()):
        try:
            with scratch() as tmp:
                tmp.open("a/b", "w").close()
                os.mkdir(tmp / "shut", 0)  # what cannot be read is wiped as well
                if error:
                    raise error
        except BaseException as raised:
            assert raised is error
        assert list(base.iterdir()) == []


def test_f4_wiped_when_a_task_is_cancelled(base: Path) -> None:
    async def main() -> None:
        opened = asyncio.Event()

        async def work() -> None:
            async with scratch() as tmp:
                with tmp.open("a", "w") as file:
                    file.write("x")
                opened.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(work())
        await opened.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert list(base.iterdir()) == []

    asyncio.run(main())


def test_links_are_wiped_and_not_followed(base: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    with scratch() as tmp:
        os.symlink(outside, tmp.path / "link")
    assert (outside / "kept").read_text() == "kept"


def test_every_requirement_has_a_test_that_names_it() -> None:
    text = "".join(file.read_text() for file in Path(__file__).parent.glob("test_*.py"))
    assert {int(number) for number in re.findall(r"^(?:async )?def test_f(\d+)_", text, re.MULTILINE)} == {1, 2, 3, 4}
