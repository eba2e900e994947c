"""Requests at the same moment."""

from __future__ import annotations

from functools import partial

from fungible_kit.sessions.conformance.case import Cases, Ground, together
from fungible_kit.sessions.record import GONE, Applied, Conflict, Move, Record

cases = Cases()

_WRITERS = 8


@cases("no update is lost: eight writers with one old view, eight names")
def lost_update(ground: Ground) -> None:
    key = ground.created({})
    for round in range(5):
        seen = ground.store.read(key)
        patches = [ground.patch(set={f"r{round}w{i}": b"1"}) for i in range(_WRITERS)]
        outcomes = together([partial(ground.store.patch, key, p, seen) for p in patches])
        assert all(isinstance(outcome, Applied) for outcome in outcomes)
    fields = ground.fields(key)
    assert fields is not None and len(fields) == 5 * _WRITERS


@cases("no sum is lost, and no two adders get the same one")
def lost_sum(ground: Ground) -> None:
    key = ground.created({})

    def add() -> list[int]:
        sums = []
        for _ in range(5):
            outcome = ground.store.patch(key, ground.patch(by={"n": 1}))
            assert isinstance(outcome, Applied)
            sums.append(outcome.numbers["n"])
        return sums

    sums = [n for many in together([add] * _WRITERS) for n in many]
    assert sorted(sums) == list(range(1, 5 * _WRITERS + 1))
    assert ground.fields(key) == {"n": b"%d" % (5 * _WRITERS)}


@cases("of writers that expect the same value, one writes")
def one_of_many(ground: Ground) -> None:
    key = ground.created({"a": b"0"})
    patches = [ground.patch(set={"a": b"%d" % i}, expect={"a": b"0"}) for i in range(1, _WRITERS + 1)]
    outcomes = together([partial(ground.store.patch, key, p) for p in patches])
    assert sum(isinstance(outcome, Applied) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == _WRITERS - 1


@cases("of requests that take a value, one gets it")
def one_takes(ground: Ground) -> None:
    key = ground.created({"once": b"1", "a": b"1"})
    taken = together([lambda: ground.store.take(key, "once")] * _WRITERS)
    assert sorted(value or b"" for value in taken) == [b""] * (_WRITERS - 1) + [b"1"]
    assert ground.fields(key) == {"a": b"1"}


@cases("of creates under one key, one writes")
def one_creates(ground: Ground) -> None:
    key = ground.key()
    record = ground.record({"a": b"1"})
    assert sum(together([lambda: ground.store.create(key, record)] * _WRITERS)) == 1


@cases("whatever is written during a logout, it is gone afterwards")
def logout_wins(ground: Ground) -> None:
    for _ in range(5):
        key = ground.created({"a": b"1"})
        seen = ground.store.read(key)

        def write(key: str = key, seen: Record | None = seen) -> bool:
            for i in range(10):
                if ground.store.patch(key, ground.patch(set={"a": b"%d" % i}), seen) is GONE:
                    return True
            return ground.store.patch(key, ground.patch()) is GONE

        def end(key: str = key) -> bool:
            return ground.store.delete(key)

        together([write, write, end])
        assert ground.store.read(key) is None


@cases("of two rotations of one session, one is done")
def one_rotates(ground: Ground) -> None:
    for _ in range(5):
        key = ground.created({"a": b"1"})
        keys = [ground.key() for _ in range(4)]
        how = Move(ground.patch(), "ann", ground.now)
        outcomes = together([partial(ground.store.move, key, new, how) for new in keys])
        assert sum(isinstance(outcome, Record) for outcome in outcomes) == 1
        assert sum(ground.store.read(new) is not None for new in keys) == 1
        assert ground.store.read(key) is None


@cases("what is written during a rotation is under the new id or was refused, never lost in silence")
def write_during_rotation(ground: Ground) -> None:
    for _ in range(5):
        key, new = ground.created({}), ground.key()

        def write(key: str = key) -> list[bytes]:
            written = []
            for i in range(5):
                if isinstance(ground.store.patch(key, ground.patch(set={f"w{i}": b"1"})), Applied):
                    written.append(b"w%d" % i)
            return written

        def rotate(key: str = key, new: str = new) -> list[bytes]:
            ground.store.move(key, new, Move(ground.patch(), "ann", ground.now))
            return []

        written, _ = together([write, rotate])
        fields = ground.fields(new)
        assert fields is not None and sorted(fields) == sorted(name.decode() for name in written)


CASES = cases.all()
