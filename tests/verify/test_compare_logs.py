"""A log file in an attached folder is an event stream, not state: worlds that boot more often write more of it."""

from __future__ import annotations

import pytest

from fungible.verify.compare import compare, learn
from fungible.verify.compare.places import is_log
from fungible.verify.transcript import Answer, Transcript

pytestmark = pytest.mark.pure

BOOT = "2026-11-22 11:34:48,520 Trac[env] INFO: environment startup\n"


def world(boots: int, orders: str = "a,1\n") -> Transcript:
    dump = {"file log/app.log": [{"text": BOOT * boots, "size": 1}], "file orders.csv": [{"text": orders, "size": 4}]}
    return Transcript("w", (None,), (Answer(0),), {"STORE": dump})


def test_lines_of_a_log_are_not_compared() -> None:
    relations = learn([world(1), world(1), world(1)])
    assert compare(relations, world(5)) == ()


def test_other_files_are() -> None:
    relations = learn([world(1), world(1), world(1)])
    found = compare(relations, world(1, "a,2\n"))
    assert found and all("orders.csv" in deviation.place for deviation in found)


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-22T11:34:48Z started",
        "[2026-11-22 11:34:48 +0000] [2] [INFO] Starting",
        "127.0.0.1 said nothing",
        "Nov 22 11:34:48 host app[1]: up",
        "INFO 2026-11-22 11:34:48 started",
    ],
)
def test_what_a_log_line_looks_like(line: str) -> None:
    assert is_log(f"{line}\n  traceback\n{line}\n") == (not line.startswith("127"))
