"""What cannot be forked says so, and what a slot started or reached for ends with it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fungible.sandbox.probe import probe_outbound
from fungible.sandbox.spec import Mount
from fungible.verify.world.fork.birth import ForkBirth
from fungible.verify.world.fork.unforkable import Unforkable
from fungible.verify.world.slot import BootFailure
from tests.verify.fork.bench import Bench, ask


def test_failures_say_what_the_app_said(bench: Bench) -> None:
    bench.write(
        web="print('so far')\nimport not_there\n", ends="import os, sys; print('bye', flush=True); os._exit(4)"
    )

    async def scenario(birth: ForkBirth) -> None:
        with pytest.raises(BootFailure, match="not_there") as caught:
            await birth.bear(bench.site(0))
        assert "so far" in caught.value.output
        assert "ModuleNotFoundError" in caught.value.output

    bench.run(scenario)

    async def ends(birth: ForkBirth) -> None:
        with pytest.raises(BootFailure, match="ended while it imported") as caught:
            await birth.bear(bench.site(0))
        assert "bye" in caught.value.output

    bench.command = "gunicorn ends:app"
    bench.run(ends)

    async def missing(birth: ForkBirth) -> None:
        with pytest.raises(BootFailure, match="has no nothing"):
            await birth.bear(bench.site(0))

    bench.write(there="")
    bench.command = "gunicorn there:nothing"
    bench.run(missing)

    bench.write(slow="import time; time.sleep(99)")
    bench.command = "gunicorn slow:app"

    async def slow(birth: ForkBirth) -> None:
        with pytest.raises(BootFailure, match="did not end in"):
            await birth.bear(bench.site(0))

    bench.run(slow, boot_timeout=0.5)


def test_what_cannot_be_forked_is_said_before_anything_runs(bench: Bench) -> None:
    async def refused(reason: str, **options: object) -> None:
        with pytest.raises(Unforkable, match=reason):
            await bench.open(**options)

    asyncio.run(refused("level full", level="copy"))
    bench.command = "./serve | tee log"
    asyncio.run(refused("does not tell its callable"))


def test_an_environment_that_the_import_did_not_see_is_refused(bench: Bench) -> None:
    bench.environment = {"DATABASE_URL": "sqlite:///a", "DATA": str(bench.site(1000).private / "own")}
    bench.write(web="def app(environ, start_response):\n    start_response('200 OK', [])\n    return []")

    async def scenario(birth: ForkBirth) -> None:
        site = bench.site(0)
        own = {**site.environment, "DATA": str(site.private / "own")}
        await (await birth.bear(replace(site, environment=own))).end(signal.SIGKILL)
        with pytest.raises(Unforkable, match="DATABASE_URL"):
            await birth.bear(replace(site, environment={**own, "DATABASE_URL": "sqlite:///b"}))

    bench.run(scenario)


def test_everything_that_a_slot_started_ends_with_it(bench: Bench) -> None:
    sleeper = f"7321.{os.getpid()}"  # a command line that no other test run has
    bench.write(
        web=f"""
import os, signal, subprocess, time
def app(environ, start_response):
    start_response("200 OK", [])
    hangs = environ["PATH_INFO"] == "/hang"
    if hangs:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen(["sleep", "{sleeper}"], start_new_session=True)
    time.sleep(99 if hangs else 0)
    return [b"ok"]
"""
    )

    def sleeps() -> bool:
        return f"sleep\0{sleeper}\0".encode() in _command_lines()

    async def until_it_sleeps() -> None:
        while not sleeps():
            await asyncio.sleep(0.01)

    async def scenario(birth: ForkBirth) -> None:
        slot = await birth.bear(bench.site(0))
        await ask(slot.address)
        await asyncio.wait_for(until_it_sleeps(), 30)
        await slot.end(signal.SIGKILL)
        assert not sleeps()
        slot = await birth.bear(bench.site(2))
        hanging = asyncio.ensure_future(ask(slot.address, "/hang"))
        await asyncio.wait_for(until_it_sleeps(), 30)
        ended = await slot.end(signal.SIGTERM)  # ignored: KILL follows
        assert ended.status == -signal.SIGKILL
        with contextlib.suppress(OSError, IndexError):
            await hanging
        assert not sleeps()

    bench.run(scenario, stop_timeout=0.3)


def _command_lines() -> list[bytes]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes())
        except OSError:
            continue
    return found


def test_another_folder_is_an_alias_and_layers_may_be_in_memory(bench: Bench) -> None:
    bench.layer = "memory"
    bench.write(
        web="""
