"""Which side of a difference is the old one: a cache that everybody shares in the warm world is stale there. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from fungible.verify.compare.deviations import Deviation
from fungible.verify.compare.relations import Relations
from fungible.verify.compare.trees import Map, Node, children, signature
from fungible.verify.transcript import Transcript

_SAFE = ("GET", "HEAD", "OPTIONS")


def is_outdated(relations: Relations, candidate: Transcript, deviation: Deviation) -> bool:
    """Whether the warm worlds show at this place what the same endpoint showed the same client before something was
    sent or done, while the other world, where another process had shown that, shows something new.

    To be asked of a minimal case: then that earlier answer is needed, so it is what the one process remembers.
    """
    step = deviation.step
    if step is None or deviation.place == "fault" or deviation.order_only or deviation.identity:
        return False
    steps, placement = relations.steps, candidate.placement
    earlier = [
        index
        for index in range(step)
        if (steps[index].endpoint, steps[index].jar, steps[index].noise)
        == (steps[step].endpoint, steps[step].jar, None)
    ]
    warm = {index: _at(relations.tree(index, relations.warm[0]), deviation.place) for index in (*earlier, step)}
    here = {index: _at(relations.tree(index, candidate), deviation.place) for index in (*earlier, step)}
    if warm[step] is None or any(here[index] == here[step] for index in earlier):
        return False
    return any(
        warm[index] == warm[step]
        and placement[index] != placement[step]
        and any(steps[between].endpoint.split(" ")[0] not in _SAFE for between in range(index + 1, step))
        for index in earlier
    )


def turned(deviation: Deviation) -> Deviation:
    """The deviation as it is told where the warm worlds show the old value: what they show is `got`."""
    expected, got = deviation.got, deviation.expected
    if isinstance(expected, Mapping) and isinstance(got, Mapping) and "length" in expected and "length" in got:
        expected, got = _resized(expected, "missing"), _resized(got, "extra")
    return replace(deviation, expected=expected, got=got, kind="stale", outdated=True)


def _resized(value: Mapping[str, Any], word: str) -> dict[str, Any]:
    """What is extra on one side is missing on the other."""
    return {key if key == "length" else word: each for key, each in value.items()}


def _at(tree: Map, place: str) -> str | None:
    """What stands at a place, as a text that is equal where it is; None where there is nothing."""
    return next((signature(node) for path, node in _nodes(tree, "") if path == place), None)


def _nodes(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    yield path, node
    for place, item in children(node, path):
        yield from _nodes(item, place)
