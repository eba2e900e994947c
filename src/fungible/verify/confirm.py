"""Is a deviation real? Three of three runs against none of three warm ones, on real boots; then what to ask of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fungible.verify.blame.bench import Question
from fungible.verify.blame.proof import general
from fungible.verify.compare import Deviation
from fungible.verify.reference import WARM_RUNS, Reference, find_like
from fungible.verify.schedule.schedule import Schedule
from fungible.verify.shrink.case import Case

CONFIRMATIONS = 3


@dataclass(frozen=True)
class Confirmed:
    """The case as real boots show it, and the deviation in each of their runs."""

    case: Case
    shown: tuple[Deviation, ...]


async def confirm(boot: Reference, reference: Reference, case: Case, like: Deviation) -> Confirmed | str | None:
    """Show again, by `reference`, which showed it, and by real boots, what a case shows that is like `like`.

    A text says why what is shown again is no difference; None: it is not shown again.
    """
    forked = reference is not boot
    if forked and None in await reference.repeat(case, like, CONFIRMATIONS, as_long=False):
        return None
    # An import that is forked was there before the first step, so what it read may be older than a newborn's.
    for candidate in (replace(case, late=True), replace(case, late=False)) if forked else (case,):
        once = forked and not boot.is_noisy(like)
        found = await boot.repeat(candidate, like, 1 if once else CONFIRMATIONS, WARM_RUNS - 1 if once else WARM_RUNS)
        shown = tuple(deviation for deviation in found if deviation is not None)
        if len(shown) == len(found):
            break
    else:
        return None
    if all(each.order_only for each in shown) and not await boot.shows_with_equal_seeds(candidate, like):
        return "the order depends on the hash seed alone"
    if all(each.identity for each in shown):
        return "a process's own name, id or address is shown"
    return Confirmed(candidate, shown)


async def ask(boot: Reference, reference: Reference, case: Case, like: Deviation, *, exact: bool = False) -> Question:
    """What to ask of a case that shows `like`; `exact` where other places of the observer's answer are another
    difference's."""
    place = general(like.place) if like.step is not None else ""

    def is_like(deviations: Sequence[Deviation]) -> bool:
        found = find_like(deviations, case, like)
        return found is not None and (not exact or general(found.place) == place)

    async def apart(schedule: Schedule) -> bool:
        return is_like(await reference.deviations_of(case, like, schedule))

    return Question(
        case=case,
        relations=await boot.relations_of(case.kept, like),
        like=is_like,
        faulty=like.place == "fault",
        place=place,
        apart=apart,
    )
