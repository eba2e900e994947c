"""One roll: who has to go, who comes, and when it has ended, well or not. The judgement is pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from fungible.runtime.events import Bus, Event
from fungible.runtime.formation.formation import SETTLES, Formation
from fungible.runtime.formation.standing import CAUSES, wrong_port
from fungible.runtime.process.state import State

_MOST_CRASHES = 3
"""Crashes of newcomers that were up already, after which a roll is given up."""


@dataclass(frozen=True)
class Standing:
    """A process as a roll sees it: `up` as `Formation.is_up`; `leaving` if it is to go."""

    type: str
    instance: str
    up: bool
    leaving: bool


@dataclass(frozen=True)
class Fall:
    """A newcomer that ended by itself; `booted` if it had been ready."""

    type: str
    process: str
    instance: str
    booted: bool
    how: str


class Verdict(Enum):
    """Where a roll is."""

    UNDER_WAY = "under way"
    DONE = "done"
    FALLEN = "fallen"


def judge(
    wanted: Mapping[str, int],
    standings: Iterable[Standing],
    falls: Iterable[Fall],
    goers: Set[str],
    judged: Set[str],
) -> Verdict:
    """The verdict on a roll that is to bring `wanted` processes and to see the last of `goers` (instances).

    Only falls of `judged` types count, and of those of which a goer is up: what failed before the roll cannot fail
    because of it, and of such a type one fall is as good as an end.
    """
    present, falls = list(standings), list(falls)
    judged = {*judged, *(each.type for each in present if each.up and each.instance in goers)}
    fallen = [fall for fall in falls if fall.type in judged]
    if any(not fall.booted for fall in fallen) or len(fallen) >= _MOST_CRASHES:
        return Verdict.FALLEN
    if any(each.instance in goers for each in present):
        return Verdict.UNDER_WAY
    hopeless = {fall.type for fall in falls} - judged
    for type, count in wanted.items():
        up = sum(each.type == type and each.up and not each.leaving for each in present)
        if up < count and type not in hopeless:
            return Verdict.UNDER_WAY
    return Verdict.DONE


def judged_types(wanted: Mapping[str, int], up: Set[str], before: Set[str]) -> frozenset[str]:
    """The types whose falls count: those that were `up`, those that did not exist `before`; where nothing was up,
    all of them."""
    asked = {type for type, count in wanted.items() if count}
    return frozenset({type for type in asked if type in up or type not in before} or asked)


@dataclass(frozen=True)
class Rolled:
    """How a roll ended: `problem` is None if well; `fall` is the process that it failed with, if one did."""

    problem: str | None = None
    fall: Fall | None = None


class Change(Protocol):
    """What a roll does to a formation, and how it is taken back."""

    def apply(self) -> None:
        """Do it; the formation plans at once."""

    def revert(self) -> None:
        """Undo it."""


class Roll:
    """Applies `change` to `formation` and follows it to its end; takes it back as soon as it fails.

    Where `types` are named, only these matter. To be run once.
    """

    def __init__(self, formation: Formation, bus: Bus[Event], change: Change, types: Set[str] | None = None) -> None:
        self._formation = formation
        self._bus = bus
        self._change = change
        self._types = types
        self._falls: list[Fall] = []
        self._present: frozenset[str] = frozenset()
        self._judged: frozenset[str] = frozenset()
        self._goers: frozenset[str] = frozenset()
        self._superseded = False
        self._verdict = Verdict.UNDER_WAY

    async def run(self) -> Rolled:
        """Returns when it has ended: what was to go has gone, or what was there before is there again."""
        formation = self._formation
        processes = formation.processes.values()
        up = {process.type.name for process in processes if process.state is State.READY}
        before = set(formation.types)
        self._present = frozenset(formation.processes)
        unsubscribe = self._bus.subscribe(self._heard)
        try:
            self._change.apply()
            self._judged = judged_types(self._wanted(), up, before)
            self._goers = frozenset(p.instance for p in formation.processes.values() if formation.leaves(p))
            await self._follow()
            if self._verdict is Verdict.FALLEN:
                # Falls of what comes back do not take it back once more.
                unsubscribe()
                await self._return()
        finally:
            unsubscribe()
        return self._outcome()

    def supersede(self) -> None:
        """Give it up for the next one. One whose newcomers are all up is done: what is to go, goes on going."""
        if self._verdict is not Verdict.UNDER_WAY:
            return
        if judge(self._wanted(), self._standings(), self._falls, frozenset(), self._judged) is Verdict.DONE:
            self._verdict = Verdict.DONE
            self._formation.look_again()
        else:
            self._superseded = True
            self._fall()

    async def _follow(self) -> None:
        while not self._formation.stopping:
            if self._verdict is Verdict.UNDER_WAY:
                verdict = judge(self._wanted(), self._standings(), self._falls, self._goers, self._judged)
                if verdict is Verdict.FALLEN:
                    self._fall()
                self._verdict = verdict
            if self._verdict is not Verdict.UNDER_WAY:
                return
            await self._formation.moved()

    async def _return(self) -> None:
        """Until what came has gone again."""
        formation = self._formation
        while not formation.stopping and any(formation.leaves(process) for process in formation.processes.values()):
            await formation.moved()

    def _fall(self) -> None:
        self._verdict = Verdict.FALLEN
        self._change.revert()

    def _wanted(self) -> dict[str, int]:
        wanted = self._formation.wanted
        return wanted if self._types is None else {name: n for name, n in wanted.items() if name in self._types}

    def _standings(self) -> list[Standing]:
        formation = self._formation
        return [
            Standing(process.type.name, process.instance, formation.is_up(process), formation.leaves(process))
            for process in formation.processes.values()
        ]

    def _heard(self, event: Event) -> None:
        """A newcomer's end is acted on at once, before the next plan would start its successor."""
        newcomer = event.instance is not None and event.instance not in self._present
        if event.kind != "process.ended" or not event.data.get("crashed") or not newcomer:
            return
        name = event.process or ""
        status = event.data.get("status")
        how = CAUSES.get(str(event.data.get("cause")), "")
        if event.data.get("listens_on") and event.data.get("cause") == "boot-timeout":
            how = wrong_port(event.data["listens_on"])
        elif event.data.get("refused") and event.data.get("cause") == "boot-timeout":
            how = str(event.data["refused"])
        if not how:
            how = "could not be started" if status is None else f"exit code {status}"
            how = f"signal {-status}" if status is not None and status < 0 else how
        booted = event.data.get("uptime_s") is not None and not self._young(event)
        self._falls.append(Fall(name.rpartition(".")[0], name, event.instance or "", booted, how))
        if self._verdict is Verdict.UNDER_WAY:
            verdict = judge(self._wanted(), self._standings(), self._falls, self._goers, self._judged)
            if verdict is Verdict.FALLEN:
                self._fall()

    def _young(self, event: Event) -> bool:
        """Whether it is of a type that nobody asks, and ended before it had settled."""
        process = self._formation.processes.get(event.instance or "")
        if process is None or process.place.address is not None:
            return False
        return bool(event.data["uptime_s"] < SETTLES)

    def _outcome(self) -> Rolled:
        if self._formation.stopping:
            return Rolled("the formation was stopped meanwhile")
        if self._verdict is Verdict.DONE:
            return Rolled()
        if self._superseded:
            return Rolled("a newer one took its place")
        fall = next((fall for fall in reversed(self._falls) if not fall.booted), self._falls[-1])
        what = "kept crashing" if fall.booted else "did not become ready"
        return Rolled(f"{fall.process} {what} ({fall.how})", fall)
