"""What the jobs of the tests do; imported by workers."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from fungible_kit import scratch, transaction_cache
from fungible_kit.transactions.scope import current


@transaction_cache
def rate(code: str) -> float:
    """Another number each time that it is really called."""
    return time.perf_counter()


def rates() -> list[float]:
    return [rate("EUR"), rate("EUR")]


def in_transaction() -> bool:
    return current() is not None


def leaving() -> str:
    tmp = scratch().__enter__()
    (tmp / "left").write_text("left")
    return str(tmp.path)


def failing() -> None:
    scratch().__enter__()
    raise LookupError


def dying() -> None:
    """As by the kernel, out of memory."""
    with scratch() as tmp:
        (tmp / "big").write_text("x" * 100_000)
        Path(os.environ["TEST_PATH"]).write_text(str(tmp.path))
        os.kill(os.getpid(), signal.SIGKILL)
