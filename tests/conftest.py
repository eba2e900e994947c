"""The order in which tests run, and how they share two or three workers (`make test`)."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Side by side, those that may take long go first: the last to end is then a short one. One after the other, the
    written order stays, in which tests without a process come early."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: -_allowed_seconds(item))


def _allowed_seconds(item: pytest.Item) -> float:
    mark = item.get_closest_marker("timeout")
    return float(mark.args[0]) if mark is not None and mark.args else 0.0
