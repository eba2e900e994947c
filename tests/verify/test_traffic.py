"""What the app tried to reach, as the report tells it."""

from __future__ import annotations

import pytest

from fungible.verify.world.traffic import Traffic

pytestmark = pytest.mark.pure


def test_names_that_differ_in_an_id_are_one_line() -> None:
    traffic = Traffic(frozenset())
    for to in ("65a938ce7e424e49ac715bcba779411b", "6feaa9cec0a345b389ed6dc80a14575d", "api.example.com"):
        traffic.note({"to": to, "port": 53, "allowed": False, "loopback": False})
    for to in ("10.0.0.1:25", "10.0.0.2:25"):
        traffic.note({"to": to, "port": 25, "allowed": False, "loopback": False})
    assert traffic.warnings() == (
        "tried to look up 65a938ce7e424e49ac715bcba779411b and 1 like it (refused)",
        "tried to look up api.example.com (refused)",
        "tried to reach 10.0.0.1:25 (refused)",
        "tried to reach 10.0.0.2:25 (refused); allow what is harmless in verify.outbound",
    )
