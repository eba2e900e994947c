"""What a formation does meanwhile, for who waits for it at a terminal."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TextIO

import httpx

from fungible.app.problem import Problem
from fungible.app.terminal import takes_colour
from fungible.control.client import Client
from fungible.control.log_lines import event_of
from fungible.runtime.events import Event
from fungible.runtime.logs.console import text_of

_FOLLOWS_WITHIN = 1.0


@contextlib.contextmanager
def told_meanwhile(client: Client, stream: TextIO) -> Iterator[None]:
    """As long as this lasts, steps of the formation that `client` asks stand on `stream`, a line each; nothing where
    it is no terminal."""
    if not stream.isatty():
        yield
        return
    follows, over = threading.Event(), threading.Event()
    dim = "\x1b[2m{}\x1b[0m\n" if takes_colour(True) else "{}\n"

    def follow() -> None:
        with contextlib.suppress(Problem, httpx.HTTPError, OSError):
            for document in client.follow("/v1/logs", lines="1", follow="1"):
                if over.is_set():
                    return
                step = step_of(event_of(document)) if follows.is_set() else None
                follows.set()  # the first one is from before
                if step is not None:
                    stream.write(dim.format(step))
                    stream.flush()

    threading.Thread(target=follow, daemon=True).start()
    follows.wait(_FOLLOWS_WITHIN)
    try:
        yield
    finally:
        over.set()


def step_of(event: Event) -> str | None:
    """The line for one event; None where it is no step, or the answer to who waits says it again."""
    text = text_of(event)
    if event.kind == "process.ready":
        return f"{event.process} {text}"
    again = (
        text is not None
        and event.release is not None
        and text.startswith((f"{event.release} serves", f"{event.release} is abandoned"))
    )
    return text if event.kind == "notice" and not again else None
