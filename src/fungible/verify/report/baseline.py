"""The baseline: differences that are known and accepted, so that only new ones fail a run.

A JSON file to be committed: `{"version": 1, "differences": [{"kind", "endpoint", "culprit"}, ...]}`, sorted. An entry
accepts every difference of this kind, at this endpoint, held by this object or file.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from fungible.app.problem import Problem
from fungible.verify.findings import Findings
from fungible.verify.report.fingerprint import Fingerprint, fingerprint

VERSION = 1
_LARGEST = 16 * 1024 * 1024


def read_baseline(path: Path) -> frozenset[Fingerprint]:
    """The known differences. Raises Problem where the file is missing or is no baseline."""
    try:
        raw = path.read_bytes()[: _LARGEST + 1]
        data = json.loads(raw)
    except FileNotFoundError:
        raise Problem(f"{path}: there is no such baseline; write it with --update-baseline") from None
    except OSError as error:
        raise Problem(f"{path}: the baseline cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise Problem(f"{path}: the baseline is not JSON: {error}") from error
    if not isinstance(data, dict) or data.get("version") != VERSION or not isinstance(data.get("differences"), list):
        raise Problem(f"{path}: this is no baseline of version {VERSION}; write it with --update-baseline")
    known = set()
    for index, each in enumerate(data["differences"]):
        values = [each.get(name) if isinstance(each, dict) else None for name in Fingerprint._fields]
        if not all(isinstance(value, str) for value in values):
            raise Problem(f"{path}: differences[{index}] must have the texts {', '.join(Fingerprint._fields)}")
        known.add(Fingerprint(*map(str, values)))
    return frozenset(known)


def baseline_text(found: Iterable[Findings]) -> str:
    """The baseline that accepts everything in `found`, one difference a line."""
    all_of_them = sorted({fingerprint(difference) for each in found for difference in each.differences})
    lines = ",\n".join("  " + json.dumps(each._asdict(), ensure_ascii=False) for each in all_of_them)
    body = f"[\n{lines}\n ]" if all_of_them else "[]"
    return f'{{\n "version": {VERSION},\n "differences": {body}\n}}\n'


def accept(findings: Findings, known: Collection[Fingerprint]) -> Findings:
    """The findings with known differences marked as such; the verdict stays what it is."""
    return replace(
        findings,
        differences=tuple(replace(each, known=fingerprint(each) in known) for each in findings.differences),
    )


def mended(found: Iterable[Findings], known: Collection[Fingerprint]) -> tuple[Fingerprint, ...]:
    """The entries that no difference matched: mended, or not in these workloads."""
    seen = {fingerprint(difference) for each in found for difference in each.differences}
    return tuple(sorted(set(known) - seen))
