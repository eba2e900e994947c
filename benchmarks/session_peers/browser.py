"""A browser with one cookie jar that calls a WSGI or ASGI app in this process: no server, no wire, so that what is
measured is the app. As lean as can be; it is there with and without sessions."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Answer:
    status: int
    cookies: list[str]
    body: bytes


@dataclass
class Jar:
    """Cookies by name; a cookie that a response clears is gone."""

    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def header(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def keep(self, answer: Answer) -> Answer:
        for line in answer.cookies:
            pair, *attributes = line.split(";")
            name, _, value = pair.strip().partition("=")
            told = dict(part.strip().lower().partition("=")[::2] for part in attributes)
            if told.get("max-age") == "0" or "1970" in told.get("expires", "") or value in ("", '""', "null"):
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return answer


class Wsgi:
    """Calls a WSGI app; `ask` is for threads."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self.app = app

    def ask(self, path: str, jar: Jar | None = None) -> Answer:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": path,
            "SCRIPT_NAME": "",
            "QUERY_STRING": "",
            "SERVER_NAME": "testserver",
            "SERVER_PORT": "443",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "testserver",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "https",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        if jar is not None and jar.cookies:
            environ["HTTP_COOKIE"] = jar.header
        said: list[Any] = []
        body = self.app(environ, lambda status, headers, exc_info=None: said.append((status, headers)))
        try:
            content = b"".join(body)
        finally:
            if hasattr(body, "close"):
                body.close()
        status, headers = said[-1]
        answer = Answer(int(status[:3]), [v for k, v in headers if k.lower() == "set-cookie"], content)
        return jar.keep(answer) if jar is not None else answer


class Asgi:
    """Calls an ASGI app; `aask` is for tasks of one event loop."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self.app = app

    async def aask(self, path: str, jar: Jar | None = None) -> Answer:
        headers = [(b"host", b"testserver")]
        if jar is not None and jar.cookies:
            headers.append((b"cookie", jar.header.encode()))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "https",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": headers,
            "server": ("testserver", 443),
            "client": ("127.0.0.1", 1),
            "state": {},
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        start = sent[0]
        cookies = [value.decode() for name, value in start["headers"] if name.lower() == b"set-cookie"]
        answer = Answer(start["status"], cookies, b"".join(message.get("body", b"") for message in sent[1:]))
        return jar.keep(answer) if jar is not None else answer


async def at_once(count: int, total: int, call: Callable[[], Any]) -> None:
    """`total` awaited calls, `count` under way at a time."""
    left = iter(range(total))

    async def one() -> None:
        for _ in left:
            await call()

    await asyncio.gather(*(one() for _ in range(count)))
