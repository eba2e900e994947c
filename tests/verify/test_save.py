"""Minimal cases as files: a workload that stands alone, a test that can be read."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.verify.report.save import TEST_MARK, minimal_text, minimal_workload, numbered, saved_test
from fungible.verify.shrink.case import Case
from fungible.verify.workload.file import load_workload, parse_workload
from fungible.verify.workload.steps import Job, Quiet, Request, Workload
from tests.verify.report_findings import BASKET, WORKLOAD, differing

pytestmark = pytest.mark.pure


def test_only_the_kept_steps_stay_with_masks_host_and_headers() -> None:
    whole = replace(WORKLOAD, masks=("a+",), host="shop.test", headers=(("X-A", "b"),))
    small = minimal_workload(whole, (1, 4), {})
    assert small.steps == (WORKLOAD.steps[1], WORKLOAD.steps[4])
    assert (small.masks, small.host, small.headers) == (("a+",), "shop.test", (("X-A", "b"),))


def test_a_value_that_nobody_saves_is_that_of_the_warm_run() -> None:
    whole = Workload(
        (
            Request("POST", "/items", save={"id": "json:$.id", "_b1": "json:$.x"}),
            Request("PUT", "/items/${id}", json={"n": "${id:int}", "s": "no ${id}"}, query=(("q", "${id:int}"),)),
            Request("POST", "/later", save={"id": "json:$.other"}),
            Request("GET", "/items/${id}"),
        )
    )
    alone = minimal_workload(whole, (1, 2, 3), {"id": "7", "unused": "x"})
    assert alone.steps[0] == Request("PUT", "/items/7", json={"n": 7, "s": "no 7"}, query=(("q", "7"),))
    assert alone.steps[2] == Request("GET", "/items/${id}")
    together = minimal_workload(whole, (0, 1), {"id": "7"})
    assert together.steps[1] == whole.steps[1]
    assert together.steps[0].save == {"id": "json:$.id"}  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["m.yaml", "m.yml", "m.json", "m"])
def test_the_file_reads_back(tmp_path: Path, name: str) -> None:
    small = minimal_workload(WORKLOAD, (1, 4), {})
    text = minimal_text(BASKET, small, name)
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert load_workload(tmp_path / name) == small
    if name != "m.json":
        assert "# " in text and "POST /items  process A" in text and "shop/views.py:41" in text


def test_a_comment_cannot_be_broken_out_of(tmp_path: Path) -> None:
    evil = differing("body", "x\nrequests: []", "\r\n- y\u2028z", requests=("#0 GET /\n- a", "#1 job b\n\tc"))
    small = Workload((Request("GET", "/"), Job("b\n\tc"), Quiet()))
    (tmp_path / "m.yaml").write_text(minimal_text(evil, small, "m.yaml"), encoding="utf-8")
    assert load_workload(tmp_path / "m.yaml") == small


def test_further_files_are_numbered() -> None:
    assert [numbered(Path("a/m.yaml"), n).name for n in (1, 2, 3)] == ["m.yaml", "m-2.yaml", "m-3.yaml"]


def _calls(text: str) -> list[dict[str, Any]]:
    """What the tests of a file hand to `verify`."""
    tree = ast.parse(text)
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            call = next(each for each in ast.walk(node) if isinstance(each, ast.Call))
            found.append({str(each.arg): ast.literal_eval(each.value) for each in call.keywords})
    return found


def test_a_saved_test_tells_the_story_and_holds_the_workload() -> None:
    small = minimal_workload(WORKLOAD, (1, 4), {})
    text = saved_test([(BASKET, small), (BASKET, small)], "..", 'run "it" $PORT')
    assert text.startswith(TEST_MARK)
    tree = ast.parse(text)
    tests = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    assert [each.name for each in tests] == [
        "test_get_items_is_the_same_in_every_process",
        "test_get_items_is_the_same_in_every_process_2",
    ]
    story = ast.get_docstring(tests[0]) or ""
    for said in ("GET /items   process B", "`two` is missing", "shop/views.py:41", "--explain session-in-memory"):
        assert said in story
    for data in _calls(text):
        assert parse_workload(data, Path("x")) == small
    assert '"--web", "run \\"it\\" $PORT"' in text
    imported = {each.names[0].name for each in tree.body if isinstance(each, ast.Import)}
    assert imported == {"json", "shutil", "subprocess", "pytest"}


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(
    st.dictionaries(_TEXT, st.recursive(st.none() | st.booleans() | st.integers() | _TEXT, st.lists, max_leaves=5)),
    _TEXT,
    st.lists(_TEXT, min_size=2, max_size=2),
)
def test_any_workload_and_any_words_make_a_test_that_python_reads(
    data: dict[str, Any], word: str, requests: list[str]
) -> None:
    small = Workload((Request("POST", "/" + word.replace("?", ""), json=data), Job("x" + word.replace("\0", ""))))
    told = differing(f"body{word}", word, data, requests=tuple(requests), case=Case((0, 1), (0, 1)))
    (call,) = _calls(saved_test([(told, small)], ".."))
    assert parse_workload(call, Path("x")) == small
