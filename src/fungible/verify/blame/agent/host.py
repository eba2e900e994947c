"""The verifier's end of the blame agent: serves the socket that the app's processes connect to.

Protocol: JSON lines. A process greets with `{"hello": {...}}`; the host sends `{"id", "do", ...}` and gets
`{"id", "ok": ...}` or `{"id", "error": "..."}`, one command at a time for each process. A process that forks
greets anew in the child. Every command goes to all connected processes; what they say is merged and carries the
pid (as the process itself sees it).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from fungible.verify.blame.agent.naming import ObjectPath, rank

MESSAGE_LIMIT = 64 * 1024 * 1024
"""The longest line that is read from a process, in bytes; an agent cuts its own answers well below it."""

Roots = Literal["app", "all"]


@dataclass(frozen=True)
class Greeting:
    """A process of the app that connected. `pid` is its own view, `host_pid` the kernel's for the host."""

    pid: int
    parent: int
    host_pid: int
    argv: tuple[str, ...]
    python: str
    root: str

    @property
    def main(self) -> str:
        """The name by which people know the module `__main__`: that of the script."""
        script = next((part for part in self.argv[1:] if part.endswith(".py")), "")
        return Path(script).stem or "__main__"


@dataclass(frozen=True)
class Snapshot:
    """What a snapshot walked: `objects` in `seconds`; `truncated` when a bound was met first."""

    pid: int
    objects: int
    seconds: float
    truncated: bool


@dataclass(frozen=True)
class Change:
    """An object whose shallow content changed since a snapshot.

    `path` names the object to put back (for an attribute the attribute itself); `parts` the changed places within
    it, such as the keys of a dict. `kind` is one of attribute, dict, list, set, deque, bytes, closure, default,
    lru_cache, thread-local, context variable, counter, generator, environment, import, sqlite connection, order,
    opaque. `what` is short text (`+['abc']`, `0 -> 1`). `in_app`: the path starts in a module of the app.
    """

    pid: int
    path: ObjectPath
    kind: str
    what: str
    type: str
    parts: tuple[ObjectPath, ...]
    restorable: bool
    in_app: bool

    def text(self, main: str = "__main__") -> str:
        """The path for the report: the changed place itself if there is only one."""
        return (self.parts[0] if len(self.parts) == 1 else self.path).text(main)


@dataclass(frozen=True)
class Restored:
    """What `restore` could do. `suspects` could not be put back, each with the reason."""

    restored: tuple[ObjectPath, ...]
    suspects: tuple[tuple[ObjectPath, str], ...]
    unknown: tuple[ObjectPath, ...]


@dataclass(frozen=True)
class Write:
    """A change of a watched object, seen by the line tracer; places are `(absolute file, line)`. `written_at` is
    the innermost line outside the standard library, `called_from` the nearest line of the app."""

    pid: int
    path: ObjectPath
    written_at: tuple[str, int] | None
    called_from: tuple[str, int] | None
    function: str
    what: str


@dataclass(frozen=True)
class Place:
    """Where an object is made: `(absolute file, line)`."""

    path: ObjectPath
    file: str
    line: int


@dataclass(frozen=True)
class FileEvent:
    """A file opened for writing, renamed, removed, or a database connected to; places as in `Write`.

    `event` is the audit event of CPython (`open`, `os.rename`, `sqlite3.connect`, `tempfile.mkstemp`, ...)."""

    pid: int
    path: str
    event: str
    written_at: tuple[str, int] | None
    called_from: tuple[str, int] | None


@dataclass(frozen=True)
class Chance:
    """Randomness while a process boots: the draws of the lines in `shared` (`Draw.key`; None: of every line) are the
    same in all processes that boot with the same `seed`."""

    seed: str
    shared: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Draw:
    """A line that drew randomness while the process booted; places as in `Write`. `name` is what it makes, as the
    source names it. The `key` is the same in every process."""

    key: str
    written_at: tuple[str, int] | None
    called_from: tuple[str, int] | None
    name: str | None


