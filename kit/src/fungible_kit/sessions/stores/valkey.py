"""Sessions in Valkey or Redis: one command for nearly everything, through `valkey-py` or `redis-py`."""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from collections.abc import Generator
from dataclasses import replace
from types import ModuleType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from fungible_kit.sessions.errors import Misconfigured, StoreUnavailable
from fungible_kit.sessions.identity import public_id, user_key
from fungible_kit.sessions.record import Listed, Move, Outcome, Patch, Record, Refused, pointer
from fungible_kit.sessions.stores import Caps
from fungible_kit.sessions.stores import valkey_script as script
from fungible_kit.sessions.stores.valkey_script import Script

T = TypeVar("T")
Command = tuple[Any, ...]
Dialogue = Generator[Command, Any, T]
"""Yields commands (a `Script` in front: run it), gets replies."""

CAPS = Caps(index=True)


def read(key: str) -> Dialogue[Record | None]:
    found = script.record_of((yield ("HGETALL", key)))
    return found if found is not None and found.expire_at > time.time() else None


def create(key: str, record: Record) -> Dialogue[bool]:
    if record.user is not None:
        # Before the session: a revocation must find it. What is listed and not there is passed over.
        yield (script.INDEX, user_key(record.user), key, record.absolute, int(time.time()))
    return bool((yield (script.CREATE, key, record.expire_at, *script.hash_of(record))))


def patch(key: str, change: Patch, seen: Record | None) -> Dialogue[Outcome]:
    if change.user is not None:
        absolute = seen.absolute if seen is not None else change.idle_at
        yield (script.INDEX, user_key(change.user), key, absolute, int(time.time()))
    return script.outcome_of((yield (script.PATCH, key, *script.patch_arguments(change))))


def take(key: str, name: str) -> Dialogue[bytes | None]:
    value: bytes | None = yield (script.TAKE, key, name)
    return value


def move(old: str, new: str, how: Move) -> Dialogue[Record | Outcome]:
    # The old key goes first: if the new one cannot be written then, the session has ended and nothing leaks.
    left: list[Any] = [""]
    if how.grace:
        until = how.patch.touched + how.grace
        signpost = pointer(Record({}, how.rotated, until, how.rotated, until), new, how.patch.touched, how.grace)
        left = [until, *script.hash_of(signpost)]
    reply = yield (script.REMOVE, old, *script.patch_arguments(how.patch), *left)
    if reply[0] not in (b"ok", "ok"):
        return script.outcome_of(reply)
    before = script.record_of(reply[1])
    if before is None:
        return Refused.GONE
    created, absolute = how.restart or (before.created, before.absolute)
    after = replace(before, created=created, absolute=absolute, user=how.user, rotated=how.rotated)
    yield from create(new, after)
    return after


def delete(key: str) -> Dialogue[bool]:
    return bool((yield ("DEL", key)))


def of_user(user: str) -> Dialogue[list[Listed]]:
    index = user_key(user)
    found: list[Listed] = []
    for member in (yield ("SMEMBERS", index)):
        key = member.decode()
        record = yield from read(key)
        if record is None or record.user != user:
            yield ("SREM", index, key)
        else:
            found.append(Listed(key, public_id(key), record.created, record.touched, record.expire_at))
    return sorted(found, key=lambda session: session.created)


def revoke_user(user: str, keep: str | None) -> Dialogue[int]:
    index = user_key(user)
    ended = 0
    for member in (yield ("SMEMBERS", index)):
        if member.decode() != keep:
            ended += yield ("DEL", member)
            yield ("SREM", index, member)
    return ended


