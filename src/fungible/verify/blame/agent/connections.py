"""The socket that the agents of an app's processes connect to: who is there, and one question to all of them.

Protocol: JSON lines. A process greets with `{"hello": {...}}`; the host sends `{"id", "do", ...}` and gets
`{"id", "ok": ...}` or `{"id", "error": "..."}`, one command at a time for each process. A process that forks
greets anew in the child.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fungible.verify.blame.agent.told import Greeting

MESSAGE_LIMIT = 64 * 1024 * 1024
"""The longest line that is read from a process, in bytes; an agent cuts its own answers well below it."""


class AgentError(Exception):
    """A process did not answer a command, or refused it; the message says why."""


class NoAgent(AgentError):
    """No process carries the agent: none is a Python program, or none takes what it is brought by."""


@dataclass(eq=False)
class _Process:
    greeting: Greeting
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    sent: int = 0

    async def ask(self, command: Mapping[str, Any], seconds: float) -> Any:
        async with self.turn:
            self.sent += 1
            line = json.dumps({"id": self.sent, **command}).encode() + b"\n"
            self.writer.write(line)
            await self.writer.drain()
            async with asyncio.timeout(seconds):
                while True:
                    answer = await self.reader.readline()
                    if not answer:
                        raise ConnectionResetError
                    said = json.loads(answer)
                    if said.get("id") == self.sent:
                        break
        if "error" in said:
            raise AgentError(f"process {self.greeting.pid}: {said['error']}")
        return said["ok"]


class Connections:
    """Serves the unix socket at `path` (mode 0600). `seconds` bounds one command in one process. Use as an async
    context manager; one of them serves one run."""

    def __init__(self, path: Path, seconds: float = 60.0) -> None:
        self.path = path
        self._seconds = seconds
        self._processes: dict[int, _Process] = {}
        self._number = 0
        self._met = asyncio.Condition()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Start to serve. Raises OSError if the socket cannot be made."""
        # Not by way of the umask: it belongs to the whole process, and two servers open side by side.
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(str(self.path))
            self.path.chmod(0o600)
            self._server = await asyncio.start_unix_server(self._greet, sock=listener, limit=MESSAGE_LIMIT)
        except OSError:
            listener.close()
            raise

    async def close(self) -> None:
        """Stop to serve; connected processes go on without an agent."""
        if self._server is not None:
            self._server.close()
        for process in self._processes.values():
            process.writer.close()
        self._processes.clear()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                hello = json.loads(await reader.readline())["hello"]
            greeting = Greeting(
                pid=int(hello["pid"]),
                parent=int(hello["parent"]),
                host_pid=_peer(writer),
                argv=tuple(map(str, hello["argv"])),
                python=str(hello["python"]),
                root=str(hello["root"]),
            )
        except (ValueError, KeyError, TypeError, TimeoutError, OSError):
            writer.close()
            return
        async with self._met:
            self._number += 1
            self._processes[self._number] = _Process(greeting, reader, writer)
            self._met.notify_all()

    @property
    def greetings(self) -> tuple[Greeting, ...]:
        """The processes that are connected, in the order of their arrival."""
        return tuple(process.greeting for process in self._alive().values())

    def _alive(self) -> dict[int, _Process]:
        ended = [number for number, process in self._processes.items() if process.reader.at_eof()]
        for number in ended:
            self._processes.pop(number).writer.close()
        return dict(self._processes)

    async def connected(self, count: int = 1, seconds: float = 30.0) -> tuple[Greeting, ...]:
        """Wait until at least `count` processes are connected. Raises TimeoutError after `seconds`."""
        async with asyncio.timeout(seconds), self._met:
            await self._met.wait_for(lambda: len(self._alive()) >= count)
        return self.greetings

    async def ask_all(self, do: str, **arguments: Any) -> list[tuple[int, Any]]:
        """The answers of all processes with their pid. A process that has gone is left out; if all refuse, the
        first refusal is raised."""
        asked = self._alive()
        if not asked:
            raise AgentError("no Python process of the app is connected to the blame agent")
        command = {"do": do, **arguments}
        answers = await asyncio.gather(
            *(process.ask(command, self._seconds) for process in asked.values()), return_exceptions=True
        )
        said: list[tuple[int, Any]] = []
        refused: list[BaseException] = []
        for (number, process), answer in zip(asked.items(), answers, strict=True):
            if isinstance(answer, BaseException):
                refused.append(answer)
                if not isinstance(answer, AgentError):
                    # A late answer would be taken for the next one's.
                    self._processes.pop(number, None)
                    process.writer.close()
            else:
                said.append((process.greeting.pid, answer))
        if not said:
            error = refused[0]
            raise error if isinstance(error, AgentError) else AgentError(f"{do}: {type(error).__name__} {error}")
        return said


def _peer(writer: asyncio.StreamWriter) -> int:
    raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", raw)[0])
