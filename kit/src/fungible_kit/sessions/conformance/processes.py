"""Processes that fork, and calls that are given up."""

from __future__ import annotations

import asyncio
import os
import time

from fungible_kit.sessions.conformance.case import AsyncCase, Cases, Ground, Skipped
from fungible_kit.sessions.identity import key_of, new_id
from fungible_kit.sessions.record import Record
from fungible_kit.sessions.stores import AsyncStore

cases = Cases()


@cases("a process forked with open connections gets its own answers, and its parent goes on")
def fork(ground: Ground) -> None:
    if type(ground.store).__name__ == "_Blocking":
        raise Skipped("a thread with an event loop does not survive a fork")
    mine, theirs = ground.created({"of": b"parent"}), ground.created({"of": b"child"})
    assert ground.fields(mine) == {"of": b"parent"}  # a connection is open now
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if all(ground.fields(theirs) == {"of": b"child"} for _ in range(50)) else 2
        finally:
            os._exit(code)
    answers = [ground.fields(mine) for _ in range(50)]
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, "the child got answers that are not its own"
    assert all(answer == {"of": b"parent"} for answer in answers)
    assert ground.fields(mine) == {"of": b"parent"}


async def cancelled_reads(store: AsyncStore) -> None:
    now = int(time.time())
    keys = {user: key_of(new_id()) for user in ("ann", "bob")}
    for user, key in keys.items():
        record = Record({"of": user.encode()}, now, now + 600, now, now + 600, rotated=now)
        assert await store.create(key, record)
    try:
        for spins in range(40):
            given_up = asyncio.ensure_future(store.read(keys["ann"]))
            for _ in range(spins % 20):
                await asyncio.sleep(0)
            given_up.cancel()
            found = await asyncio.gather(*(store.read(keys["bob"]) for _ in range(3)))
            assert all(one is not None and one.fields == {"of": b"bob"} for one in found)
            await asyncio.gather(given_up, return_exceptions=True)
    finally:
        for key in keys.values():
            await store.delete(key)


CASES = cases.all()

ASYNC_CASES = (AsyncCase("a read that is cancelled leaves no answer behind for somebody else", cancelled_reads),)
