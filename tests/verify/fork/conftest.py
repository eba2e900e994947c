"""Benches for fork servers, where the machine allows level full."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest

from fungible.sandbox.probe import Abilities, run_probe
from tests.verify.fork.bench import Bench, drop, make_bench


@pytest.fixture(scope="session")
def abilities() -> Abilities:
    with tempfile.TemporaryDirectory() as folder:
        return run_probe(folder)


@pytest.fixture
def bench(abilities: Abilities) -> Iterator[Bench]:
    if "full" not in abilities.allowed:
        pytest.skip("level full is refused here")
    made = make_bench()
    made.layer = abilities.layer
    yield made
    drop(made)
