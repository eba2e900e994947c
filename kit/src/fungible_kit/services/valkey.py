"""Valkey or Redis by URL: which client, how long is waited, and connections that are lent for one command each.

The clients of `valkey-py` and `redis-py` cost as much as all else that is done for a request: a lock, a look at the
socket by way of two changes of its mode and an exception, a retry around each call, an asyncio timer for each wait.
Their connections (the protocol, TLS, authentication) are used here without those.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import select
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, TypeVar

from fungible_kit.services.deadlines import Deadlines
from fungible_kit.services.errors import ServiceUnavailable

T = TypeVar("T")

MOST_CONNECTIONS = 32
"""Of an event loop: a thousand requests at once should not begin by connecting a thousand times."""

Command = tuple[Any, ...]
"""A command and its arguments; a `Script` in place of its name is run with its keys and arguments."""

Dialogue = Generator[Command, Any, T]
"""Yields commands, gets replies; a failure is thrown into it."""


@dataclass(frozen=True, slots=True)
class Script:
    """A script, sent by its hash; `keys` is how many of the arguments are keys."""

    text: str
    keys: int = 1
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.text.encode()).hexdigest())


class _Setting:
    """What both faces need: the client's library, the URL and the limits of time.

    `deadline` is in seconds, for connecting and for each answer. `unavailable` makes the error of a service that is
    away, `what` is its name in that. Raises ImportError where no client is installed.
    """

    def __init__(self, url: str, deadline: float, unavailable: Callable[..., ServiceUnavailable], what: str) -> None:
        scheme, separator, rest = url.partition("://")
        self.library, native = client_library()
        # Each library knows only its own names of the schemes.
        plain, secure = ("valkey", "valkeys") if native else ("redis", "rediss")
        names = {"valkey": plain, "redis": plain, "valkeys": secure, "rediss": secure, "unix": "unix"}
        self.url = names[scheme.lower()] + separator + rest
        self.deadline = deadline
        self.options: dict[str, Any] = {"socket_timeout": deadline, "socket_connect_timeout": deadline}
        if scheme.lower() != "unix":
            self.options["socket_keepalive"] = True
        self.native = native
        self.refused = self.library.ResponseError
        self.failures = (getattr(self.library, "ValkeyError", None) or self.library.RedisError, OSError)
        self.unknown_script = self.library.exceptions.NoScriptError
        # Without a connection; packs with the library's C code where there is some, in an event loop as well.
        self.pack = self.library.Connection().pack_command
        self._unavailable = unavailable
        self._what = what

    def no_retry(self, backoff: Any, retry: Any) -> dict[str, Any]:
        """redis-py's own defaults retry for seconds; when to ask again is decided by our callers."""
        return {} if self.native else {"retry": retry.Retry(backoff.NoBackoff(), 0)}

    def failure(self, error: BaseException) -> ServiceUnavailable:
        """What became of a command, without the server's own words: they may repeat keys and values."""
        kind = type(error).__name__
        timed_out = isinstance(error, TimeoutError) or kind == "TimeoutError"
        away = timed_out or isinstance(error, (OSError, self.library.ConnectionError))
        if timed_out:
            said = "did not answer in time"
        elif away:
            said = "cannot be reached"
        else:
            said = f"refused a command ({kind})"
        failure = self._unavailable(f"{self._what} {said}", timed_out=timed_out, away=away)
        failure.__cause__ = error
        return failure


class Connections:
    """The face for threads. A fork opens connections of its own."""

    def __init__(self, url: str, deadline: float, unavailable: Callable[..., ServiceUnavailable], what: str) -> None:
        self._setting = made = _Setting(url, deadline, unavailable, what)
        retry = made.no_retry(made.library.backoff, made.library.retry)
        pool = made.library.ConnectionPool.from_url(made.url, **made.options, **retry)
        self._make: Callable[[], Any] = lambda: pool.connection_class(**pool.connection_kwargs)
        self._idle: tuple[int, list[_Line]] = (os.getpid(), [])

    def hold(self, dialogue: Dialogue[T]) -> T:
        """Carry a dialogue out; a command that fails is raised inside it."""
        try:
            command = dialogue.send(None)
            while True:
                try:
                    reply = self._ask(command)
                except self._setting.failures as error:
                    command = dialogue.throw(self._setting.failure(error))
                else:
                    command = dialogue.send(reply)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def close(self) -> None:
        """Let go of connections that are not in use."""
        (pid, idle), self._idle = self._idle, (os.getpid(), [])
        if pid == os.getpid():
            for line in idle:
                line.connection.disconnect()

    def _ask(self, command: Command) -> Any:
        first = command[0]
        if not isinstance(first, Script):
            return self._run(command)
        rest = command[1:]
        try:
            return self._run(("EVALSHA", first.sha, first.keys, *rest))
        except self._setting.unknown_script:  # a new server, or its scripts were flushed
            return self._run(("EVAL", first.text, first.keys, *rest))

    def _run(self, command: Command) -> Any:
        pid, idle = self._idle
        if pid != os.getpid():  # what a parent opened is the parent's
            pid, idle = self._idle = (os.getpid(), [])
        line = self._taken(idle)
        connection = line.connection
        try:
            connection.send_packed_command(self._setting.pack(*command), check_health=False)
            reply = connection.read_response()
        except self._setting.refused:  # an answer, and read to its end
            idle.append(line)
            raise
        except BaseException:
            connection.disconnect()
            raise
        idle.append(line)
        return reply

    def _taken(self, idle: list[_Line]) -> _Line:
        while idle:
            try:
                line = idle.pop()
            except IndexError:  # another thread's now
                break
            if line.is_quiet():
                return line
            line.connection.disconnect()  # the server has closed it
        connection = self._make()
        try:
            connection.connect()
        except BaseException:
            connection.disconnect()
            raise
        return _Line(connection)


