"""What is written is what is read."""

from __future__ import annotations

from fungible_kit.sessions.conformance.case import Cases, Ground

cases = Cases()


@cases("a key that was never written is nothing")
def nothing(ground: Ground) -> None:
    assert ground.store.read(ground.key()) is None


@cases("a record is read as it was written, with its times and its user")
def round_trip(ground: Ground) -> None:
    key, record = ground.key(), ground.record({"cart": b"[1,2]", "n": b"3"}, user="ann@example.org")
    assert ground.store.create(key, record)
    assert ground.store.read(key) == record


@cases("a second create under a key writes nothing")
def create_once(ground: Ground) -> None:
    key = ground.created({"a": b"1"})
    assert not ground.store.create(key, ground.record({"b": b"2"}))
    assert ground.fields(key) == {"a": b"1"}


@cases("a session without values is a session")
def without_values(ground: Ground) -> None:
    key = ground.created({}, user="ann")
    found = ground.store.read(key)
    assert found is not None and found.fields == {} and found.user == "ann"


@cases("every byte comes back")
def binary(ground: Ground) -> None:
    fields = {"all": bytes(range(256)), "zero": b"\0" * 9, "lines": b"a\r\nb\n", "none": b""}
    assert ground.fields(ground.created(fields)) == fields


@cases("a value of 64 KiB comes back")
def large(ground: Ground) -> None:
    fields = {"v": b"x" * 65535}
    assert ground.fields(ground.created(fields)) == fields


@cases("256 names come back")
def many_names(ground: Ground) -> None:
    fields = {f"name {i}": b"%d" % i for i in range(256)}
    assert ground.fields(ground.created(fields)) == fields


@cases("names of any text come back")
def odd_names(ground: Ground) -> None:
    fields = dict.fromkeys((" ", "a\nb", "ключ", "🗝", "@tuple", "v", "c\x00d", '"', "x" * 128), b"1")
    assert ground.fields(ground.created(fields)) == fields


@cases("a user's id of any text comes back")
def odd_user(ground: Ground) -> None:
    found = ground.store.read(ground.created({}, user="Zoë O'Neil; DROP\n'\"🗝"))
    assert found is not None and found.user == "Zoë O'Neil; DROP\n'\"🗝"


@cases("two sessions are apart")
def apart(ground: Ground) -> None:
    one, two = ground.created({"a": b"1"}), ground.created({"a": b"2"})
    ground.store.delete(one)
    assert ground.store.read(one) is None and ground.fields(two) == {"a": b"2"}


@cases("delete says whether there was a session")
def delete(ground: Ground) -> None:
    key = ground.created()
    assert ground.store.delete(key) and not ground.store.delete(key)


@cases("another handle sees what was written")
def two_handles(ground: Ground) -> None:
    key = ground.created({"a": b"1"})
    other = ground.make()
    try:
        other.patch(key, ground.patch(set={"b": b"2"}))
        assert ground.fields(key) == {"a": b"1", "b": b"2"}
        other.delete(key)
        assert ground.store.read(key) is None
    finally:
        other.close()


@cases("a handle that was closed opens again")
def closed(ground: Ground) -> None:
    key = ground.created({"a": b"1"})
    other = ground.make()
    other.close()
    if type(other).__name__ != "_Blocking":  # an event loop that was closed stays closed
        assert other.read(key) is not None
        other.close()


CASES = cases.all()
