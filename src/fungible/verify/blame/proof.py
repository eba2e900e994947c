"""A counterfactual that ran: it names the culprit of one difference, and can be run again to explain another."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from fungible.verify.blame.bench import Question
from fungible.verify.blame.culprit import Culprit
from fungible.verify.compare import Deviation

_POSITION = re.compile(r"\[\d+\]")

Explained = Callable[[Question, frozenset[str]], Awaitable[frozenset[str]]]
"""Which of the places at which another difference shows (`places_at`) the same counterfactual explains: what is left
over is another leak's."""


@dataclass(frozen=True)
class Proof:
    """A culprit, and the counterfactual that confirmed it. `simple` ones are found again as fast as asked about;
    `made`: what the object holds was made by these requests, and may itself hold the state."""

    culprit: Culprit
    explained: Explained
    simple: bool = False
    made: bool = False


def places_at(deviations: Sequence[Deviation], step: int) -> frozenset[str]:
    """The places that deviate at a step, whatever the position in a list."""
    return frozenset(general(each.place) for each in deviations if each.step == step)


def general(place: str) -> str:
    """A place whatever the position in a list: `body.items[].price`."""
    return _POSITION.sub("[]", place)
