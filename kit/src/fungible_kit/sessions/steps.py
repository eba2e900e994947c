"""The core asks, a runner answers: session logic is written once, and is run by a sync and by an async store.

A `Steps` generator yields `Ask` and gets the store's answer back; it never waits itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any, NamedTuple, TypeVar

from fungible_kit.services.availability import Availability
from fungible_kit.services.breaker import Breaker
from fungible_kit.sessions.errors import StoreUnavailable

T = TypeVar("T")


class Ask(NamedTuple):
    """One call of a method of `Store`."""

    method: str
    arguments: tuple[Any, ...]


Steps = Generator[Ask, Any, T]


class Runner:
    """Runs steps against the two faces of one store, within a deadline a call and behind a breaker.

    Reads are tried twice where the connection broke: they change nothing. Nothing else is.
    """

    def __init__(
        self,
        store: Callable[[], Any],
        async_store: Callable[[], Any],
        breaker: Breaker,
        deadline: float,
        availability: Availability,
    ) -> None:
        self._store = store
        self._async_store = async_store
        self._breaker = breaker
        self._deadline = deadline
        self._availability = availability

    def run(self, steps: Steps[T]) -> T:
        """A call that fails is raised where it was asked for, and from here if it is not caught there."""
        try:
            ask = steps.send(None)
            while True:
                try:
                    answer = self._call(ask)
                except StoreUnavailable as failure:
                    ask = steps.throw(failure)
                else:
                    ask = steps.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    async def arun(self, steps: Steps[T]) -> T:
        """`run` without blocking the event loop."""
        try:
            ask = steps.send(None)
            while True:
                try:
                    answer = await self._acall(ask)
                except StoreUnavailable as failure:
                    ask = steps.throw(failure)
                else:
                    ask = steps.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def _call(self, ask: Ask) -> Any:
        with self._breaker, self._availability:
            method = getattr(self._store(), ask.method)
            try:
                return method(*ask.arguments)
            except StoreUnavailable as error:
                if ask.method != "read" or error.timed_out:
                    raise
                return method(*ask.arguments)

    async def _acall(self, ask: Ask) -> Any:
        with self._breaker, self._availability:
            store = self._async_store()
            method = getattr(store, ask.method)
            if getattr(store, "bounded", False):
                return await self._answer(method, ask)
            try:
                async with asyncio.timeout(self._deadline):
                    return await self._answer(method, ask)
            except TimeoutError as error:
                raise StoreUnavailable(
                    f"the session store did not answer within {self._deadline * 1000:g} ms", timed_out=True
                ) from error

    async def _answer(self, method: Callable[..., Any], ask: Ask) -> Any:
        try:
            return await method(*ask.arguments)
        except StoreUnavailable as error:
            if ask.method != "read" or error.timed_out:
                raise
            return await method(*ask.arguments)
