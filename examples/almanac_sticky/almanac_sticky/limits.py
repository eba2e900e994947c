"""Slows down whoever guesses passwords."""

import time
from collections import defaultdict

FAILURES_PER_MINUTE = 2

failures: defaultdict[str, list[float]] = defaultdict(list)


def too_many_failures(name: str) -> bool:
    now = time.monotonic()
    recent = [at for at in failures[name] if at > now - 60]
    recent.append(now)
    failures[name] = recent
    return len(recent) > FAILURES_PER_MINUTE
