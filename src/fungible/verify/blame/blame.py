"""Who held the state: put back in memory what a writer changed, object by object, and see whether it matters.

Two questions with the same instrument. In the warm order, one process serves all: putting the culprit back just
before the observer makes the observer answer as a process does that never saw the writer. Where the observer's own
slot had served before (a stale cache), putting back what those steps left makes the difference vanish. An object
is only named as confirmed where this counterfactual ran; what changes and does not matter is never named.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from fungible.sandbox.spec import Mount
from fungible.verify.blame.agent.host import AgentError, AgentServer, Change, FileEvent, new_salt
from fungible.verify.blame.agent.naming import (
    ObjectPath,
    culprit_of_file,
    culprit_of_object,
    differing_atoms,
)
from fungible.verify.blame.written import left_behind, likelihood, readable
from fungible.verify.compare import Deviation, Relations, compare
from fungible.verify.findings import Culprit, Difference
from fungible.verify.schedule.schedule import NOWHERE, Life, Schedule, warm
from fungible.verify.shrink.case import Case, part
from fungible.verify.workload.steps import Request, Workload, render
from fungible.verify.world.client import DEFAULT_TIMEOUT, as_sent, host_header, knock, send
from fungible.verify.world.laboratory import Laboratory
from fungible.verify.world.slot import Birth, Site, Slot
from fungible.verify.world.world import Execution

Like = Callable[[Sequence[Deviation]], bool]

_MOST_CANDIDATES = 120
_MOST_RUNS = 24
_CONNECT_SECONDS = 3.0
_BOOT_SECONDS = 15.0


class _AgentBirth:
    """Bears slots that carry the blame agent; keeps the agent's server of each by slot number."""

    def __init__(self, birth: Birth, folder: Path, stack: AsyncExitStack, lines: bool) -> None:
        self._birth = birth
        self._folder = folder
        self._stack = stack
        self._lines = lines
        self.servers: dict[int, AgentServer] = {}
        self.slots: dict[int, Slot] = {}
        self.sites: dict[int, Site] = {}

    async def bear(self, site: Site) -> Slot:
        """See `Birth.bear`."""
        folder = self._folder / f"{site.number}"
        folder.mkdir(mode=0o700)
        server = AgentServer(folder / "s")
        await self._stack.enter_async_context(server)
        python_path = site.environment.get("PYTHONPATH", "")
        environment = {**site.environment, **server.environment(str(site.folder), python_path, lines=self._lines)}
        inside = str(server.inside)
        mounts = (Mount(inside, inside), Mount(str(folder), str(folder), writable=True))
        slot = await self._birth.bear(replace(site, environment=environment, mounts=site.mounts + mounts))
        self.servers[site.number] = server
        self.slots[site.number] = slot
        self.sites[site.number] = site
        try:
            await _meet(slot, server)
        except BaseException:
            await slot.end(signal.SIGKILL)
            raise
        return slot


async def _meet(slot: Slot, server: AgentServer) -> None:
    """Wait until the process that serves has imported the app and is connected to the agent's server."""
    await knock(slot.address, _BOOT_SECONDS)
    end = time.monotonic() + _CONNECT_SECONDS
    while time.monotonic() < end:
        if {greeting.host_pid for greeting in server.greetings} & slot.serving():
            return
        await asyncio.sleep(0.02)
    raise AgentError("the process that serves did not connect to the blame agent")


@dataclass(frozen=True)
class _Question:
    """One way to ask: the world to run, the slot to look into, and what an answer means.

    `since` is the kept step (by position) before which the slot's memory is as it should be put back to. With
    `appears`, putting the culprit back makes the difference appear; otherwise it makes it vanish. With `rehearsed`
    the observer's request is sent once before that, so that what is made lazily is there to be put back to.
    """

    schedule: Schedule
    slot: int
    since: int
    appears: bool
    rehearsed: bool = False


