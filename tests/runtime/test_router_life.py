"""HAProxy's own life: killed, hung, stopped, left alone."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path

import httpx
import pytest

from fungible.runtime.router import admin
from tests.runtime.router_upstreams import PATIENCE, App, alternates, bodies, stage, until


def test_a_killed_haproxy_is_replaced_on_the_same_port() -> None:
    async def scene() -> None:
        async with stage("a", "b") as s:
            served, refused, running = 0, 0, True

            async def load() -> None:
                nonlocal served, refused
                while running:
                    try:
                        async with s.client() as client:
                            response = await client.get("/")
                            served += response.status_code == 200
                            assert response.status_code == 200, response.headers
                    except httpx.ConnectError:
                        refused += 1
                    except httpx.TransportError:
                        pass  # it was in the HAProxy that died

            loads = [asyncio.create_task(load()) for _ in range(4)]
            for deaths in (1, 2):
                before = served
                await until(lambda before=before: served > before + 20)
                old = s.router.pid
                assert old is not None
                os.kill(old, signal.SIGKILL)
                await s.events.wait("router.restarted", deaths)
                assert s.router.pid not in (None, old)
            before = served
            await until(lambda: served > before + 20)
            running = False
            await asyncio.gather(*loads)
            assert refused == 0
            died = await s.events.wait("router.died", 2)
            assert died[0].data["exit_code"] == -signal.SIGKILL
            async with s.client() as client:
                assert alternates(await bodies(client, 6))
            for app in s.apps:  # the new HAProxy lets go of what it was configured with
                await s.router.remove(app.name)
            async with s.client() as client:
                assert (await client.get("/")).status_code == 503

    asyncio.run(scene())


def test_what_is_wished_while_haproxy_is_down_holds_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "ANSWER_WITHIN", 10 * PATIENCE)  # one that has died is not waited for

    async def scene() -> None:
        async with stage("a", "b") as s, s.client() as client:
            await s.router.drain("a")
            assert s.router.pid
            os.kill(s.router.pid, signal.SIGKILL)
            await s.add(await App("c").start())
            await s.router.remove("b")
            await s.router.set_cause("crashed")
            await s.events.wait("router.restarted")
            assert set(await bodies(client, 4)) == {"c"}
            await s.router.remove("c")
            assert (await client.get("/")).headers["fungible-cause"] == "crashed"

    asyncio.run(scene())


def test_a_haproxy_that_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "ANSWER_WITHIN", 0.5)

    async def scene() -> None:
        async with stage("a") as s, s.client() as client:
            assert s.router.pid
            os.kill(s.router.pid, signal.SIGSTOP)
            await s.add(await App("b").start())
            await s.events.wait("router.restarted")
            assert Counter(await bodies(client, 4)) == {"a": 2, "b": 2}

    asyncio.run(scene())


def test_stop_lets_requests_finish_and_leaves_nothing_behind() -> None:
    async def scene() -> None:
        async with stage("a") as s, s.client(2) as client:
            port, pid = s.port, s.router.pid
            modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in s.folder.iterdir()}
            assert set(modes.values()) == {0o600} and "router.cfg" in modes
            assert stat.S_IMODE(s.folder.stat().st_mode) == 0o700
            last = asyncio.create_task(client.get("/wait"))
            await s.apps[0].entered.acquire()
            stopping = asyncio.create_task(s.router.stop(20))
            await asyncio.sleep(0.1)
            s.apps[0].gate.set()
            assert (await last).text == "a"
            await stopping
            assert pid and not Path(f"/proc/{pid}").exists()
            assert list(s.folder.iterdir()) == []
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            assert s.events.all[-1].data["path"] == "/wait"

    asyncio.run(scene())


def test_stop_while_haproxy_is_replaced_leaves_none() -> None:
    async def scene() -> None:
        for turns in (0, 1, 3, 10):
            async with stage("a") as s:
                assert s.router.pid
                os.kill(s.router.pid, signal.SIGKILL)
                await s.events.wait("router.died")
                for _ in range(turns):
                    await asyncio.sleep(0)
                await s.router.stop()
                assert s.router.pid is None
                ours = [p for p in Path("/proc").glob("[0-9]*/cmdline") if str(s.folder) in command_line(p)]
                assert ours == []

    asyncio.run(scene())


def command_line(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def test_haproxy_dies_with_its_supervisor(tmp_path: Path) -> None:
    program = f"""
import asyncio, pathlib
from fungible.runtime.router import Router, RouterSettings
async def main():
    quiet, folder = lambda _: None, pathlib.Path({str(tmp_path)!r})
    router = Router(settings=RouterSettings(), folder=folder, publish=quiet, report=quiet)
    await router.start("127.0.0.1", 0)
    print(router.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout
        pid = int(supervisor.stdout.readline())
        handle = os.pidfd_open(pid)
        supervisor.kill()

        async def gone() -> None:
            ended = asyncio.Event()
            asyncio.get_running_loop().add_reader(handle, ended.set)
            async with asyncio.timeout(20):
                await ended.wait()

        asyncio.run(gone())
        os.close(handle)
