"""Make a difference small: placement first, then steps with what depends on them, until nothing can go.

The experiment is a parameter: `shows(case)` runs the case and its own warm run and says whether the observer
still deviates in the same way. Deleting in chunks follows ddmin (Zeller and Hildebrandt, "Simplifying and
Isolating Failure-Inducing Input", 2002); the last passes delete and move each step once, which proves that the
result is 1-minimal.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from fungible.verify.schedule.schedule import NOWHERE
from fungible.verify.shrink.case import Case, closure, dependants, is_placed, with_pauses
from fungible.verify.workload.steps import Request, Workload

Shows = Callable[[Case], Awaitable[bool]]

_GUESSES = 4


@dataclass(frozen=True)
class Shrunk:
    """The smallest case found; `minimal` says that each step was shown to be needed; `tests` what it took."""

    case: Case
    minimal: bool
    tests: int


class _Counter:
    """Counts experiments, remembers their outcome, and ends when there have been enough."""

    def __init__(self, shows: Shows, most: int, goes_on: Callable[[], bool]) -> None:
        self._shows = shows
        self._most = most
        self._goes_on = goes_on
        self._known: dict[Case, bool] = {}
        self.tests = 0

    @property
    def exhausted(self) -> bool:
        return self.tests >= self._most or not self._goes_on()

    async def shows(self, case: Case) -> bool:
        if case not in self._known:
            if self.exhausted:
                return False
            self.tests += 1
            self._known[case] = await self._shows(case)
        return self._known[case]


async def shrink(
    workload: Workload,
    case: Case,
    shows: Shows,
    *,
    guesses: Sequence[int] = (),
    most: int = 60,
    goes_on: Callable[[], bool] = lambda: True,
) -> Shrunk:
    """The smallest case that still shows what `case` shows; `case` itself must.

    `guesses` are steps likely to be the writers, tried first. `most` bounds the experiments, `goes_on` their time;
    where there is no more of either the result is what was smallest until then and not claimed to be minimal.
    """
    counter = _Counter(shows, most, goes_on)
    case = await _guess(workload, case, counter, guesses)
    case = await _bring_together(workload, case, counter)
    case = await _delete(workload, case, counter)
    case = await _bring_together(workload, case, counter)
    case = await _delete_one_by_one(workload, case, counter)
    case = await _let_live(case, counter)
    return Shrunk(case, not counter.exhausted, counter.tests)


def likely_writers(workload: Workload, observer: int) -> list[int]:
    """Steps before the observer, likeliest writer first: the same path, then other methods than GET, then near."""

    def weight(step: int) -> tuple[bool, bool, int]:
        request, seen = workload.steps[step], workload.steps[observer]
        if not isinstance(request, Request) or not isinstance(seen, Request):
            return (True, True, -step)
        related = request.path.split("?")[0].split("/")[1:2] == seen.path.split("?")[0].split("/")[1:2]
        return (request.method in ("GET", "HEAD", "OPTIONS"), not related, -step)

    return sorted((step for step in range(observer) if is_placed(workload, step)), key=weight)


async def _guess(workload: Workload, case: Case, counter: _Counter, guesses: Sequence[int]) -> Case:
    """Try single writers with what they need, in the case's own placement."""
    elsewhere = dict(zip(case.kept, case.slots, strict=True))
    for writer in [step for step in guesses if step in elsewhere][:_GUESSES]:
        kept = closure(workload, {writer}, case.observer)
        if len(kept) >= len(case.kept):
            continue
        small = replace(case, kept=kept, slots=tuple(elsewhere[step] for step in kept))
        if await counter.shows(small):
            return small
    return case


async def _bring_together(workload: Workload, case: Case, counter: _Counter) -> Case:
    """Move steps to the observer's slot: only those that must be elsewhere stay there."""
    home = case.slots[-1]
    away = [k for k, s in zip(case.kept, case.slots, strict=True) if s not in (home, NOWHERE)]
    chunk = len(away) // 2
    while chunk >= 1 and not counter.exhausted:
        for chunked in _chunks(away, chunk):
            if len(chunked) == len(away):
                continue
            moved = case.moved(chunked, home)
            if await counter.shows(moved):
                case = moved
                away = [step for step in away if step not in chunked]
        chunk //= 2
    return case


async def _delete(workload: Workload, case: Case, counter: _Counter) -> Case:
    """Delete chunks of steps, halving the chunk when none can go."""
    chunk = max(1, (len(case.kept) - 1) // 2)
    while not counter.exhausted:
        smaller = await _delete_some(workload, case, counter, chunk)
        if smaller is None:
            if chunk == 1:
                return case
            chunk //= 2
        else:
            case = smaller
            chunk = max(1, min(chunk, (len(case.kept) - 1) // 2))
    return case


async def _delete_one_by_one(workload: Workload, case: Case, counter: _Counter) -> Case:
    """Until a whole pass deletes nothing: then each step is needed."""
    while not counter.exhausted:
        smaller = await _delete_some(workload, case, counter, 1)
        if smaller is None:
            return case
        case = smaller
    return case


async def _let_live(case: Case, counter: _Counter) -> Case:
    """Let processes live on where that shows it too: only what their end loses needs it."""
    if case.renewed and case.end == "TERM" and len(set(case.slots) - {NOWHERE}) > 1:
        living = replace(case, renewed=False)
        if await counter.shows(living):
            return living
    return case


async def _delete_some(workload: Workload, case: Case, counter: _Counter, chunk: int) -> Case | None:
    movable = [step for step in case.kept[:-1] if is_placed(workload, step)]
    for chunked in _chunks(movable, chunk):
        gone = with_pauses(workload, dependants(workload, chunked, case.kept))
        if case.observer in gone:
            continue
        smaller = case.without(gone)
        if len(set(smaller.slots) - {NOWHERE}) == 0:
            continue
        if await counter.shows(smaller):
            return smaller
    return None


def _chunks(steps: Sequence[int], size: int) -> Iterable[Sequence[int]]:
    return [steps[at : at + size] for at in range(0, len(steps), size)]
