"""What a world leaves behind, as plain data: everything after the world works on these values alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = Mapping[str, Any]
"""One row of a store: column (or facet) name -> JSON-ready value."""

Dump = Mapping[str, Sequence[Row]]
"""A store's whole content: `table users`, `key cart:7` or `file a.png` -> its rows, in a stable order."""


@dataclass(frozen=True)
class Sent:
    """A request as it really went out in this world, after substitution."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """What came back. A hang or a cut stream is an answer too: `status` 0 and the `fault` that ended it.

    `headers` keep their order, names in lower case. `fault` is one of `timeout`, `refused`, `reset`, `cut`
    (an answer that began and did not end; then `status` is what was announced), or None.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    fault: str | None = None
    seconds: float = 0.0

    def header(self, name: str) -> str | None:
        """The first value of a header, by lower-case name."""
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True)
class Transcript:
    """One world's execution of a workload: index i of `sent` and `answers` belongs to step i.

    Steps that are jobs have `sent[i]` None and an Answer whose status is the exit code and whose body is the
    job's standard output. `dumps` maps the name of a store to its content after the last step.
    `placement[i]` is the slot that served step i. `seeds` lists the hash seeds of the slots.
    """

    world: str
    sent: tuple[Sent | None, ...]
    answers: tuple[Answer, ...]
    dumps: Mapping[str, Dump] = field(default_factory=dict)
    placement: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()
