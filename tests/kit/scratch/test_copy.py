"""Files of the app's own stores are copied in: from the disk, and by fsspec."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest

from fungible_kit import FetchStopped, ScratchError, ScratchFull, scratch


def test_a_file_of_a_store_comes_in(base: Path, tmp_path: Path) -> None:
    (tmp_path / "big.csv").write_bytes(b"x" * 3_000_000)
    with fsspec.open("memory://bucket/key", "wb") as file:
        file.write(b"y" * 1000)
    with scratch() as tmp:
        assert tmp.copy_in(tmp_path / "big.csv").stat().st_size == 3_000_000
        assert tmp.copy_in(f"file://{tmp_path}/big.csv", name="b").stat().st_size == 3_000_000
        assert tmp.copy_in("memory://bucket/key").read_bytes() == b"y" * 1000
        with pytest.raises(FetchStopped):
            tmp.copy_in(tmp_path / "big.csv", stop=lambda: True)
        assert tmp.used.files == 3

    async def main() -> None:
        async with scratch() as tmp:
            assert (await tmp.copy_in("memory://bucket/key")).read_bytes() == b"y" * 1000

    asyncio.run(main())


def test_f2_what_is_too_large_does_not_come_in(base: Path, tmp_path: Path) -> None:
    (tmp_path / "big.csv").write_bytes(b"x" * 3_000_000)
    with scratch(limit="1MiB") as tmp:
        for source in (tmp_path / "big.csv", f"file://{tmp_path}/big.csv"):
            with pytest.raises(ScratchFull, match="would not fit"):
                tmp.copy_in(source)
            with pytest.raises(ScratchError, match="more than the 1000 B"):
                tmp.copy_in(source, max_bytes=1000)
        assert tmp.used == (0, 0)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("http://127.0.0.1/x", "comes by `fetch`"),
        ("HTTPS://example.org/x", "comes by `fetch`"),
        ("simplecache::http://127.0.0.1/x", "chained"),
        ("zip://a::http://127.0.0.1/x", "chained"),
        ("sftp://127.0.0.1/x", "is not copied in"),
        ("/nowhere/at/all", "is not there"),
        ("memory://nowhere", "is not there"),
        ("/dev/zero", "is no file"),
        ("/tmp", "(?i)is a directory|is no file"),
    ],
)
def test_f3_an_address_that_would_ask_anybody_is_refused(base: Path, source: str, sentence: str) -> None:
    with scratch() as tmp:
        with pytest.raises((ScratchError, OSError), match=sentence):
            tmp.copy_in(source)
        assert tmp.used == (0, 0)


def test_without_fsspec_the_package_is_named(base: Path) -> None:
    script = (
        "import sys; sys.modules['fsspec'] = None\n"
        "from fungible_kit import scratch\n"
        "with scratch() as tmp:\n"
        "    try: tmp.copy_in('s3://bucket/key')\n"
        "    except Exception as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=dict(os.environ))
    assert done.stdout.strip() == "s3:// needs fsspec: install fungible-kit[scratch]", done.stderr
