"""A user with an app, for every test its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.runtime.harness import Home, new_home


@pytest.fixture
def home() -> Iterator[Home]:
    made = new_home()
    try:
        yield made
        made.wait_until_gone()
    finally:
        shutil.rmtree(made.base, ignore_errors=True)
