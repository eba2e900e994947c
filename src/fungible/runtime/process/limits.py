"""Resource limits of a process type, as rlimits (setrlimit(2))."""

from __future__ import annotations

from fungible.app.model import ProcessType


def rlimits(type: ProcessType) -> dict[str, int]:
    """Limits by name, for the sandbox. Memory is bounded elsewhere: an address space is not what is used."""
    limits: dict[str, int] = {"RLIMIT_CORE": 0}
    if type.files is not None:
        limits["RLIMIT_NOFILE"] = type.files
    return limits
