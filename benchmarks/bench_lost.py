"""Lost requests while a formation is rolled or a server reloads, and while its processes are killed with `kill -9`.

usage: bench_lost.py [--scale X]; writes benchmarks/results/lost.json. Four processes, 32 clients (half of them with a
new connection for each request, half with kept ones; a third of the requests POST), an endpoint that waits 20 ms and
notes in a ledger what it started and finished, an import of half a second. A request is lost if the app's answer did
not arrive in full. What counts of a few seconds can show are kinds of loss, not rates.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure.clients import classes, clients
from measure.formation import Home, formation, home
from measure.nginx import nginx
from measure.peers import SERVERS, Server, program
from measure.processes import descendants, end, free_port, running, wait_for
from measure.result import arguments, machine, say, times, versions, write

PROCESSES = 4
FRESH = KEPT = 16
PATH = "/work?ms=20"
IMPORT_SECONDS = "0.5"
ROLLS = 2
KILLS = 4
BETWEEN_KILLS = 2.0
CALM = 0.5
PATIENCE = 40.0


@dataclass(frozen=True)
class Running:
    """What is under load: its `port`; `reload` returns when all of it has been replaced; `victims` are those that
    serve, each with all that has to die with it; `alive` says whether it still runs."""

    port: int
    reload: Callable[[], Awaitable[None]] | None
    victims: Callable[[], list[list[int]]]
    alive: Callable[[], bool]


@asynccontextmanager
async def ours(folder: Home, server: Server) -> AsyncIterator[Running]:
    """`fungible start web=4` with one worker of `server` in each process; a reload is `fungible restart`."""
    folder.write(f"web: {server.line('$PORT', 1)}\n")
    with ExitStack() as stack:
        run = await asyncio.to_thread(
            lambda: stack.enter_context(formation(folder, f"web={PROCESSES}", IMPORT_SECONDS=IMPORT_SECONDS))
        )

        async def reload() -> None:
            await asyncio.to_thread(run.run, "restart")

        def victims() -> list[list[int]]:
            return [[pid, *descendants(pid)] for pid in run.pids()]

        yield Running(run.port, reload, victims, lambda: run.process.poll() is None)
        await asyncio.to_thread(stack.close)


@asynccontextmanager
async def alone(folder: Home, server: Server, *, behind: bool = False) -> AsyncIterator[Running]:
    """The server with four workers of its own, `behind` nginx or not; a reload is its signal."""
    port = free_port()
    with ExitStack() as stack:
        environment = folder.environment(IMPORT_SECONDS=IMPORT_SECONDS)
        process = stack.enter_context(running(server.line(str(port), PROCESSES), folder.app, environment))
        await asyncio.to_thread(wait_for, port)
        await workers(process.pid, set())
        front = port
        if behind:
            front, _ = await asyncio.to_thread(lambda: stack.enter_context(nginx(folder.base / "nginx", [str(port)])))

        async def reload() -> None:
            before = set(descendants(process.pid))
            assert server.reload is not None
            process.send_signal(server.reload)
            await workers(process.pid, before)

        yield Running(
            front, reload, lambda: [[pid] for pid in descendants(process.pid)], lambda: process.poll() is None
        )
        await asyncio.to_thread(stack.close)


@asynccontextmanager
async def honcho(folder: Home, server: Server) -> AsyncIterator[Running]:
    """honcho with four processes behind nginx; it has no reload: it is ended and started again."""
    first, front = free_port(), None
    folder.write(f"web: {server.line('$PORT', 1)}\n")
    environment = folder.environment(IMPORT_SECONDS=IMPORT_SECONDS)
    ports = [str(first + number) for number in range(PROCESSES)]
    with ExitStack() as stack:
        process = [stack.enter_context(running(f"honcho start -p {first} -c web=4", folder.app, environment))]
        for port in ports:
            await asyncio.to_thread(wait_for, int(port))
        front, _ = await asyncio.to_thread(lambda: stack.enter_context(nginx(folder.base / "nginx", ports)))

        async def reload() -> None:
            await asyncio.to_thread(end, process[-1], 10)
            process.append(stack.enter_context(running(f"honcho start -p {first} -c web=4", folder.app, environment)))
            for port in ports:
                await asyncio.to_thread(wait_for, int(port))

        def victims() -> list[list[int]]:
            return [[pid, *descendants(pid)] for pid in descendants(process[-1].pid)]

        yield Running(front, reload, victims, lambda: process[-1].poll() is None)
        await asyncio.to_thread(stack.close)


async def workers(pid: int, before: set[int]) -> None:
    """Until four workers serve and none of `before` lives, or the server has ended."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        now = set(descendants(pid))
        if not os.path.exists(f"/proc/{pid}/cmdline") or (len(now) >= PROCESSES and not now & before):
            return
        await asyncio.sleep(0.05)
    say("  not replaced in time")


