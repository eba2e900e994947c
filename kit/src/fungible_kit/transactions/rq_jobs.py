"""RQ: every job is a transaction, whatever the worker is: it performs jobs of this class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rq.job import Job

from fungible_kit.transactions.scope import entered

if TYPE_CHECKING:
    from fungible_kit.transactions.middleware import Transactions


def job_class(transactions: Transactions) -> type[Any]:
    """A class of jobs that are transactions of `transactions`."""

    class TransactionJob(Job):
        def perform(self) -> Any:
            begun = transactions.begin()
            before = entered(begun)
            try:
                return super().perform()
            finally:
                entered(before)
                transactions.end(begun)

    return TransactionJob


def __getattr__(name: str) -> Any:
    # For `--job-class`: made when it is asked for, and once.
    if name != "TransactionJob":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fungible_kit.transactions.middleware import Transactions

    globals()[name] = made = job_class(Transactions())
    return made
