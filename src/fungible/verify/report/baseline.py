"""The baseline: differences that are known and accepted, so that only new ones fail a run.

The file is as `fungible.app.baseline` has it. An entry accepts every difference of this kind, at this endpoint, held
by this object or file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from fungible.app.baseline import entries_text, read_entries
from fungible.verify.findings import Findings
from fungible.verify.report.fingerprint import Fingerprint, fingerprint

_KIND = "differences"


def read_baseline(path: Path) -> frozenset[Fingerprint]:
    """The known differences. Raises `Problem` where the file is missing or is no baseline."""
    return read_entries(path, _KIND, Fingerprint)


def baseline_text(found: Iterable[Findings]) -> str:
    """The baseline that accepts everything in `found`, one difference a line."""
    return entries_text(_KIND, (fingerprint(difference) for each in found for difference in each.differences))


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
