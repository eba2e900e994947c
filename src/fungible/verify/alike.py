"""Whether two differences are one: the same requests in the same places, or the same held state. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from fungible.verify.blame.proof import general
from fungible.verify.compare import Deviation
from fungible.verify.schedule.schedule import NOWHERE
from fungible.verify.shrink.case import Case, closure
from fungible.verify.workload.steps import Quiet, Request, Step, Workload

_MEMBER = re.compile(
    r"[0-9]+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|(?=[^/]*[0-9])[A-Za-z0-9_-]{16,}|.*\$\{.*\}.*", re.DOTALL
)


@dataclass(frozen=True)
class Signature:
    """What a case shows, whichever members of a collection it is about: its requests, each with its process in the
    order in which they first serve, and where the observer's answer differs."""

    requests: tuple[object, ...]
    slots: tuple[int, ...]
    place: str


def signature(workload: Workload, case: Case, like: Deviation) -> Signature:
    """The signature of a case that shows `like`."""
    pairs = [
        (step, slot)
        for step, slot in zip(case.kept, case.slots, strict=True)
        if not isinstance(workload.steps[step], Quiet)
    ]
    order: dict[int, int] = {}
    for _, slot in pairs:
        order.setdefault(slot, len(order))
    place = like.store or general(like.place)
    return Signature(
        tuple(_form(workload.steps[step]) for step, _ in pairs), tuple(order[slot] for _, slot in pairs), place
    )


def distinct_first(workload: Workload, steps: Iterator[int] | list[int]) -> list[int]:
    """The steps in order, but the first of every endpoint before what repeats it."""
    seen: dict[object, int] = {}
    ranked = []
    for step in sorted(steps):
        form = _form(workload.steps[step])
        seen[form] = seen.get(form, -1) + 1
        ranked.append((seen[form], step))
    return [step for _, step in sorted(ranked)]


def elsewhere(workload: Workload, known: Case, observer: int) -> Iterator[Case]:
    """Cases that could show at `observer` what `known` shows at its own: with the same writers, and with the nearest
    earlier steps that look like them. Never more steps than `known` has, pauses aside."""
    quiet = workload.quiet()
    writers = tuple(step for step in known.kept[:-1] if step not in quiet)
    slots = [slot for step, slot in zip(known.kept, known.slots, strict=True) if step not in quiet]
    for chosen in dict.fromkeys((writers, _nearest(workload, writers, observer))):
        if not chosen or max(chosen) >= observer:
            continue
        kept = closure(workload, set(chosen), observer)
        if len(set(kept) - quiet) <= len(slots):
            given = dict(zip(chosen, slots, strict=False))
            placed = (NOWHERE if step in quiet else given.get(step, slots[0]) for step in kept[:-1])
            yield replace(known, kept=kept, slots=(*placed, slots[-1]))


def _nearest(workload: Workload, writers: tuple[int, ...], observer: int) -> tuple[int, ...]:
    """The latest steps before `observer` that look like `writers`, in their order; empty where there are none."""
    found: list[int] = []
    before = observer
    for writer in reversed(writers):
        form = _form(workload.steps[writer])
        step = next((step for step in range(before - 1, -1, -1) if _form(workload.steps[step]) == form), None)
        if step is None:
            return ()
        found.append(step)
        before = step
    return tuple(reversed(found))


def _form(step: Step) -> object:
    """A step without what names one of many, and without what it saves: equal for two visits to one endpoint that
    send the same."""
    if not isinstance(step, Request):
        return step
    path, mark, query = step.path.partition("?")
    shown = "/".join("{}" if _MEMBER.fullmatch(part) else part for part in path.split("/"))
    bare = replace(step, path=shown + mark + query, save={}, jar="", wait=0.0, timeout=None)
    return repr(bare)
