"""The client of the API: finds the formation of an app, asks it, and turns its refusals into Problems."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from fungible.app.problem import Exit, Problem
from fungible.app.wording import plain
from fungible.control import SOCKET
from fungible.runtime.ground.folders import folders_for

_ANSWER_WITHIN = 30.0
"""Seconds for what needs no roll."""
NOT_RUNNING = "no formation of this app runs: `fungible start` starts one"


class Refused(Problem):
    """What the formation said no to; `log` are the last lines of the process that is to blame."""

    def __init__(self, message: str, exit: Exit, log: tuple[str, ...]) -> None:
        super().__init__(message, exit)
        self.log = log


def socket_of(app: Path, environment: Mapping[str, str]) -> Path:
    """The socket of the formation of the app in the folder `app`, whether or not it runs, and whatever is wrong with
    the app's files. Raises Problem where there is no such folder."""
    try:
        folder = app.resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        raise Problem(f"{plain(app)}: there is no such folder.") from None
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]
    return folders_for(f"app-{name}", environment).run / SOCKET


class Client:
    """Asks the formation whose socket is at `socket`."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    @property
    def is_there(self) -> bool:
        """Whether anybody answers: a socket that a killed supervisor left does not."""
        try:
            self.get("/v1/formation")
        except Refused:
            return True
        except Problem:
            return False
        return True

    def get(self, path: str, **query: str) -> Any:
        """The document at `path`. Raises Problem, exit 3, where no formation runs."""
        return self._ask("GET", path, query=query)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """What comes of an operation; waits for as long as it takes, unless the body says not to. Raises Refused
        where it fails."""
        return self._ask("POST", path, body=body)

    def text(self, path: str) -> str:
        """The text at `path`."""
        with self._session(_ANSWER_WITHIN) as session:
            return session.get(path).text

    def follow(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        """The documents that come, a line each, until there are no more or the formation ends."""
        with self._session(None) as session, session.stream("GET", path, params=query) as answer:
            if answer.status_code != 200:
                answer.read()
                self._document(answer)
            with contextlib.suppress(httpx.RemoteProtocolError, httpx.ReadError):  # it has ended
                for line in answer.iter_lines():
                    if line:
                        yield json.loads(line)

    def stop(self) -> None:
        """Stop the formation; returns when its supervisor has ended."""
        pid = int(self.post("/v1/stop", {})["pid"])
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                select.select([descriptor], [], [])
            finally:
                os.close(descriptor)

    def _ask(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Mapping[str, Any] | None = None
    ) -> Any:
        with self._session(_ANSWER_WITHIN if method == "GET" else None) as session:
            try:
                answer = session.request(method, path, params=query, json=body)
            except httpx.RemoteProtocolError:
                raise Problem("the formation ended before it answered", Exit.NO) from None
            return self._document(answer)

    def _document(self, answer: httpx.Response) -> Any:
        document = answer.json()
        if answer.status_code >= 400:
            exit = Exit(document.get("exit", Exit.NOT_ALLOWED))
            raise Refused(str(document.get("error")), exit, tuple(document.get("log", ())))
        return document

    @contextlib.contextmanager
    def _session(self, timeout: float | None) -> Iterator[httpx.Client]:
        transport = httpx.HTTPTransport(uds=str(self._socket))
        limits = httpx.Timeout(timeout, connect=5.0)
        with httpx.Client(
            transport=transport, base_url="http://fungible", timeout=limits, trust_env=False
        ) as session:
            try:
                yield session
            except httpx.ConnectError:
                raise Problem(NOT_RUNNING, Exit.NOT_ALLOWED) from None
            except httpx.TimeoutException:
                raise Problem("the formation does not answer: is its supervisor stopped?", Exit.NOT_ALLOWED) from None
