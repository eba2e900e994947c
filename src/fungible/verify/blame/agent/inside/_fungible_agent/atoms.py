"""The leaf values of a process by path, as digests: two boots are compared without telling what they hold."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator
from typing import Any

from . import say
from .containers import DictFacet, SequenceFacet
from .facets import LEAVES, CellFacet, Slots, Step, key_wire
from .walk import Node, Walk, is_noise

_LIMIT = 60_000
_ADDRESS = (1 << 32, 1 << 64)
_UNTOLD = (
    "__file__",
    "__cached__",
    "__doc__",
    "__path__",
    "__name__",
    "__module__",
    "__qualname__",
    "__firstlineno__",
)
_TEXT = (str, bytes, int, float)


def atoms(seen: Walk, salt: str) -> dict[str, Any]:
    """`[path, digest]` of each leaf, the app's first; `truncated` if there are too many."""
    found: list[Any] = []
    key = salt.encode()[:64]
    for node in sorted(seen.nodes.values(), key=lambda one: not one.app):
        if not node.contents or (not node.app and len(found) > _LIMIT // 2):
            continue
        steps: Any = None
        for step, value in _leaves(node):
            if steps is None:
                steps = node.steps()
                if is_noise(str(steps[0][1])):
                    break
            found.append([[*steps, *([] if step is None else [step])], _digest(value, key)])
            if len(found) >= _LIMIT:
                return {"atoms": found, "truncated": True}
    return {"atoms": found, "truncated": seen.truncated}


def _leaves(node: Node) -> Iterator[tuple[Any, Any]]:
    for facet, content in zip(node.facets, node.contents):  # noqa: B905
        if content is None:
            continue
        pairs: Iterator[tuple[Any, Any]]
        if isinstance(facet, Slots):
            pairs = ((facet.step(name), value) for name, value in content.items() if name not in _UNTOLD)
        elif isinstance(facet, DictFacet):
            pairs = _of_dict(content)
        elif isinstance(facet, SequenceFacet):
            pairs = ((("i", position), value) for position, value in enumerate(content[:200]))
        elif isinstance(facet, CellFacet):
            pairs = ((None, value) for value in content)
        else:
            continue
        for step, value in pairs:
            if _is_told(value):
                yield step, value


def _of_dict(content: dict[Any, Any]) -> Iterator[tuple[Step, Any]]:
    for position, (key, value) in enumerate(content.items()):
        if position >= 2_000:
            return
        if _is_told(value):
            yield ("k", key_wire(key, position)), value


def _is_told(value: Any) -> bool:
    kind = type(value)
    if not say.one_of(kind, *_TEXT):
        return id(kind) not in LEAVES and say.type_name(kind) in (
            "datetime.datetime",
            "datetime.date",
            "uuid.UUID",
            "decimal.Decimal",
        )
    # An int between these is most often an address or a thread's id, which differ in every process.
    return not (kind is int and _ADDRESS[0] <= abs(value) < _ADDRESS[1])


def _text(value: Any) -> str:
    if type(value) is datetime.datetime:
        # Without the name of its zone, which the app may define.
        return "".join(map(str, (value.date(), value.time().replace(tzinfo=None))))
    return value if type(value) is str else str(value)


def _digest(value: Any, key: bytes) -> str:
    kind = type(value)
    shown = value if kind is bytes else _text(value).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(kind.__name__.encode() + b" " + shown, key=key, digest_size=9).hexdigest()
