"""How a formation ends, and what it survives: signals, kill -9 of each part, a second start."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import httpx
import pytest

from fungible.runtime.start import SAME_SIGNAL
from tests.runtime.harness import PATIENCE, WEB, Formation, Home, wait_until

STUBBORN = (
    "import signal, time\nfor each in (signal.SIGTERM, signal.SIGINT):\n    signal.signal(each, signal.SIG_IGN)\n"
    "print('up', flush=True)\ntime.sleep(600)\n"
)
# One write for a whole line: four processes share the pipe.
FORKS = "import os, time\nos.fork() or os.setsid()\nos.fork()\nos.write(1, b'up\\n')\ntime.sleep(600)\n"
SETTINGS = '[services]\nVALKEY_URL = "valkey"\n'


def zygote(formation: Formation) -> int:
    """The process that forks the launchers."""
    (found,) = (
        child for child in children(formation.process.pid) if "sandbox" in Path(f"/proc/{child}/cmdline").read_text()
    )
    return found


def launchers(formation: Formation) -> list[int]:
    return children(zygote(formation))


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def mounts() -> int:
    return len(Path("/proc/self/mountinfo").read_text().splitlines())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_no_process_port_file_or_mount_behind(home: Home, number: int) -> None:
    before = mounts()
    home.write({"Procfile": WEB + "worker: python forks.py\n", "forks.py": FORKS, "fungible.toml": SETTINGS})
    with home.start("web=2") as formation:
        url = formation.url
        formation.wait("log.line", "worker.1", text="up")
        assert len(home.pids) > 6
        assert formation.stop(number) == 0
    home.wait_until_gone()
    assert home.left == []
    assert mounts() == before
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False, timeout=PATIENCE)


def test_a_second_signal_kills(home: Home) -> None:
    home.write({"Procfile": "worker: python s.py\n", "s.py": STUBBORN})
    with home.start("worker=2") as formation:
        for name in ("worker.1", "worker.2"):
            formation.wait("log.line", name, text="up")
        formation.send(signal.SIGINT)
        formation.wait("process.stopping", "worker.1")
        time.sleep(2 * SAME_SIGNAL)  # at once it would count as the first, delivered twice
        assert formation.stop(signal.SIGINT) == 0
    assert {e["status"] for e in formation.of("process.ended")} == {-signal.SIGKILL}
    home.wait_until_gone()
    assert home.left == []


def test_requests_under_way_are_finished_before_a_process_is_asked_to_stop(home: Home) -> None:
    home.write({"Procfile": WEB})
    with home.start("web=1") as formation:
        answers: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: answers.append(formation.get("/sleep/1.5")))
        thread.start()
        wait_until(lambda: _connections(formation) > 0)
        assert formation.stop() == 0
        thread.join()
    assert answers[0].status_code == 200


def _connections(formation: Formation) -> int:
    """Established connections to the process's port."""
    port = f":{formation.of('process.starting')[0]['port']:04X}"
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[2].endswith(port) and line.split()[3] == "01" for line in lines)


@pytest.mark.parametrize("level", ["full", "copy", "scratch"])
def test_a_killed_supervisor_leaves_no_process_and_the_next_start_cleans_up_and_serves(
    home: Home, level: str
) -> None:
    home.write(
        {
            "Procfile": WEB + "worker: python forks.py\nstubborn: python s.py\n",
            "forks.py": FORKS,
            "s.py": STUBBORN,
            "fungible.toml": SETTINGS,
        }
    )
    with home.start("web=2", "--isolation", level) as formation:
        if formation.process.poll() is not None:
            pytest.skip(f"level {level} is not possible here")
        for name in ("worker.1", "stubborn.1"):
            formation.wait("log.line", name, text="up")
        url = formation.url
        formation.stop(signal.SIGKILL)
    home.wait_until_gone()
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False, timeout=PATIENCE)
    with home.start("web=1", "worker=0", "stubborn=0", "--isolation", level) as formation:
        assert formation.get().json()["process"] == "web.1"
        assert formation.stop() == 0
    assert home.left == []


