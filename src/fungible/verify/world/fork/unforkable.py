"""Why an app cannot be forked."""

from __future__ import annotations


class Unforkable(Exception):
    """The app must be booted for every slot; `reason` is a clause that says why ("a thread `beat` runs after
    import")."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
