"""A backing service of ours that dies is told, and started again at the address that processes hold."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import valkey

from fungible.runtime.events import Event
from fungible.runtime.upkeep import Upkeep
from fungible.services.inventory import inventory
from fungible.services.server import End
from fungible.services.valkey import ValkeyServer
from tests.control.test_control import ask
from tests.runtime.harness import WEB, Formation, Home, wait_until

PRESENT = {service.kind for service in inventory() if service.present}


def put_in_valkey(url: str) -> None:
    with valkey.Valkey.from_url(url) as client:
        client.set("kept", "yes")


def is_in_valkey(url: str) -> bool:
    with valkey.Valkey.from_url(url) as client:
        return bool(client.get("kept") == b"yes")


def put_in_postgres(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (answer text)")
        connection.execute("INSERT INTO kept VALUES ('yes')")


def is_in_postgres(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT answer FROM kept").fetchone() == ("yes",)


def put_in_memcached(url: str) -> None:
    assert told_by_memcached(url, b"set kept 0 0 3\r\nyes\r\n") == b"STORED\r\n"


def is_gone_from_memcached(url: str) -> bool:
    return told_by_memcached(url, b"get kept\r\n") == b"END\r\n"


def told_by_memcached(url: str, command: bytes) -> bytes:
    host, port = urlsplit(url).hostname, urlsplit(url).port
    with socket.create_connection((host, port), 20) as connection:
        connection.sendall(command)
        return connection.recv(100)


KINDS: dict[str, tuple[Callable[[str], None], Callable[[str], bool], str]] = {
    "valkey": (put_in_valkey, is_in_valkey, "with its data"),
    "postgres": (put_in_postgres, is_in_postgres, "with all that was committed"),
    "memcached": (put_in_memcached, is_gone_from_memcached, "empty: memcached keeps nothing over a restart"),
}


def services(home: Home) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(home, "GET", "/v1/formation").json()["services"]
    return found


def pid_of(home: Home) -> int:
    return int(services(home)[0]["pid"])


def store_of(formation: Formation) -> str:
    return str(formation.get("/env/STORE_URL").json()["value"])


def served_again(home: Home, formation: Formation, restarts: int) -> dict[str, Any]:
    """Kills it; how it serves again."""
    os.kill(pid_of(home), signal.SIGKILL)
    return formation.wait("service.ready", restarts=restarts)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_service_that_is_killed_serves_again_at_its_address_with_what_it_keeps(home: Home, kind: str) -> None:
    if kind not in PRESENT:
        pytest.skip(f"the system has no {kind}")
    put, found, brought_back = KINDS[kind]
    home.write({"Procfile": WEB, "fungible.toml": f'[services]\nSTORE_URL = "{kind}"\n'})
    with home.start("web=1") as formation:
        url = store_of(formation)
        put(url)
        pid = pid_of(home)
        again = served_again(home, formation, 1)
        assert found(url)
        (ended,) = formation.of("service.ended")
        assert (ended["service"], ended["kind"], ended["pid"], ended["status"]) == ("STORE_URL", kind, pid, -9)
        assert again["data"].startswith(brought_back), again
        (now,) = services(home)
        assert (now["state"], now["restarts"], now["last_end"]) == ("ready", 1, "signal 9")
        assert now["pid"] == again["pid"] != pid
        assert re.search(rf"^STORE_URL +ready +{kind} +{again['pid']} .* 1 .* signal 9$", home.run("ps").stdout, re.M)
        metrics = ask(home, "GET", "/metrics").text
        assert f'fungible_service_up{{service="STORE_URL",kind="{kind}"}} 1' in metrics
        assert f'fungible_service_restarts_total{{service="STORE_URL",kind="{kind}"}} 1' in metrics
        log = home.run("logs").stdout
        assert f"STORE_URL: {kind} (pid {pid}) ended by SIGKILL: started again" in log
        assert f"STORE_URL: {kind} answers again after " in log
        served_again(home, formation, 2)  # that one is watched, too
        assert formation.of("service.ended")[1]["delay_s"] > 0
        assert found(url)
        assert store_of(formation) == url
        assert home.run("release").returncode == 0
        assert formation.stop() == 0
    home.wait_until_gone()
    assert home.left == []


def test_a_service_that_cannot_be_started_again_is_told_once_and_fells_nothing(home: Home) -> None:
    home.write({"Procfile": WEB, "fungible.toml": '[services]\nSTORE_URL = "valkey"\n'})
    with home.start("web=1") as formation:
        url = store_of(formation)
        in_the_way = next(home.base.glob("state/fungible/*/services/STORE_URL")) / "valkey.conf"
        in_the_way.unlink()
        in_the_way.mkdir()
        os.kill(pid_of(home), signal.SIGKILL)
        failed = formation.wait("service.failed")
        assert "STORE_URL: " in failed["error"] and "Is a directory" in failed["error"]
        wait_until(lambda: services(home)[0]["state"] == "resting")
        (now,) = services(home)
        assert (now["pid"], now["restarts"], now["failure"]) == (None, 0, failed["error"])
        assert now["next_start_s"] is not None
        assert f"{failed['error']}; next start in " in home.run("ps").stdout
        assert 'fungible_service_up{service="STORE_URL",kind="valkey"} 0' in ask(home, "GET", "/metrics").text
        assert home.run("release").returncode == 0
        assert store_of(formation) == url
        in_the_way.rmdir()
        formation.wait("service.ready")
        put_in_valkey(url)
        (now,) = services(home)
        assert (now["state"], now["restarts"], now["failure"], now["next_start_s"]) == ("ready", 1, None, None)
        assert len(formation.of("service.failed")) == 1
        in_the_way.unlink()
        in_the_way.mkdir()
        os.kill(pid_of(home), signal.SIGKILL)
        formation.wait("service.failed", after=len(formation.events) - 1)
        assert home.run("stop").returncode == 0, "while it waits for its next start"
        assert formation.process.wait(60) == 0
    home.wait_until_gone()
    assert home.left == []


BUSY = "DO $$ BEGIN LOOP PERFORM 1; END LOOP; END $$"


@pytest.mark.skipif("postgres" not in PRESENT, reason="the system has no postgres")
@pytest.mark.parametrize("then", ["it is started again", "a stop comes"])
def test_what_a_killed_server_left_behind_ends(home: Home, then: str) -> None:
    """A backend that computes does not look whether its postmaster lives; while it does, nobody may start one."""
    home.write({"Procfile": WEB, "fungible.toml": '[services]\nSTORE_URL = "postgres"\n'})
    with home.start("web=1") as formation:
        url = store_of(formation)
        put_in_postgres(url)
        with closing(psycopg.connect(url, autocommit=True)) as connection:
            backend = connection.info.backend_pid
            connection.pgconn.send_query(BUSY.encode())
            wait_until(lambda: is_active(url, backend))
            os.kill(pid_of(home), signal.SIGKILL)
            formation.wait("service.ended")
            assert lives(backend)
            if then == "it is started again":
                formation.wait("service.ready")
                assert is_in_postgres(url)
            assert formation.stop() == 0
            assert not lives(backend)
    assert home.left == []


def lives(pid: int) -> bool:
    """Whether it is more than a zombie, which whoever adopted it has yet to reap."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except OSError:
        return False


