"""@transaction_cache: what `functools` does, for one transaction."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from multiprocessing.pool import ThreadPool
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible_kit import transaction, transaction_cache


class Calls:
    """A function that counts its calls."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        self.seen.append((args, kwargs))
        return (len(self.seen), args, kwargs)


def counted(**options: Any) -> tuple[Any, list[Any]]:
    calls = Calls()

    @transaction_cache(**options)
    def rate(*args: Any, **kwargs: Any) -> Any:
        return calls(*args, **kwargs)

    return rate, calls.seen


def test_a_call_is_made_once_in_a_transaction_and_anew_in_the_next() -> None:
    rate, calls = counted()
    for _ in range(2):
        with transaction():
            assert rate("EUR") is rate("EUR")
            rate("USD")
    assert [args for args, _ in calls] == [("EUR",), ("USD",)] * 2


def test_outside_of_a_transaction_it_calls_through() -> None:
    rate, calls = counted()
    rate(1), rate(1)
    assert len(calls) == 2
    assert rate.cache_info() == (0, 0, None, 0)
    rate.cache_clear()


def test_transactions_at_the_same_time_do_not_share() -> None:
    rate, _ = counted()

    def request(_: int) -> int:
        with transaction():
            barrier.wait()
            return rate("EUR")[0]

    barrier = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(request, range(4))) == [1, 2, 3, 4]

    async def main() -> None:
        async def one() -> int:
            async with transaction():
                await asyncio.sleep(0)
                return rate("EUR")[0]

        assert sorted(await asyncio.gather(*(one() for _ in range(4)))) == [5, 6, 7, 8]

    asyncio.run(main())


def test_a_transaction_inside_another_is_its_own() -> None:
    rate, calls = counted()
    with transaction():
        rate(1)
        with transaction():
            rate(1)
            assert rate.cache_info().currsize == 1
        rate(1)
        assert rate.cache_info() == (1, 1, None, 1)
    assert len(calls) == 2


arguments = st.lists(
    st.one_of(st.integers(0, 2), st.booleans(), st.sampled_from(["", "a", 1.0, None, (), (1,), b"a"])), max_size=2
)
calls = st.tuples(arguments, st.dictionaries(st.sampled_from("xy"), st.sampled_from([0, 0.0, "a"]), max_size=2))


@pytest.mark.pure
@given(st.lists(st.one_of(calls, st.just("clear")), max_size=30), st.sampled_from([None, 0, 1, 2]), st.booleans())
def test_it_answers_and_counts_as_lru_cache_does(steps: list[Any], maxsize: int | None, typed: bool) -> None:
    ours, theirs = Calls(), Calls()
    mine = transaction_cache(maxsize=maxsize, typed=typed)(ours.__call__)
    peer = functools.lru_cache(maxsize=maxsize, typed=typed)(theirs.__call__)
    with transaction():
        for step in steps:
            if step == "clear":
                mine.cache_clear(), peer.cache_clear()
            else:
                assert mine(*step[0], **step[1]) == peer(*step[0], **step[1])
            assert mine.cache_info() == peer.cache_info()
        assert ours.seen == theirs.seen
    assert mine.cache_parameters() == peer.cache_parameters()


def test_it_looks_like_the_function() -> None:
    @transaction_cache
    def rate(code: str, day: int = 0) -> float:
        """Of a currency."""
        return 1.0

    assert rate.__name__ == "rate" and rate.__doc__ == "Of a currency."  # type: ignore[attr-defined]
    assert list(inspect.signature(rate).parameters) == ["code", "day"]
    assert rate.__wrapped__("EUR") == 1.0
    with transaction():
        assert rate("EUR", day=1) == 1.0
        assert rate.cache_info()._asdict() == {"hits": 0, "misses": 1, "maxsize": None, "currsize": 1}
        with pytest.raises(TypeError, match="unhashable"):
            rate([])  # type: ignore[arg-type]


class Shop:
    made: ClassVar[list[Any]] = []

    @transaction_cache
    def price(self, name: str) -> int:
        self.made.append(name)
        return len(self.made)

    @classmethod
    @transaction_cache
    def of_class(cls, name: str) -> int:
        cls.made.append(name)
        return len(cls.made)

    @staticmethod
    @transaction_cache
    def static(name: str) -> int:
        Shop.made.append(name)
        return len(Shop.made)

    @transaction_cache
    async def awaited(self, name: str) -> int:
        await asyncio.sleep(0)
        self.made.append(name)
        return len(self.made)


