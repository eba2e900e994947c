"""What both sessions and tokens tell of a service that does not answer."""

from __future__ import annotations


class ServiceUnavailable(Exception):
    """A backing service did not answer in time, answered with an error, or is not asked at the moment.

    `retry_after` is in whole seconds, for the header of that name. `timed_out`: the time given to it is used up,
    and asking again would only double the wait. `away`: False where it did answer. No `OSError`: servers take those
    for a browser that went away.
    """

    def __init__(self, message: str, retry_after: int = 1, *, timed_out: bool = False, away: bool = True) -> None:
        self.retry_after = retry_after
        self.timed_out = timed_out
        self.away = away
        super().__init__(message)