async def under_load(run: Running, ledger: Path, what: Callable[[], Awaitable[int]]) -> dict[str, Any]:
    """What is lost while `what` is done."""
    begin = time.monotonic()
    async with clients(run.port, PATH, FRESH, KEPT) as count:
        await asyncio.sleep(CALM)
        done = await what()
        await asyncio.sleep(CALM)
    return {
        "done": done,
        "seconds": round(time.monotonic() - begin, 1),
        "ended": not run.alive(),
        **classes(count, ledger),
    }


async def measure(name: str, start: Callable[[Home], Any], rolls: int, kills: int) -> dict[str, Any]:
    """Both questions of one row."""
    chance = random.Random(1)
    found: dict[str, Any] = {}

    async def roll() -> int:
        for number in range(rolls):
            await run.reload()
            if not run.alive():
                return number + 1
        return rolls

    async def kill() -> int:
        for number in range(kills):
            victims = await asyncio.to_thread(run.victims)
            if victims:
                for pid in chance.choice(victims):
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        continue
            await asyncio.sleep(BETWEEN_KILLS)
            if not run.alive():
                return number + 1
        return kills

    for question, what in (("roll", roll), ("kill", kill)):
        with home() as folder:
            async with start(folder) as run:
                say(f"{name}: {question}")
                found[question] = await under_load(run, folder.ledger / "ledger", what)
    return found


def rows() -> dict[str, Callable[[Home], Any]]:
    """Every row that can be measured here."""
    found: dict[str, Callable[[Home], Any]] = {}
    for name in ("gunicorn", "uvicorn", "granian"):
        if program(name):
            found[f"fungible, {name}"] = lambda folder, name=name: ours(folder, SERVERS[name])
    for name, server in SERVERS.items():
        if program(name):
            found[name] = lambda folder, server=server: alone(folder, server)
    if program("nginx") and program("gunicorn"):
        found["gunicorn behind nginx"] = lambda folder: alone(folder, SERVERS["gunicorn"], behind=True)
        if program("honcho"):
            found["honcho, gunicorn, behind nginx"] = lambda folder: honcho(folder, SERVERS["gunicorn"])
    return found


async def main() -> None:
    """Measure and write the result file."""
    options = arguments(__doc__ or "", ("--only", {"default": "", "help": "rows whose name has this"}))
    load = os.getloadavg()[0]
    found = {}
    for name, start in rows().items():
        if options.only in name:
            found[name] = await measure(name, start, times(ROLLS, options.scale), times(KILLS, options.scale, 2))
    result = {
        "question": "What is lost in rolls and under kill -9?",
        "processes": PROCESSES,
        "clients": {"fresh": FRESH, "kept": KEPT},
        "rows": found,
        "versions": versions([*SERVERS, "honcho", "nginx"]),
        "machine": machine(load),
    }
    write("lost", result, options.dry or bool(options.only))


if __name__ == "__main__":
    asyncio.run(main())
