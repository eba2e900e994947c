"""A session under a new id."""

from __future__ import annotations

from fungible_kit.sessions.conformance.case import Cases, Ground
from fungible_kit.sessions.record import GONE, Move, Record, Refused

cases = Cases()


@cases("a rotated session is under the new key alone, with the patch applied")
def moves(ground: Ground) -> None:
    old, new = ground.created({"a": b"1", "b": b"1"}, user="ann"), ground.key()
    patch = ground.patch(set={"a": b"2"}, delete=frozenset({"b"}))
    moved = ground.store.move(old, new, Move(patch, "ann", ground.now))
    found = ground.store.read(new)
    assert isinstance(moved, Record) and found is not None
    assert found.fields == moved.fields == {"a": b"2"} and found.user == "ann"
    assert ground.store.read(old) is None
    assert found.absolute == ground.now + 3600


@cases("a login begins a life of its own")
def restarts(ground: Ground) -> None:
    old, new = ground.created({"a": b"1"}), ground.key()
    ground.store.move(old, new, Move(ground.patch(), "ann", ground.now + 7, (ground.now + 7, ground.now + 7200)))
    found = ground.store.read(new)
    assert found is not None
    assert (found.user, found.created, found.absolute, found.rotated) == (
        "ann",
        ground.now + 7,
        ground.now + 7200,
        ground.now + 7,
    )


@cases("the old id is dead at once for a slow writer")
def old_is_dead(ground: Ground) -> None:
    old, new = ground.created({"a": b"1"}), ground.key()
    seen = ground.store.read(old)
    ground.store.move(old, new, Move(ground.patch(), "ann", ground.now))
    assert ground.store.patch(old, ground.patch(set={"a": b"2"}), seen) is GONE
    assert ground.store.read(old) is None and ground.fields(new) == {"a": b"1"}


@cases("within the grace the old key only leads to the new one")
def grace(ground: Ground) -> None:
    old, new = ground.created({"a": b"1"}, user="ann"), ground.key()
    seen = ground.store.read(old)
    ground.store.move(old, new, Move(ground.patch(), "ann", ground.now, None, 30))
    found = ground.store.read(old)
    assert found is not None and found.moved_to == new and not found.fields and found.user is None
    assert found.expire_at <= ground.now + 30
    assert ground.store.patch(old, ground.patch(set={"a": b"2"}), seen) is GONE
    assert ground.store.patch(old, ground.patch(set={"a": b"2"})) is GONE
    assert ground.store.move(old, ground.key(), Move(ground.patch(), "ann", ground.now)) is GONE
    assert ground.fields(new) == {"a": b"1"}


@cases("what is not there is not rotated")
def nothing_to_move(ground: Ground) -> None:
    new = ground.key()
    assert ground.store.move(ground.key(), new, Move(ground.patch(set={"a": b"1"}), "ann", ground.now)) is GONE
    assert ground.store.read(new) is None


@cases("a rotation that would be too large is refused, and the session stays")
def too_large_to_move(ground: Ground) -> None:
    old, new = ground.created({"a": b"x" * 60}), ground.key()
    how = Move(ground.patch(set={"b": b"x" * 60}, max_bytes=100), "ann", ground.now)
    assert ground.store.move(old, new, how) is Refused.TOO_LARGE
    assert ground.fields(old) == {"a": b"x" * 60} and ground.store.read(new) is None


CASES = cases.all()
