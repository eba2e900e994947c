"""Patches: only what they name changes, or nothing at all."""

from __future__ import annotations

from fungible_kit.sessions.conformance.case import Cases, Ground
from fungible_kit.sessions.record import GONE, Applied, Conflict, Refused

cases = Cases()


@cases("a patch sets what it names and keeps the rest")
def sets(ground: Ground) -> None:
    key = ground.created({"a": b"1", "b": b"2"})
    assert isinstance(ground.store.patch(key, ground.patch(set={"b": b"3", "c": b"4"})), Applied)
    assert ground.fields(key) == {"a": b"1", "b": b"3", "c": b"4"}


@cases("a patch deletes what it names; what is not there is no error")
def deletes(ground: Ground) -> None:
    key = ground.created({"a": b"1", "b": b"2"})
    assert isinstance(ground.store.patch(key, ground.patch(delete=frozenset({"b", "z"}))), Applied)
    assert ground.fields(key) == {"a": b"1"}


@cases("a session whose last value was deleted is a session")
def emptied(ground: Ground) -> None:
    key = ground.created({"a": b"1"})
    ground.store.patch(key, ground.patch(delete=frozenset({"a"})))
    assert ground.fields(key) == {}


@cases("a patch keeps the user and the absolute limit")
def keeps(ground: Ground) -> None:
    key = ground.created({"a": b"1"}, user="ann")
    before = ground.store.read(key)
    ground.store.patch(key, ground.patch(set={"a": b"2"}, touched=ground.now + 5, idle_at=ground.now + 900))
    after = ground.store.read(key)
    assert before is not None and after is not None
    assert (after.user, after.absolute, after.created) == (before.user, before.absolute, before.created)
    assert (after.touched, after.idle_at) == (ground.now + 5, ground.now + 900)


@cases("a patch never creates")
def never_creates(ground: Ground) -> None:
    key = ground.key()
    assert ground.store.patch(key, ground.patch(set={"a": b"1"})) is GONE
    assert ground.store.read(key) is None


@cases("a slow writer does not bring a session back that was ended meanwhile")
def no_resurrection(ground: Ground) -> None:
    key = ground.created({"a": b"1"})
    seen = ground.store.read(key)
    ground.store.delete(key)
    assert ground.store.patch(key, ground.patch(set={"a": b"2"}), seen) is GONE
    assert ground.store.read(key) is None


@cases("a slow reader that moves the idle limit on does not bring it back either")
def no_resurrection_by_touch(ground: Ground) -> None:
    key = ground.created({"a": b"1"})
    seen = ground.store.read(key)
    ground.store.delete(key)
    assert ground.store.patch(key, ground.patch(), seen) is GONE
    assert ground.store.read(key) is None


@cases("a patch on an old view is merged with what came between")
def merged(ground: Ground) -> None:
    key = ground.created({"a": b"1", "b": b"1", "c": b"1"})
    seen = ground.store.read(key)
    ground.store.patch(key, ground.patch(set={"a": b"2"}, delete=frozenset({"c"})), seen)
    ground.store.patch(key, ground.patch(set={"b": b"2"}), seen)
    assert ground.fields(key) == {"a": b"2", "b": b"2"}


@cases("of two writers of one name the last wins")
def last_wins(ground: Ground) -> None:
    key = ground.created({"a": b"1"})
    seen = ground.store.read(key)
    ground.store.patch(key, ground.patch(set={"a": b"2"}), seen)
    ground.store.patch(key, ground.patch(set={"a": b"3"}), seen)
    assert ground.fields(key) == {"a": b"3"}


@cases("the version grows with every change")
def version(ground: Ground) -> None:
    key = ground.created({"a": b"1"})
    first = ground.store.patch(key, ground.patch(set={"a": b"2"}))
    second = ground.store.patch(key, ground.patch(set={"a": b"3"}))
    assert isinstance(first, Applied) and isinstance(second, Applied) and second.version > first.version


@cases("what is expected and holds is written over")
def expected(ground: Ground) -> None:
    key = ground.created({"a": b"1"})
    patch = ground.patch(set={"a": b"2", "b": b"2"}, expect={"a": b"1", "b": None})
    assert isinstance(ground.store.patch(key, patch), Applied)
    assert ground.fields(key) == {"a": b"2", "b": b"2"}


