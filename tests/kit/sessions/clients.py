"""A browser's view of an app: one cookie jar, WSGI or ASGI, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def one(self, name: str) -> str | None:
        found = self.all(name)
        assert len(found) <= 1, found
        return found[0] if found else None

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Jar:
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def header(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def keep(self, answer: Answer) -> Answer:
        for value in answer.all("set-cookie"):
            for name, morsel in SimpleCookie(value).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        return answer


class WsgiBrowser:
    def __init__(self, app: Callable[..., Any], jar: Jar | None = None) -> None:
        self.app = app
        self.jar = jar or Jar()

    def get(self, path: str, cookie: str | None = None, accept: str = "") -> Answer:
        from wsgiref.util import setup_testing_defaults

        environ: dict[str, Any] = {"PATH_INFO": path, "SCRIPT_NAME": "", "QUERY_STRING": ""}
        environ |= {"REQUEST_METHOD": "GET", "wsgi.url_scheme": "https"}
        setup_testing_defaults(environ)
        header = self.jar.header if cookie is None else cookie
        if header:
            environ["HTTP_COOKIE"] = header
        if accept:
            environ["HTTP_ACCEPT"] = accept
        said: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
            said[:] = [int(status.split()[0]), headers]
            return lambda data: None

        body = self.app(environ, start)
        try:
            content = b"".join(body)
        finally:
            if hasattr(body, "close"):
                body.close()
        return self.jar.keep(Answer(said[0], said[1], content))


class AsgiBrowser:
    def __init__(self, app: Callable[..., Any], jar: Jar | None = None) -> None:
        self.app = app
        self.jar = jar or Jar()

    async def aget(self, path: str, cookie: str | None = None, accept: str = "") -> Answer:
        header = self.jar.header if cookie is None else cookie
        headers = [(b"host", b"testserver")] + ([(b"cookie", header.encode())] if header else [])
        headers += [(b"accept", accept.encode())] if accept else []
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
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
        }
        sent: list[dict[str, Any]] = []
        asked = False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if asked:
                await asyncio.Event().wait()
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        start = sent[0]
        headers_back = [(name.decode(), value.decode()) for name, value in start["headers"]]
        content = b"".join(message.get("body", b"") for message in sent[1:])
        return self.jar.keep(Answer(start["status"], headers_back, content))

    def get(self, path: str, cookie: str | None = None, accept: str = "") -> Answer:
        return asyncio.run(self.aget(path, cookie, accept))
