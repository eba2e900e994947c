"""Comparing another world with the warm ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from fungible.verify.compare.binding import Binding, learn_words
from fungible.verify.compare.check import check
from fungible.verify.compare.patterns import Fixed, Pattern, places
from fungible.verify.compare.places import dump_places, sent_places
from fungible.verify.compare.relations import Relations
from fungible.verify.compare.shown import Finding
from fungible.verify.compare.trees import Map, Node, plain
from fungible.verify.transcript import Transcript

Kind = Literal["lost", "stale", "leaked", "diverged", "store"]

_GONE = frozenset({"400", "401", "403", "404", "407", "410", "419", "440"})
_REMEMBERED = frozenset({"401", "403", "409", "412", "423", "429", "503"})
"""Refusals that an earlier request is the reason of: a token revoked, a name taken, a circuit opened."""
_LEAST_TELLING = 3
_OF_THE_BODY = frozenset(
    f"header {name}" for name in ("etag", "digest", "content-digest", "repr-digest", "content-md5")
)
"""Headers that are computed from the body: where that differs as well, it tells more."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """A place of a world that is not what the warm worlds have in common there.

    `step` is None for a store, `store` is None for an answer. `relation` is the one that is broken: equal,
    renamed, typed, ordered, multiset, or identity. `kind` is a best guess at what happened: *lost*, what an
    earlier request left is missing; *stale*, the value is one that was shown before; *leaked*, it is another
    client's; *store*, it stands in a store; *diverged*, none of these. `order_only`: the same parts in another
    order, which may be the hash seed's doing alone. `identity`: the value belonged to one process and another
    one has another (pid, host name, boot id), which may be harmless. `outdated`: it is the warm worlds that show an
    old value; `expected` is then what the other world has (see `outdated.turned`).
    """

    step: int | None
    store: str | None
    place: str
    relation: str
    expected: Any
    got: Any
    kind: Kind
    order_only: bool = False
    identity: bool = False
    outdated: bool = False


def compare(relations: Relations, candidate: Transcript) -> tuple[Deviation, ...]:
    """All deviations of a world, in order of steps, then stores. What follows the first may be its consequence.

    A step whose status varied in the warm worlds is passed over (see `not_judged`). A world with fewer answers
    than the workload has steps deviates at the first one missing.
    """
    binding = Binding(relations.names)
    deviations: list[Deviation] = []
    trees: list[Map] = []
    for index, step in enumerate(relations.steps):
        if index >= len(candidate.answers):
            deviations.append(
                Deviation(index, None, "status", "equal", plain_of(step.answer, "status"), None, "lost")
            )
            break
        binding.slot = candidate.placement[index] if index < len(candidate.placement) else None
        learn_words(step.sent, sent_places(candidate.sent[index]), binding)
        tree = relations.tree(index, candidate)
        trees.append(tree)
        if step.noise is not None:
            continue
        findings = _of_answer(check(step.answer, tree, "", binding, relations.orders))
        if findings:
            history = _History(relations, trees, index)
            deviations.extend(_deviation(finding, history.kind(finding), step=index) for finding in findings)
    binding.slot = None
    for store, pattern in relations.dumps.items():
        dump = candidate.dumps.get(store)
        if dump is None:
            deviations.append(Deviation(None, store, store, "equal", "a dump", None, "store"))
            continue
        tree = dump_places(dump)
        deviations.extend(
            _deviation(finding, "store", store=store)
            for finding in check(pattern, tree, "", binding, relations.orders)
        )
    return tuple(deviations)


def first(deviations: Sequence[Deviation]) -> tuple[Deviation, ...]:
    """The deviations of the earliest step, or those of the stores where every answer was right."""
    if not deviations:
        return ()
    return tuple(deviation for deviation in deviations if deviation.step == deviations[0].step)


def plain_of(pattern: Pattern, key: str) -> Any:
    """The value at a top-level place of an answer's pattern, where it is equal in all runs."""
    for place in places(pattern):
        if place.path == key:
            return plain(place.sample)
    return None


def _of_answer(findings: list[Finding]) -> list[Finding]:
    """Where status or fault differ, the rest is another answer altogether; what follows from the body is last."""
    decisive = [finding for finding in findings if finding.path in ("status", "fault")]
    if decisive:
        return [*decisive, *(finding for finding in findings if finding.path == "header location")]
    return sorted(findings, key=lambda finding: finding.path in _OF_THE_BODY)


def _deviation(finding: Finding, kind: Kind, *, step: int | None = None, store: str | None = None) -> Deviation:
    return Deviation(
        step,
        store,
        finding.path,
        finding.relation,
        finding.expected,
        finding.got,
        kind,
        finding.order_only,
        finding.identity,
    )


class _History:
    """What this world showed before a step, and to whom the warm world showed what."""

    def __init__(self, relations: Relations, trees: Sequence[Map], step: int) -> None:
        self.relations = relations
        self.step = step
        self.tree = trees[step]
        here = relations.steps[step].endpoint
        self.shown: dict[str, set[str]] = {}
        for index, tree in enumerate(trees[:step]):
            if relations.steps[index].endpoint == here:
                for place in places(Fixed(tree)):
                    if place.sample is not None:
                        self.shown.setdefault(place.path, set()).add(place.sample.text)

    def kind(self, finding: Finding) -> Kind:
        """A best guess at what happened."""
        got = finding.got
        if finding.path == "status":
            return self.status(str(finding.expected), str(got))
        if finding.identity or finding.order_only:
            return "diverged"
        if finding.path == "fault":
            return "diverged" if not got else "lost"
        if self.foreign(got):
            return "leaked"
        if got is None or got in ("", [], {}, False) or _shorter(finding.expected, got):
            return "lost"
        if isinstance(got, str | int | float) and str(got) in self.shown.get(finding.path, ()):
            return "stale"
        if self.asks_for_password():
            return "lost"
        return "diverged"

    def status(self, expected: str, got: str) -> Kind:
        if got in _GONE and expected < "400":
            return "lost"
        if expected < "300" and "300" <= got < "304":
            return "lost"
        if expected in _REMEMBERED and got < "400":
            return "lost"
        if (expected in ("404", "410") and got < "400") or (expected < "300" and got == "304"):
            return "stale"
        return "lost" if got == "0" else "diverged"

    def foreign(self, got: Any) -> bool:
        """Whether a value is one that the warm world showed to other clients only."""
        jar = self.relations.steps[self.step].jar
        if not isinstance(got, str) or len(got) < _LEAST_TELLING or jar == 0:
            return False
        owners = self.relations.shown_to.get(got, frozenset())
        return bool(owners) and jar not in owners and 0 not in owners

    def asks_for_password(self) -> bool:
        field = "'password'"
        return field in _passwords(self.tree) and field not in _passwords(
            self.relations.tree(self.step, self.relations.warm[0])
        )


def _passwords(tree: Node) -> str:
    return "".join(
        f"{place.sample.text!r}"
        for place in places(Fixed(tree))
        if place.sample is not None and place.path.endswith("/@type")
    )


def _shorter(expected: Any, got: Any) -> bool:
    if isinstance(expected, dict) and isinstance(got, dict) and "length" in expected and "length" in got:
        return bool(isinstance(expected["length"], int) and got["length"] < expected["length"])
    return isinstance(expected, list) and isinstance(got, list) and len(got) < len(expected)


def at_step(deviation: Deviation, step: int | None) -> Deviation:
    """The same deviation at another step's number, as after shrinking."""
    return replace(deviation, step=step)