@cases("where another value is there than expected, nothing is written and the names are told")
def conflict(ground: Ground) -> None:
    key = ground.created({"a": b"1", "b": b"1"})
    patch = ground.patch(set={"a": b"2", "b": b"2", "c": b"2"}, expect={"a": b"0", "b": None, "c": None})
    assert ground.store.patch(key, patch) == Conflict(frozenset({"a", "b"}))
    assert ground.fields(key) == {"a": b"1", "b": b"1"}


@cases("an old view is judged by what is there now")
def conflict_now(ground: Ground) -> None:
    key = ground.created({"a": b"1"})
    seen = ground.store.read(key)
    ground.store.patch(key, ground.patch(set={"a": b"2"}))
    assert ground.store.patch(key, ground.patch(set={"a": b"9"}, expect={"a": b"1"}), seen) == Conflict(
        frozenset({"a"})
    )
    ground.store.patch(key, ground.patch(set={"a": b"1"}))
    assert isinstance(ground.store.patch(key, ground.patch(set={"a": b"9"}, expect={"a": b"1"}), seen), Applied)


@cases("numbers are added, from nothing and downwards, and exactly beyond 2**53")
def adds(ground: Ground) -> None:
    key = ground.created({"n": b"5", "big": b"%d" % 2**60})
    outcome = ground.store.patch(key, ground.patch(by={"n": -7, "m": 2, "big": 1}))
    assert isinstance(outcome, Applied) and outcome.numbers == {"n": -2, "m": 2, "big": 2**60 + 1}
    assert ground.fields(key) == {"n": b"-2", "m": b"2", "big": b"%d" % (2**60 + 1)}


@cases("adding to what is no whole number is refused, and nothing is written")
def adds_to_text(ground: Ground) -> None:
    key = ground.created({"t": b'"x"', "n": b"1"})
    patch = ground.patch(set={"a": b"1"}, by={"n": 1, "t": 1})
    assert ground.store.patch(key, patch) is Refused.NOT_A_NUMBER
    assert ground.fields(key) == {"t": b'"x"', "n": b"1"}


@cases("what would be too large is refused, and nothing is written")
def too_large(ground: Ground) -> None:
    key = ground.created({"a": b"x" * 60})
    patch = ground.patch(set={"b": b"x" * 60}, max_bytes=100)
    assert ground.store.patch(key, patch) is Refused.TOO_LARGE
    assert ground.fields(key) == {"a": b"x" * 60}


@cases("one name too many is refused, and nothing is written")
def too_many(ground: Ground) -> None:
    key = ground.created({"a": b"1", "b": b"1"})
    assert ground.store.patch(key, ground.patch(set={"c": b"1"}, max_names=2)) is Refused.TOO_LARGE
    assert ground.store.patch(key, ground.patch(by={"c": 1}, max_names=2)) is Refused.TOO_LARGE
    assert ground.fields(key) == {"a": b"1", "b": b"1"}


@cases("what is deleted and replaced makes room")
def makes_room(ground: Ground) -> None:
    key = ground.created({"a": b"x" * 60, "b": b"y" * 30})
    patch = ground.patch(set={"b": b"z" * 90}, delete=frozenset({"a"}), max_bytes=100, max_names=1)
    assert isinstance(ground.store.patch(key, patch), Applied)
    assert ground.fields(key) == {"b": b"z" * 90}


@cases("take reads and removes; what is not there is None and harms nothing")
def takes(ground: Ground) -> None:
    key = ground.created({"a": b"1", "once": b'"t"'})
    assert ground.store.take(key, "once") == b'"t"'
    assert ground.store.take(key, "once") is None
    assert ground.store.take(ground.key(), "once") is None
    assert ground.fields(key) == {"a": b"1"}


@cases("what was taken is not there for a writer with an old view")
def taken(ground: Ground) -> None:
    key = ground.created({"a": b"1", "once": b'"t"'})
    seen = ground.store.read(key)
    ground.store.take(key, "once")
    ground.store.patch(key, ground.patch(set={"a": b"2"}), seen)
    assert ground.fields(key) == {"a": b"2"}


CASES = cases.all()