def is_active(url: str, backend: int) -> bool:
    with psycopg.connect(url) as connection:
        asked = "SELECT state = 'active' AND query LIKE 'DO %%' FROM pg_stat_activity WHERE pid = %s"
        return connection.execute(asked, [backend]).fetchone() == (True,)


def test_a_one_off_process_keeps_the_services_alive_that_it_runs(home: Home) -> None:
    script = (
        "import os, signal, sys, time, valkey\n"
        "client = valkey.Valkey.from_url(os.environ['STORE_URL'])\n"
        "client.set('kept', 'yes')\n"
        "print(client.info('server')['process_id'], flush=True)\n"
        "sys.stdin.readline()\n"
        "while True:\n"
        "    try:\n"
        "        print(client.get('kept').decode(), flush=True); break\n"
        "    except valkey.ConnectionError:\n"
        "        time.sleep(0.02)\n"
    )
    home.write({"fungible.toml": '[services]\nSTORE_URL = "valkey"\n', "once.py": script})
    with home.one_off("python", "once.py") as one_off:
        assert one_off.stdout is not None
        os.kill(int(one_off.stdout.readline()), signal.SIGKILL)
        out, err = one_off.communicate("go\n", timeout=60)
    assert (out, one_off.returncode) == ("yes\n", 0)
    assert "ended by SIGKILL: started again" in err and "answers again after" in err


class Refuses(ValkeyServer):
    """Dies, and starts again at the eleventh attempt."""

    attempts = 0

    async def ended(self) -> End:
        if self.attempts:
            await asyncio.Event().wait()
        return End(1, -9, "")

    async def start_again(self) -> None:
        self.attempts += 1
        if self.attempts < 11:
            raise OSError("no")

    def brought_back(self) -> str:
        return ""


@pytest.mark.pure
def test_a_service_that_cannot_be_started_is_told_at_most_every_minute(tmp_path: Path) -> None:
    """Each look at the clock is seven seconds later, so no delay is waited for."""
    told: list[Event] = []
    ready = asyncio.Event()

    def take(event: Event) -> None:
        told.append(event)
        if event.kind == "service.ready":
            ready.set()

    async def scene() -> None:
        async with Upkeep([Refuses("X", tmp_path)], take, clock=lambda: next(times), chance=lambda: 0.0):
            await ready.wait()

    times = iter(range(0, 100_000, 7))
    asyncio.run(scene())
    kinds = [event.kind for event in told]
    assert kinds[0] == "service.ended" and kinds[-1] == "service.ready"
    assert 2 <= kinds.count("service.failed") < 8
