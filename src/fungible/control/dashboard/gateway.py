"""From a browser to the socket of a formation: a loopback port that serves the page and asks in its name.

The formation itself opens no port for it. Whoever may open its socket may start a gateway; a gateway answers whoever
has its token, and no page of another site. It outlives the formation, and finds the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from fungible.app.problem import Exit
from fungible.app.wording import shown
from fungible.control.client import NOT_RUNNING
from fungible.control.dashboard.files import HEADERS, page_files
from fungible.control.guard import NOT_THIS_MACHINE, names_this_machine, refusal
from fungible.control.server import Answer, Request, Server, json_answer
from fungible.runtime.router.listener import listen, url_of

LIVE = "/v1/live"
OPERATIONS = ("/v1/scale", "/v1/restart")
"""What the page may ask for besides; nothing else is passed on."""
_PATIENCE = 15.0
"""Seconds after which a browser that takes nothing is cut."""
_SILENCE = 15.0
"""Seconds after which a formation that says nothing is taken for stopped; it speaks every second."""


async def serve(socket: Path, port: int, *, tell: Callable[[str], None], host: str = "127.0.0.1") -> None:
    """Serve the dashboard of the formation at `socket` until SIGINT or SIGTERM; `tell` gets its URL, with the token.

    Raises Problem where the port cannot be had.
    """
    async with gateway(socket, port, host=host) as url:
        stopped, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
        tell(url)
        await stopped.wait()


@contextlib.asynccontextmanager
async def gateway(socket: Path, port: int, *, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Serve while it is used as a context; gives the URL, with the token in its fragment, which is never sent."""
    listener = listen(host, port)
    token = secrets.token_urlsafe(32)
    async with Gateway(socket, token) as asked, Server(listener, asked.respond, patience=_PATIENCE):
        yield f"{url_of(listener, 'http')}/#{token}"


class Gateway:
    """Answers a browser that has `token`, with what the formation at `socket` says."""

    def __init__(self, socket: Path, token: str) -> None:
        self._token = token
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(socket)), base_url="http://fungible", trust_env=False
        )

    async def __aenter__(self) -> Gateway:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def respond(self, request: Request) -> Answer:
        """The answer to a request of a browser."""
        answer = await self._answer(request)
        return replace(answer, headers=HEADERS)

    async def _answer(self, request: Request) -> Answer:
        if not names_this_machine(request.headers.get("host", "")):
            return _error(403, NOT_THIS_MACHINE)
        file = page_files().get(request.path)
        if file is not None:
            return file if request.method == "GET" else _error(405, f"{request.path}: use GET")
        refused = refusal(request.headers, self._token)
        if refused is not None:
            return _error(*refused)
        if request.path == LIVE and request.method == "GET":
            return await self._ask("GET", LIVE, _SILENCE)
        if request.path in OPERATIONS and request.method == "POST":
            if not request.headers.get("content-type", "").startswith("application/json"):
                return _error(415, "the body must be application/json")
            return await self._ask("POST", request.path, None, request.body)
        if request.path == LIVE or request.path in OPERATIONS:
            return _error(405, f"{request.path}: use {'GET' if request.path == LIVE else 'POST'}")
        return _error(404, f"{shown(request.path)}: there is no such path")

    async def _ask(self, method: str, path: str, silence: float | None, body: Any = None) -> Answer:
        content = None if body is None else json.dumps(body)
        timeout = httpx.Timeout(silence, connect=5.0)
        asked = self._client.build_request(method, path, content=content, timeout=timeout)
        try:
            answer = await self._client.send(asked, stream=True)
        except httpx.TimeoutException:
            return _error(504, "the formation does not answer: is its supervisor stopped?")
        except httpx.TransportError:
            return _error(503, NOT_RUNNING)
        return Answer(answer.status_code, _passed_on(answer), answer.headers.get("content-type", "text/plain"))


async def _passed_on(answer: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The body as it comes; its end where the formation ends, or falls silent."""
    try:
        with contextlib.suppress(httpx.TransportError):
            async for piece in answer.aiter_raw():
                yield piece
    finally:
        await answer.aclose()


def _error(status: int, text: str) -> Answer:
    return json_answer({"error": text, "exit": int(Exit.NOT_ALLOWED)}, status)
