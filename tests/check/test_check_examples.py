"""The two examples of the repository: each of the nine mistakes of the one is read, and nothing in the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from fungible.check.check import Result, check
from fungible.check.reading import read

EXAMPLES = Path(__file__).parents[2] / "examples"

# What README's table of the nine names: the rule, and the line that holds the state or makes it.
NINE = {
    "login": ("FU101", "accounts.py", "logged_in[token] = name"),
    "basket": ("FU103", "basket.py", "self.contents.setdefault("),
    "row cache": ("FU105", "catalogue.py", "@lru_cache"),
    "upload": ("FU117", "uploads.py", "file.save("),
    "signing key": ("FU113", "sharing.py", "secrets.token_hex"),
    "rate limit": ("FU101", "limits.py", "failures[name] = recent"),
    "job status": ("FU101", "exports.py", "status[export_id] = {"),
    "stylesheet": ("FU117", "styles.py", "write_text(text)"),
    "boot setting": ("FU101", "settings.py", "SETTINGS[name] = value"),
}


def checked(name: str) -> tuple[Result, Path]:
    folder = EXAMPLES / name
    return check(read(folder).tree), folder


@pytest.fixture(scope="module")
def sticky() -> tuple[Result, Path]:
    return checked("almanac_sticky")


@pytest.mark.parametrize("mistake", NINE)
def test_each_of_the_nine_is_told_at_its_line(sticky: tuple[Result, Path], mistake: str) -> None:
    result, folder = sticky
    rule, module, line = NINE[mistake]
    path = f"almanac_sticky/{module}"
    lines = (folder / path).read_text().splitlines()
    assert any(
        each.finding.rule == rule and each.finding.path == path and line in lines[each.finding.line - 1]
        for each in result.told
    ), [each.finding for each in result.told]


def test_in_the_example_that_keeps_its_state_elsewhere_there_is_nothing() -> None:
    assert checked("almanac")[0].told == ()
