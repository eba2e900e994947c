"""A user's sessions are listed, and ended together."""

from __future__ import annotations

import secrets

from fungible_kit.sessions.conformance.case import Cases, Ground, Skipped
from fungible_kit.sessions.errors import NotSupported
from fungible_kit.sessions.record import GONE, Move

cases = Cases()


def _user(ground: Ground) -> str:
    if not ground.store.caps.index:
        raise Skipped("caps.index is False")
    return f"ann-{secrets.token_hex(8)}"


@cases("a user's sessions are listed, oldest first, and nobody else's")
def listed(ground: Ground) -> None:
    user = _user(ground)
    keys = [ground.created({}, user=user) for _ in range(3)]
    ground.created({}, user=f"{user}x")
    ground.created({})
    found = ground.store.of_user(user)
    assert {session.key for session in found} == set(keys)
    assert all(session.created == ground.now and session.expires == ground.now + 600 for session in found)
    assert all(len(session.public_id) == 12 for session in found)
    assert ground.store.of_user(f"{user}y") == []


@cases("all of a user's sessions but one are ended, and a slow writer does not bring them back")
def revoked(ground: Ground) -> None:
    user = _user(ground)
    keys = [ground.created({"a": b"1"}, user=user) for _ in range(3)]
    other = ground.created({}, user=f"{user}x")
    seen = ground.store.read(keys[1])
    assert ground.store.revoke_user(user, keys[0]) == 2
    assert ground.store.patch(keys[1], ground.patch(set={"a": b"2"}), seen) is GONE
    assert [session.key for session in ground.store.of_user(user)] == [keys[0]]
    assert ground.store.read(keys[1]) is None and ground.store.read(other) is not None
    assert ground.store.revoke_user(user) == 1
    assert ground.store.of_user(user) == [] and ground.store.revoke_user(user) == 0


@cases("a session that ended is not listed")
def ended_is_not_listed(ground: Ground) -> None:
    user = _user(ground)
    keys = [ground.created({}, user=user) for _ in range(2)]
    ground.store.delete(keys[0])
    assert [session.key for session in ground.store.of_user(user)] == [keys[1]]


@cases("a session is listed from its login on, and once after a rotation")
def rotated_is_listed_once(ground: Ground) -> None:
    user = _user(ground)
    key, second, third = ground.created({"a": b"1"}), ground.key(), ground.key()
    ground.store.move(key, second, Move(ground.patch(), user, ground.now))
    assert [session.key for session in ground.store.of_user(user)] == [second]
    ground.store.move(second, third, Move(ground.patch(), user, ground.now, None, 30))
    assert [session.key for session in ground.store.of_user(user)] == [third]
    assert ground.store.revoke_user(user) >= 1
    assert ground.store.read(third) is None


@cases("a session is listed from the moment that a patch signs a user in")
def signed_in_by_patch(ground: Ground) -> None:
    user = _user(ground)
    key = ground.created({"a": b"1"})
    seen = ground.store.read(key)
    ground.store.patch(key, ground.patch(user=user), seen)
    found = ground.store.read(key)
    assert found is not None and found.user == user and found.fields == {"a": b"1"}
    assert [session.key for session in ground.store.of_user(user)] == [key]


@cases("a store without an index says so")
def no_index(ground: Ground) -> None:
    if ground.store.caps.index:
        raise Skipped("caps.index is True")
    for call in (lambda: ground.store.of_user("ann"), lambda: ground.store.revoke_user("ann")):
        try:
            call()
        except NotSupported:
            continue
        raise AssertionError("it neither lists nor says that it cannot")


CASES = cases.all()