class Blame:
    """Finds the culprit of one difference at a time."""

    def __init__(self, laboratory: Laboratory, workload: Workload, defaults: Mapping[str, str], folder: Path) -> None:
        self._laboratory = laboratory
        self._workload = workload
        self._defaults = defaults
        self._folder = folder
        self._runs = 0

    async def culprit(self, difference: Difference, relations: Relations, like: Like) -> Culprit:
        """The culprit of `difference`, whose case has `relations` in its warm worlds; `like` recognises it."""
        self._runs = 0
        case = difference.case
        questions = self._questions(case)
        # Side by side: what the variants say, and what changed in memory.
        looking = [asyncio.ensure_future(self._changes(question, case)) for question in questions]
        where, _ = await asyncio.gather(self._variants(case, relations, like), asyncio.wait(looking))
        found = None
        try:
            if where != "file":
                changed = [(question, each.result()) for question, each in zip(questions, looking, strict=True)]
                found = await self._memory(case, relations, like, changed)
            if where == "file":
                found = await self._files(case, confirmed=True)
            if found is None:
                found = await self._boot_constants(case, relations, like)
            if found is None and where == "memory":
                found = await self._rehearsed(case, relations, like, questions[-1])
            if found is None and where == "memory":
                found = await self._unproved(case, changed)
        except (AgentError, TimeoutError, ConnectionError, OSError):
            found = None  # not a Python process, or one that does not carry the agent: the variants still speak
        if found is None and where == "file":
            found = await self._files_of_layer(case)
        return replace(found or Culprit(), where=where)

    # What the variants of the placed world say.

    async def _variants(self, case: Case, relations: Relations, like: Like) -> str | None:
        """`file` where a kept disk makes the difference vanish, `identity` where the same host does."""
        schedule = case.schedule()
        if schedule.slots < 2:
            return "memory"
        lives = _one_at_a_time(case)
        if lives is None:
            return "memory"
        disk = replace(schedule, placement=lives[0], lives=tuple(replace(life, disk=0) for life in lives[1]))
        if not like(compare(relations, (await self._run(disk, case)).transcript)):
            return "file"
        host = replace(schedule, placement=lives[0], lives=tuple(replace(life, disk=0, host=0) for life in lives[1]))
        if not like(compare(relations, (await self._run(host, case)).transcript)):
            return "identity"
        return "memory"

    # Memory.

    async def _memory(
        self,
        case: Case,
        relations: Relations,
        like: Like,
        changed: Sequence[tuple[_Question, tuple[Change, ...]]],
    ) -> Culprit | None:
        for question, found in changed:
            changes = [change for change in found if change.restorable]
            if not changes:
                continue
            paths = [change.path for change in changes][:_MOST_CANDIDATES]
            if not await self._matters(question, case, relations, like, paths):
                continue
            guilty = await self._narrow(question, case, relations, like, paths)
            by_path = {change.path: change for change in changes}
            return await self._name(question, case, [by_path[path] for path in guilty])
        return None

    async def _rehearsed(self, case: Case, relations: Relations, like: Like, question: _Question) -> Culprit | None:
        """Ask once more of a process that has answered before, unless that alone makes the difference appear."""
        if not isinstance(self._workload.steps[case.observer], Request):
            return None
        question = replace(question, rehearsed=True)
        nothing: list[ObjectPath] = []
        if await self._matters(question, case, relations, like, nothing):
            return None
        return await self._memory(case, relations, like, [(question, await self._changes(question, case))])

    async def _unproved(self, case: Case, changed: Sequence[tuple[_Question, tuple[Change, ...]]]) -> Culprit | None:
        """What changed and cannot be put back (a generator, a database in memory), if the app holds one such only."""
        for question, found in changed:
            suspects = [change for change in found if change.in_app and not change.restorable]
            if len(suspects) == 1:
                return replace(await self._name(question, case, suspects), confirmed=False)
        return None

    def _questions(self, case: Case) -> list[_Question]:
        schedule = case.schedule()
        questions = []
        home = schedule.placement[-1]
        earlier = [i for i, slot in enumerate(schedule.placement[:-1]) if slot == home]
        if earlier:
            questions.append(_Question(schedule, home, earlier[0], appears=False))
        quiet = part(self._workload, case.kept).quiet()
        questions.append(_Question(warm(len(case.kept), quiet), 0, 0, appears=True))
        return questions

    async def _changes(self, question: _Question, case: Case) -> tuple[Change, ...]:
        """What changed in the slot between its first step and the observer."""
        found: tuple[Change, ...] = ()
        last = len(case.kept) - 1

        async def visit(index: int, servers: Mapping[int, AgentServer]) -> None:
            nonlocal found
            if index == question.since:
                await servers[question.slot].snapshot("before")
            if index == last:
                found = await servers[question.slot].diff("before")

        await self._run_with_agents(question.schedule, case, visit, question)
        return found

    async def _matters(
        self,
        question: _Question,
        case: Case,
        relations: Relations,
        like: Like,
        paths: Sequence[ObjectPath],
    ) -> bool:
        """Whether putting these objects back changes the observer's answer to the other one."""
        last = len(case.kept) - 1

        async def visit(index: int, servers: Mapping[int, AgentServer]) -> None:
            if index == question.since:
                await servers[question.slot].snapshot("before")
            if index == last:
                await servers[question.slot].restore("before", paths)

        ran = await self._run_with_agents(question.schedule, case, visit, question)
        shows = like(compare(relations, ran.execution.transcript))
        return shows if question.appears else not shows

    async def _narrow(
        self,
        question: _Question,
        case: Case,
        relations: Relations,
        like: Like,
        paths: list[ObjectPath],
    ) -> list[ObjectPath]:
        """The least set that matters: the first few alone, then halves."""
        for path in paths[:3]:
            if len(paths) == 1:
                return paths
            if await self._matters(question, case, relations, like, [path]):
                return [path]
        while len(paths) > 1 and self._runs < _MOST_RUNS:
            middle = len(paths) // 2
            for half in (paths[:middle], paths[middle:]):
                if await self._matters(question, case, relations, like, half):
                    paths = half
                    break
            else:
                return await self._without_needless(question, case, relations, like, paths)
        return paths

    async def _without_needless(
        self, question: _Question, case: Case, relations: Relations, like: Like, paths: list[ObjectPath]
    ) -> list[ObjectPath]:
        """More than one object is needed: leave out what is not, chunk by chunk."""
        size = max(1, len(paths) // 2)
        while self._runs < _MOST_RUNS:
            for at in range(0, len(paths), size):
                rest = paths[:at] + paths[at + size :]
                if rest and await self._matters(question, case, relations, like, rest):
                    paths = rest
                    break
            else:
                if size == 1:
                    break
                size = max(1, size // 2)
        return paths

    async def _name(self, question: _Question, case: Case, guilty: Sequence[Change]) -> Culprit:
        """The line that wrote it: the same run once more, with the object watched."""
        first = guilty[0]
        watched = [first.path, *first.parts][:16]
        last = len(case.kept) - 1
        written: list[tuple[tuple[str, int] | None, tuple[str, int] | None]] = []
        declared: dict[ObjectPath, tuple[str, int]] = {}

        async def visit(index: int, servers: Mapping[int, AgentServer]) -> None:
            if index == question.since:
                await servers[question.slot].trace(watched)
            if index == last:
                server = servers[question.slot]
                written.extend((write.written_at, write.called_from) for write in await server.traced())
                places = await server.declared(_prefixes(first.path))
                declared.update({path: (place.file, place.line) for path, place in places.items()})

        ran = await self._run_with_agents(question.schedule, case, visit, question, lines=True)
        at, called = next(((w, c) for w, c in written if w is not None), (None, None))
        made = next((declared[path] for path in _prefixes(first.path) if path in declared), None)
        root = str(ran.sites[question.slot].folder)
        named = culprit_of_object(first.text(), root, made, at, called, confirmed=True)
        return Culprit(**named.to_report())

    # Files.

    async def _files(self, case: Case, *, confirmed: bool) -> Culprit | None:
        """Files that a slot wrote while it served, the writers' slot first; the app's own folder before the rest."""
        schedule = case.schedule()
        home = schedule.placement[-1]
        last = len(case.kept) - 1
        at_birth: dict[int, int] = {}
        found: dict[int, tuple[FileEvent, ...]] = {}

        async def visit(index: int, servers: Mapping[int, AgentServer]) -> None:
            for slot, server in servers.items():
                if slot not in at_birth:
                    at_birth[slot] = len(await server.files())
                if index == last:
                    found[slot] = (await server.files())[at_birth[slot] :]

        ran = await self._run_with_agents(schedule, case, visit)
        wrote = {slot: set(ended.wrote) for slot, ended in enumerate(ran.execution.ended) if ended is not None}
        candidates = [
            (likelihood(event, str(ran.sites[slot].folder), wrote.get(slot, set())), event, slot)
            for slot in sorted(found, key=lambda each: each == home)
            for event in left_behind(found[slot])
        ]
        candidates = [each for each in candidates if each[0] is not None]
        if candidates:
            _, event, slot = min(candidates, key=lambda each: each[0] or 0)
            root = str(ran.sites[slot].folder)
            path = readable(event.path, ran.sites[slot].environment)
            named = culprit_of_file(path, root, event.written_at, event.called_from, confirmed)
            return Culprit(**named.to_report())
        return None

    async def _files_of_layer(self, case: Case) -> Culprit | None:
        """What the layer over the app's folder holds, for processes of any language."""
        ended = (await self._run(case.schedule(), case)).ended
        wrote = sorted(path for each in ended if each is not None for path in each.wrote)
        return Culprit(file=wrote[0], confirmed=True) if wrote else None

    # Values made at boot.

    async def _boot_constants(self, case: Case, relations: Relations, like: Like) -> Culprit | None:
        """Values that two boots of the same code made differently: the one that matters when carried over."""
        schedule = case.schedule()
        schedule = replace(schedule, lives=tuple(replace(life, until=None) for life in schedule.lives))
        if schedule.slots < 2:
            return None
        home = schedule.placement[-1]
        other = next(slot for slot in schedule.placement if slot not in (home, NOWHERE))
        salt = new_salt()
        differing: tuple[ObjectPath, ...] = ()
        declared: dict[ObjectPath, tuple[str, int]] = {}

        # Both born before the first step, where that shows it too: then nothing but their boots sets them apart.
        asked, at_step = replace(schedule, lives=tuple(replace(life, born=0) for life in schedule.lives)), 0

        async def look(index: int, servers: Mapping[int, AgentServer]) -> None:
            nonlocal differing
            if index == at_step:
                atoms = {
                    slot: {atom.path: atom.digest for atom in await servers[slot].boot(salt)}
                    for slot in (home, other)
                }
                differing = differing_atoms(atoms[other], atoms[home])[:_MOST_CANDIDATES]

        ran = await self._run_with_agents(asked, case, look)
        if not like(compare(relations, ran.execution.transcript)):
            asked, at_step = schedule, schedule.lives[home].born
            ran = await self._run_with_agents(asked, case, look)
            if not like(compare(relations, ran.execution.transcript)):
                return None
        if not differing:
            return None

        async def matters(paths: Sequence[ObjectPath]) -> bool:
            async def carry(index: int, servers: Mapping[int, AgentServer]) -> None:
                if index == at_step:
                    for path in paths:
                        value, impossible = await servers[other].export(path)
                        if impossible is None:
                            await servers[home].implant(path, value)

            ran = await self._run_with_agents(asked, case, carry)
            return not like(compare(relations, ran.execution.transcript))

        paths = list(differing)
        if not await matters(paths):
            return None
        for path in paths[:2]:
            if len(paths) > 1 and await matters([path]):
                paths = [path]
        while len(paths) > 1 and self._runs < _MOST_RUNS:
            middle = len(paths) // 2
            if await matters(paths[:middle]):
                paths = paths[:middle]
            elif await matters(paths[middle:]):
                paths = paths[middle:]
            else:
                break
        guilty = paths[0]

        async def find_line(index: int, servers: Mapping[int, AgentServer]) -> None:
            if index == at_step:
                places = await servers[home].declared(_prefixes(guilty))
                declared.update({path: (place.file, place.line) for path, place in places.items()})

        ran = await self._run_with_agents(asked, case, find_line)
        root = str(ran.sites[home].folder)
        made = [declared[path] for path in _prefixes(guilty) if path in declared]
        at = made[0] if made else None
        own = next((place for place in made if place[0].startswith(f"{root}/")), at)
        named = culprit_of_object(guilty.text(), root, own, at, own, confirmed=len(paths) == 1)
        return Culprit(**named.to_report())

    # Running.

    async def _rehearse(self, slot: Slot, observer: int) -> None:
        request = self._workload.steps[observer]
        if isinstance(request, Request):
            rendered = render(request, self._defaults, self._workload.headers)
            sent = as_sent(rendered, host_header(self._workload.host, {}), None)
            await send(slot.address, sent, request.timeout or DEFAULT_TIMEOUT)

    async def _run(self, schedule: Schedule, case: Case) -> Execution:
        self._runs += 1
        return await self._laboratory.run(schedule, part(self._workload, case.kept), defaults=self._defaults)

    async def _run_with_agents(
        self,
        schedule: Schedule,
        case: Case,
        visit: Callable[[int, Mapping[int, AgentServer]], Awaitable[None]],
        question: _Question | None = None,
        *,
        lines: bool = False,
    ) -> _Ran:
        self._runs += 1
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="a", dir=self._folder)))
            birth = _AgentBirth(self._laboratory.ground.birth, folder, stack, lines)

            async def at_step(index: int) -> None:
                if question is not None and question.rehearsed and index == question.since:
                    await self._rehearse(birth.slots[question.slot], case.observer)
                await visit(index, birth.servers)

            execution = await self._laboratory.run(
                schedule,
                part(self._workload, case.kept),
                defaults=self._defaults,
                birth=birth,
                visit=at_step,
            )
            return _Ran(execution, dict(birth.sites))


@dataclass(frozen=True)
class _Ran:
    execution: Execution
    sites: Mapping[int, Site]


def _one_at_a_time(case: Case) -> tuple[tuple[int, ...], tuple[Life, ...]] | None:
    """The case's placement with a new slot at every switch, one living at a time, so that a disk can be handed on;
    None where that would be another case, because a slot serves again after another."""
    placement = case.schedule().placement
    turns: list[int] = []
    slots: list[int] = []
    for index, slot in enumerate(placement):
        if not slots or slot != slots[-1]:
            if slot in slots:
                return None
            slots.append(slot)
            turns.append(index)
    numbered = tuple(slots.index(slot) for slot in placement)
    lives = tuple(
        Life(born, (turns[n + 1] - 1) if n + 1 < len(turns) else None, "KILL", n, n) for n, born in enumerate(turns)
    )
    return numbered, lives


def _prefixes(path: ObjectPath) -> list[ObjectPath]:
    """The path itself and the ways to what holds it, down to a module's own names."""
    steps = path.steps
    return [ObjectPath.of(steps[:length]) for length in range(len(steps), 1, -1)]
