"""The baseline: findings that are known and accepted, so that only new ones fail a run.

The file is as `fungible.app.baseline` has it. Lines are not in it, so that it holds while code moves.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from fungible.app.baseline import entries_text, read_entries
from fungible.check.finding import Finding

_KIND = "findings"


class Known(NamedTuple):
    """What tells a finding from others for as long as its code is there."""

    rule: str
    path: str
    symbol: str


def known(finding: Finding) -> Known:
    """The entry of a finding."""
    return Known(finding.rule, finding.path, finding.symbol)


def read_baseline(path: Path) -> frozenset[Known]:
    """The known findings. Raises `Problem` where the file is missing or is no baseline."""
    return read_entries(path, _KIND, Known)


def baseline_text(known: Iterable[Known]) -> str:
    """The baseline that accepts all of these, one a line."""
    return entries_text(_KIND, known)
