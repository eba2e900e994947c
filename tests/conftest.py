"""The order in which tests run, and how they share two or three workers (`make test`)."""

from __future__ import annotations

import compileall
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no failure, and what is green stays green: chance is for `pytest --hypothesis-profile=default`.
settings.register_profile("tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

_LONGEST_NAME = 80
_SOURCES = Path(__file__).parents[1] / "src"


def pytest_sessionstart(session: pytest.Session) -> None:
    """Fungible has its byte code, as where it is installed: what tests run may write none, in a sandbox for one, and
    every process would compile anew what it loads."""
    if not hasattr(session.config, "workerinput"):
        compileall.compile_dir(_SOURCES, quiet=2)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Side by side, those that may take long go first: the last to end is then a short one. One after the other, the
    written order stays, in which tests without a process come early."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: -_allowed_seconds(item))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """A long value is named after its argument: workers send each other the names of tests, megabytes and all."""
    return argname if isinstance(val, str | bytes) and len(val) > _LONGEST_NAME else None


def _allowed_seconds(item: pytest.Item) -> float:
    mark = item.get_closest_marker("timeout")
    return float(mark.args[0]) if mark is not None and mark.args else 0.0
