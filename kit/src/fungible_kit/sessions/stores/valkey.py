"""Sessions in Valkey or Redis: one command for nearly everything, through `valkey-py` or `redis-py`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

from fungible_kit.services.valkey import AsyncConnections, Connections, Dialogue
from fungible_kit.sessions.errors import Misconfigured, StoreUnavailable
from fungible_kit.sessions.identity import public_id, user_key
from fungible_kit.sessions.record import Listed, Move, Outcome, Patch, Record, Refused, pointer
from fungible_kit.sessions.stores import WHAT, Caps
from fungible_kit.sessions.stores import valkey_script as script

C = TypeVar("C")
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
        policy = _setting_in((yield ("CONFIG", "GET", "maxmemory-policy")))
        facts = yield ("INFO",)
        saves = _setting_in((yield ("CONFIG", "GET", "save")))
    except StoreUnavailable:
        return words
    facts = dict(line.split(":", 1) for line in facts.decode().splitlines() if ":" in line)
    if policy.startswith("allkeys"):
        words.append(f"maxmemory-policy is {policy}: sessions are evicted before they end; use noeviction")
    if int(facts.get("evicted_keys", 0)):
        words.append(f"{facts['evicted_keys']} keys were evicted since the server started; give it more memory")
    if not int(facts.get("aof_enabled", 0)) and not saves:  # a time of the last save is there from the start
        words.append("the server keeps nothing over a restart; turn on appendonly or save")
    return words


def _setting_in(reply: Any) -> str:
    """The value in an answer to CONFIG GET of one name, which is a list (RESP 2) or a mapping."""
    value = (reply[1] if len(reply) > 1 else b"") if isinstance(reply, list) else next(iter(reply.values()), b"")
    return value.decode() if isinstance(value, bytes) else str(value)


def _opened(face: Callable[..., C], url: str, deadline: float) -> C:
    try:
        return face(url, deadline, StoreUnavailable, WHAT)
    except ImportError as missing:
        raise Misconfigured(str(missing)) from None


class ValkeyStore:
    """The sync face."""

    caps = CAPS

    def __init__(self, url: str, deadline: float = 0.25) -> None:
        self._url = url
        self._connections = _opened(Connections, url, deadline)

    def read(self, key: str) -> Record | None:
        return self._connections.hold(read(key))

    def create(self, key: str, record: Record) -> bool:
        return self._connections.hold(create(key, record))

    def patch(self, key: str, patch: Patch, seen: Record | None = None) -> Outcome:
        return self._connections.hold(_patch(key, patch, seen))

    def take(self, key: str, name: str) -> bytes | None:
        return self._connections.hold(take(key, name))

    def move(self, old: str, new: str, move: Move) -> Record | Outcome:
        return self._connections.hold(_move(old, new, move))

    def delete(self, key: str) -> bool:
        return self._connections.hold(delete(key))

    def of_user(self, user: str) -> list[Listed]:
        return self._connections.hold(of_user(user))

    def revoke_user(self, user: str, keep: str | None = None) -> int:
        return self._connections.hold(revoke_user(user, keep))

    def purge(self) -> int:
        return 0

    def check(self) -> list[str]:
        return self._connections.hold(check(self._url))

    def close(self) -> None:
        self._connections.close()


class AsyncValkeyStore:
    """The asyncio face."""

    caps = CAPS
    bounded = True  # each command ends within the deadline; the runner's timer would be a second one

    def __init__(self, url: str, deadline: float = 0.25) -> None:
        self._url = url
        self._connections = _opened(AsyncConnections, url, deadline)

    async def read(self, key: str) -> Record | None:
        return await self._connections.hold(read(key))

    async def create(self, key: str, record: Record) -> bool:
        return await self._connections.hold(create(key, record))

    async def patch(self, key: str, patch: Patch, seen: Record | None = None) -> Outcome:
        return await self._connections.hold(_patch(key, patch, seen))

    async def take(self, key: str, name: str) -> bytes | None:
        return await self._connections.hold(take(key, name))

    async def move(self, old: str, new: str, move: Move) -> Record | Outcome:
        return await self._connections.hold(_move(old, new, move))

    async def delete(self, key: str) -> bool:
        return await self._connections.hold(delete(key))

    async def of_user(self, user: str) -> list[Listed]:
        return await self._connections.hold(of_user(user))

    async def revoke_user(self, user: str, keep: str | None = None) -> int:
        return await self._connections.hold(revoke_user(user, keep))

    async def purge(self) -> int:
        return 0

    async def check(self) -> list[str]:
        return await self._connections.hold(check(self._url))

    async def close(self) -> None:
        await self._connections.close()


_patch, _move = patch, move  # the methods have arguments of these names
