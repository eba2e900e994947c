"""A command of the app's own that runs once, between an edit and a roll: its output is told as it comes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from fungible.app.problem import Exit, Problem
from fungible.runtime.events import Event
from fungible.runtime.ground.confinement import shell_command
from fungible.runtime.ground.release import Release
from fungible.runtime.logs.logs import Line, Pipe
from fungible.runtime.process.one_off import Outcome, run_one_off
from fungible.runtime.process.process import new_instance

_LAST_LINES = 200


class StepFailed(Problem):
    """A build or release command ended with an error, `why`; `instance` is what its output is kept under, `last` the
    last lines of it, `refused` where it was not let connect to, `hint` a sentence on how to mend it."""

    def __init__(
        self,
        why: str,
        exit: Exit,
        instance: str,
        last: tuple[str, ...] = (),
        refused: tuple[str, ...] = (),
        *,
        hint: str | None = None,
    ) -> None:
        super().__init__(f"{why}; its output is above{f'. {hint}' if hint else ''}", exit)
        self.why = why
        self.instance = instance
        self.last = last
        self.refused = refused


async def run_step(
    line: str,
    release: Release,
    processes: Path,
    step: str,
    *,
    publish: Callable[[Event], None],
    content_writable: bool,
    given: Mapping[str, str] | None = None,
    unix: bool = False,
    on_start: Callable[[Callable[[int], None]], None] | None = None,
) -> Outcome:
    """Run `line` in the confinement of `release`; `publish` gets what it writes, as lines of `STEP.1`.

    For `given`, `unix` and `on_start` see `run_one_off`.

    Raises StepFailed where it ends with an error, Problem where it cannot be run.
    """
    instance = new_instance()
    last: deque[str] = deque(maxlen=_LAST_LINES)

    def tell(stream: str) -> Callable[[Line], None]:
        def said(line: Line) -> None:
            last.append(line.text)
            data = {"stream": stream, "text": line.text, **({"continued": True} if line.continued else {})}
            publish(Event("log.line", f"{step}.1", instance, release.name, data))

        return said

    pipes = [Pipe(tell(stream)) for stream in ("stdout", "stderr")]
    started: list[bool] = []

    def has_started(send: Callable[[int], None]) -> None:
        started.append(True)
        for pipe in pipes:
            pipe.started()
        if on_start is not None:
            on_start(send)

    try:
        outcome = await run_one_off(
            shell_command(line),
            release,
            processes,
            name=f"{step}.1",
            stdout=pipes[0].write_end,
            stderr=pipes[1].write_end,
            content_writable=content_writable,
            on_start=has_started,
            given=dict(given or {}),
            unix=unix,
            watch_databases=not content_writable,
        )
        await asyncio.wait([pipe.ended for pipe in pipes], timeout=1.0)
    finally:
        for pipe in pipes:
            if not started:
                pipe.started()
            pipe.close()
    if outcome.wrote:
        data = {"paths": list(outcome.wrote), "count": outcome.count}
        publish(Event("process.wrote", f"{step}.1", instance, release.name, data))
    if outcome.code != 0:
        why = f"the {step} command `{line}` ended with {outcome.code}"
        refused = tuple(str(each["to"]) for each in outcome.outbound if not each["allowed"])
        raise StepFailed(why, Exit.NO, instance, tuple(last), refused)
    return outcome
