"""Processes killed under load: what is lost then, what is not, and that each loss is counted with its cause."""

from __future__ import annotations

import os
import shutil
import signal

import pytest

from fungible.runtime.process.listeners import serving
from tests.runtime.harness import Formation, Home, wait_until
from tests.runtime.load import load_on
from tests.runtime.test_roll_lossless import SERVERS

KILLS = 6


def kill_one(formation: Formation, turn: int) -> str:
    """`kill -9` what serves in one of the processes, in every other turn what was started; returns its instance."""
    ended = {event["instance"] for event in formation.of("process.ended")}
    ready = [event for event in formation.of("process.ready") if event["instance"] not in ended]
    victim = ready[turn % len(ready)]
    port = formation.of("process.starting", instance=victim["instance"])[0]["port"]
    pids = {victim["pid"]} if turn % 2 else serving(victim["pid"], port)
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return str(victim["instance"])


@pytest.mark.parametrize("name", ["granian", "node"])
def test_a_kill_costs_no_idempotent_request_and_every_other_is_counted_and_answered(home: Home, name: str) -> None:
    """Of servers that write an answer in one piece: of others, a part may have been passed on."""
    app = SERVERS[name]
    if shutil.which(app.command.split()[0], path=home.variables["PATH"]) is None:
        pytest.skip(f"{name} is not installed")
    home.write({"Procfile": f"web: {app.command}\n", app.file: app.code})
    with home.start("web=3") as formation:
        with load_on(formation.url, fresh=4, kept=4) as load:
            for turn in range(KILLS):
                instance = kill_one(formation, turn)
                formation.wait("process.ended", instance=instance, crashed=True)
                wait_until(lambda: len(formation.of("process.ready")) - len(formation.of("process.ended")) == 3)
                before = load.count.answered
                wait_until(lambda at=before: load.count.answered > at + 20)  # type: ignore[misc]
        lost = load.count.lost
        print(f"{name}: {len(lost)} of {load.count.answered + len(lost)} lost in {KILLS} kills: {lost}")
        assert not [each for each in lost if "GET" in each]
        # Each had a process of its own to itself, and was sent: so it is answered.
        assert all(" POST: OSError('502 " in each and '"cause": "crashed"' in each for each in lost), lost
        failed = [event for event in formation.of("router.request") if event.get("cause")]
        assert [(event["method"], event["status"], event["cause"], event["retries"]) for event in failed] == [
            ("POST", 502, "crashed", 0)
        ] * len(lost)
        assert max(event["retries"] for event in formation.of("router.request")) <= 1
        assert formation.stop() == 0
