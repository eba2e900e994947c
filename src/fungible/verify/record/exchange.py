"""What the proxy saw, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fungible.verify.transcript import Answer
from fungible.verify.workload.steps import Pairs


@dataclass(frozen=True)
class Exchange:
    """A request and its complete answer.

    `connection` numbers the client's connections; header names are as they were sent. `began`, `answered` and
    `ended` are when the request's head, the answer's head and the answer's end were seen (seconds of one clock).
    The answer's body is decoded and may be cut off: it is read for ids and tokens alone.
    """

    connection: int
    method: str
    target: str
    headers: Pairs
    body: bytes
    answer: Answer
    began: float = 0.0
    answered: float = 0.0
    ended: float = 0.0

    def header(self, name: str) -> str | None:
        """The first value of a request header, by lower-case name."""
        return next((value for key, value in self.headers if key.lower() == name), None)

    def without_answer(self) -> Exchange:
        """The same without the answer's body."""
        return replace(self, answer=replace(self.answer, body=b""))


@dataclass
class Losses:
    """What passed through and is not recorded, counted."""

    websockets: int = 0
    unfinished: int = 0
    large: int = 0
    unreachable: int = 0
    beyond: int = 0

    def sentences(self, limit: str) -> list[str]:
        """What the user should know, a sentence each; `limit` is the longest body that is recorded."""
        told = (
            (self.websockets, "WebSocket connection", "passed through and not recorded"),
            (
                self.unfinished,
                "request",
                "left out: the answer was not waited for to its end (streams, cancelled ones)",
            ),
            (
                self.large,
                "request",
                f"left out: the body has more than {limit}, or all bodies together have too much",
            ),
            (self.unreachable, "request", "left out: no process of the app answered"),
            (self.beyond, "request", "left out: the longest workload was full"),
        )
        return [f"{count} {what}{'s' * (count > 1)} {fate}." for count, what, fate in told if count]
