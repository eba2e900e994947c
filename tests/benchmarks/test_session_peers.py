"""What the comparison of sessions makes of cookies, and of a session library's storage behind our protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fungible_kit.sessions.conformance import CASES, Skipped

pytestmark = pytest.mark.pure


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The workers run with this folder first."""
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "benchmarks" / "session_peers"))


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("sid=b; Path=/; HttpOnly", {"sid": "b"}),
        ("sid=; Max-Age=0; Path=/", {}),
        ('sid=""; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/', {}),
        ("sid=null; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT", {}),
        ("other=1; Path=/", {"sid": "a", "other": "1"}),
    ],
)
def test_a_jar_keeps_what_a_browser_keeps(line: str, left: dict[str, str]) -> None:
    from browser import Answer, Jar

    jar = Jar({"sid": "a"})
    jar.keep(Answer(200, [line], b""))
    assert jar.cookies == left


def test_cases_find_in_a_plain_dictionary_what_a_library_that_writes_everything_back_loses() -> None:
    """The adapter itself loses nothing: what fails is what such a library does."""
    from stores import PeerStore

    class Dictionary(PeerStore):
        held: dict[str, dict[str, Any]] = {}  # noqa: RUF012

        def _load(self, key: str) -> dict[str, Any] | None:
            return self.held.get(key)

        def _save(self, key: str, values: dict[str, Any], ttl: int) -> None:
            self.held[key] = values

        def _delete(self, key: str) -> None:
            self.held.pop(key, None)

    answers = {}
    for case in CASES:
        if str(case) in ("fork", "ends_by_itself"):
            continue
        try:
            case.run(Dictionary)  # type: ignore[arg-type]
        except Skipped:
            answers[str(case)] = "not offered"
        except AssertionError:
            answers[str(case)] = "no"
        else:
            answers[str(case)] = "yes"
    for name in (
        "nothing",
        "round_trip",
        "binary",
        "sets",
        "deletes",
        "keeps",
        "last_wins",
        "moves",
        "restarts",
        "purge",
    ):
        assert answers[name] == "yes", name
    for name in ("no_resurrection", "merged", "taken", "old_is_dead", "absolute"):
        assert answers[name] == "no", name
    for name in ("create_once", "adds", "conflict", "too_large", "listed", "grace"):
        assert answers[name] == "not offered", name