def check(url: str) -> Dialogue[list[str]]:
    """What an operator should know; a server that keeps its settings to itself is asked nothing more."""
    words: list[str] = []
    address = urlsplit(url)
    far = (
        address.scheme != "unix"
        and address.hostname not in ("localhost", "::1")
        and not str(address.hostname).startswith("127.")
    )
    if far and address.scheme not in ("valkeys", "rediss"):
        words.append("the link to the session store is not encrypted; use valkeys:// or rediss://")
    if far and not address.password:
        words.append("the session store asks for no password; give it a user that may only do what sessions need")
    elif far and (address.username or "default") == "default":
        words.append("the session store is used as the user 'default', who may do everything; give it its own")
    try:
        reply = yield ("CONFIG", "GET", "maxmemory-policy")
        facts = yield ("INFO",)
    except StoreUnavailable:
        return words
    policy = reply[1] if isinstance(reply, list) else next(iter(reply.values()), b"")
    if (policy.decode() if isinstance(policy, bytes) else str(policy)).startswith("allkeys"):
        words.append(f"maxmemory-policy is {policy!s}: sessions are evicted before they end; use noeviction")
    if int(facts.get("evicted_keys", 0)):
        words.append(f"{facts['evicted_keys']} keys were evicted since the server started; give it more memory")
    if not int(facts.get("aof_enabled", 0)) and not int(facts.get("rdb_last_save_time", 0)):
        words.append("the server keeps nothing over a restart; turn on appendonly or save")
    return words


class _Client:
    """What both faces need to know to make a client: the library, the URL and the limits of time."""

    def __init__(self, url: str, deadline: float) -> None:
        self.url = url
        scheme, separator, rest = url.partition("://")
        self.library, native = _library()
        # Each library knows only its own names of the schemes.
        plain, secure = ("valkey", "valkeys") if native else ("redis", "rediss")
        names = {"valkey": plain, "redis": plain, "valkeys": secure, "rediss": secure, "unix": "unix"}
        self.client_url = names[scheme.lower()] + separator + rest
        self.options: dict[str, Any] = {
            "socket_timeout": deadline,
            "socket_connect_timeout": deadline,
            "socket_keepalive": True,
        }
        if not native:
            # redis-py's own defaults retry for seconds; when to ask again is decided by the runner and the breaker.
            from redis.backoff import NoBackoff
            from redis.retry import Retry

            self.options["retry"] = Retry(NoBackoff(), 0)
        if scheme == "unix":
            self.options.pop("socket_keepalive")

    def failure(self, error: Exception) -> StoreUnavailable:
        """What became of a command, without the server's own words: they may repeat keys and values."""
        kind = type(error)
        timed_out = isinstance(error, TimeoutError) or kind.__name__ == "TimeoutError"
        if timed_out:
            said = "did not answer in time"
        elif isinstance(error, (OSError, self.library.ConnectionError)):
            said = "cannot be reached"
        else:
            said = f"refused a command ({kind.__name__})"
        failure = StoreUnavailable(f"the session store {said}", timed_out=timed_out)
        failure.__cause__ = error
        return failure


class ValkeyStore:
    """The sync face. Connections are pooled; a forked child opens its own (the library's pool sees to it)."""

    caps = CAPS

    def __init__(self, url: str, deadline: float = 0.25) -> None:
        self._made = _Client(url, deadline)
        library = self._made.library
        client = getattr(library, "Valkey", None) or library.Redis
        self._client = client.from_url(self._made.client_url, **self._made.options)
        self._failures = (library.RedisError if not hasattr(library, "ValkeyError") else library.ValkeyError, OSError)
        self._unknown = library.exceptions.NoScriptError

    def read(self, key: str) -> Record | None:
        return self._hold(read(key))

    def create(self, key: str, record: Record) -> bool:
        return self._hold(create(key, record))

    def patch(self, key: str, patch: Patch, seen: Record | None = None) -> Outcome:
        return self._hold(_patch(key, patch, seen))

    def take(self, key: str, name: str) -> bytes | None:
        return self._hold(take(key, name))

    def move(self, old: str, new: str, move: Move) -> Record | Outcome:
        return self._hold(_move(old, new, move))

    def delete(self, key: str) -> bool:
        return self._hold(delete(key))

    def of_user(self, user: str) -> list[Listed]:
        return self._hold(of_user(user))

    def revoke_user(self, user: str, keep: str | None = None) -> int:
        return self._hold(revoke_user(user, keep))

    def purge(self) -> int:
        return 0

    def check(self) -> list[str]:
        return self._hold(check(self._made.url))

    def close(self) -> None:
        self._client.close()

    def _hold(self, dialogue: Dialogue[T]) -> T:
        try:
            command = dialogue.send(None)
            while True:
                try:
                    reply = self._ask(command)
                except self._failures as error:
                    command = dialogue.throw(self._made.failure(error))
                    continue
                command = dialogue.send(reply)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def _ask(self, command: Command) -> Any:
        first, *rest = command
        if not isinstance(first, Script):
            return self._client.execute_command(first, *rest)
        try:
            return self._client.execute_command("EVALSHA", first.sha, 1, *rest)
        except self._unknown:  # a new server, or its scripts were flushed
            return self._client.execute_command("EVAL", first.text, 1, *rest)


