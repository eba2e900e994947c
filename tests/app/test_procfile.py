"""The Procfile: what is read, and that nothing but a Problem comes out of a bad one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.app.problem import Problem
from fungible.app.procfile import ProcfileLine, parse_procfile

pytestmark = pytest.mark.pure

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", fullmatch=True)
COMMANDS = (
    st.text(st.characters(exclude_categories=["C"], include_characters="\t"), min_size=1, max_size=40)
    .map(str.strip)
    .filter(lambda text: text and not text.endswith("\\"))
)


def test_lines_in_their_order() -> None:
    text = "# the site\nweb: gunicorn 'shop:app' # kept: the shell reads it\n\n \t\n"
    text += "worker:\tpython  work.py \n9_to-5:x:y\n"
    assert parse_procfile(text, "Procfile") == (
        ProcfileLine("web", "gunicorn 'shop:app' # kept: the shell reads it", 2),
        ProcfileLine("worker", "python  work.py", 5),
        ProcfileLine("9_to-5", "x:y", 6),
    )


def test_the_ends_of_lines_are_no_part_of_a_command() -> None:
    unix = parse_procfile("web: a\nworker: b", "Procfile")
    assert parse_procfile("web: a\r\nworker: b\r\n", "Procfile") == unix


def test_an_escaped_backslash_continues_nothing() -> None:
    assert parse_procfile("web: a \\\\", "Procfile")[0].command == "a \\\\"


def test_a_name_may_have_63_characters() -> None:
    assert parse_procfile(f"{'w' * 63}: a", "Procfile")[0].name == "w" * 63


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("gunicorn shop:app", 'write "web: gunicorn shop:app"'),
        ("python app.py", 'write "web: python app.py"'),
        ("python --mode=x app.py", 'write "web: python --mode=x app.py"'),
        ("web gunicorn shop:app", 'write "web: gunicorn shop:app"'),
        ("web=gunicorn shop:app", 'write "web: gunicorn shop:app"'),
        ("worker", 'write "worker: COMMAND"'),
        ("web : gunicorn shop:app", 'write "web: gunicorn shop:app"'),
        ("./run", "write `name: command`"),
        ("my web: gunicorn shop:app", '"my web" is no name'),
    ],
)
def test_a_line_without_its_colon_is_written_as_it_was_meant(line: str, hint: str) -> None:
    with pytest.raises(Problem) as raised:
        parse_procfile(f"# site\n{line}\n", "Procfile")
    assert raised.value.message.startswith("Procfile:2: ")
    assert hint in raised.value.message


def test_a_second_line_without_a_type_is_no_second_web() -> None:
    with pytest.raises(Problem, match=r'write "worker: python work\.py"'):
        parse_procfile("web: a\npython work.py\n", "Procfile")


@given(st.dictionaries(NAMES, COMMANDS, min_size=1, max_size=8), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_what_is_written_is_read(types: dict[str, str], end: str, comments: bool) -> None:
    gap = f"# note{end}  {end}" if comments else ""
    text = "".join(f"{gap}{name}: {command}{end}" for name, command in types.items())
    lines = parse_procfile(text, "Procfile")
    assert {line.name: line.command for line in lines} == types
    assert [text.split(end)[line.line - 1].partition(":")[0] for line in lines] == list(types)


PIECES = st.sampled_from(
    ["web", "worker", ":", " ", "\t", "\n", "\r\n", "\r", "#", "<<<<<<<", "=", "\\", "\0", "\ufeff", "é", "\udc80"]
)


@given(st.lists(PIECES | st.text(max_size=4), max_size=40).map("".join))
def test_any_text_is_read_or_refused_in_one_sentence(text: str) -> None:
    try:
        lines = parse_procfile(text, "Procfile")
    except Problem as problem:
        assert problem.message.startswith("Procfile:")
        assert problem.message.isprintable()
    else:
        assert lines
        assert all(line.command == line.command.strip() != "" for line in lines)
        assert len({line.name for line in lines}) == len(lines)
