"""The differences that are told so far: one culprit is one difference, wherever else it shows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from fungible.verify.alike import signature
from fungible.verify.compare import Deviation
from fungible.verify.findings import Difference
from fungible.verify.shrink.case import Case
from fungible.verify.workload.steps import Workload


class Known:
    """Differences by number, in the order in which they were found."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._differences: list[Difference] = []

    def __iter__(self) -> Iterator[tuple[int, Difference]]:
        """Each with its number, as they are now."""
        return iter(list(enumerate(self._differences)))

    def __bool__(self) -> bool:
        return bool(self._differences)

    @property
    def differences(self) -> tuple[Difference, ...]:
        """In the order of the requests that show them."""
        return tuple(sorted(self._differences, key=lambda each: each.observer))

    def add(self, difference: Difference) -> None:
        """List it with the one that has the same culprit, or, where nothing tells more of either, that the same
        requests leave in the same sort of place; else it is one more."""
        for number, known in self:
            if difference.culprit.is_same(known.culprit) or _is_same_unknown(difference, known):
                self.list_with(number, difference.observer)
                return
        self._differences.append(difference)

    def list_with(self, number: int, observer: int) -> None:
        """That one shows at this observer as well."""
        known = self._differences[number]
        if observer not in (known.observer, *known.also):
            self._differences[number] = replace(known, also=tuple(sorted((*known.also, observer))))

    def lists(self, case: Case, like: Deviation) -> bool:
        """Whether one of them is the same case once more: then this observer is listed with it."""
        here = signature(self._workload, case, like)
        for number, known in self:
            if signature(self._workload, known.case, known.deviation) == here:
                self.list_with(number, case.observer)
                return True
        return False

    def shown_at(self, steps: Collection[int]) -> list[tuple[int, set[int]]]:
        """Those that show at some of these steps, and at which."""
        found = ((number, {each.observer, *each.also}.intersection(steps)) for number, each in self)
        return [(number, shown) for number, shown in found if shown]

    def confirmed_of(self, writers: Collection[int]) -> Sequence[tuple[int, Difference]]:
        """Those with a confirmed culprit that take some of these steps."""
        return [
            (number, each)
            for number, each in self
            if each.culprit.confirmed and {*each.case.kept[:-1], *each.also}.intersection(writers)
        ]


def _is_same_unknown(one: Difference, other: Difference) -> bool:
    """Whether nothing that was proved tells two differences apart: the same object is suspected, or nothing is known
    but that the same requests leave it in the same sort of place."""
    if one.culprit.confirmed or other.culprit.confirmed:
        return False
    if not one.culprit.is_nameless:
        return one.culprit == other.culprit
    return (
        other.culprit.is_nameless
        and one.culprit.where == other.culprit.where
        and one.case.kept[:-1] == other.case.kept[:-1]
        and one.case.slots == other.case.slots
    )
