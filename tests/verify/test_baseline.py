"""The baseline: known differences do not fail a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fungible.app.problem import Problem
from fungible.verify.blame.culprit import Culprit
from fungible.verify.findings import Difference
from fungible.verify.report.baseline import accept, baseline_text, mended, read_baseline
from fungible.verify.report.fingerprint import Fingerprint, fingerprint
from tests.verify.report_findings import BASKET, STATUS, differing, findings

pytestmark = pytest.mark.pure


def _file(folder: Path, *differences: Difference) -> Path:
    path = folder / "baseline.json"
    path.write_text(baseline_text([findings(*differences)]), encoding="utf-8")
    return path


def test_what_was_written_is_accepted_and_nothing_else(tmp_path: Path) -> None:
    known = read_baseline(_file(tmp_path, BASKET))
    marked = accept(findings(BASKET, STATUS), known)
    assert [each.known for each in marked.differences] == [True, False]
    assert marked.verdict == "stateful"
    assert mended([marked], known) == ()
    assert mended([findings(STATUS)], known) == (fingerprint(BASKET),)


def test_an_empty_baseline_accepts_nothing(tmp_path: Path) -> None:
    assert read_baseline(_file(tmp_path)) == frozenset()


def test_the_text_is_sorted_and_without_repetition() -> None:
    once = baseline_text([findings(BASKET, STATUS)])
    assert baseline_text([findings(STATUS), findings(BASKET, STATUS)]) == once
    assert once.count("\n  {") == 2


@pytest.mark.parametrize(
    ("culprit", "held"),
    [
        (Culprit('a.CARTS["it\'s ]"]'), "a.CARTS[]"),
        (Culprit("a.CARTS[3]['x'].items"), "a.CARTS[][].items"),
        (Culprit(None, "uploads/7/9f86d081884c7d659a2f.txt"), "uploads/{}/{}.txt"),
        (Culprit(where="memory"), "memory"),
        (Culprit(), ""),
    ],
)
def test_keys_and_members_are_no_part_of_a_fingerprint(culprit: Culprit, held: str) -> None:
    found = fingerprint(differing("body", 1, 2, "lost", culprit))
    assert found == Fingerprint("lost", "GET /items", held)


def test_kind_endpoint_and_culprit_tell_differences_apart() -> None:
    assert fingerprint(BASKET) == fingerprint(replace(BASKET, world="split 3", shown=2))
    assert fingerprint(BASKET) != fingerprint(replace(BASKET, requests=("#1 POST /items", "#4 GET /other")))
    assert fingerprint(BASKET) != fingerprint(replace(BASKET, culprit=Culprit("shop.views.OTHER")))
    assert fingerprint(BASKET) != fingerprint(replace(BASKET, deviation=replace(BASKET.deviation, kind="stale")))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "there is no such baseline; write it with --update-baseline"),
        ("{", "not JSON"),
        ("[]", "no baseline of version 1"),
        ('{"version": 2, "differences": []}', "no baseline of version 1"),
        ('{"version": 1, "findings": []}', "a baseline of `fungible check`"),
        (
            '{"version": 1, "differences": [{"kind": "lost", "endpoint": 3, "culprit": ""}]}',
            "differences[0] must have",
        ),
        ('{"version": 1, "differences": [7]}', "differences[0] must have"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "baseline.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(Problem) as caught:
        read_baseline(path)
    assert said in caught.value.message and "baseline.json" in caught.value.message