class _Line:
    """A connection, and whether the server has said anything while nobody asked."""

    __slots__ = ("_poll", "connection")

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        sock = getattr(connection, "_sock", None)
        self._poll: Callable[[int], list[Any]] | None = None
        if sock is not None and hasattr(select, "poll"):
            poll = select.poll()
            poll.register(sock, select.POLLIN)
            self._poll = poll.poll

    def is_quiet(self) -> bool:
        if self._poll is not None:
            return not self._poll(0)
        try:
            return not self.connection.can_read()
        except Exception:
            return False


class AsyncConnections:
    """The face for asyncio: connections for each event loop, dropped with it; a fork opens its own."""

    def __init__(self, url: str, deadline: float, unavailable: Callable[..., ServiceUnavailable], what: str) -> None:
        self._setting = made = _Setting(url, deadline, unavailable, what)
        library = made.library.asyncio
        retry = made.no_retry(made.library.backoff, library.retry)
        # The client's own limit makes a task of every command; ours is one timer for all of them.
        options = made.options | {"socket_timeout": None} | retry
        pool = library.ConnectionPool.from_url(made.url, **options)
        self._make: Callable[[], Any] = lambda: pool.connection_class(**pool.connection_kwargs)
        self._loops: dict[asyncio.AbstractEventLoop, _LoopsConnections] = {}

    async def hold(self, dialogue: Dialogue[T]) -> T:
        """Carry a dialogue out; a command that fails is raised inside it."""
        ours = self._ours()
        try:
            command = dialogue.send(None)
            while True:
                try:
                    reply = await self._ask(ours, command)
                except self._setting.failures as error:
                    command = dialogue.throw(self._setting.failure(error))
                else:
                    command = dialogue.send(reply)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Let go of this loop's connections that are not in use."""
        ours = self._loops.pop(asyncio.get_running_loop(), None)
        if ours is not None and ours.pid == os.getpid():
            for connection in ours.idle:
                await connection.disconnect()

    async def _ask(self, ours: _LoopsConnections, command: Command) -> Any:
        first = command[0]
        call = ours.deadlines.begin()
        try:
            if not isinstance(first, Script):
                return await self._run(ours, command)
            rest = command[1:]
            try:
                return await self._run(ours, ("EVALSHA", first.sha, first.keys, *rest))
            except self._setting.unknown_script:
                return await self._run(ours, ("EVAL", first.text, first.keys, *rest))
        except asyncio.CancelledError:
            if call.is_the_reason():
                raise TimeoutError from None
            raise
        finally:
            ours.deadlines.end(call)

    async def _run(self, ours: _LoopsConnections, command: Command) -> Any:
        await ours.room.acquire()
        try:
            connection = ours.taken()
            if connection is None:
                connection = self._make()
                try:
                    await connection.connect()
                except BaseException:
                    await connection.disconnect(nowait=True)
                    raise
            try:
                # Both see to it that a connection is closed which did not come to the end of an answer.
                await connection.send_packed_command(self._setting.pack(*command), check_health=False)
                reply = await connection.read_response()
            except self._setting.refused:
                ours.idle.append(connection)
                raise
            ours.idle.append(connection)
            return reply
        finally:
            ours.room.release()

    def _ours(self) -> _LoopsConnections:
        loop = asyncio.get_running_loop()
        ours = self._loops.get(loop)
        if ours is None or ours.pid != os.getpid():
            for other in list(self._loops):
                if other.is_closed():
                    self._loops.pop(other, None)
            ours = self._loops[loop] = _LoopsConnections(loop, self._setting.deadline)
        return ours


class _LoopsConnections:
    """The connections of one event loop that are not in use, and the time of those that are."""

    def __init__(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        self.pid = os.getpid()
        self.idle: list[Any] = []
        self.room = asyncio.Semaphore(MOST_CONNECTIONS)
        self.deadlines = Deadlines(loop, deadline)

    def taken(self) -> Any:
        """One that is open, or None."""
        while self.idle:
            connection = self.idle.pop()
            reader = connection._reader
            if reader is not None and not reader.at_eof() and reader.exception() is None:
                return connection
        return None


def client_library() -> tuple[ModuleType, bool]:
    """The client that is installed, and whether it is valkey-py (the faster one; redis-py does as well).

    Raises ImportError that names the extra where there is none.
    """
    try:
        import valkey
        import valkey.asyncio

        return valkey, True
    except ImportError:
        pass
    try:
        import redis
        import redis.asyncio

        return redis, False
    except ImportError:
        raise ImportError("Valkey and Redis need a client: pip install 'fungible-kit[valkey]'") from None
