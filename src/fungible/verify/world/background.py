"""What runs beside the web slots of a world: worker processes, and one-off jobs of the workload."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from fungible.app.model import ProcessType
from fungible.app.problem import Problem
from fungible.runtime.events import Event
from fungible.runtime.ground.confinement import Confinement
from fungible.runtime.ground.release import Release
from fungible.runtime.process.listeners import group_of
from fungible.runtime.process.one_off import run_one_off
from fungible.runtime.process.process import Place, Process, new_instance
from fungible.runtime.process.state import State
from fungible.verify.transcript import Answer
from fungible.verify.world.slot import Site

QUIET_FOR = 0.6
"""Workers are quiet when none of them has used the processor for this many seconds."""
LONGEST_WAIT = 30.0
_TICK = 0.05
_BUSY = 0.02
_LARGEST_OUTPUT = 1 << 20

Confine = Callable[[Site], Confinement]


class Workers:
    """The worker processes of one world; `begin` anew replaces them by ones that did not exist before."""

    def __init__(
        self, types: tuple[ProcessType, ...], confine: Confine, heard: Callable[[Event], None] = lambda _: None
    ) -> None:
        self._tell = heard
        self._types = types
        self._confine = confine
        self._running: list[Process] = []
        self.output: list[str] = []

    async def begin(self, site: Site) -> None:
        """Start one process of each type; `site` is what they have of their own."""
        for number, type in enumerate(self._types):
            own = replace(site, private=site.private.with_name(f"{site.private.name}-{type.name}"), number=number)
            process = Process(
                replace(type, stop_timeout=min(5.0, type.stop_timeout)),
                1,
                Release("verify", self._confine(own), {}, (), own.environment, {}),
                Place(private=own.private),
                instance=new_instance(),
                publish=self._heard,
                changed=lambda _: None,
                host_name=site.host_name,
            )
            process.start()
            self._running.append(process)
        while any(process.state is State.STARTING for process in self._running):
            await asyncio.sleep(_TICK)

    async def quiet(self) -> bool:
        """Wait until they have nothing left to do; False when that did not happen in time."""
        return await idle(self._pids)

    async def end(self) -> None:
        """Stop them in order, until nothing is left."""
        running, self._running = self._running, []
        for process in running:
            process.retired = True
        await asyncio.gather(*(process.stop() for process in running))

    def _heard(self, event: Event) -> None:
        if event.kind == "log.line":
            self.output.append(f"{event.process}: {event.data['text']}"[:500])
            del self.output[:-40]
        self._tell(event)

    def _pids(self) -> list[int]:
        return [pid for process in self._running if process.facts.pid for pid in group_of(process.facts.pid).pids]


async def idle(pids: Callable[[], Sequence[int]], quiet_for: float = QUIET_FOR) -> bool:
    """Wait until none of these processes has computed for `quiet_for` seconds; False when that did not happen in
    time."""
    end = time.monotonic() + LONGEST_WAIT
    since = time.monotonic()
    spent = sum(map(_processor_seconds, pids()))
    while time.monotonic() < end:
        await asyncio.sleep(_TICK)
        now = sum(map(_processor_seconds, pids()))
        if now - spent > _BUSY:
            since, spent = time.monotonic(), now
        elif time.monotonic() - since >= quiet_for:
            return True
    return False


def _processor_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def run_job(command: str, site: Site, confine: Confine) -> Answer:
    """Run a step `{job: COMMAND}` as a one-off process: its exit code as status, its output as body."""
    with tempfile.TemporaryFile() as output:
        release = Release("verify", confine(site), {}, (), site.environment, {})
        site.private.parent.mkdir(parents=True, exist_ok=True)
        try:
            outcome = await run_one_off(
                ("bash", "-c", command),
                release,
                site.private,
                name="job.1",
                stdin=None,
                stdout=output.fileno(),
                stderr=2,
            )
        except Problem as problem:
            return Answer(0, body=problem.message.encode(), fault="boot")
        output.seek(0)
        body = output.read(_LARGEST_OUTPUT)
    return Answer(outcome.code, (("content-type", "text/plain"),), body)
