"""Passwords. Names begin with the requirement: T8."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from fungible_kit.tokens import Busy, Passwords

WEAK = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=64, parallelism=1),))


class Hasher:
    """A real one of pwdlib that counts what it does, and waits where a test holds it."""

    def __init__(self) -> None:
        self.hashed = 0
        self.verified: list[str] = []
        self.at_once = self.most = 0
        self.go = threading.Event()
        self.go.set()
        self._lock = threading.Lock()

    def hash(self, password: str) -> str:
        with self._lock:
            self.hashed += 1
        return WEAK.hash(password)

    def verify(self, password: str, hash: str) -> bool:
        return self.verify_and_update(password, hash)[0]

    def verify_and_update(self, password: str, hash: str) -> tuple[bool, str | None]:
        with self._lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            self.verified.append(hash)
        assert self.go.wait(60)
        try:
            return WEAK.verify_and_update(password, hash)
        finally:
            with self._lock:
                self.at_once -= 1


def passwords(hasher: Any, **words: int) -> Passwords:
    return Passwords(hasher=hasher, **words)


def test_t8_passwords_are_stored_as_argon2id() -> None:
    real = Passwords()
    stored = real.hash("apple-pie")
    assert stored.startswith("$argon2id$") and stored != real.hash("apple-pie")
    assert real.verify("apple-pie", stored).ok and not real.verify("apple-pi", stored)
    assert real.verify("apple-pie", stored).rehash is None
    weaker = real.verify("apple-pie", WEAK.hash("apple-pie"))
    assert weaker.ok and weaker.rehash and real.verify("apple-pie", weaker.rehash)


def test_t8_for_an_unknown_user_the_same_work_is_done() -> None:
    hasher = Hasher()
    checking = passwords(hasher)
    assert not checking.verify("apple-pie", None)
    assert not checking.verify("apple-pie", None)
    assert not checking.verify("x" * 100_000, WEAK.hash("x"))
    assert not asyncio.run(checking.averify("apple-pie", None))
    # One hash each, at the cost of everybody's: same algorithm, same parameters.
    assert (hasher.hashed, len(hasher.verified)) == (4, 0)


def test_t8_the_first_check_of_a_process_is_one_hash_too() -> None:
    hasher = Hasher()
    assert not passwords(hasher).verify("apple-pi", WEAK.hash("apple-pie"))
    assert (hasher.hashed, len(hasher.verified)) == (0, 1)


def test_t8_few_are_hashed_at_once_few_wait_and_the_rest_is_told() -> None:
    hasher = Hasher()
    checking = passwords(hasher, workers=2, waiting=3)
    stored = WEAK.hash("apple-pie")
    checking.verify("apple-pie", stored)
    hasher.go.clear()

    async def flood() -> list[Any]:
        asked = [asyncio.ensure_future(checking.averify("apple-pie", stored)) for _ in range(20)]
        refused = [each for each in asked if await _refused(each)]
        assert len(refused) == 15
        with pytest.raises(Busy):
            checking.hash("another")
        hasher.go.set()
        return await asyncio.gather(*(each for each in asked if each not in refused))

    assert [each.ok for each in asyncio.run(flood())] == [True] * 5
    assert hasher.most <= 2
    assert checking.verify("apple-pie", stored)  # there is room again


async def _refused(asked: asyncio.Future[Any]) -> bool:
    await asyncio.sleep(0)
    return asked.done() and isinstance(asked.exception(), Busy)


def test_t8_who_goes_away_leaves_room() -> None:
    hasher = Hasher()
    checking = passwords(hasher, workers=1, waiting=1)
    stored = WEAK.hash("apple-pie")

    async def scenario() -> None:
        hasher.go.clear()
        running = asyncio.create_task(checking.averify("apple-pie", stored))
        waiting = asyncio.create_task(checking.averify("apple-pie", stored))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        another = asyncio.create_task(checking.averify("apple-pie", stored))
        await asyncio.sleep(0)
        hasher.go.set()
        assert await running and await another

    asyncio.run(scenario())


def test_a_fork_hashes_in_threads_of_its_own() -> None:
    checking = passwords(WEAK)
    stored = checking.hash("apple-pie")
    child = os.fork()
    if child == 0:
        os._exit(0 if checking.verify("apple-pie", stored) else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_wrong_words_are_said() -> None:
    with pytest.raises(ValueError, match="one worker at least"):
        Passwords(workers=0)
    with pytest.raises(ValueError, match="1024 characters at most"):
        passwords(WEAK).hash("x" * 1025)
    with pytest.raises(ValueError, match="of no kind that is known") as refused:
        passwords(WEAK).verify("apple-pie", "plain-text-password")
    assert "plain-text" not in str(refused.value)
