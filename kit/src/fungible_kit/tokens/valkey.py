"""Tokens in Valkey (or Redis from 6.2 on), by its client library.

A hash a secret (`NAME:t:DIGEST`, the digest in base64url), and two sorted sets of such keys: those of a login
(`NAME:i:ID`) and those of a user (`NAME:u:USER`), by the time of their expiry. Writes are scripts, so each is one
atomic step. The keys of one script lie in different slots, so a cluster is not supported. Where the server has no
persistence or evicts keys, its restart or its memory limit ends logins: a token that is not found is refused.
"""

from __future__ import annotations

import asyncio
import weakref
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fungible_kit.tokens.errors import StoreUnavailable
from fungible_kit.tokens.record import Row
from fungible_kit.tokens.store import (
    MOST,
    Create,
    Find,
    Insert,
    OfUser,
    Operation,
    Purge,
    Replace,
    RevokeLogin,
    RevokeUser,
    Touch,
    check_name,
)

try:
    import valkey
    import valkey.asyncio
    from valkey.backoff import NoBackoff
    from valkey.exceptions import ConnectionError as ConnectionLost
    from valkey.exceptions import ValkeyError
    from valkey.retry import Retry
except ImportError as missing:
    raise ImportError(f"tokens in Valkey need fungible-kit[valkey]: {missing}") from missing

KEPT_AFTER_EXPIRY = 3600
"""Seconds for which an expired token is still known as one, for the log."""

_KEEP = """
local function keep(key, login, user, now, expires, fields)
  redis.call('HSET', key, unpack(fields))
  redis.call('EXPIREAT', key, expires)
  for _, set in ipairs({login, user}) do
    redis.call('ZREMRANGEBYSCORE', set, '-inf', now)
    redis.call('ZADD', set, expires, key)
    if redis.call('TTL', set) < expires - now then redis.call('EXPIREAT', set, expires) end
  end
end
"""
_INSERT = (
    _KEEP
    + """
keep(KEYS[1], KEYS[2], KEYS[3], tonumber(ARGV[1]), tonumber(ARGV[2]), {unpack(ARGV, 3)})
return 1
"""
)
# KEYS: the new token, its login, its user, the old token. ARGV: now, expiry to keep, since, then the fields.
_REPLACE = (
    _KEEP
    + """
local now, since = tonumber(ARGV[1]), tonumber(ARGV[3])
local old = redis.call('HMGET', KEYS[4], 'expires', 'revoked', 'replaced')
if not old[1] or tonumber(old[1]) <= now or old[2] then return 0 end
if old[3] and tonumber(old[3]) <= since then return 0 end
if not old[3] then redis.call('HSET', KEYS[4], 'replaced', now) end
keep(KEYS[1], KEYS[2], KEYS[3], now, tonumber(ARGV[2]), {unpack(ARGV, 4)})
return 1
"""
)
_TOUCH = """
local used = redis.call('HGET', KEYS[1], 'last_used')
if used and tonumber(used) <= tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], 'last_used', ARGV[1]) end
return 1
"""
_REVOKE = """
local count = 0
for _, key in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local found = redis.call('HMGET', key, 'id', 'revoked')
  if found[1] and found[1] ~= ARGV[2] and not found[2] then
    redis.call('HSET', key, 'revoked', ARGV[1])
    count = count + 1
  end
end
return count
"""
_OF_USER = """
local found = {}
for _, key in ipairs(redis.call('ZREVRANGE', KEYS[1], 0, -1)) do
  local state = redis.call('HMGET', key, 'expires', 'revoked', 'replaced')
  if state[1] and tonumber(state[1]) > tonumber(ARGV[1]) and not state[2] and not state[3] then
    found[#found + 1] = redis.call('HGETALL', key)
    if #found == tonumber(ARGV[2]) then break end
  end
end
return found
"""


@dataclass(frozen=True)
class Command:
    """A command of the server, or a script with its keys and arguments."""

    name: str
    keys: tuple[str, ...]
    arguments: tuple[Any, ...] = ()
    script: str | None = None


