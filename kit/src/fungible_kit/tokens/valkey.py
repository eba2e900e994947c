"""Tokens in Valkey (or Redis from 6.2 on).

A hash a secret (`NAME:t:DIGEST`, the digest in base64url), and two sorted sets of such keys: those of a login
(`NAME:i:ID`) and those of a user (`NAME:u:USER`), by the time of their expiry. Writes are scripts, so each is one
atomic step. The keys of one script lie in different slots, so a cluster is not supported. Where the server has no
persistence or evicts keys, its restart or its memory limit ends logins: a token that is not found is refused.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Any

from fungible_kit.services.valkey import AsyncConnections, Command, Connections, Dialogue, Script
from fungible_kit.tokens.errors import StoreUnavailable
from fungible_kit.tokens.record import Row
from fungible_kit.tokens.store import (
    MOST,
    WHAT,
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
# KEYS: the token, its login, its user. ARGV: now, expiry to keep, then the fields.
_INSERT = Script(
    _KEEP
    + """
keep(KEYS[1], KEYS[2], KEYS[3], tonumber(ARGV[1]), tonumber(ARGV[2]), {unpack(ARGV, 3)})
return 1
""",
    keys=3,
)
# KEYS: the new token, its login, its user, the old token. ARGV: now, expiry to keep, since, then the fields.
_REPLACE = Script(
    _KEEP
    + """
local now, since = tonumber(ARGV[1]), tonumber(ARGV[3])
local old = redis.call('HMGET', KEYS[4], 'expires', 'revoked', 'replaced')
if not old[1] or tonumber(old[1]) <= now or old[2] then return 0 end
if old[3] and tonumber(old[3]) <= since then return 0 end
if not old[3] then redis.call('HSET', KEYS[4], 'replaced', now) end
keep(KEYS[1], KEYS[2], KEYS[3], now, tonumber(ARGV[2]), {unpack(ARGV, 4)})
return 1
""",
    keys=4,
)
_TOUCH = Script("""
local used = redis.call('HGET', KEYS[1], 'last_used')
if used and tonumber(used) <= tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], 'last_used', ARGV[1]) end
return 1
""")
_REVOKE = Script("""
local count = 0
for _, key in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local found = redis.call('HMGET', key, 'id', 'revoked')
  if found[1] and found[1] ~= ARGV[2] and not found[2] then
    redis.call('HSET', key, 'revoked', ARGV[1])
    count = count + 1
  end
end
return count
""")
_OF_USER = Script("""
local found = {}
for _, key in ipairs(redis.call('ZREVRANGE', KEYS[1], 0, -1)) do
  local state = redis.call('HMGET', key, 'expires', 'revoked', 'replaced')
  if state[1] and tonumber(state[1]) > tonumber(ARGV[1]) and not state[2] and not state[3] then
    found[#found + 1] = redis.call('HGETALL', key)
    if #found == tonumber(ARGV[2]) then break end
  end
end
return found
""")


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
                return ("HGETALL", self.token(digest))
            case Insert(row):
                return (_INSERT, *self._keys(row), row.issued, _kept(row), *_flat(row))
            case Replace(old, new, now, since):
                return (_REPLACE, *self._keys(new), self.token(old), now, _kept(new), since, *_flat(new))
            case Touch(digest, now, before):
                return (_TOUCH, self.token(digest), now, before)
            case RevokeLogin(id, now):
                return (_REVOKE, f"{self.name}:i:{id}", now, "")
            case RevokeUser(user_id, now, keep):
                return (_REVOKE, f"{self.name}:u:{user_id}", now, keep or "")
            case OfUser(user_id, now):
                return (_OF_USER, f"{self.name}:u:{user_id}", now, MOST)
            case Purge() | Create():
                return None

    def result(self, operation: Operation, answer: Any) -> Any:
        match operation:
            case Find(digest):
                return _row(digest, answer) if answer else None
            case OfUser():
                return [_row(b"", flat) for flat in answer]
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


class ValkeyStore:
    """Tokens in the server of `url` (`valkey://`, `redis://`, `valkeys://`, `rediss://`, `unix://`). `deadline` is in
    seconds, for connecting and for each answer. An operation whose connection turns out to be cut is done once more
    on a new one; one that got no answer in time is not.
    """

    def __init__(self, url: str, name: str, deadline: float) -> None:
        self.layout = Layout(name)
        self._connections = Connections(url, deadline, StoreUnavailable, WHAT)
        self._aconnections = AsyncConnections(url, deadline, StoreUnavailable, WHAT)

    def execute(self, operation: Operation) -> Any:
        return self._connections.hold(self._dialogue(operation))

    async def aexecute(self, operation: Operation) -> Any:
        return await self._aconnections.hold(self._dialogue(operation))

    def close(self) -> None:
        self._connections.close()

    async def aclose(self) -> None:
        await self._aconnections.close()
        self.close()

    def _dialogue(self, operation: Operation) -> Dialogue[Any]:
        command = self.layout.command(operation)
        if command is None:
            return self.layout.result(operation, None)
        try:
            answer = yield command
        except StoreUnavailable as error:
            if error.timed_out or not error.away:
                raise
            answer = yield command
        return self.layout.result(operation, answer)


_TIMES = ("created", "issued", "expires", "renew_until", "last_used", "replaced", "revoked")


def _kept(row: Row) -> int:
    return row.expires + KEPT_AFTER_EXPIRY


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


def _row(digest: bytes, reply: list[bytes] | dict[bytes, bytes]) -> Row:
    if isinstance(reply, list):  # of RESP 2
        reply = dict(zip(reply[::2], reply[1::2], strict=True))
    fields = {name.decode(): value.decode() for name, value in reply.items()}
    times = {name: int(fields[name]) if name in fields else None for name in _TIMES}
    scopes = tuple(fields["scopes"].split())
    return Row(digest, fields["id"], fields["user_id"], fields["kind"], scopes, fields["label"], **times)  # type: ignore[arg-type]