class AsyncValkeyStore:
    """The asyncio face: a client for each event loop, dropped with it; a forked child makes its own."""

    caps = CAPS
    bounded = True  # each command ends within the deadline; the runner's timer would be a second one

    def __init__(self, url: str, deadline: float = 0.25) -> None:
        self._made = _Client(url, deadline)
        self._deadline = deadline
        library = self._made.library
        self._failures = (library.RedisError if not hasattr(library, "ValkeyError") else library.ValkeyError, OSError)
        self._unknown = library.exceptions.NoScriptError
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[int, Any]] = (
            weakref.WeakKeyDictionary()
        )

    async def read(self, key: str) -> Record | None:
        return await self._hold(read(key))

    async def create(self, key: str, record: Record) -> bool:
        return await self._hold(create(key, record))

    async def patch(self, key: str, patch: Patch, seen: Record | None = None) -> Outcome:
        return await self._hold(_patch(key, patch, seen))

    async def take(self, key: str, name: str) -> bytes | None:
        return await self._hold(take(key, name))

    async def move(self, old: str, new: str, move: Move) -> Record | Outcome:
        return await self._hold(_move(old, new, move))

    async def delete(self, key: str) -> bool:
        return await self._hold(delete(key))

    async def of_user(self, user: str) -> list[Listed]:
        return await self._hold(of_user(user))

    async def revoke_user(self, user: str, keep: str | None = None) -> int:
        return await self._hold(revoke_user(user, keep))

    async def purge(self) -> int:
        return 0

    async def check(self) -> list[str]:
        return await self._hold(check(self._made.url))

    async def close(self) -> None:
        _, client = self._clients.pop(asyncio.get_running_loop(), (0, None))
        if client is not None:
            await client.aclose()

    async def _hold(self, dialogue: Dialogue[T]) -> T:
        client = self._client()
        try:
            command = dialogue.send(None)
            while True:
                try:
                    reply = await self._ask(client, command)
                except self._failures as error:
                    command = dialogue.throw(self._made.failure(error))
                    continue
                command = dialogue.send(reply)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    async def _ask(self, client: Any, command: Command) -> Any:
        first, *rest = command
        async with asyncio.timeout(self._deadline):
            if not isinstance(first, Script):
                return await client.execute_command(first, *rest)
            try:
                return await client.execute_command("EVALSHA", first.sha, 1, *rest)
            except self._unknown:
                return await client.execute_command("EVAL", first.text, 1, *rest)

    def _client(self) -> Any:
        loop = asyncio.get_running_loop()
        pid, client = self._clients.get(loop, (0, None))
        if client is None or pid != os.getpid():
            library = self._made.library.asyncio
            # The client's own limit makes a task of every command, and costs a quarter of it; ours is in `_ask`.
            options = self._made.options | {"socket_timeout": None}
            if "retry" in options:
                from redis.asyncio.retry import Retry
                from redis.backoff import NoBackoff

                options["retry"] = Retry(NoBackoff(), 0)
            kind = getattr(library, "Valkey", None) or library.Redis
            client = kind.from_url(self._made.client_url, **options)
            self._clients[loop] = (os.getpid(), client)
        return client


_patch, _move = patch, move  # the methods have arguments of these names


def _library() -> tuple[ModuleType, bool]:
    """The client that is installed, and whether it is valkey-py (the faster one; redis-py does as well)."""
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
        raise Misconfigured(
            "a session store in Valkey or Redis needs a client: pip install 'fungible-kit[valkey]'"
        ) from None