def test_methods_are_memoised_by_their_object() -> None:
    one, other = Shop(), Shop()
    with transaction():
        assert one.price("a") == one.price("a") != other.price("a")
        assert Shop.of_class("a") == Shop.of_class("a")
        assert Shop.static("a") == Shop.static("a") == one.static("a")
        assert one.price.cache_info().misses == 2

    async def main() -> None:
        async with transaction():
            first = await asyncio.gather(one.awaited("b"), one.awaited("b"), other.awaited("b"))
            assert first[0] == first[1] != first[2]

    asyncio.run(main())
    assert inspect.iscoroutinefunction(Shop.awaited)


def test_an_exception_is_not_kept() -> None:
    tries: list[int] = []

    @transaction_cache
    def fails() -> int:
        tries.append(1)
        if len(tries) < 2:
            raise LookupError
        return 7

    with transaction():
        with pytest.raises(LookupError):
            fails()
        assert fails() == fails() == 7
    assert len(tries) == 2


def test_a_generator_is_refused() -> None:
    with pytest.raises(TypeError, match=r"items is a generator.*return a list"):

        @transaction_cache
        def items() -> Iterator[int]:
            yield 1

    with pytest.raises(TypeError, match="maxsize"):
        transaction_cache("128")  # type: ignore[call-overload]


# Threads and tasks that a transaction spawns share it.


