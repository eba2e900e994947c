"""What a check shows: text for people, JSON, SARIF, annotations of GitHub, and a rule explained."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fungible.app.mend import CLASSES
from fungible.check.catalogue import RULES
from fungible.check.check import Notice, Result, Told, check
from fungible.check.declared import Declaration
from fungible.check.finding import Finding, Level
from fungible.check.report import explained, to_github, to_json, to_sarif, to_text
from fungible.check.tree import Tree

pytestmark = pytest.mark.pure

SHOP = (
    "from flask import Flask, request\napp = Flask(__name__)\nCARTS = {}\n"
    'GAUGE = {}  # fungible: local[FU101](a gauge)\n@app.post("/")\ndef add():\n'
    '\tCARTS[request.form["user"]] = GAUGE[0] = 1\n@app.get("/")\ndef show():\n\treturn CARTS, GAUGE\n'
)
TREE = Tree.of([("old.py", "print 1\n"), ("shop/views.py", SHOP)])
RESULT = check(TREE)


def text(result: Result = RESULT, level: Level = Level.LIKELY, **options: Any) -> str:
    return to_text(result, TREE, level, **options)


def test_text_shows_the_line_and_says_once_why_and_how_to_mend_it() -> None:
    said = text()
    assert said.startswith(
        "shop/views.py\n"
        "  7:2  certain   FU101  `CARTS` is changed in `add`; it is made at shop/views.py:3\n"
        '     7 | CARTS[request.form["user"]] = GAUGE[0] = 1\n'
        "       | ^\n\n"
        "FU101  A variable of the process is filled while requests are served\n"
        "       Why:  Each process has a variable of its own:"
    )
    assert said.count("Mend: ") == 1 and "More: fungible verify --explain session-in-memory\n" in said
    assert "note: old.py:1: not read, as it is no Python 3." in said
    assert said.splitlines()[-3] == "1 finding (1 certain) in 2 files; 1 declared local."
    assert "fungible verify" in said.splitlines()[-1]


def test_text_of_nothing_and_of_what_is_known() -> None:
    nothing = text(Result((), less_sure=2, files=3))
    assert nothing.splitlines()[0] == "nothing found in 3 files; 2 less sure (--level possible)."
    known = replace(RESULT, told=tuple(replace(each, known=True) for each in RESULT.told))
    said = text(known)
    assert "FU101 known  `CARTS`" in said and "Why:" not in said
    assert "nothing new found in 2 files; 1 known by the baseline" in said


def test_text_is_coloured_only_where_it_is_wanted_and_no_file_writes_to_the_terminal() -> None:
    assert "\033" not in text() and "\033[31mcertain" in text(colour=True)
    evil = Finding("FU101", Level.CERTAIN, "a\033[2J.py", 1, "`\033]0;x\07` is here", "x", 3)
    tree = Tree.of([(evil.path, "x \033[2J = 1")])
    said = to_text(Result((Told(evil),), notices=(Notice("\033[2J"),), files=1), tree, Level.LIKELY)
    assert "\033" not in said and "\07" not in said


def test_text_of_a_place_that_is_not_in_the_file() -> None:
    for line, column in ((0, 0), (99, 1), (7, 999)):
        odd = Finding("FU101", Level.LIKELY, "shop/views.py", line, "it is not set", "x", column)
        assert "it is not set" in text(Result((Told(odd),), files=1))


def test_json_has_the_fields_of_the_contract_and_more() -> None:
    document = json.loads(json.dumps(to_json(RESULT)))
    (finding,) = document["findings"]
    rule = RULES["FU101"]
    assert finding == {
        "rule": "FU101",
        "level": "certain",
        "path": "shop/views.py",
        "line": 7,
        "column": 2,
        "message": "`CARTS` is changed in `add`; it is made at shop/views.py:3",
        "mend": rule.mend,
        "title": rule.title,
        "why": rule.why,
        "topic": "session-in-memory",
        "page": "docs/mend/session-in-memory.md",
        "symbol": "shop.views.CARTS",
        "more": 0,
        "known": False,
    }
    (declared,) = document["declared"]
    assert (declared["symbol"], declared["reason"]) == ("shop.views.GAUGE", "a gauge")
    assert declared["declared_at"] == "shop/views.py:4"
    assert [(each["path"], each["line"]) for each in document["unread"]] == [("old.py", 1)]
    assert document["counts"] == {
        "certain": 1, "likely": 0, "possible": 0, "known": 0, "declared": 1, "less_sure": 0, "files": 2,
    }  # fmt: skip


def run_of(result: Result = RESULT, prefix: str = "") -> dict[str, Any]:
    log = to_sarif(result, prefix)
    json.dumps(log)
    assert log["version"] == "2.1.0" and log["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    found: dict[str, Any] = run
    return found


def test_sarif_has_every_rule_with_help() -> None:
    rules = run_of()["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(RULES)
    for each in rules:
        assert each["shortDescription"]["text"].endswith(".") and each["fullDescription"]["text"]
        assert each["help"]["text"] and each["help"]["markdown"].startswith(f"# {each['id']}")


def test_sarif_points_at_the_line_as_seen_from_the_checkout() -> None:
    shown, declared = run_of(prefix="my shop/")["results"]
    place = shown["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "my%20shop/shop/views.py", "uriBaseId": "%SRCROOT%"}
    assert place["region"] == {"startLine": 7, "startColumn": 2}
    assert (shown["ruleId"], shown["level"]) == ("FU101", "error") and "suppressions" not in shown
    assert declared["suppressions"] == [{"kind": "inSource", "justification": "a gauge"}]
    (notice,) = run_of()["invocations"][0]["toolExecutionNotifications"]
    assert notice["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "old.py"


def test_sarif_levels_and_fingerprints() -> None:
    def result(**changes: Any) -> dict[str, Any]:
        found: dict[str, Any] = run_of(Result((Told(replace(RESULT.told[0].finding, **changes)),)))["results"][0]
        return found

    levels = {level: result(level=level)["level"] for level in Level}
    assert levels == {Level.CERTAIN: "error", Level.LIKELY: "warning", Level.POSSIBLE: "note"}
    same = [result(line=n, message=f"{n}")["partialFingerprints"] for n in (1, 99)]
    assert same[0] == same[1] != result(symbol="other")["partialFingerprints"]
    assert result(line=0, column=0)["locations"][0]["physicalLocation"]["region"]["startLine"] == 1
    known = run_of(Result((replace(RESULT.told[0], known=True),)))["results"][0]
    assert known["baselineState"] == "unchanged" and known["suppressions"][0]["kind"] == "external"


def test_github_is_told_of_what_is_new() -> None:
    lines = to_github(RESULT, "shop/").splitlines()
    assert lines[0].startswith(
        "::error file=shop/shop/views.py,line=7,col=2,"
        "title=FU101 (certain)%3A a variable of the process is filled while requests are served"
        "::`CARTS` is changed in `add`; it is made at shop/views.py:3. Keep it in a backing service:"
    )
    assert lines[1].startswith("::notice file=shop/old.py,line=1,col=1,title=fungible check::not read")
    known = replace(RESULT, told=tuple(replace(each, known=True) for each in RESULT.told), unread=())
    assert to_github(known) == ""


def parsed(line: str) -> tuple[str, dict[str, str], str]:
    """A workflow command as GitHub's runner reads it (actions/runner, ActionCommand.cs)."""
    match = re.fullmatch(r"::(\w+) (.*?)::(.*)", line, re.DOTALL)
    assert match is not None
    properties = {}
    for each in match[2].split(","):
        key, _, value = each.partition("=")
        for code, sign in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
            value = value.replace(code, sign)
        properties[key] = value
    said = match[3]
    for code, sign in (("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        said = said.replace(code, sign)
    return match[1], properties, said


@example("100%0A and %25, %3A: ,", "a%3Ab%2C,:.py")
@given(st.text(), st.text(min_size=1))
def test_github_reads_what_was_meant(message: str, path: str) -> None:
    finding = Finding("FU101", Level.LIKELY, path, 3, message, "x", 5)
    out = to_github(Result((Told(finding),)))
    assert out.count("\n") == 1 and "\r" not in out
    name, properties, said = parsed(out[:-1])
    assert (name, said) == ("warning", f"{message}. {RULES['FU101'].mend}")
    assert (properties["file"], properties["line"], properties["col"]) == (path, "3", "5")


def test_no_command_of_a_file_reaches_github() -> None:
    evil = Finding("FU101", Level.LIKELY, "a\n::set-env x::\n.py", 1, "\n::stop-commands::x\r\n", "x")
    declared = Declaration("a.py", 1, 1, frozenset(), "\n::error::x")
    result = Result((Told(evil),), declared=((evil, declared),), notices=(Notice("\n::error::x"),))
    assert all(line.startswith(("::warning file=", "::notice title=")) for line in to_github(result).splitlines())


@pytest.mark.parametrize("name", RULES)
def test_every_rule_explains_itself(name: str) -> None:
    rule = RULES[name]
    assert rule.topic is None or rule.topic in CLASSES
    said = explained(rule)
    assert said.startswith(f"# {name}: ") and said.endswith("\n")
    for part in (rule.why, rule.mend, *rule.wrong.splitlines(), *rule.right.splitlines()):
        assert part in said
    assert f"local[{name}](reason)" in said
    assert rule.title == rule.title.strip().rstrip(".") and rule.why.endswith(".") and rule.mend.endswith(".")
