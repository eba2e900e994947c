"""A one-off process: the same environment, sandbox, services and config vars as any other, in our terminal."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fungible.app.problem import Exit, Problem
from fungible.runtime.ground.release import Release
from fungible.runtime.process.place import Place
from fungible.runtime.process.process import new_instance
from fungible.sandbox.spawn import Message, spawn


@dataclass(frozen=True)
class Outcome:
    """How it ended: `code` as a shell would give it (128+N for signal N), and what it wrote outside scratch.

    `outbound` is where it connected to (see `sandbox.spawn.Message`), `databases` are SQLite files that it wrote;
    both where that was watched.
    """

    code: int
    wrote: tuple[str, ...]
    count: int
    outbound: tuple[Mapping[str, Any], ...] = ()
    databases: tuple[str, ...] = ()


async def run_one_off(
    argv: tuple[str, ...],
    release: Release,
    processes: Path,
    *,
    name: str = "run.1",
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    content_writable: bool = False,
    on_start: Callable[[Callable[[int], None]], None] | None = None,
    given: dict[str, str] | None = None,
    unix: bool = False,
    limits: Mapping[str, int] | None = None,
    watch_databases: bool = False,
) -> Outcome:
    """Run `argv` to its end.

    With `content_writable` the release's content itself is written to (the build stage) instead of a layer over
    it. `on_start` is handed a function that sends signals to the group. `given` is set besides what every process is
    given; with `unix` that is FUNGIBLE_SOCKET as well. Raises Problem where the sandbox cannot
    be made or the program does not exist.
    """
    instance = new_instance()
    private = processes / instance
    place = Place(private, socket_folder=private / "own" / "run" if unix else None)
    environment = release.environment({**place.given(name, instance), **(given or {})})
    if shutil.which(argv[0], path=environment.get("PATH")) is None and "/" not in argv[0]:
        raise Problem(f"{argv[0]}: no such program on the PATH", Exit.BAD_INPUT)
    private.mkdir(mode=0o700, parents=True)
    spec = release.confinement.spec(
        argv=argv,
        environment=environment,
        private=private,
        host_name=name.replace(".", "-"),
        grace=2.0,
        watch_databases=watch_databases,
        keep_stdin=True,
        content_writable=content_writable,
        limits=limits,
    )
    heard: list[Message] = []
    child = spawn(spec, heard.append, stdin=stdin, stdout=stdout, stderr=stderr)
    if on_start is not None:
        on_start(child.signal)
    try:
        await asyncio.shield(child.gone)
    except asyncio.CancelledError:
        child.kill()
        await asyncio.shield(child.gone)
        raise
    said = {message.kind: message.data for message in heard}
    if "failed" in said and "exited" not in said:
        data = said["failed"]
        at = f" at {data['path']}" if data["path"] else ""
        stage = "the program could not be started" if data["stage"] == "launch" else "the sandbox could not be made"
        raise Problem(f"{stage}{at}: {data['error']}", Exit.NOT_ALLOWED)
    status = said.get("exited", {"status": -signal.SIGKILL})["status"]
    wrote = said.get("wrote", {"paths": [], "count": 0})
    outbound = tuple(message.data for message in heard if message.kind == "outbound")
    databases = tuple(message.data["path"] for message in heard if message.kind == "database")
    return Outcome(128 - status if status < 0 else status, tuple(wrote["paths"]), wrote["count"], outbound, databases)
