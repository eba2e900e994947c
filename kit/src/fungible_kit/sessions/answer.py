"""The whole answer that takes the place of the app's where its session could not be read or saved. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from fungible_kit.sessions.errors import SessionConflict, SessionError, StoreUnavailable


@dataclass(frozen=True, slots=True)
class Outage:
    """A request whose session the store did not give: what `Sessions(on_outage=...)` is called with.

    `accept` is the request's header of that name, "" where it has none; `retry_after` is in seconds.
    """

    method: str
    path: str
    accept: str
    retry_after: int

    @property
    def wants_html(self) -> bool:
        return "text/html" in self.accept


@dataclass(frozen=True, slots=True)
class Page:
    """What an app says in such a case, in place of our one line."""

    body: str | bytes
    content_type: str = "text/html; charset=utf-8"


OnOutage = Callable[[Outage], "Page | str | None"]
"""A text is a page of HTML; None is our own line."""


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


def with_page(answer: Answer, page: Page | str) -> Answer:
    """The same answer with a page of the app's: status, Retry-After and the rest stay. Raises `TypeError` for what
    is no page.
    """
    page = Page(page) if isinstance(page, str) else page
    if not isinstance(page, Page) or not isinstance(page.body, (str, bytes)):
        raise TypeError(f"on_outage gave a {type(page).__name__}; a Page, a text of HTML or None was expected")
    body = page.body.encode() if isinstance(page.body, str) else page.body
    changed = {"Content-Type": page.content_type, "Content-Length": str(len(body))}
    return replace(
        answer, headers=tuple((name, changed.get(name, value)) for name, value in answer.headers), body=body
    )


def _answer(status: int, reason: str, text: str, *headers: tuple[str, str]) -> Answer:
    body = text.encode()
    fixed = (
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
    )
    return Answer(status, reason, (*fixed, *headers), body)
