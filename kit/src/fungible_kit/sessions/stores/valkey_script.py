"""How a session stands in Valkey or Redis, and the scripts that change it in one step.

A session is a HASH: names and encoded values, and reserved fields that begin with a zero byte. A user's sessions
are a SET of keys. Every script touches one key, so a cluster may place keys where it likes. Works from Redis 6.2
and Valkey 7.2 on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fungible_kit.services.valkey import Script
from fungible_kit.sessions.record import Applied, Conflict, Outcome, Patch, Record, Refused

VERSION, CREATED, ABSOLUTE, TOUCHED = b"\0v", b"\0c", b"\0a", b"\0t"
IDLE, USER, ROTATED, MOVED = b"\0i", b"\0u", b"\0r", b"\0m"


_PATCH = r"""
local all = redis.call('HGETALL', KEYS[1])
if #all == 0 then return {'gone'} end
local has, size, names = {}, 0, 0
for i = 1, #all, 2 do
  has[all[i]] = all[i + 1]
  if string.byte(all[i]) ~= 0 then size = size + #all[i] + #all[i + 1]; names = names + 1 end
end
if has['\0m'] then return {'gone'} end
local at = 5
local function next_arg() at = at + 1; return ARGV[at] end
local differs = {}
for _ = 1, tonumber(next_arg()) do
  local name, there, value = next_arg(), next_arg(), next_arg()
  if there == '1' then
    if has[name] ~= value then differs[#differs + 1] = name end
  elseif has[name] then differs[#differs + 1] = name end
end
if #differs > 0 then return {'conflict', unpack(differs)} end
local function drop(name)
  if has[name] then size = size - #name - #has[name]; names = names - 1; has[name] = nil end
end
local deletes, sets, sums = {}, {}, {}
for _ = 1, tonumber(next_arg()) do
  local name = next_arg()
  drop(name)
  deletes[#deletes + 1] = name
end
local grows = false
for _ = 1, tonumber(next_arg()) do
  local name, value = next_arg(), next_arg()
  drop(name)
  has[name] = value; size = size + #name + #value; names = names + 1
  sets[#sets + 1] = name; sets[#sets + 1] = value
  grows = true
end
for _ = 1, tonumber(next_arg()) do
  local name, by = next_arg(), next_arg()
  if has[name] and not string.match(has[name], '^%-?%d+$') then return {'number'} end
  if not has[name] then names = names + 1; size = size + #name + #by end
  sums[#sums + 1] = {name, by}
  grows = true
end
if grows and (size > tonumber(ARGV[3]) or names > tonumber(ARGV[4])) then return {'large'} end
for _, name in ipairs(deletes) do redis.call('HDEL', KEYS[1], name) end
redis.call('HSET', KEYS[1], '\0t', ARGV[1], '\0i', ARGV[2], unpack(sets))
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], '\0u', ARGV[5]) end
local version = redis.call('HINCRBY', KEYS[1], '\0v', 1)
for _, sum in ipairs(sums) do redis.call('HINCRBY', KEYS[1], sum[1], sum[2]) end
redis.call('EXPIREAT', KEYS[1], math.min(tonumber(ARGV[2]), tonumber(has['\0a'])))
"""
"""ARGV: touched, idle_at, max_bytes, max_names, user or '', then counted lists: expect, delete, set, by."""

PATCH = Script(
    _PATCH
    + r"""
local answer = {'ok', version}
for _, sum in ipairs(sums) do
  answer[#answer + 1] = sum[1]
  answer[#answer + 1] = redis.call('HGET', KEYS[1], sum[1])
end
return answer
"""
)

REMOVE = Script(
    _PATCH
    + r"""
local answer = redis.call('HGETALL', KEYS[1])
redis.call('DEL', KEYS[1])
local grace_ends = next_arg()
if grace_ends ~= '' then
  redis.call('HSET', KEYS[1], unpack(ARGV, at + 1))
  redis.call('EXPIREAT', KEYS[1], grace_ends)
end
return {'ok', answer}
"""
)
"""A patch, after which the hash is taken away and returned. ARGV ends with '', or with the end of the grace and the
hash to leave behind."""

CREATE = Script(r"""
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('EXPIREAT', KEYS[1], ARGV[1])
return 1
""")
"""ARGV: expire_at, then the whole hash."""

TAKE = Script(r"""
local value = redis.call('HGET', KEYS[1], ARGV[1])
if value then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('HINCRBY', KEYS[1], '\0v', 1)
end
return value
""")

INDEX = Script(r"""
redis.call('SADD', KEYS[1], ARGV[1])
local now, left = tonumber(ARGV[3]), redis.call('TTL', KEYS[1])
if left < 0 or now + left < tonumber(ARGV[2]) then redis.call('EXPIREAT', KEYS[1], ARGV[2]) end
return 1
""")
"""ARGV: the session's key, its absolute end, now."""

SCRIPTS = (PATCH, CREATE, TAKE, REMOVE, INDEX)


def patch_arguments(patch: Patch) -> list[Any]:
    arguments: list[Any] = [patch.touched, patch.idle_at, patch.max_bytes, patch.max_names]
    arguments += (patch.user or "", len(patch.expect))
    for name, value in patch.expect.items():
        arguments += (name, 0 if value is None else 1, value or b"")
    arguments += (len(patch.delete), *patch.delete, len(patch.set))
    for name, value in patch.set.items():
        arguments += (name, value)
    arguments.append(len(patch.by))
    for name, by in patch.by.items():
        arguments += (name, by)
    return arguments


def outcome_of(reply: Sequence[Any]) -> Outcome:
    kind = _bytes(reply[0])
    if kind == b"ok":
        pairs = reply[2:]
        numbers = {_bytes(pairs[i]).decode(): int(pairs[i + 1]) for i in range(0, len(pairs), 2)}
        return Applied(int(reply[1]), numbers)
    if kind == b"conflict":
        return Conflict(frozenset(_bytes(name).decode() for name in reply[1:]))
    return {b"gone": Refused.GONE, b"large": Refused.TOO_LARGE, b"number": Refused.NOT_A_NUMBER}[kind]


def hash_of(record: Record) -> list[Any]:
    """The arguments of HSET for a whole record."""
    pairs: list[Any] = [VERSION, record.version, CREATED, record.created, ABSOLUTE, record.absolute]
    pairs += (TOUCHED, record.touched, IDLE, record.idle_at, ROTATED, record.rotated)
    if record.user is not None:
        pairs += (USER, record.user)
    if record.moved_to is not None:
        pairs += (MOVED, record.moved_to)
    for name, value in record.fields.items():
        pairs += (name, value)
    return pairs


def record_of(reply: Mapping[bytes, bytes] | list[bytes]) -> Record | None:
    """The record of a HGETALL; None where the hash is empty or not one of ours."""
    if isinstance(reply, list):  # of RESP 2
        reply = dict(zip(reply[::2], reply[1::2], strict=True))
    if VERSION not in reply or ABSOLUTE not in reply:
        return None
    user, moved = reply.get(USER), reply.get(MOVED)
    return Record(
        {name.decode(): value for name, value in reply.items() if name[:1] != b"\0"},
        int(reply[CREATED]),
        int(reply[ABSOLUTE]),
        int(reply[TOUCHED]),
        int(reply[IDLE]),
        user.decode() if user is not None else None,
        int(reply[ROTATED]),
        int(reply[VERSION]),
        moved.decode() if moved is not None else None,
    )


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
