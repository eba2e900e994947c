"""Both limits are held by the store, whatever the app does."""

from __future__ import annotations

import time
from dataclasses import replace

from fungible_kit.sessions.conformance.case import Cases, Ground
from fungible_kit.sessions.record import GONE, Move

cases = Cases()


@cases("a session past its idle limit is nothing")
def idle(ground: Ground) -> None:
    key = ground.key()
    ground.store.create(key, replace(ground.record({"a": b"1"}), idle_at=ground.now - 1))
    assert ground.store.read(key) is None
    assert ground.store.patch(key, ground.patch(set={"a": b"2"})) is GONE


@cases("a session past its absolute limit is nothing, however far its idle limit is")
def absolute(ground: Ground) -> None:
    key = ground.key()
    ground.store.create(key, replace(ground.record({"a": b"1"}), absolute=ground.now - 1))
    assert ground.store.read(key) is None
    assert ground.store.patch(key, ground.patch()) is GONE


@cases("a session is ended by an idle limit in the past")
def ended_by_patch(ground: Ground) -> None:
    key = ground.created({"a": b"1"})
    ground.store.patch(key, ground.patch(idle_at=ground.now - 1))
    assert ground.store.read(key) is None


@cases("no patch moves a session past its absolute limit")
def absolute_holds(ground: Ground) -> None:
    key = ground.key()
    ground.store.create(key, replace(ground.record(), absolute=ground.now + 100, idle_at=ground.now + 50))
    ground.store.patch(key, ground.patch(idle_at=ground.now + 5000))
    found = ground.store.read(key)
    assert found is not None and found.expire_at == ground.now + 100


@cases("a session ends while nobody asks for it, at its absolute limit, and is not written again")
def ends_by_itself(ground: Ground) -> None:
    key = ground.key()
    end = int(time.time()) + 2
    ground.store.create(key, replace(ground.record({"a": b"1"}), absolute=end, idle_at=end + 600))
    ground.store.patch(key, ground.patch(set={"b": b"1"}, idle_at=end + 600))
    seen = ground.store.read(key)
    while time.time() < end + 0.05:
        time.sleep(0.05)  # the store's own clock; there is no event to wait for
    assert ground.store.read(key) is None
    assert ground.store.patch(key, ground.patch(set={"a": b"2"}), seen) is GONE
    assert ground.store.take(key, "a") is None
    assert ground.store.move(key, ground.key(), Move(ground.patch(), None, ground.now)) is GONE
    while not ground.store.create(key, ground.record({"c": b"1"})):  # Memcached's clock may be two seconds behind
        assert time.time() < end + 10
        time.sleep(0.05)
    assert ground.fields(key) == {"c": b"1"}


@cases("a session of sixty days is kept")
def long_life(ground: Ground) -> None:
    key, later = ground.key(), ground.now + 60 * 86400
    ground.store.create(key, replace(ground.record({"a": b"1"}), absolute=later, idle_at=later))
    assert ground.fields(key) == {"a": b"1"}
    ground.store.patch(key, ground.patch(set={"a": b"2"}, idle_at=later))
    assert ground.fields(key) == {"a": b"2"}


@cases("purge leaves what lives")
def purge(ground: Ground) -> None:
    key, ended = ground.created({"a": b"1"}), ground.key()
    ground.store.create(ended, replace(ground.record(), idle_at=ground.now - 1))
    assert ground.store.purge() >= 0
    assert ground.store.read(ended) is None and ground.fields(key) == {"a": b"1"}


CASES = cases.all()
