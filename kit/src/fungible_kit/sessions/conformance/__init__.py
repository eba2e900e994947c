"""What sessions rely on a store for, as cases that any store can be run through.

    python -m fungible_kit.sessions.conformance valkey://127.0.0.1:6379

or in a test suite:

    from fungible_kit.sessions.conformance import CASES, ASYNC_CASES, blocking

    @pytest.mark.parametrize("case", CASES, ids=str)
    def test_store(case):
        case.run(MyStore)                     # a callable that makes a handle on the same store
        case.run(blocking(MyAsyncStore))      # the async face, in an event loop of its own

Cases write under random keys, end what they made, and need no store of their own. A case raises `Skipped` where the
store says in `caps` that it cannot.
"""

from fungible_kit.sessions.conformance import changes, expiry, processes, races, records, rotation, users
from fungible_kit.sessions.conformance.case import AsyncCase, Case, Skipped, blocking

_FLOORS = (records, changes, rotation, expiry, users, races, processes)

CASES: tuple[Case, ...] = tuple(case for floor in _FLOORS for case in floor.CASES)
"""In reading order: plain records first, races and processes last."""

ASYNC_CASES: tuple[AsyncCase, ...] = processes.ASYNC_CASES
"""For the async face alone."""

__all__ = ["ASYNC_CASES", "CASES", "AsyncCase", "Case", "Skipped", "blocking"]
