"""Which file held the state: what a slot wrote while it served and left behind, the likeliest first."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from fungible.verify.blame.agent.told import FileEvent
from fungible.verify.blame.bench import BACKGROUND, Agents, Bench, Question, Ran
from fungible.verify.blame.culprit import Culprit, culprit_of_file
from fungible.verify.blame.proof import Proof, places_at
from fungible.verify.blame.variants import with_disk_kept
from fungible.verify.blame.written import is_asked_for, left_behind, likelihood, readable
from fungible.verify.schedule.schedule import Schedule


async def prove_file(bench: Bench, question: Question) -> Proof | None:
    """The file that a kept disk was seen to hand on. It explains another difference where that one vanishes with a
    kept disk as well and is told to be in the same file."""
    _, found = await _written_by(bench, question, question.case.schedule())
    if found is None:
        return None
    culprit = replace(found, where="file", confirmed=True)

    async def explained(asked: Question, shown: frozenset[str]) -> frozenset[str]:
        schedule = with_disk_kept(asked.case)
        if schedule is None:
            return frozenset()
        # Side by side: who wrote is heard of where it lives on, which is where no disk is handed on.
        ran, (_, other) = await asyncio.gather(
            bench.run(asked.case, schedule, _unvisited), _written_by(bench, asked, asked.case.schedule())
        )
        if other is None or not culprit.is_same(replace(other, where="file", confirmed=True)):
            return frozenset()
        return shown - places_at(asked.deviations(ran.execution), asked.last)

    return Proof(culprit, explained, simple=True)


async def _unvisited(index: int, agents: Agents) -> None:
    """Nothing is asked of the processes between two steps."""


async def _written_by(bench: Bench, question: Question, schedule: Schedule) -> tuple[Ran, Culprit | None]:
    """The likeliest file with its line: what the observer asks for by name, then of the writers' slot first, in the
    app's own folder before elsewhere. Where no file was opened since the slots were born, a database that they opened
    as they booted: what SQLite writes there is not heard of."""
    home = schedule.placement[-1]
    at_birth: dict[int, int] = {}
    found: dict[int, tuple[FileEvent, ...]] = {}
    at_boot: dict[int, tuple[FileEvent, ...]] = {}

    async def visit(index: int, agents: Agents) -> None:
        for slot, agent in agents.items():
            if slot not in at_birth:
                at_birth[slot] = len(await agent.files())
            if index == question.last:
                events = await agent.files()
                found[slot] = events[at_birth[slot] :]
                at_boot[slot] = tuple(event for event in events[: at_birth[slot]] if event.event == "sqlite3.connect")

    ran = await bench.run(question.case, schedule, visit)
    wrote = {slot: set(ended.wrote) for slot, ended in enumerate(ran.execution.ended) if ended is not None}
    for known in (found, at_boot):
        candidates = [
            (likely, event, slot)
            for slot in sorted(known, key=lambda each: each == home)
            for event in left_behind(known[slot])
            if (likely := likelihood(event, ran.root(slot), wrote.get(slot, set()))) is not None
        ]
        if candidates:
            break
    else:
        return ran, None
    sent = ran.execution.transcript.sent[question.last]
    target = "" if sent is None else sent.target
    _, event, slot = min(candidates, key=lambda each: (not is_asked_for(each[1].path, target), each[0]))
    path = readable(event.path, ran.sites[slot].environment)
    return ran, culprit_of_file(path, ran.root(slot), event.written_at, event.called_from or event.through)


async def file_of_workers(bench: Bench, question: Question, schedule: Schedule) -> Culprit | None:
    """The file that worker processes wrote while they worked; not confirmed, since no disk was handed on."""
    at_first = 0
    found: tuple[FileEvent, ...] = ()

    async def visit(index: int, agents: Agents) -> None:
        nonlocal at_first, found
        events = await agents[BACKGROUND].files()
        if index == 0:
            at_first = len(events)
        found = events[at_first:]

    ran = await bench.run(question.case, schedule, visit, background=True)
    root = ran.root(BACKGROUND)
    candidates = [
        (likely, event)
        for event in left_behind(found)
        if (likely := likelihood(event, root, {_inside(event.path, root)})) is not None
    ]
    if not candidates:
        return None
    _, event = min(candidates, key=lambda each: each[0])
    path = readable(event.path, ran.sites[BACKGROUND].environment)
    return culprit_of_file(path, root, event.written_at, event.called_from or event.through)


def _inside(path: str, root: str) -> str:
    return path.removeprefix(f"{root}/")


async def file_in_layer(bench: Bench, question: Question) -> Culprit | None:
    """What the layer over the app's folder holds, for processes of any language."""
    ended = (await bench.plain(question.case)).ended
    wrote = sorted(path for each in ended if each is not None for path in each.wrote)
    return Culprit(file=wrote[0], confirmed=True) if wrote else None
