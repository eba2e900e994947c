"""@transaction_cache: memoise in memory for one request or job, and for no longer.

The drop-in mend for a stale `functools.cache` or `lru_cache`: same call shape, same `cache_info`, `cache_clear` and
`cache_parameters`; but what it holds ends with the transaction, so that no process answers from an old copy.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from contextvars import ContextVar
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, Protocol, TypeVar, overload

from fungible_kit.transactions.scope import variable

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

_MISSING: Any = object()
_KEYWORDS = object()
"""Stands between positional and keyword arguments in a key."""
_PLAIN = frozenset((int, str))
"""One argument of these types is its own key, as in `functools`: it equals no tuple of arguments."""


class CacheInfo(NamedTuple):
    """As of `functools`, for the current transaction; all zero outside of one."""

    hits: int
    misses: int
    maxsize: int | None
    currsize: int


class Memoised(Protocol[P, R_co]):
    """A function with @transaction_cache."""

    @property
    def __wrapped__(self) -> Callable[P, R_co]: ...
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    def cache_info(self) -> CacheInfo: ...
    def cache_clear(self) -> None: ...
    def cache_parameters(self) -> dict[str, Any]: ...

    if TYPE_CHECKING:

        def __get__(self, instance: Any, owner: type | None = None, /) -> Any: ...


class _Flight:
    """A call that is under way. Whoever asks for the same meanwhile waits for it."""

    __slots__ = ("answer", "parent", "thread", "waits_for")

    def __init__(self, parent: _Flight | None) -> None:
        self.thread = threading.get_ident()
        self.parent = parent
        self.waits_for: set[_Flight] = set()
        self.answer: Future[Any] | None = None
        """Made by the first who waits: most flights have nobody else on board."""

    def line(self) -> set[_Flight]:
        """This call and those that it was made for."""
        found, flight = set(), self
        while True:
            found.add(flight)
            if flight.parent is None:
                return found
            flight = flight.parent


_flying: ContextVar[_Flight | None] = ContextVar("fungible_transaction_cache_flying", default=None)


class _Memo:
    """What one function has answered in one transaction."""

    __slots__ = ("answers", "flights", "hits", "lock", "maxsize", "misses")

    def __init__(self, maxsize: int | None) -> None:
        self.maxsize = maxsize
        self.hits = self.misses = 0
        self.lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        self.hits = self.misses = 0
        self.answers: dict[Hashable, Any] = {} if self.maxsize is None else OrderedDict()
        # Calls under way are not joined any more, and what they find is not kept: it may be older than the clearing.
        self.flights: dict[Hashable, _Flight] = {}

    def board(self, key: Hashable) -> tuple[Any, _Flight | None, bool]:
        """(answer, None, False) where it is known; (_, flight, True) where the caller is to find it;
        (_, flight, False) where somebody else is finding it."""
        with self.lock:
            answer = self.answers.get(key, _MISSING)
            if answer is not _MISSING:
                self.hits += 1
                if isinstance(self.answers, OrderedDict):
                    self.answers.move_to_end(key)
                return answer, None, False
            flight = self.flights.get(key)
            if flight is not None:
                return None, flight, False
            self.misses += 1
            flight = self.flights[key] = _Flight(_flying.get())
            return None, flight, True

    def land(self, key: Hashable, flight: _Flight, answer: Any) -> None:
        """The flight has its answer: keep it, and tell those who wait."""
        with self.lock:
            if self.flights.get(key) is flight:
                del self.flights[key]
                if self.maxsize != 0:
                    self.answers[key] = answer
                if isinstance(self.answers, OrderedDict) and len(self.answers) > (self.maxsize or 0):
                    self.answers.popitem(last=False)
            waiting = flight.answer
        if waiting is not None:
            waiting.set_result(answer)

    def crash(self, key: Hashable, flight: _Flight, error: BaseException) -> None:
        """The flight failed. An exception is shared with those who wait; a cancellation is not theirs."""
        with self.lock:
            if self.flights.get(key) is flight:
                del self.flights[key]
            waiting = flight.answer
        if waiting is not None:
            waiting.set_exception(error if isinstance(error, Exception) else _Abandoned())

    def waiting(self, key: Hashable, flight: _Flight) -> Future[Any] | None:
        """What to wait on; None where waiting would never end, or where the flight has ended just now."""
        with self.lock:
            if flight.answer is None:
                if self.flights.get(key) is not flight:
                    return None
                flight.answer = Future()
        own = _flying.get()
        if own is not None:
            with _waits:
                if _leads_to(flight, own.line()):
                    return None
                own.waits_for.add(flight)
        return flight.answer

    def hit(self) -> None:
        with self.lock:
            self.hits += 1


_waits = threading.Lock()
"""Held while it is judged who waits for whom, in all transactions."""


class _Abandoned(Exception):
    """The call that others waited for was cancelled: one of them calls anew."""


def _leads_to(flight: _Flight, line: set[_Flight]) -> bool:
    seen, todo = set[_Flight](), [flight]
    while todo:
        each = todo.pop()
        if each in line:
            return True
        if each not in seen:
            seen.add(each)
            todo += each.waits_for
    return False


@overload
def transaction_cache(function: Callable[P, R], /) -> Memoised[P, R]: ...
@overload
def transaction_cache(
    maxsize: int | None = None, typed: bool = False
) -> Callable[[Callable[P, R]], Memoised[P, R]]: ...
def transaction_cache(maxsize: Any = None, typed: bool = False) -> Any:
    """Memoise a function, a method or an async function within the current transaction.

    `@transaction_cache` or `@transaction_cache(maxsize=128, typed=True)`, with the meaning that `functools.lru_cache`
    gives them; without `maxsize` nothing is dropped before the transaction ends. Outside of a transaction the
    function is simply called.

    Calls with the same arguments at the same time are one call: the others wait for its answer, or get its exception.
    Exceptions are not kept. An event loop is never made to wait for another thread: it calls by itself.

    Raises TypeError where the function is a generator, whose items can be had only once.
    """
    if callable(maxsize):
        return _memoised(maxsize, None, typed)
    if maxsize is not None and not isinstance(maxsize, int):
        raise TypeError("transaction_cache: maxsize is a whole number or None")
    return partial(_memoised, maxsize=None if maxsize is None else max(0, maxsize), typed=typed)


def _memoised(function: Callable[..., Any], maxsize: int | None, typed: bool) -> Any:
    # A staticmethod or a partial is a callable, too; what it calls decides.
    plain = inspect.unwrap(getattr(function, "__func__", function))
    if inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain):
        raise TypeError(
            f"transaction_cache: {getattr(plain, '__qualname__', plain)} is a generator, and its items can be had "
            "only once: return a list or a tuple"
        )
    cell = object()

    unbounded = maxsize is None
    current_transaction = variable.get

    def known(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Hashable, _Memo | None, Any]:
        """(key, memo, answer): no memo is outside of a transaction, `_MISSING` an answer that is to be found."""
        transaction = current_transaction()
        memos = None if transaction is None else transaction.memos
        if memos is None:
            return None, None, _MISSING
        if kwargs or typed or len(args) != 1 or type(args[0]) not in _PLAIN:
            key = _key(args, kwargs, typed)
        else:
            key = args[0]
        memo: _Memo | None = memos.get(cell)
        if memo is None:
            # setdefault: of two threads that come first, both get the same.
            memo = memos.setdefault(cell, _Memo(maxsize))
        elif unbounded:
            # No lock: one look into a dict, and a count that nothing depends on.
            answer = memo.answers.get(key, _MISSING)
            if answer is not _MISSING:
                memo.hits += 1
                return key, memo, answer
        return key, memo, _MISSING

    def called(*args: Any, **kwargs: Any) -> Any:
        key, memo, answer = known(args, kwargs)
        if answer is not _MISSING:
            return answer
        if memo is None:
            return function(*args, **kwargs)
        while True:
            answer, flight, ours = memo.board(key)
            if flight is None:
                return answer
            if ours:
                return _fly(memo, key, flight, function, args, kwargs)
            # The finder may be a greenlet or a task of this very thread: then it would never go on.
            if flight.thread == threading.get_ident() or asyncio._get_running_loop() is not None:
                return function(*args, **kwargs)
            future = memo.waiting(key, flight)
            if future is None:
                if memo.flights.get(key) is flight:
                    return function(*args, **kwargs)
                continue
            try:
                answer = future.result()
            except _Abandoned:
                continue
            finally:
                _no_longer_waiting(flight)
            memo.hit()
            return answer

    async def awaited(*args: Any, **kwargs: Any) -> Any:
        key, memo, answer = known(args, kwargs)
        if answer is not _MISSING:
            return answer
        if memo is None:
            return await function(*args, **kwargs)
        while True:
            answer, flight, ours = memo.board(key)
            if flight is None:
                return answer
            if ours:
                return await _fly_async(memo, key, flight, function, args, kwargs)
            future = memo.waiting(key, flight)
            if future is None:
                if memo.flights.get(key) is flight:
                    return await function(*args, **kwargs)
                continue
            try:
                # Shielded: whoever gives up waiting must not cancel the answer of the others.
                answer = await asyncio.shield(asyncio.wrap_future(future))
            except _Abandoned:
                continue
            finally:
                _no_longer_waiting(flight)
            memo.hit()
            return answer

    def memo_here() -> _Memo | None:
        transaction = current_transaction()
        memos = None if transaction is None else transaction.memos
        return None if memos is None else memos.get(cell)

    def cache_info() -> CacheInfo:
        """Hits, misses and size of the current transaction."""
        memo = memo_here()
        if memo is None:
            return CacheInfo(0, 0, maxsize, 0)
        return CacheInfo(memo.hits, memo.misses, maxsize, len(memo.answers))

    def cache_clear() -> None:
        """Forget what the current transaction has memoised; other transactions keep theirs."""
        memo = memo_here()
        if memo is not None:
            with memo.lock:
                memo.clear()

    wrapper: Any = awaited if inspect.iscoroutinefunction(plain) else called
    update_wrapper(wrapper, function)
    wrapper.cache_info = cache_info
    wrapper.cache_clear = cache_clear
    wrapper.cache_parameters = lambda: {"maxsize": maxsize, "typed": typed}
    return wrapper


def _fly(
    memo: _Memo, key: Hashable, flight: _Flight, function: Callable[..., Any], args: Any, kwargs: dict[str, Any]
) -> Any:
    _flying.set(flight)
    try:
        answer = function(*args, **kwargs)
    except BaseException as error:
        memo.crash(key, flight, error)
        raise
    finally:
        _flying.set(flight.parent)
    memo.land(key, flight, answer)
    return answer


async def _fly_async(
    memo: _Memo, key: Hashable, flight: _Flight, function: Callable[..., Any], args: Any, kwargs: dict[str, Any]
) -> Any:
    _flying.set(flight)
    try:
        answer = await function(*args, **kwargs)
    except BaseException as error:
        memo.crash(key, flight, error)
        raise
    finally:
        _flying.set(flight.parent)
    memo.land(key, flight, answer)
    return answer


def _no_longer_waiting(flight: _Flight) -> None:
    own = _flying.get()
    if own is not None:
        with _waits:
            own.waits_for.discard(flight)


def _key(args: tuple[Any, ...], kwargs: dict[str, Any], typed: bool) -> Hashable:
    """Equal where `functools.lru_cache` takes two calls for one. Raises TypeError for what has no hash."""
    key = args
    if kwargs:
        key += (_KEYWORDS, *(part for item in kwargs.items() for part in item))
    if typed:
        key += tuple(map(type, args)) + tuple(map(type, kwargs.values()))
    return key
