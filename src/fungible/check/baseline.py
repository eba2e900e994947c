"""The baseline: findings that are known and accepted, so that only new ones fail a run.

A JSON file to be committed: `{"version": 1, "findings": [{"rule", "path", "symbol"}, ...]}`, sorted. Lines are not
in it, so that it holds while code moves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from fungible.app.problem import Problem
from fungible.check.finding import Finding

VERSION = 1
_LARGEST = 16 * 1024 * 1024
_ANEW = "remove it, and write it anew with --update-baseline"


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
    try:
        data = json.loads(path.read_bytes()[: _LARGEST + 1])
    except FileNotFoundError:
        raise Problem(f"{path}: there is no such baseline; write it with --update-baseline") from None
    except OSError as error:
        raise Problem(f"{path}: the baseline cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise Problem(f"{path}: the baseline is not JSON: {error}; {_ANEW}") from error
    if isinstance(data, dict) and "differences" in data:
        raise Problem(f"{path}: this is a baseline of `fungible verify`; `fungible check` has one of its own")
    if not isinstance(data, dict) or data.get("version") != VERSION or not isinstance(data.get("findings"), list):
        raise Problem(f"{path}: this is no baseline of version {VERSION}; {_ANEW}")
    found = set()
    for index, each in enumerate(data["findings"]):
        values = [each.get(name) if isinstance(each, dict) else None for name in Known._fields]
        if not all(isinstance(value, str) for value in values):
            raise Problem(f"{path}: findings[{index}] must have the texts {', '.join(Known._fields)}")
        found.add(Known(*map(str, values)))
    return frozenset(found)


def baseline_text(known: Iterable[Known]) -> str:
    """The baseline that accepts all of these, one a line."""
    entries = sorted(set(known))
    lines = ",\n".join("  " + json.dumps(each._asdict(), ensure_ascii=False) for each in entries)
    body = f"[\n{lines}\n ]" if entries else "[]"
    return f'{{\n "version": {VERSION},\n "findings": {body}\n}}\n'
