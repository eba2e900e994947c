"""What a check shows: sorted, one finding a matter, by level, by PATH, by baseline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.app.problem import Problem
from fungible.check import check as checking
from fungible.check.baseline import Known, baseline_text, known, read_baseline
from fungible.check.catalogue import RULES, rule_named
from fungible.check.check import accepted, check, is_within
from fungible.check.finding import Finding, Level
from fungible.check.tree import Tree

pytestmark = pytest.mark.pure


@pytest.fixture
def finding(monkeypatch: pytest.MonkeyPatch) -> Finding:
    """Rules that find a word: `STATE` for certain, `maybe` possibly, each by its symbol behind a colon."""

    def find(tree: Tree) -> list[Finding]:
        levels = {"STATE": Level.CERTAIN, "likely": Level.LIKELY, "maybe": Level.POSSIBLE}
        return [
            Finding("FU101", levels[word], each.path, number, f"`{word}` is here", symbol, 1)
            for each in reversed(tree.sources)
            for number, line in enumerate(each.lines, start=1)
            for word, _, symbol in [line.partition(":")]
            if word in levels
        ]

    monkeypatch.setattr(checking, "find", find)
    return Finding("FU101", Level.CERTAIN, "b.conf", 1, "`STATE` is here", "x")


TREE = Tree.of(
    [
        ("b.conf", "STATE:x\nmaybe:y\n"),
        ("a.conf", "likely:x\nSTATE:x\nSTATE:x\nlikely:z\n"),
        ("sub/c.conf", "STATE:x\n"),
    ]
)


@pytest.mark.usefixtures("finding")
def test_findings_are_sorted_and_one_a_matter_the_surest_first() -> None:
    result = check(TREE)
    told = [(each.finding.path, each.finding.line, each.finding.level, each.more) for each in result.told]
    assert told == [
        ("a.conf", 2, Level.CERTAIN, 2),
        ("a.conf", 4, Level.LIKELY, 0),
        ("b.conf", 1, Level.CERTAIN, 0),
        ("sub/c.conf", 1, Level.CERTAIN, 0),
    ]
    assert result.failed and result.less_sure == 1 and result.files == 3


@pytest.mark.usefixtures("finding")
@pytest.mark.parametrize(("level", "number"), [(Level.CERTAIN, 3), (Level.LIKELY, 4), (Level.POSSIBLE, 5)])
def test_a_level_shows_what_is_at_least_as_sure(level: Level, number: int) -> None:
    result = check(TREE, level)
    assert len(result.told) == number
    assert all(each.finding.level >= level for each in result.told)


@pytest.mark.usefixtures("finding")
def test_paths_choose_what_is_shown() -> None:
    assert {each.finding.path for each in check(TREE, within=["sub", "b.conf"]).told} == {"sub/c.conf", "b.conf"}
    assert len(check(TREE, within=[""]).told) == 4
    assert check(TREE, within=["sub"]).files == 1
    assert not is_within("subway/a.py", ["sub"])


@pytest.mark.usefixtures("finding")
def test_what_the_baseline_knows_does_not_fail_and_moves_with_its_lines() -> None:
    everything = accepted(check(TREE), ())
    moved = Tree.of([(each.path, f"\n\n{each.text}") for each in TREE.sources])
    result = check(moved, baseline=everything)
    assert len(result.told) == 4 and all(each.known for each in result.told)
    assert not result.failed and result.mended == ()
    more = check(
        Tree.of([*((each.path, each.text) for each in TREE.sources), ("n.conf", "STATE:n")]), baseline=everything
    )
    assert more.failed and [each.finding.path for each in more.told if not each.known] == ["n.conf"]


@pytest.mark.usefixtures("finding")
def test_only_what_is_found_at_no_level_is_mended_and_only_where_one_looked() -> None:
    gone = Known("FU101", "sub/gone.conf", "x")
    base = {*accepted(check(TREE), ()), gone}
    assert check(TREE, Level.CERTAIN, base).mended == (gone,)
    assert check(TREE, baseline=base, within=["a.conf"]).mended == ()
    assert accepted(check(TREE, Level.CERTAIN, base), base) == base - {gone}
    assert accepted(check(TREE, baseline=base, within=["a.conf"]), base) == base


def test_columns_count_characters() -> None:
    text = (
        "from flask import Flask\napp = Flask(__name__)\nN = {}\n"
        '@app.get("/")\ndef show():\n    "日本語"; N["é"] = 1; return N\n'
    )
    (told,) = check(Tree.of([("shop.py", text)])).told
    assert (told.finding.line, told.finding.column) == (6, 12)


def test_a_file_that_is_no_python_is_told_and_is_no_finding() -> None:
    result = check(Tree.of([("old.py", "a = 1\nprint 'x'\n"), ("b.py", "a = 1\n")]))
    assert not result.told and not result.failed and result.files == 2
    assert [(each.path, each.line) for each in result.unread] == [("old.py", 2)]


TEXTS = st.text(st.characters(codec="utf-8"))
KNOWN = st.builds(Known, TEXTS, TEXTS, TEXTS)


@given(entries=st.frozensets(KNOWN, max_size=8))
def test_a_baseline_is_read_as_it_was_written(
    entries: frozenset[Known], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("baseline") / "known.json"
    path.write_text(baseline_text(entries), encoding="utf-8")
    assert read_baseline(path) == entries
    assert baseline_text(read_baseline(path)) == path.read_text(encoding="utf-8")
    assert json.loads(path.read_text(encoding="utf-8"))["version"] == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "this is no baseline of version 1"),
        ('{"version": 2, "findings": []}', "this is no baseline of version 1"),
        ('{"version": 1, "differences": []}', "this is a baseline of `fungible verify`"),
        ('{"version": 1, "findings": [{"rule": "FU101"}]}', "findings[0] must have the texts rule, path, symbol"),
    ],
)
def test_a_baseline_that_is_none_is_one_sentence(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "known.json"
    path.write_text(text)
    with pytest.raises(Problem) as caught:
        read_baseline(path)
    assert said in caught.value.message and str(path) in caught.value.message and "\n" not in caught.value.message


def test_a_baseline_that_is_missing_says_how_to_write_it(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="there is no such baseline; write it with --update-baseline"):
        read_baseline(tmp_path / "known.json")


def test_rules_have_names_of_their_own_and_are_found_by_them(finding: Finding) -> None:
    assert list(RULES) == sorted(RULES)
    assert known(finding) == ("FU101", "b.conf", "x")
    assert rule_named("fu101") is rule_named("101") is RULES["FU101"]
    with pytest.raises(Problem, match='Did you mean "FU101"'):
        rule_named("FUN101")
    with pytest.raises(Problem, match="It is one of: FU101, FU102"):
        rule_named("stickiness")
