"""Run one world: a schedule, fresh backing services, fresh processes; what comes out is a transcript."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fungible.app.model import ProcessType
from fungible.runtime.events import Event
from fungible.runtime.process.listeners import group_of
from fungible.verify.schedule.schedule import NOWHERE, Schedule
from fungible.verify.transcript import Answer, Sent, Transcript
from fungible.verify.workload.steps import Job, Quiet, Request, Workload
from fungible.verify.world.background import Confine, Workers, idle, run_job
from fungible.verify.world.client import DEFAULT_TIMEOUT, knock, send
from fungible.verify.world.lane import Lane
from fungible.verify.world.slot import Birth, BootFailure, Ended, Site, Slot
from fungible.verify.world.visitor import Visitor

_SIGNALS = {"TERM": signal.SIGTERM, "KILL": signal.SIGKILL}
_SETTLE_SECONDS = 10.0
_FINISHED_FOR = 0.25
"""Seconds without computing after which a process that is going to be killed has nothing under way."""

Visit = Callable[[int], Awaitable[None]]


@dataclass(frozen=True)
class Given:
    """What all slots of all worlds have in common.

    `content` is the sealed code, `name` the last part of the app's folder. `environment` makes a slot's
    environment from the service URLs of its lane and what is its own. `folder` holds private folders. `workers` are
    the types of processes that work beside the web slots; they run where the workload waits for them. `heard` gets
    the events of theirs, `note` every connection that a forked process was refused.
    """

    content: Path
    name: str
    folder: Path
    environment: Callable[[Mapping[str, str]], dict[str, str]]
    seed: str
    confine: Confine | None = None
    workers: tuple[ProcessType, ...] = ()
    heard: Callable[[Event], None] = lambda _: None
    note: Callable[[Mapping[str, Any]], None] = lambda _: None


@dataclass(frozen=True)
class Execution:
    """A world that ran: its transcript, how its slots ended, the values it saved, and when it ran (epoch).

    `gaps` are the seconds from each answer to the next one: the processes that were made between, and the step.
    """

    schedule: Schedule
    transcript: Transcript
    ended: tuple[Ended | None, ...]
    variables: Mapping[str, str]
    window: tuple[float, float]
    boots: int
    failures: tuple[str, ...] = ()
    servers: int = 0
    gaps: tuple[float, ...] = ()


@dataclass
class _World:
    given: Given
    schedule: Schedule
    workload: Workload
    lane: Lane
    birth: Birth
    number: int
    defaults: Mapping[str, str]
    equal_seeds: bool
    skewed: bool
    visit: Visit | None = None
    instrument: str = "boot"
    dress: Callable[[Site], Site] | None = None
    servers: int = 0
    slots: dict[int, Slot] = field(default_factory=dict)
    ended: dict[int, Ended] = field(default_factory=dict)
    visitor: Visitor = field(init=False)
    failures: list[str] = field(default_factory=list)
    seeds: dict[int, int] = field(default_factory=dict)
    ports: dict[int, int] = field(default_factory=dict)
    boots: int = 0

    def __post_init__(self) -> None:
        self.visitor = Visitor(self.workload, self.defaults)

    async def run(self) -> Execution:
        begin = time.time()
        await self.lane.prepare(self.number if self.skewed else 0, self.instrument)
        sent: list[Sent | None] = []
        answers: list[Answer] = []
        gaps: list[float] = []
        workers = self._workers()
        try:
            await self._begin(workers, 0)
            answered = time.monotonic()
            for index, step in enumerate(self.workload.steps):
                # One after the other, the one that is asked next last: no two prepare the same store at once.
                for slot in sorted(self.schedule.births(index), key=lambda each: each == self._asked(index)):
                    await self._bear(slot, index)
                if isinstance(step, Request) and self.schedule.placement[index] != NOWHERE:
                    await asyncio.sleep(step.wait)  # before the visit: what still goes on then is part of the past
                if self.visit is not None:
                    await self.visit(index)
                request, answer = await self._step(index, step, workers)
                before, answered = answered, time.monotonic()
                gaps.append(answered - before)
                sent.append(request)
                answers.append(answer)
                ends = self.schedule.ends(index)
                if self.schedule.kind == "killed" and ends:
                    await self._let_finish(index, [slot for slot, _ in ends])
                for slot, end in ends:
                    await self._end(slot, _SIGNALS[end])
                if workers is not None and self.schedule.newborn:
                    await workers.end()
                    await self._begin(workers, index + 1)
            if self.visit is not None:
                await self.visit(len(self.workload.steps))
        finally:
            await asyncio.gather(*(self._end(slot, signal.SIGTERM) for slot in tuple(self.slots)))
            if workers is not None:
                await workers.end()
            shutil.rmtree(self._home, ignore_errors=True)
        transcript = Transcript(
            world=self.schedule.name,
            sent=tuple(sent),
            answers=tuple(answers),
            dumps=await self.lane.dumps(),
            placement=self.schedule.placement,
            seeds=tuple(self.seeds.get(slot, 0) for slot in range(self.schedule.slots)),
        )
        ended = tuple(self.ended.get(slot) for slot in range(self.schedule.slots))
        return Execution(
            self.schedule,
            transcript,
            ended,
            dict(self.visitor.variables),
            (begin, time.time()),
            self.boots,
            tuple(self.failures),
            self.servers,
            tuple(gaps),
        )

    @property
    def _home(self) -> Path:
        return self.given.folder / f"w{self.number}"

    def site(self, slot: int) -> Site:
        """All that this slot has of its own; slots of one host share it, slots of one disk its folder."""
        life = self.schedule.lives[slot]
        sharing = sum(other.disk == life.disk for other in self.schedule.lives)
        # One word, another in each world: what shows a path of a process's own is then seen to vary, and known again.
        private = self._home / (f"d{self.number}x{life.disk}" if sharing > 1 else f"s{self.number}x{slot}")
        identity = f"{self.number}/{life.host}"
        site = make_site(self.given, self.lane, private, slot, identity, equal_seed=self.equal_seeds)
        self.seeds[slot] = site.hash_seed
        # Of two imports to fork from, one world begins with the first, the next with the second: what they have not
        # in common is seen to vary where all worlds run on one lane, too.
        return replace(site, wipe=sharing == 1, turn=self.number)

    def _asked(self, index: int) -> int:
        return self.schedule.placement[index]

    async def _bear(self, slot: int, index: int) -> None:
        try:
            self.slots[slot] = await self.birth.bear(self.site(slot))
            self.boots += 1
            if slot != self._asked(index) and self.instrument == "boot":
                # Some listen before they import the app (gunicorn): what it reads at boot would be of a later step.
                await knock(self.slots[slot].address, _SETTLE_SECONDS)
        except BootFailure as failure:
            last = failure.output.strip().splitlines()[-8:]
            self.failures.append("\n".join([f"its process {failure}", *last]))

    async def _let_finish(self, index: int, slots: list[int]) -> None:
        """Before slots are killed: the pause that the workload makes next, and until they compute no more. What is
        lost then is not what was still going on, but what a process kept for later."""
        following = self.workload.steps[index + 1 : index + 2]
        if following and isinstance(following[0], Request):
            await asyncio.sleep(following[0].wait)
        pids = [process.pid for slot in slots if (process := self.slots.get(slot)) and not await _is_done(process)]
        if pids:
            await idle(lambda: [each for pid in pids for each in group_of(pid).pids], quiet_for=_FINISHED_FOR)

    async def _end(self, slot: int, number: int) -> None:
        process = self.slots.pop(slot, None)
        if process is not None:
            self.ended[slot] = await process.end(number)

    def _workers(self) -> Workers | None:
        """Workers run where the workload waits for them: `{until: quiet}`."""
        if self.given.confine is None or not self.workload.quiet() or not self.given.workers:
            return None
        return Workers(self.given.workers, self.given.confine, self.given.heard)

    async def _begin(self, workers: Workers | None, index: int) -> None:
        if workers is not None:
            site = self.site(0) if self.dress is None else self.dress(self.site(0))
            await workers.begin(replace(site, private=self._home / f"k{index}", wipe=True))

    async def _step(
        self, index: int, step: Request | Job | Quiet, workers: Workers | None
    ) -> tuple[Sent | None, Answer]:
        place = self.schedule.placement[index]
        if isinstance(step, Quiet):
            quiet = workers is None or await workers.quiet()
            return None, Answer(0, fault=None if quiet else "timeout")
        if isinstance(step, Job):
            if self.given.confine is None:
                return None, Answer(0, fault="boot")
            site = replace(self.site(place), private=self._home / f"j{index}", wipe=True)
            return None, await run_job(step.command, site, self.given.confine)
        if place == NOWHERE:
            return None, Answer(0)
        sent = self.visitor.request(step)
        slot = self.slots.get(place)
        if slot is None:
            return sent, Answer(0, fault="boot")
        answer = await send(slot.address, sent, step.timeout or DEFAULT_TIMEOUT)
        if self.servers == 0:
            self.servers = slot.servers()
        self.visitor.took(step, sent, answer)
        return sent, answer


async def _is_done(process: Slot) -> bool:
    """Whether a process surely has nothing under way any more."""
    return process.one_at_a_time() and await knock(process.address, _SETTLE_SECONDS) and process.one_at_a_time()


def make_site(
    given: Given, lane: Lane, private: Path, number: int, identity: str, *, equal_seed: bool = False
) -> Site:
    """A site with the name, paths and hash seed that belong to `identity`, attached to the stores of `lane`."""
    chance = random.Random(f"{given.seed}/{identity}")
    host = f"web-{chance.randrange(16**6):06x}"
    seed = 1 if equal_seed else chance.randrange(1, 2**32)
    own = private / "own"
    environment = given.environment(
        {
            **lane.urls,
            "FUNGIBLE_PROCESS": "web.1",
            "FUNGIBLE_INSTANCE": f"{number:x}-{chance.randrange(16**10):010x}",
            "FUNGIBLE_SCRATCH": str(own / "scratch"),
            "TMPDIR": str(own / "tmp"),
            "HOME": str(own / "home"),
            "XDG_RUNTIME_DIR": str(own / "run"),
            "PYTHONHASHSEED": str(seed),
        }
    )
    return Site(
        number=number,
        folder=Path("/tmp") / f"{chance.randrange(16**8):08x}" / given.name,
        content=given.content,
        private=private,
        host_name=host,
        hash_seed=seed,
        environment=environment,
        mounts=lane.mounts,
    )


async def run_world(
    given: Given,
    schedule: Schedule,
    workload: Workload,
    lane: Lane,
    birth: Birth,
    number: int,
    *,
    defaults: Mapping[str, str] | None = None,
    equal_seeds: bool = False,
    skewed: bool = True,
    visit: Visit | None = None,
    instrument: str = "boot",
    dress: Callable[[Site], Site] | None = None,
) -> Execution:
    """Run `workload` as `schedule` says, on `lane`, with slots from `birth`.

    `number` is unique among worlds and sets apart their identities and ids. `defaults` are the values of the warm
    run, taken for what this world could not save. With `equal_seeds` all slots share one hash seed; unless `skewed`,
    sequences start where the snapshot left them. `visit` is called before each step, its slots born, and after the
    last. `instrument` names what makes the processes: its snapshots are the beginning. `dress` gives worker processes
    more than a slot has. A slot that cannot boot is an answer with the fault `boot`; nothing else is raised for what
    the app does.
    """
    return await _World(
        given, schedule, workload, lane, birth, number, defaults or {}, equal_seeds, skewed, visit, instrument, dress
    ).run()
