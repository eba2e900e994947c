"""What the API answers: each path, what it takes, and what is done."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

from fungible.app.problem import Exit, Problem
from fungible.app.wording import shown
from fungible.control import SOCKET
from fungible.control.documents import formation_document, release_document
from fungible.control.live import TYPE as EVENTS
from fungible.control.live import Live
from fungible.control.log_lines import is_for_people
from fungible.control.metrics import TYPE, Counts, formation_lines, router_lines
from fungible.control.scraping import scraped
from fungible.control.server import Answer, Request, Server, json_answer
from fungible.runtime.events import Event
from fungible.runtime.roll.operations import Abandoned, Done
from fungible.runtime.router.listener import listen_at_path
from fungible.runtime.start import Running

_MOST_LINES = 5000
_ALIVE_EVERY = 15.0
"""Seconds of silence after which a follower is sent an empty line: one that has left is noticed by it."""


@contextlib.asynccontextmanager
async def attend(running: Running) -> AsyncIterator[None]:
    """Serve the API of a formation for as long as it runs, and its metrics where the settings ask for a port of
    their own. Raises Problem where that port cannot be had."""
    api, path = Api(running), running.folders.run / SOCKET
    ended = [running.bus.subscribe(each) for each in (api.counts, api.live)]
    ended += [running.requests.subscribe(each.take_requests) for each in (api.counts, api.live)]
    try:
        async with scraped(running, api.metrics), Server(listen_at_path(path), api.respond):
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
                running.tail.end()
                await api.live.end()
    finally:
        for unsubscribe in ended:
            unsubscribe()


class Api:
    """Answers requests about `running`."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._tasks: set[asyncio.Task[Any]] = set()
        self.counts = Counts()
        self.live = Live(running)
        self._paths: dict[tuple[str, str], Callable[[Request], Awaitable[Answer]]] = {
            ("GET", "/v1/formation"): self._formation,
            ("POST", "/v1/scale"): self._scale,
            ("POST", "/v1/restart"): self._restart,
            ("POST", "/v1/stop"): self._stop,
            ("GET", "/v1/logs"): self._logs,
            ("POST", "/v1/release"): self._release,
            ("GET", "/v1/releases"): self._releases,
            ("POST", "/v1/rollback"): self._rollback,
            ("POST", "/v1/config"): self._config,
            ("GET", "/v1/live"): self._live,
            ("GET", "/metrics"): self.metrics,
        }

    async def respond(self, request: Request) -> Answer:
        """The answer to a request. Raises Problem where it cannot be done."""
        answer = self._paths.get((request.method, request.path))
        if answer is not None:
            return await answer(request)
        allowed = [method for method, path in self._paths if path == request.path]
        text = f"{request.path}: use {allowed[0]}" if allowed else f"{shown(request.path)}: there is no such path"
        return json_answer({"error": text, "exit": int(Exit.BAD_INPUT)}, 405 if allowed else 404)

    async def _formation(self, request: Request) -> Answer:
        return json_answer(await formation_document(self._running))

    async def _scale(self, request: Request) -> Answer:
        items = _words(request, "formation")
        return await self._operation(request, self._running.operations.scale(items))

    async def _restart(self, request: Request) -> Answer:
        return await self._operation(request, self._running.operations.restart(_word(request, "name")))

    async def _release(self, request: Request) -> Answer:
        return await self._operation(request, self._running.operations.release())

    async def _rollback(self, request: Request) -> Answer:
        return await self._operation(request, self._running.operations.rollback(_word(request, "release")))

    async def _config(self, request: Request) -> Answer:
        change = self._running.operations.configure(_words(request, "set"), _words(request, "unset"))
        return await self._operation(request, change)

    async def _operation(self, request: Request, work: Awaitable[Done]) -> Answer:
        """An operation goes on though whoever asked for it leaves."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        if _flag(request, "wait", True):
            done = await asyncio.shield(task)
            return json_answer({"message": done.message, "release": done.release})
        # What is wrong with the request itself is found before anything waits.
        await asyncio.wait({task}, timeout=0.05)
        if task.done():
            done = task.result()
            return json_answer({"message": done.message, "release": done.release})
        return json_answer({"message": "under way", "release": self._running.formation.release.name}, 202)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        failure = None if task.cancelled() else task.exception()
        if isinstance(failure, Problem) and not (isinstance(failure, Abandoned) and failure.told):
            self._running.bus.publish(Event("notice", data={"text": failure.message}))

    async def _stop(self, request: Request) -> Answer:
        asyncio.get_running_loop().call_soon(self._running.stop)
        return json_answer({"message": "stopping", "pid": os.getpid()}, 202)

    async def _releases(self, request: Request) -> Answer:
        return json_answer(
            {"releases": [release_document(each, serves) for each, serves in self._running.operations.releases()]}
        )

    async def metrics(self, request: Request) -> Answer:
        """What was counted, and what is so now."""
        running = self._running
        document = await formation_document(running)
        lines = [*formation_lines(document), *self.counts.lines()]
        if running.url() is not None:
            router = running.router
            lines += router_lines(router.pid is not None, await router.queued(), await router.dropped())
        return Answer(200, ("\n".join(lines) + "\n").encode(), TYPE)

    async def _live(self, request: Request) -> Answer:
        return Answer(200, self.live.watch(), EVENTS)

    async def _logs(self, request: Request) -> Answer:
        name = request.query.get("name") or None
        words = request.query.get("lines", "100")
        if not words.isdigit() or int(words) > _MOST_LINES:
            raise Problem(f"lines: {shown(words)} is not a number from 0 to {_MOST_LINES}")
        formation, tail = self._running.formation, self._running.tail
        live = {process.name for process in formation.processes.values()}
        if name is not None and name not in formation.types.keys() | live | tail.names():
            raise Problem(f"there is no process and no type {shown(name)}; `fungible ps` shows them")
        wanted = is_for_people if request.query.get("people") == "1" else bool
        if request.query.get("follow") == "1":
            return Answer(200, self._follow(int(words), name, wanted), "application/x-ndjson")
        text = "".join(_line(event) for event in tail.last(int(words), name, wanted))
        return Answer(200, text.encode("utf-8", "backslashreplace"), "application/x-ndjson")

    async def _follow(
        self, count: int, name: str | None, wanted: Callable[[Event], bool]
    ) -> AsyncGenerator[bytes, None]:
        events = self._running.tail.follow(count, name, wanted)
        following = asyncio.ensure_future(anext(events))
        try:
            while True:
                await asyncio.wait({following}, timeout=_ALIVE_EVERY)
                if not following.done():
                    yield b"\n"
                    continue
                try:
                    event = following.result()
                except StopAsyncIteration:
                    return
                yield _line(event).encode("utf-8", "backslashreplace")
                following = asyncio.ensure_future(anext(events))
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await events.aclose()


def _line(event: Event) -> str:
    return json.dumps(event.as_dict(), ensure_ascii=False) + "\n"


def _field(request: Request, name: str) -> Any:
    if not isinstance(request.body, dict):
        raise Problem("the body must be a JSON object")
    return request.body.get(name)


def _word(request: Request, name: str) -> str | None:
    value = _field(request, name)
    if value is not None and not isinstance(value, str):
        raise Problem(f"{name}: must be a string")
    return value


def _words(request: Request, name: str) -> list[str]:
    value = _field(request, name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise Problem(f"{name}: must be a list of strings")
    return value


def _flag(request: Request, name: str, default: bool) -> bool:
    value = _field(request, name)
    if value is not None and not isinstance(value, bool):
        raise Problem(f"{name}: must be true or false")
    return default if value is None else value
