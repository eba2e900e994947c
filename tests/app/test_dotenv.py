"""The `.env` file: quotes, comments, references; and that nothing but a Problem comes out of a bad one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.app.dotenv import parse_dotenv, resolve
from fungible.app.problem import Problem

pytestmark = pytest.mark.pure


def read(text: str, **known: str) -> dict[str, str]:
    return resolve(parse_dotenv(text, ".env"), known, ".env")


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=", ""),
        ("A=b c", "b c"),
        ("  A =  b  ", "b"),
        ("export A=b", "b"),
        ("export\tA=b", "b"),
        ("A=b#c", "b#c"),
        ("A=#fff", "#fff"),
        ("A=b # c", "b"),
        ("A=b\t#c", "b"),
        ("A= # c", ""),
        ("A=b=c", "b=c"),
        ('A={"a":1, "b":[2]}', '{"a":1, "b":[2]}'),
        ("A=it's", "it's"),
        ("A=\\n\\t", "\\n\\t"),
        ("A=$B", "$B"),
        ("A=5$", "5$"),
        ("A='b # ${C} \\n \"'  # c", 'b # ${C} \\n "'),
        ("A=''", ""),
        ('A=""', ""),
        ('A="b # c"', "b # c"),
        ('A="b\\n\\t\\"\\\\\\$c"', 'b\n\t"\\$c'),
        ('A="\\d\\${B}"', "\\d${B}"),
        ('A="it\'s"', "it's"),
        ("A='one\ntwo'", "one\ntwo"),
        ('A="one\r\ntwo\n"', "one\ntwo\n"),
        ('A="one\\\ntwo"', "one\\\ntwo"),
        ("A=é", "é"),
        ("A=${X}", "x y"),
        ('A="${X}-${X}"', "x y-x y"),
        ("A=a${X}b", "ax yb"),
        ("A='${X}'", "${X}"),
    ],
)
def test_values(line: str, value: str) -> None:
    assert read(line, X="x y") == {"A": value}


def test_lines_after_a_long_value_keep_their_numbers() -> None:
    assignments = parse_dotenv('# c\n\nA="1\n2"\nB=3\n', ".env")
    assert [(entry.name, entry.line) for entry in assignments] == [("A", 3), ("B", 5)]


def test_references_see_earlier_lines_then_what_is_known() -> None:
    text = "A=${B}\nB=own\nC=${B}\nPATH=bin:${PATH}\nPATH=${PATH}:more\n"
    assert read(text, B="known", PATH="/bin") == {"A": "known", "B": "own", "C": "own", "PATH": "bin:/bin:more"}


def test_a_value_is_expanded_once() -> None:
    assert read("A=${X}", X="${Y}") == {"A": "${Y}"}


def test_values_are_not_in_the_repr_of_an_assignment() -> None:
    assert "s3cret" not in repr(parse_dotenv("KEY=s3cret", ".env"))


VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)


@given(st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True), VALUES, max_size=5))
def test_quoted_values_survive(values: dict[str, str]) -> None:
    values = {name: value.replace("\r\n", "\n") for name, value in values.items()}
    escaped = {
        name: value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") for name, value in values.items()
    }
    assert read("".join(f'{name}="{value}"\n' for name, value in escaped.items())) == values
    kept = {name: value.replace("'", "") for name, value in values.items()}
    assert read("".join(f"export {name}='{value}' # c\n" for name, value in kept.items())) == kept


PIECES = st.sampled_from(
    ["A", "B", "=", "'", '"', "\\", "${", "}", "$", "#", " ", "\n", "\r\n", "export ", "\0", "\ufeff", "\udc80"]
)


@given(st.lists(PIECES | st.text(max_size=3), max_size=40).map("".join))
def test_any_text_is_read_or_refused_in_one_sentence(text: str) -> None:
    try:
        values = read(text, A="known")
    except Problem as problem:
        assert problem.message.startswith(".env:")
        assert problem.message.isprintable()
    else:
        assert all("\0" not in value for value in values.values())