def test_left_overs_are_cleaned_up_and_told(home: Home) -> None:
    """A supervisor and its launchers, all killed: nobody is left to clean up."""
    home.write({"Procfile": WEB})
    with home.start("web=2") as formation:
        for pid in [formation.process.pid, *launchers(formation)]:
            os.kill(pid, signal.SIGKILL)
        formation.process.wait()
    home.wait_until_gone()
    assert home.left != []
    half = next((home.base / "state" / "fungible").glob("*/releases")) / "v9" / "app"
    half.mkdir(parents=True)
    with home.start("web=1") as formation:
        assert formation.of("notice", text="cleaned up after 2 processes that a killed supervisor had left")
        assert formation.get().status_code == 200
        assert formation.stop() == 0
    assert home.left == []
    assert not half.exists()


def test_a_second_start_says_who_runs_the_app(home: Home) -> None:
    home.write({"Procfile": WEB})
    with home.start() as formation:
        done = home.run("start", "--port", "0")
        assert (done.returncode, done.stdout) == (3, "")
        where = f"at {formation.url} (pid {formation.process.pid})"
        assert done.stderr == (
            f"fungible: this app already runs {where}: `fungible ps` shows it, `fungible stop` stops it\n"
        )
        assert formation.get().status_code == 200, "the first is undisturbed"
        assert formation.stop() == 0


def test_a_killed_router_is_back_on_the_same_port(home: Home) -> None:
    home.write({"Procfile": WEB})
    with home.start("web=2") as formation:
        url = formation.url
        os.kill(formation.wait("router.started")["pid"], signal.SIGKILL)
        assert formation.wait("router.restarted")["after_ms"] > 0
        assert {httpx.get(url, trust_env=False, timeout=PATIENCE).json()["process"] for _ in range(12)} == {
            "web.1",
            "web.2",
        }
        assert formation.stop() == 0


def test_a_killed_process_under_load_costs_no_get_its_answer(home: Home) -> None:
    home.write({"Procfile": WEB})
    with home.start("web=3") as formation:
        url = formation.url
        over = threading.Event()
        codes: list[int] = []

        def load() -> None:
            with httpx.Client(trust_env=False, timeout=30) as client:
                while not over.is_set():
                    codes.append(client.get(url + "/sleep/0.01").status_code)

        threads = [threading.Thread(target=load) for _ in range(6)]
        for thread in threads:
            thread.start()
        for name in ("web.1", "web.2"):
            seen = len(formation.events)
            enough = len(codes) + 50
            wait_until(lambda enough=enough: len(codes) > enough)
            os.kill(formation.of("process.ready", name)[-1]["pid"], signal.SIGKILL)
            formation.wait("process.ready", name, after=seen)
        over.set()
        for thread in threads:
            thread.join()
        assert set(codes) == {200}
        assert formation.stop() == 0


def test_a_killed_launcher_takes_its_process_along_and_is_replaced(home: Home) -> None:
    home.write({"Procfile": WEB})
    with home.start("web=1") as formation:
        launcher = launchers(formation)[0]
        first = formation.wait("process.ready")["pid"]
        seen = len(formation.events)
        os.kill(launcher, signal.SIGKILL)
        formation.wait("process.ready", "web.1", after=seen)
        wait_until(lambda: not Path(f"/proc/{first}").exists())
        assert formation.stop() == 0


def test_a_killed_zygote_takes_nothing_along_and_is_replaced(home: Home) -> None:
    home.write({"Procfile": WEB})
    with home.start("web=2") as formation:
        first = zygote(formation)
        lives = {each["process"]: each["pid"] for each in formation.of("process.ready")}
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: first not in home.pids)
        assert formation.get().status_code == 200
        seen = len(formation.events)
        os.kill(lives["web.1"], signal.SIGKILL)
        ended = formation.wait("process.ended", "web.1", after=seen)
        assert ended["status"] == -signal.SIGKILL, "its launcher still tells"
        formation.wait("process.ready", "web.1", after=seen)
        assert zygote(formation) != first
        assert not formation.of("process.ended", "web.2")
        assert formation.stop() == 0
    home.wait_until_gone()
    assert home.left == []


def test_a_signal_while_the_build_runs_takes_it_back(home: Home) -> None:
    home.write({"Procfile": WEB, "fungible.toml": 'build = ["sleep 600"]\n'})
    with home.start(up=False) as formation:
        formation.wait("notice", text="build: sleep 600")
        assert formation.stop() == 130
    home.wait_until_gone()
    assert home.left == []
    assert not list((home.base / "state" / "fungible").glob("*/releases/*"))