import os
open("made", "w").write("import")
def app(environ, start_response):
    open(os.environ["SEEN_AT"] + "/other", "w").write("x")
    start_response("200 OK", [])
    return [open("made").read().encode(), open("other").read().encode()]
"""
    )
    elsewhere = bench.base / "elsewhere"
    elsewhere.mkdir()
    bench.environment = {"SEEN_AT": str(bench.app)}

    async def scenario(birth: ForkBirth) -> None:
        site = bench.site(0)
        moved = replace(site, folder=elsewhere, environment={**site.environment, "SEEN_AT": str(elsewhere)})
        slot = await birth.bear(moved)
        assert b"import" in (await ask(slot.address)).raw
        assert (await slot.end(signal.SIGKILL)).wrote == ("other",)

    bench.run(scenario)
    assert not list(elsewhere.iterdir())


def test_imports_and_slots_reach_nothing_outside(bench: Bench) -> None:
    if asyncio.run(probe_outbound(str(bench.base / "probe"), "full", bench.layer)) is not None:
        pytest.skip("outbound traffic cannot be refused here")
    bench.write(
        web="""
import socket
def reach(host):
    with socket.socket() as client:
        return client.connect_ex((host, 9))
AT_IMPORT = reach("198.51.100.1")
def app(environ, start_response):
    start_response("200 OK", [])
    return [repr((AT_IMPORT, reach("198.51.100.2"))).encode()]
"""
    )
    noted: list[Mapping[str, Any]] = []

    async def scenario(birth: ForkBirth) -> None:
        slot = await birth.bear(bench.site(0))
        assert (await ask(slot.address)).body == repr((errno.ECONNREFUSED, errno.ECONNREFUSED)).encode()
        await slot.end(signal.SIGKILL)

    bench.run(scenario, outbound="refused", note=noted.append)
    assert {"198.51.100.1:9", "198.51.100.2:9"} <= {each["to"] for each in noted if not each["allowed"]}


def test_the_current_folder_may_be_a_slots_own(bench: Bench) -> None:
    (bench.base / "lib").mkdir()
    bench.mounts = (Mount(str(bench.base / "lib"), str(bench.base / "lib")),)
    (bench.base / "lib" / "web.py").write_text("""
import os
def app(environ, start_response):
    open("here", "a").write("x")
    start_response("200 OK", [])
    return [open(os.environ["TMPDIR"] + "/here").read().encode()]
""")
    bench.command = f"gunicorn --chdir $TMPDIR --pythonpath {bench.base}/lib web:app"

    async def scenario(birth: ForkBirth) -> None:
        for number in (0, 2):
            slot = await birth.bear(bench.site(number))
            assert (await ask(slot.address)).body == b"x"
            assert (await slot.end(signal.SIGKILL)).wrote == ()

    bench.run(scenario)


def test_a_disk_that_outlives_its_slot(bench: Bench) -> None:
    bench.write(
        web="""
import os
os.makedirs("/tmp/made"); open("/tmp/made/n", "w").write("0")
open("n", "w").write("0")
def app(environ, start_response):
    said = []
    for path in ("n", "/tmp/made/n", os.environ["HOME"] + "/n"):
        count = int(open(path).read() if os.path.exists(path) else "0") + 1
        open(path, "w").write(str(count))
        said.append(count)
    start_response("200 OK", [])
    return [repr(said).encode()]
"""
    )
    disk = bench.base / "private" / "disk"
    environment = {**bench.site(0).environment, "HOME": f"{disk}/own/home", "TMPDIR": f"{disk}/own/tmp"}

    async def scenario(birth: ForkBirth) -> None:
        for count in (1, 2, 3):
            site = bench.site(0, private=disk, wipe=count == 3, environment=environment)
            slot = await birth.bear(site)
            assert (await ask(slot.address)).body == repr([count] * 3).encode()
            assert (await slot.end(signal.SIGKILL)).wrote == ("n",)
            assert slot.servers() == 1

    bench.run(scenario)
