"""Whether it is the start of a process that makes the difference, whatever it serves: a row written at every boot."""

from __future__ import annotations

from dataclasses import replace

from fungible.verify.blame.agent.told import FileEvent
from fungible.verify.blame.bench import Agents, Bench, Question
from fungible.verify.blame.culprit import Culprit, culprit_of_file
from fungible.verify.blame.proof import Proof, places_at
from fungible.verify.schedule.schedule import NOWHERE, Schedule
from fungible.verify.shrink.case import Case


async def prove_start(bench: Bench, question: Question) -> Proof | None:
    """The line by which a process that starts reaches a store, where one that starts and serves nothing makes the
    difference appear."""
    schedule = _one_serves(question.case)
    if schedule is None:
        return None
    heard: dict[int, tuple[FileEvent, ...]] = {}

    async def visit(index: int, agents: Agents) -> None:
        for slot in agents.keys() - heard.keys():
            heard[slot] = await agents[slot].files()

    ran = await bench.run(question.case, schedule, visit)
    if not question.shows(ran.execution):
        return None
    slot = max(heard)
    attached = tuple(f"{mount.target}/" for mount in ran.sites[slot].mounts)
    reached = [event for event in heard[slot] if event.called_from and event.path.startswith(attached)]
    culprit = Culprit(where="start", confirmed=True)
    if reached:
        event = reached[-1]
        found = culprit_of_file(event.path, ran.root(slot), event.written_at, event.called_from)
        culprit = replace(culprit, written_at=found.written_at, called_from=found.called_from)

    async def explained(asked: Question, shown: frozenset[str]) -> frozenset[str]:
        idle = _one_serves(asked.case)
        if idle is None:
            return frozenset()
        again = await bench.run(asked.case, idle, visit)
        return shown & places_at(asked.deviations(again.execution), asked.last)

    return Proof(culprit, explained)


def _one_serves(case: Case) -> Schedule | None:
    """The case's processes, started when they were, but the first of them serves everything."""
    schedule = case.schedule()
    if schedule.slots < 2:
        return None
    lives = tuple(replace(life, until=None) for life in schedule.lives)
    placement = tuple(slot if slot == NOWHERE else 0 for slot in schedule.placement)
    return replace(schedule, kind="placed", placement=placement, lives=lives)
