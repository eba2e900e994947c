"""One web process that runs for as long as it is looked at, outside a formation and without the router."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from fungible.app.model import ProcessType
from fungible.app.problem import Exit, Problem
from fungible.runtime.events import Event
from fungible.runtime.ground.release import Release
from fungible.runtime.process.one_off import Outcome
from fungible.runtime.process.readiness import wait_until_answers
from fungible.runtime.process.step import StepFailed, run_step

_STOP = 5.0
_LAST_LINES = 500


class NotBooted(Exception):
    """It never answered: `how` it came to that, as a sentence goes on after "it"; `lines` are the last of its
    output, which is kept under `instance`."""

    def __init__(self, how: str, lines: Sequence[str], instance: str) -> None:
        super().__init__(how)
        self.how = how
        self.lines = tuple(lines)
        self.instance = instance


@dataclass
class ShortLived:
    """A web process that answers at `address` (`127.0.0.1:PORT`, `unix@PATH`); `lines` are the last of its output,
    which is kept under `instance`, `wrote` the files that it has written in the app's folder, known when it has
    ended."""

    address: str = ""
    instance: str = ""
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))
    wrote: tuple[str, ...] = ()


@contextlib.asynccontextmanager
async def short_lived(
    process: ShortLived,
    web: ProcessType,
    release: Release,
    processes: Path,
    port: int,
    *,
    name: str,
    publish: Callable[[Event], None],
) -> AsyncIterator[str]:
    """Run the command of `web` until the context ends, as `process`; yields its address once it answers.

    Its private folder is in `processes`, which nobody else uses meanwhile; `port` is given to it where it listens on
    one. What it writes is published as lines of `name`. Raises NotBooted, and Problem where it cannot be run.
    """
    unix = web.listen == "unix"

    def hear(event: Event) -> None:
        if event.kind == "log.line":
            process.lines.append(str(event.data["text"]))
            process.instance = event.instance or ""
        elif event.kind == "process.wrote":
            process.wrote = tuple(event.data["paths"])
            return
        publish(msgspec.structs.replace(event, process=name))

    senders: list[Callable[[int], None]] = []
    before = set(processes.iterdir())
    running = asyncio.ensure_future(
        run_step(
            web.command,
            release,
            processes,
            web.name,
            publish=hear,
            content_writable=False,
            given=None if unix else {"PORT": str(port)},
            unix=unix,
            on_start=senders.append,
        )
    )
    try:
        process.address = await _socket(processes, before, running) if unix else f"127.0.0.1:{port}"
        refusals: deque[str] = deque(maxlen=1)
        asking = wait_until_answers(process.address, web.ready, web.boot_timeout, refused=refusals.append)
        answers = asyncio.ensure_future(asking)
        try:
            await asyncio.wait([answers, running], return_when=asyncio.FIRST_COMPLETED)
            answered = answers.done() and answers.result() and not running.done()
        finally:
            answers.cancel()
        if not answered:
            where = "$FUNGIBLE_SOCKET" if unix else "$PORT"
            how = _how_it_ended(running, f"{where} within {web.boot_timeout:g} s", next(iter(refusals), None))
            raise NotBooted(how, process.lines, process.instance)
        yield process.address
    finally:
        await _end(running, senders)


async def _socket(processes: Path, before: set[Path], running: asyncio.Future[Outcome]) -> str:
    """The address of the Unix socket that it is given; its private folder has a name of its own."""
    while not running.done():
        for path in set(processes.iterdir()) - before:
            if (path / "own" / "run").is_dir():
                return f"unix@{path / 'own' / 'run' / 's'}"
        await asyncio.sleep(0.02)
    return "unix@"


def _how_it_ended(running: asyncio.Future[Outcome], asked: str, refusal: str | None) -> str:
    """As a sentence goes on after "it"; `asked` is where, and how long, `refusal` its last answer that did not count.
    Raises Problem for what is no fault of the command's."""
    if not running.done():
        if refusal is not None:
            return f"is not ready at {asked} ({refusal})"
        return f"gave no answer at {asked}"
    error = running.exception()
    if error is not None and not isinstance(error, StepFailed):
        raise error if isinstance(error, Problem) else Problem(f"proof: {error!r}", Exit.NO)
    return "ended before it answered" if error is None else "failed"


async def _end(running: asyncio.Future[Outcome], senders: list[Callable[[int], None]]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if running.done():
            break
        for send in senders:
            with contextlib.suppress(OSError):
                send(number)
        await asyncio.wait([running], timeout=_STOP)
    if not running.done():
        running.cancel()
    with contextlib.suppress(Problem, asyncio.CancelledError):
        await running
