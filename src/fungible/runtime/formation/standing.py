"""How the names of a formation stand: what failed to boot, what crashed how often, why nobody answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from fungible.runtime.process.place import Facts

CAUSES = {"memory": "out of memory", "boot-timeout": "boot timed out", "sandbox": "could not be isolated"}
"""Causes of an end, as people read them."""


@dataclass(frozen=True)
class Settled:
    """How many of the first processes of a type became ready, and how many failed."""

    ready: int
    failed: int


def describe_end(facts: Facts) -> str:
    """Why a process ended, in a few words: `out of memory`, `exit code 3`, `signal 9`."""
    if facts.listens_on and facts.cause == "boot-timeout":
        return wrong_port(facts.listens_on)
    if facts.cause in CAUSES:
        return CAUSES[facts.cause]
    return "could not be started" if facts.status is None else describe_status(facts.status)


def describe_status(status: int) -> str:
    """An exit code, or minus a signal, in words: `exit code 3`, `signal 9`."""
    return f"signal {-status}" if status < 0 else f"exit code {status}"


def wrong_port(listens_on: Sequence[str]) -> str:
    """That a process listens where nobody asks it, in a few words."""
    return f"it listens on {', '.join(listens_on)}, not where it is told to"


def cause_of_none(wanted: int, booting: Set[int], failed: Mapping[int, str]) -> str:
    """Why there is no web process to choose: `wanted` of them, the numbers that are `booting`, and those whose last
    start has `failed`, with the cause."""
    if wanted == 0:
        return "no-process"
    for cause, name in (("wrong-port", "wrong-port"), ("boot-timeout", "boot-timeout"), ("memory", "out-of-memory")):
        if cause in failed.values():
            return name
    return "starting" if booting - failed.keys() else "crashed"


@dataclass(frozen=True)
class Crashes:
    """How often a name crashed, with one release, and how it ended the last time."""

    count: int = 0
    last_end: str | None = None


class Boots:
    """What became of the starts of each name: its last cause where it failed, and its crashes with each release.

    Those of a release that is abandoned are none of the one that serves on.
    """

    def __init__(self) -> None:
        self._crashes: dict[tuple[str, str, int], Crashes] = {}
        self._failed: dict[str, dict[int, str]] = {}

    def crashes(self, release: str, type: str, number: int) -> Crashes:
        """Those of a name with a release."""
        return self._crashes.get((release, type, number), Crashes())

    def failed(self, type: str) -> Mapping[int, str]:
        """Number -> cause, of those whose last start did not become ready, or ran out of memory."""
        return self._failed.get(type, {})

    def forgive(self) -> None:
        """Forget failures: another release is another matter."""
        self._failed.clear()

    def succeeded(self, type: str, number: int) -> None:
        """It became ready."""
        self._failed.get(type, {}).pop(number, None)

    def missed(self, type: str, number: int) -> None:
        """It listens, but not where it is asked."""
        self._failed.setdefault(type, {})[number] = "wrong-port"

    def crashed(self, release: str, type: str, number: int, facts: Facts) -> None:
        """It ended without anyone wanting it."""
        count = self.crashes(release, type, number).count
        self._crashes[release, type, number] = Crashes(count + 1, describe_end(facts))

    def failed_at(self, type: str, number: int, facts: Facts) -> None:
        """One of the release that is wanted has crashed."""
        failed = self._failed.setdefault(type, {})
        if facts.ready_at is None or facts.cause == "memory":
            failed[number] = "wrong-port" if facts.listens_on else facts.cause or "crashed"
        else:
            failed.pop(number, None)