def in_a_thread(function: Callable[[], None]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def in_a_pool(function: Callable[[], None]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(function).result()
        list(pool.map(lambda _: function(), range(2)))


def in_to_thread(function: Callable[[], None]) -> None:
    async def main() -> None:
        await asyncio.to_thread(function)
        await asyncio.get_running_loop().run_in_executor(None, function)

    asyncio.run(main())


def in_a_task(function: Callable[[], None]) -> None:
    async def call() -> None:
        function()

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(call())
        await asyncio.create_task(call())

    asyncio.run(main())


@pytest.mark.parametrize("spawn", [in_a_thread, in_a_pool, in_to_thread, in_a_task])
def test_what_is_spawned_inside_shares_it(spawn: Callable[[Callable[[], None]], None]) -> None:
    rate, calls = counted()
    with transaction():
        rate(1)
        spawn(lambda: rate(1))
        spawn(lambda: rate(2))
        rate(2)
        assert len(calls) == 2
    spawn(lambda: rate(1))
    assert len(calls) > 2  # after it, nothing is shared


def test_a_pool_that_outlives_a_transaction_serves_each_its_own() -> None:
    rate, _ = counted()
    with ThreadPoolExecutor(1) as pool, ThreadPool(1) as other:
        with transaction():
            first = pool.submit(rate, 1).result()
            assert pool.submit(rate, 1).result() is first
            other.apply(rate, (1,))
        with transaction():
            assert pool.submit(rate, 1).result() is not first
        assert pool.submit(rate, 1).result() is not pool.submit(rate, 1).result()
        # A thread of a pool that we cannot see into belongs to no transaction, rather than to a wrong one.
        with transaction():
            assert other.apply(rate, (1,)) is not other.apply(rate, (1,))


def test_a_thread_that_goes_on_after_the_end_shares_nothing() -> None:
    rate, calls = counted()
    ended, done = threading.Event(), threading.Event()

    def late() -> None:
        ended.wait()
        rate(1), rate(1)
        done.set()

    with transaction():
        rate(1)
        threading.Thread(target=late, daemon=True).start()
    ended.set()
    assert done.wait(60)
    assert len(calls) == 3


# The same call at the same time is one call.


def test_threads_that_ask_for_the_same_wait_for_one_call() -> None:
    entered, go = threading.Event(), threading.Event()
    calls: list[int] = []

    @transaction_cache
    def slow(key: int) -> object:
        calls.append(key)
        entered.set()
        go.wait(60)
        return object()

    with transaction(), ThreadPoolExecutor(6) as pool:
        first = pool.submit(slow, 1)
        assert entered.wait(60)
        others = [pool.submit(slow, 1) for _ in range(5)]
        go.set()
        assert {id(each.result()) for each in others} == {id(first.result())}
        assert slow.cache_info() == (5, 1, None, 1)
    assert calls == [1]


def test_tasks_that_ask_for_the_same_wait_for_one_call_and_share_its_failure() -> None:
    calls: list[int] = []

    @transaction_cache
    async def slow(key: int) -> int:
        calls.append(key)
        await asyncio.sleep(0.01)
        if key < 0:
            raise LookupError(key)
        return key

    async def main() -> None:
        async with transaction():
            assert await asyncio.gather(*(slow(1) for _ in range(10))) == [1] * 10
            failed = await asyncio.gather(*(slow(-1) for _ in range(3)), return_exceptions=True)
            assert [type(each) for each in failed] == [LookupError] * 3
        await asyncio.gather(slow(1), slow(1))

    asyncio.run(main())
    assert calls == [1, -1, 1, 1]


def test_a_cancelled_call_is_taken_over_by_one_who_waits() -> None:
    calls: list[int] = []

    @transaction_cache
    async def slow() -> int:
        calls.append(1)
        await (asyncio.Event().wait() if len(calls) == 1 else asyncio.sleep(0))
        return len(calls)

    async def main() -> None:
        async with transaction():
            first = asyncio.create_task(slow())
            await asyncio.sleep(0)
            others = [asyncio.create_task(slow()) for _ in range(3)]
            await asyncio.sleep(0)
            others[0].cancel()  # who gives up waiting cancels nobody
            await asyncio.sleep(0)
            assert not first.done()
            first.cancel()
            assert await asyncio.gather(*others[1:]) == [2, 2]
            with pytest.raises(asyncio.CancelledError):
                await first

    asyncio.run(main())


def test_a_loop_is_never_made_to_wait_for_a_thread() -> None:
    """The thread below needs the loop to finish: were the loop to wait for it, both would stand still."""
    entered = threading.Event()
    calls: list[str] = []

    async def main() -> None:
        loop, called = asyncio.get_running_loop(), asyncio.Event()

        @transaction_cache
        def needs_the_loop() -> str:
            name = threading.current_thread().name
            calls.append(name)
            if len(calls) == 1:
                entered.set()
                asyncio.run_coroutine_threadsafe(called.wait(), loop).result(60)
            return name

        async with transaction():
            other = asyncio.create_task(asyncio.to_thread(needs_the_loop))
            while not entered.is_set():
                await asyncio.sleep(0.001)
            needs_the_loop()
            called.set()
            await other

    asyncio.run(asyncio.wait_for(main(), 60))
    assert len(calls) == 2


def test_a_call_that_needs_itself_recurses_and_does_not_hang() -> None:
    @transaction_cache
    def fibonacci(n: int) -> int:
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    @transaction_cache
    def forever() -> int:
        return forever()

    @transaction_cache
    async def forever_async() -> int:
        return await asyncio.create_task(forever_async()) if len(asyncio.all_tasks()) < 50 else 7

    with transaction():
        assert fibonacci(80) == 23416728348467685
        with pytest.raises(RecursionError):
            forever()

    async def main() -> None:
        async with transaction():
            assert await asyncio.wait_for(forever_async(), 60) == 7

    asyncio.run(main())


def test_two_that_need_each_other_do_not_hang() -> None:
    """Task one finds a and needs b, task two finds b and needs a."""

    async def main() -> None:
        both = asyncio.Barrier(2)
        calls: list[str] = []

        async def need(own: str, other: str) -> str:
            calls.append(own)
            if calls.count(own) == 1:
                await both.wait()
                return own + await find(other, own)
            return own

        @transaction_cache
        async def find(own: str, other: str) -> str:
            return await need(own, other)

        async with transaction():
            found = await asyncio.wait_for(asyncio.gather(find("a", "b"), find("b", "a")), 60)
        assert all(set(each) == {"a", "b"} for each in found)

    asyncio.run(main())


def test_what_was_cleared_during_a_call_is_not_put_back() -> None:
    entered, go = threading.Event(), threading.Event()
    calls: list[int] = []

    @transaction_cache
    def slow() -> int:
        calls.append(1)
        if len(calls) == 1:
            entered.set()
            go.wait(60)
        return len(calls)

    with transaction(), ThreadPoolExecutor(1) as pool:
        first = pool.submit(slow)
        assert entered.wait(60)
        slow.cache_clear()  # the row was written: an answer from before is of no use
        assert slow() == 2
        go.set()
        first.result()
        assert slow() == 2


def test_a_context_of_another_library_carries_it() -> None:
    rate, calls = counted()
    with transaction():
        context = copy_context()
        rate(1)
        context.run(rate, 1)
        assert len(calls) == 1
    context.run(rate, 1)
    assert len(calls) == 2
