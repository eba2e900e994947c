"""The whole answer that takes the place of the app's where its session could not be read or saved. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from fungible_kit.sessions.errors import SessionConflict, SessionError, StoreUnavailable


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def line(self) -> str:
        return f"{self.status} {self.reason}"


def answer_to(error: SessionError) -> Answer | None:
    """What a browser is told; None where the error is the app's own and no answer of ours fits."""
    if isinstance(error, StoreUnavailable):
        text = "The session store is not available. Please try again in a moment.\n"
        return _answer(503, "Service Unavailable", text, ("Retry-After", str(error.retry_after)))
    if isinstance(error, SessionConflict):
        return _answer(409, "Conflict", "This was changed by another request meanwhile. Please try again.\n")
    return None


def _answer(status: int, reason: str, text: str, *headers: tuple[str, str]) -> Answer:
    body = text.encode()
    fixed = (
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
    )
    return Answer(status, reason, (*fixed, *headers), body)
