"""How much of what an app answers the relations can judge, and how well they would see a change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fungible.verify.compare.binding import Binding, learn_words
from fungible.verify.compare.check import check
from fungible.verify.compare.names import Names
from fungible.verify.compare.patterns import Fixed, Many, Place, Slot, Text, is_loose, places, weight
from fungible.verify.compare.places import hidden, sent_places
from fungible.verify.compare.relations import Relations
from fungible.verify.compare.trees import Leaf
from fungible.verify.transcript import Transcript

_MOST_LEAVES = 20_000


@dataclass(frozen=True, slots=True)
class NotJudged:
    """An endpoint that cannot be judged, at these steps, and why."""

    endpoint: str
    steps: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Blind:
    """A place of an endpoint where a change would not be seen."""

    endpoint: str
    place: str


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Of `of` fields the comparison would have seen a change in `flagged`; where not: `blind`.

    `by_endpoint` gives (flagged, of). `sampled` is the number of fields that there were, where only a regular
    sample of them was tried, else None.
    """

    flagged: int
    of: int
    blind: tuple[Blind, ...] = ()
    by_endpoint: Mapping[str, tuple[int, int]] | None = None
    sampled: int | None = None


def not_judged(relations: Relations) -> tuple[NotJudged, ...]:
    """The endpoints with more than half of their leaves masked or only typed, or whose status is noise."""
    counts: dict[str, list[int]] = {}
    steps: dict[str, list[int]] = {}
    result: list[NotJudged] = []
    for index, step in enumerate(relations.steps):
        if step.noise is not None:
            result.append(NotJudged(step.endpoint, (index,), step.noise))
            continue
        if index in relations.ignore_body:
            continue
        leaves = [place for place in places(step.answer) if place.path.startswith("body")]
        count = counts.setdefault(step.endpoint, [0, 0])
        count[0] += sum(weight(place.pattern) for place in leaves if _unseen(place, relations.names))
        count[1] += sum(weight(place.pattern) for place in leaves)
        steps.setdefault(step.endpoint, []).append(index)
    for endpoint, (loose, of) in counts.items():
        if loose * 2 > of:
            reason = f"{loose} of {of} values are masked or vary so that only their form can be compared"
            result.append(NotJudged(endpoint, tuple(steps[endpoint]), reason))
    return tuple(sorted(result, key=lambda item: item.steps))


