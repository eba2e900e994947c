"""State that is declared to be local: where a comment counts, and what is said of one that does nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.check.check import Result, check
from fungible.check.declared import declarations
from fungible.check.source import Source
from fungible.check.tree import Tree

pytestmark = pytest.mark.pure

HEAD = "from flask import Flask, request\napp = Flask(__name__)\n"
MADE = "CARTS = {}\n"
USED = (
    '@app.post("/cart")\ndef add():\n    CARTS[request.form["user"]] = 1\n'
    '@app.post("/clear")\ndef clear():\n    CARTS["all"] = 2\n'
    '@app.get("/cart/<user>")\ndef show(user):\n    return CARTS[user]\n'
)


def checked(text: str, **more: str) -> Result:
    """The check of `shop.py`, and other modules."""
    return check(Tree.of([("shop.py", text), *((f"{name}.py", each) for name, each in more.items())]))


def told(result: Result) -> list[tuple[str, int]]:
    return [(each.finding.rule, each.finding.line) for each in result.told]


def test_what_is_not_declared_is_told() -> None:
    result = checked(HEAD + MADE + USED)
    assert told(result) == [("FU101", 6)]
    assert result.failed and not result.declared and not result.notices


@pytest.mark.parametrize(
    "made",
    [
        "CARTS = {}  # fungible: local(a gauge)\n",
        "# fungible: local(a gauge)\nCARTS = {}\n",
        "# fungible: local[FU101](a gauge)\n# what it is for\nCARTS = {}\n",
        "CARTS = {}  # noqa  # fungible: local[FU103, fu101] (a gauge)\n",
    ],
)
def test_what_is_declared_where_it_is_made_is_no_finding(made: str) -> None:
    result = checked(HEAD + made + USED)
    assert told(result) == [] and not result.failed
    assert [(finding.rule, by.reason) for finding, by in result.declared] == [("FU101", "a gauge")]
    assert result.notices == ()


def test_it_may_be_declared_where_another_module_makes_it() -> None:
    used = "from store import CARTS\n" + HEAD + USED
    assert told(checked(used, store=MADE)) != []
    result = checked(used, store="# fungible: local(a gauge)\nCARTS = {}\n")
    assert told(result) == [] and len(result.declared) == 1


def test_it_may_be_declared_at_the_line_that_is_told() -> None:
    result = checked(HEAD + MADE + USED.replace("] = 1", "] = 1  # fungible: local(a gauge)"))
    assert not result.failed and len(result.declared) == 1


def test_a_declaration_behind_code_does_not_hide_the_line_below() -> None:
    text = HEAD + "OTHER = 1  # fungible: local(a constant)\n" + MADE + USED
    result = checked(text)
    assert told(result) == [("FU101", 7)]
    assert [str(each) for each in result.notices] == [
        "shop.py:3: this declares nothing: no rule finds anything here any more; take it out"
    ]


def test_a_decorated_function_is_declared_above_its_decorators() -> None:
    text = HEAD + (
        "from functools import lru_cache\nimport sqlite3\n"
        "# fungible: local[FU105](never changes)\n@lru_cache\ndef rates(name):\n"
        '    return sqlite3.connect("a.db").execute("select rate from rates where name = ?", [name]).fetchone()\n'
        '@app.get("/<name>")\ndef show(name):\n    return rates(name)\n'
    )
    assert ("FU105", 6) in told(checked(text.replace("# fungible: local[FU105](never changes)", "#")))
    result = checked(text)
    assert "FU105" not in {rule for rule, _ in told(result)} and not result.notices


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        ("# fungible: local", "without a reason"),
        ("# fungible: local()", "without a reason"),
        ("# fungible: local[FU101]( )", "without a reason"),
        ("# fungible: local(no end", "without a reason"),
        ("# fungible: local[FU102](a gauge)", "take it out"),
        ("# fungible: local[FUN101](a gauge)", 'there is no rule "FUN101". Did you mean "FU101"?'),
    ],
)
def test_a_declaration_that_does_nothing_is_told_and_hides_nothing(comment: str, said: str) -> None:
    result = checked(HEAD + f"{comment}\n" + MADE + USED)
    assert told(result) == [("FU101", 7)]
    assert [each.line for each in result.notices] == [3] and said in result.notices[0].text


def test_text_that_only_looks_like_a_comment_declares_nothing() -> None:
    text = '"""How to: # fungible: local(a reason)."""\nA = "# fungible: local(x)"\n'
    assert declarations([Source("shop.py", text)]) == ()


def test_a_declaration_in_a_file_that_cannot_be_parsed_is_not_called_useless() -> None:
    result = checked("def (:\n# fungible: local(a gauge)\nA = {}\n")
    assert result.notices == () and [(each.path, each.line) for each in result.unread] == [("shop.py", 1)]


@pytest.mark.parametrize(
    ("path", "text", "covered"),
    [
        ("nginx.conf", "upstream a {\n  ip_hash; # fungible: local(an old client)\n}\n", 2),
        ("svc.yaml", "spec:\n  # fungible: local(an old client)\n  sessionAffinity: ClientIP\n", 3),
        ("lb.tf", "// fungible: local(an old client)\nstickiness {\n", 2),
        ("lb.tf", "/* fungible: local(an old client) */\nstickiness {\n", 2),
        ("uwsgi.ini", "; fungible: local(an old client)\ncache2 = name=a\n", 2),
        ("Dockerfile", "FROM a\n#fungible:local(an old client)\nVOLUME /data\n", 3),
    ],
)
def test_declarations_in_other_languages(path: str, text: str, covered: int) -> None:
    (found,) = declarations([Source(path, text)])
    assert (found.covered, found.reason, found.rules) == (covered, "an old client", frozenset())


REASONS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1)


@given(REASONS, st.frozensets(st.from_regex(r"FU[1-5]\d\d", fullmatch=True)), st.booleans())
def test_reason_and_rules_are_read_as_written(reason: str, rules: frozenset[str], alone: bool) -> None:
    only = f"[{','.join(sorted(rules))}]" if rules else ""
    text = f"# fungible: local{only}({reason})"
    lines = f"\n{text}\nA = 1\n" if alone else f"A = 1\nB = 2  {text}\n"
    (found,) = declarations([Source("shop.py", lines)])
    assert (found.line, found.covered) == ((2, 3) if alone else (2, 2))
    assert (found.rules, found.reason) == (rules, reason.strip())


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    for name in ("a.py", "a.conf"):
        for each in declarations([Source(name, f"{text}\n# fungible: local{text}")]):
            assert each.line <= each.covered