@dataclass(frozen=True)
class Layout:
    """Operations to commands, and answers to values. Pure."""

    name: str

    def __post_init__(self) -> None:
        check_name(self.name)

    def command(self, operation: Operation) -> Command | None:
        """None: the server does that by itself."""
        match operation:
            case Find(digest):
                return Command("HGETALL", (self.token(digest),))
            case Insert(row):
                return self._script(_INSERT, self._keys(row), row.issued, _kept(row), *_flat(row))
            case Replace(old, new, now, since):
                return self._script(
                    _REPLACE, (*self._keys(new), self.token(old)), now, _kept(new), since, *_flat(new)
                )
            case Touch(digest, now, before):
                return self._script(_TOUCH, (self.token(digest),), now, before)
            case RevokeLogin(id, now):
                return self._script(_REVOKE, (f"{self.name}:i:{id}",), now, "")
            case RevokeUser(user_id, now, keep):
                return self._script(_REVOKE, (f"{self.name}:u:{user_id}",), now, keep or "")
            case OfUser(user_id, now):
                return self._script(_OF_USER, (f"{self.name}:u:{user_id}",), now, MOST)
            case Purge() | Create():
                return None

    def result(self, operation: Operation, answer: Any) -> Any:
        match operation:
            case Find(digest):
                return _row(digest, answer) if answer else None
            case OfUser():
                return [_row(b"", dict(zip(flat[::2], flat[1::2], strict=True))) for flat in answer]
            case Replace():
                return bool(answer)
            case RevokeLogin() | RevokeUser():
                return int(answer)
            case Purge():
                return 0
            case _:
                return None

    def token(self, digest: bytes) -> str:
        return f"{self.name}:t:{urlsafe_b64encode(digest).decode().rstrip('=')}"

    def _keys(self, row: Row) -> tuple[str, ...]:
        return self.token(row.digest), f"{self.name}:i:{row.id}", f"{self.name}:u:{row.user_id}"

    def _script(self, script: str, keys: tuple[str, ...], *arguments: Any) -> Command:
        return Command("EVALSHA", keys, arguments, script)


class ValkeyStore:
    """Tokens in the server of `url` (`valkey://`, `redis://`, `rediss://`, `unix://`). `deadline` is in seconds, for
    connecting and for each answer. An operation whose connection turns out to be cut is done once more on a new one;
    one that got no answer in time is not."""

    def __init__(self, url: str, name: str, deadline: float) -> None:
        self.layout = Layout(name)
        self._url = url
        self._options: dict[str, Any] = {
            "socket_timeout": deadline,
            "socket_connect_timeout": deadline,
            "decode_responses": True,
        }
        self._client: Any = valkey.Valkey.from_url(url, retry=Retry(NoBackoff(), 0), **self._options)
        self._scripts: dict[str, Any] = {}
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Any, dict[str, Any]]]
        self._clients = weakref.WeakKeyDictionary()

    def execute(self, operation: Operation) -> Any:
        command = self.layout.command(operation)
        if command is None:
            return self.layout.result(operation, None)
        try:
            try:
                answer = self._ask(command)
            except ConnectionLost:
                self._client.connection_pool.disconnect(inuse_connections=False)
                answer = self._ask(command)
        except (ValkeyError, OSError) as error:
            raise StoreUnavailable(f"Valkey: {error}") from error
        return self.layout.result(operation, answer)

    async def aexecute(self, operation: Operation) -> Any:
        command = self.layout.command(operation)
        if command is None:
            return self.layout.result(operation, None)
        try:
            try:
                answer = await self._aask(command)
            except ConnectionLost:
                await self._loops_client()[0].connection_pool.disconnect(inuse_connections=False)
                answer = await self._aask(command)
        except (ValkeyError, OSError, TimeoutError) as error:
            raise StoreUnavailable(f"Valkey: {error}") from error
        return self.layout.result(operation, answer)

    def close(self) -> None:
        self._client.close()

    async def aclose(self) -> None:
        client, _ = self._clients.pop(asyncio.get_running_loop(), (None, None))
        if client is not None:
            await client.aclose()
        self.close()

    def _ask(self, command: Command) -> Any:
        if command.script is None:
            return self._client.execute_command(command.name, *command.keys)
        script = self._scripts.get(command.script)
        if script is None:
            script = self._scripts[command.script] = self._client.register_script(command.script)
        return script(keys=command.keys, args=_texts(command.arguments))

    async def _aask(self, command: Command) -> Any:
        client, scripts = self._loops_client()
        if command.script is None:
            return await client.execute_command(command.name, *command.keys)
        script = scripts.get(command.script)
        if script is None:
            script = scripts[command.script] = client.register_script(command.script)
        return await script(keys=command.keys, args=_texts(command.arguments))

    def _loops_client(self) -> tuple[Any, dict[str, Any]]:
        loop = asyncio.get_running_loop()
        found = self._clients.get(loop)
        if found is None:
            found = (valkey.asyncio.Valkey.from_url(self._url, **self._options), {})
            self._clients[loop] = found
        return found


_TIMES = ("created", "issued", "expires", "renew_until", "last_used", "replaced", "revoked")


def _kept(row: Row) -> int:
    return row.expires + KEPT_AFTER_EXPIRY


def _texts(arguments: Sequence[Any]) -> list[str]:
    return [str(argument) for argument in arguments]


def _flat(row: Row) -> list[Any]:
    texts = [
        "id",
        row.id,
        "user_id",
        row.user_id,
        "kind",
        row.kind,
        "scopes",
        " ".join(row.scopes),
        "label",
        row.label,
    ]
    times = [(name, getattr(row, name)) for name in _TIMES]
    return texts + [word for name, value in times if value is not None for word in (name, value)]


def _row(digest: bytes, fields: dict[str, str]) -> Row:
    times = {name: int(fields[name]) if name in fields else None for name in _TIMES}
    scopes = tuple(fields["scopes"].split())
    return Row(digest, fields["id"], fields["user_id"], fields["kind"], scopes, fields["label"], **times)  # type: ignore[arg-type]