def sensitivity(relations: Relations, warm: Transcript | None = None) -> Sensitivity:
    """Replace each leaf of each answer by a stale, a missing and another client's value; count what is seen.

    `warm` is the run to change, by default the first one learned from. A field counts as flagged when every
    replacement that can be made is: a stale value is one that an earlier answer had at the same place, another
    client's is one that another client was shown there; where there is neither, a value of the same form.
    """
    run = warm if warm is not None else relations.warm[0]
    fields = _fields(run, relations)
    total = len(fields)
    stride = -(-total // _MOST_LEAVES) if total else 1
    chosen = fields[::stride]
    shown: dict[tuple[str, str], list[tuple[int, int, Leaf]]] = {}
    for index, place, leaf in fields:
        step = relations.steps[index]
        shown.setdefault((step.endpoint, place.path), []).append((index, step.jar, leaf))
    blind: list[Blind] = []
    counts: dict[str, list[int]] = {}
    binding = _bound(relations, run)
    others = _others(relations, run)
    for index, place, leaf in chosen:
        step = relations.steps[index]
        if isinstance(place.pattern, Many):
            # Whatever is not anchored in a sequence of varying length can change unseen.
            counts.setdefault(step.endpoint, [0, 0])[1] += weight(place.pattern)
            blind.append(Blind(step.endpoint, place.path))
            continue
        changes: list[Leaf | None] = [None]
        alternatives = _alternatives(leaf, index, step.jar, shown[step.endpoint, place.path])
        changes.extend(alternatives or [_another(leaf, others.get((index, place.path), ()))])
        mark = len(binding.trail)
        seen = True
        binding.slot = run.placement[index] if index < len(run.placement) else None
        for change in changes:
            seen = seen and bool(check(place.pattern, change, place.path, binding, {}))
            binding.back(mark)
        count = counts.setdefault(step.endpoint, [0, 0])
        count[0] += seen
        count[1] += 1
        if not seen:
            item = Blind(step.endpoint, place.path)
            if item not in blind[-50:]:
                blind.append(item)
    return Sensitivity(
        flagged=sum(seen for seen, _ in counts.values()),
        of=sum(of for _, of in counts.values()),
        blind=tuple(dict.fromkeys(blind)),
        by_endpoint={endpoint: (seen, of) for endpoint, (seen, of) in counts.items()},
        sampled=total if stride > 1 else None,
    )


def _unseen(place: Place, names: Names) -> bool:
    if is_loose(place.pattern) or (place.sample is not None and hidden(place.sample.text)):
        return True
    # A name that stands nowhere else can be anything; only that it is nobody else's is compared.
    pattern = place.pattern
    return (
        isinstance(pattern, Text)
        and all(isinstance(part, Slot) and part.name is not None for part in pattern.parts)
        and all(isinstance(p, Slot) and p.name is not None and names.names[p.name].once for p in pattern.parts)
    )


def _fields(run: Transcript, relations: Relations) -> list[tuple[int, Place, Leaf]]:
    found: list[tuple[int, Place, Leaf]] = []
    for index, step in enumerate(relations.steps):
        if step.noise is not None:
            continue
        own: Mapping[str, Leaf] = {}
        if run is not relations.warm[0]:
            tree = relations.tree(index, run)
            own = {place.path: place.sample for place in places(Fixed(tree)) if place.sample is not None}
        for place in places(step.answer):
            leaf = own.get(place.path, place.sample)
            if isinstance(place.pattern, Many):
                leaf = Leaf("many", "")
            if leaf is not None and place.path != "fault" and (leaf.kind != "str" or leaf.text):
                found.append((index, place, leaf))
    return found


def _bound(relations: Relations, run: Transcript) -> Binding:
    """The run's own words for all names, as they are once the run has ended."""
    binding = Binding(relations.names)
    for index, step in enumerate(relations.steps):
        binding.slot = run.placement[index] if index < len(run.placement) else None
        learn_words(step.sent, sent_places(run.sent[index]), binding)
        if step.noise is None:
            check(step.answer, relations.tree(index, run), "", binding, {})
    for index, name in enumerate(relations.names.names):
        if name.once:
            binding.first.pop(index, None)
            for key in [key for key in binding.value if key[0] == index]:
                del binding.value[key]
    return binding


def _alternatives(leaf: Leaf, index: int, jar: int, shown: Sequence[tuple[int, int, Leaf]]) -> list[Leaf]:
    stale = next((other for step, _, other in reversed(shown) if step < index and other != leaf), None)
    foreign = next((other for _, owner, other in shown if owner not in (jar, 0) and other != leaf), None)
    return [other for other in (stale, foreign) if other is not None]


def _another(leaf: Leaf, others: Sequence[Leaf]) -> Leaf:
    return next((other for other in others if other != leaf), None) or _altered(leaf)


def _others(relations: Relations, run: Transcript) -> Mapping[tuple[int, str], Sequence[Leaf]]:
    """What other runs had at the places that vary: values of the same form."""
    found: dict[tuple[int, str], list[Leaf]] = {}
    for index, step in enumerate(relations.steps):
        varying = {place.path for place in places(step.answer) if not isinstance(place.pattern, Fixed)}
        if varying and step.noise is None:
            for other in relations.warm:
                for place in places(Fixed(relations.tree(index, other))) if other is not run else ():
                    if place.sample is not None and place.path in varying:
                        found.setdefault((index, place.path), []).append(place.sample)
    return found


def _altered(leaf: Leaf) -> Leaf:
    """Another value of the same JSON type and length: letters and digits moved on by one."""
    if leaf.kind == "bool":
        return Leaf("bool", "false" if leaf.text == "true" else "true")
    if leaf.kind == "null":
        return Leaf("str", "other")
    moved = "".join(chr((ord(c) - 48 + 1) % 9 + 49) if c.isdigit() and c.isascii() else _next(c) for c in leaf.text)
    return Leaf(leaf.kind, moved if moved != leaf.text else leaf.text + "x")


def _next(char: str) -> str:
    for start in ("a", "A"):
        if 0 <= ord(char) - ord(start) < 6:
            return chr((ord(char) - ord(start) + 1) % 6 + ord(start))
        if 6 <= ord(char) - ord(start) < 26:
            return chr((ord(char) - ord(start) - 6 + 1) % 20 + 6 + ord(start))
    return char