@dataclass(frozen=True)
class Atom:
    """A leaf value of a process after boot, known by a salted digest alone."""

    pid: int
    path: ObjectPath
    digest: str


class AgentError(Exception):
    """A process did not answer a command, or refused it; the message says why."""


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


class AgentServer:
    """Serves the unix socket at `path` (mode 0600), and speaks to every process of the app that connects.

    `seconds` bounds one command in one process. Use as an async context manager. One server serves one run.
    """

    def __init__(self, path: Path, seconds: float = 60.0) -> None:
        self.path = path
        self._seconds = seconds
        self._processes: dict[int, _Process] = {}
        self._number = 0
        self._met = asyncio.Condition()
        self._server: asyncio.Server | None = None

    @property
    def inside(self) -> Path:
        """The folder that must be readable by the app's processes, at this same path."""
        return Path(__file__).parent / "inside"

    def environment(
        self,
        root: str,
        python_path: str = "",
        *,
        socket: str | None = None,
        inside: str | None = None,
        lines: bool = False,
        chance: Chance | None = None,
    ) -> dict[str, str]:
        """The variables that bring the agent into a Python app.

        `root` is the app's folder and `python_path` the app's own PYTHONPATH, both as the app sees them; `socket`
        and `inside` say where the app sees the socket and the agent's folder, if elsewhere than the host does.
        `lines`: this run is going to use `trace` (before Python 3.12 that costs a little on every call).
        `chance`: what is drawn at boot is noted, and shared as it says, until `drawn` is asked.
        """
        folder = inside or str(self.inside)
        return {
            "PYTHONPATH": f"{folder}:{python_path}" if python_path else folder,
            "FUNGIBLE_AGENT": socket or str(self.path),
            "FUNGIBLE_AGENT_ROOT": root,
            **({"FUNGIBLE_AGENT_LINES": "1"} if lines else {}),
            **({} if chance is None else {"FUNGIBLE_AGENT_CHANCE": json.dumps([chance.seed, chance.shared])}),
        }

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

    async def _ask_all(self, do: str, **arguments: Any) -> list[tuple[int, Any]]:
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

    async def snapshot(
        self, name: str, roots: Roots = "all", *, objects: int = 600_000, seconds: float = 30.0
    ) -> tuple[Snapshot, ...]:
        """Remember what is in memory now, under `name`. The app stands still meanwhile."""
        said = await self._ask_all("snapshot", name=name, roots=roots, objects=objects, seconds=seconds)
        return tuple(Snapshot(pid, one["objects"], one["seconds"], one["truncated"]) for pid, one in said)

    async def diff(self, since: str, *, limit: int = 500) -> tuple[Change, ...]:
        """What changed since the snapshot `since`, in the order in which to suspect it."""
        said = await self._ask_all("diff", **{"from": since, "limit": limit})
        changes = [
            Change(
                pid=pid,
                path=ObjectPath.of(one["path"]),
                kind=one["kind"],
                what=one["what"],
                type=one["type"],
                parts=tuple(ObjectPath.of([*one["path"], step]) for step in one["parts"]),
                restorable=one["restorable"],
                in_app=one["app"],
            )
            for pid, answer in said
            for one in answer["changes"]
        ]
        return tuple(sorted(changes, key=lambda change: rank(change.path, change.kind, change.in_app)))

    async def restore(self, since: str, paths: Iterable[ObjectPath]) -> Restored:
        """Put the objects back to their shallow content in the snapshot `since`.

        `paths` are those of changes, also of another run: where keys are random, the same shape is enough.
        """
        wanted = list(paths)
        said = await self._ask_all("restore", **{"from": since, "paths": [path.steps for path in wanted]})
        restored: set[int] = set()
        suspects: dict[int, str] = {}
        for _, one in said:
            restored.update(one["restored"])
            suspects.update({int(number): why for number, why in one["suspects"]})
        numbers = range(len(wanted))
        return Restored(
            tuple(wanted[n] for n in numbers if n in restored and n not in suspects),
            tuple((wanted[n], suspects[n]) for n in numbers if n in suspects),
            tuple(wanted[n] for n in numbers if n not in restored and n not in suspects),
        )

    async def export(self, path: ObjectPath) -> tuple[Any, str | None]:
        """The plain data at `path`, in a form for `implant`, and None; or None and why it cannot be carried.

        Of several processes the one that has most (by length of its wire form) is taken.
        """
        best: tuple[Any, str | None] = (None, "no process has it")
        for _, one in await self._ask_all("export", path=path.steps):
            if "value" in one and (best[1] is not None or _size(one["value"]) > _size(best[0])):
                best = (one["value"], None)
            elif best[1] is not None:
                best = (None, one.get("impossible", best[1]))
        return best

    async def implant(self, path: ObjectPath, value: Any) -> str | None:
        """Give the object at `path` the exported `value` in every process that has it; None, or why not."""
        said = [one.get("impossible") for _, one in await self._ask_all("implant", path=path.steps, value=value)]
        return None if None in said else said[0]

    async def trace(self, paths: Iterable[ObjectPath]) -> tuple[ObjectPath, ...]:
        """Watch the objects at `paths` from now on and no others (at most 16); returns those that some process
        watches.

        Give the parts of a change too (the very keys): then old keys of a large dict are seen as well.
        """
        wanted = list(paths)
        said = await self._ask_all("trace", paths=[path.steps for path in wanted])
        seen = {number for _, one in said for number in one["watching"]}
        return tuple(path for number, path in enumerate(wanted) if number in seen)

    async def traced(self) -> tuple[Write, ...]:
        """The writes to the watched objects up to now, oldest first."""
        return tuple(
            Write(
                pid,
                ObjectPath.of(one["path"]),
                _place(one["written_at"]),
                _place(one["called_from"]),
                one["function"],
                one["what"],
            )
            for pid, answer in await self._ask_all("traced")
            for one in answer["writes"]
        )

    async def declared(self, paths: Iterable[ObjectPath]) -> dict[ObjectPath, Place]:
        """Where each object is made, as far as the source shows it."""
        wanted = list(paths)
        found: dict[ObjectPath, Place] = {}
        for _, one in await self._ask_all("declared", paths=[path.steps for path in wanted]):
            for number, file, line in one["places"]:
                found.setdefault(wanted[number], Place(wanted[number], file, line))
        return found

    async def files(self) -> tuple[FileEvent, ...]:
        """The files written and databases connected to since the start of each process, oldest first."""
        return tuple(
            FileEvent(pid, one["path"], one["event"], _place(one["written_at"]), _place(one["called_from"]))
            for pid, answer in await self._ask_all("files")
            for one in answer["files"]
        )

    async def drawn(self) -> tuple[Draw, ...]:
        """The lines that drew randomness up to now; what is drawn from now on is each process's own."""
        return tuple(
            Draw(one["key"], _place(one["written_at"]), _place(one["called_from"]), one["name"])
            for _, answer in await self._ask_all("drawn")
            for one in answer["drawn"]
        )

    async def boot(self, salt: str, roots: Roots = "all") -> tuple[Atom, ...]:
        """All leaf values by path, as digests under `salt`: use one `new_salt()` for the boots to be compared."""
        return tuple(
            Atom(pid, ObjectPath.of(path), digest)
            for pid, answer in await self._ask_all("boot", salt=salt, roots=roots)
            for path, digest in answer["atoms"]
        )


def new_salt() -> str:
    """A salt for `AgentServer.boot`: digests cannot be compared with those of other runs."""
    return secrets.token_hex(16)


def _peer(writer: asyncio.StreamWriter) -> int:
    import struct

    raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", raw)[0])


def _place(said: Sequence[Any] | None) -> tuple[str, int] | None:
    return None if said is None else (str(said[0]), int(said[1]))


def _size(value: Any) -> int:
    return len(json.dumps(value))
