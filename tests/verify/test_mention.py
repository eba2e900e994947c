"""The order in which objects that changed are suspected: who mentions the requests, or cannot say, comes first."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fungible.verify.blame.agent.naming import ObjectPath
from fungible.verify.blame.agent.told import Change
from fungible.verify.blame.memory import rank_told
from fungible.verify.blame.mention import Mention

pytestmark = pytest.mark.pure


def change(way: str, kind: str, what: str, *, in_app: bool = True) -> Change:
    """A change of `module.attribute.attribute`."""
    module, *names = way.split(".")
    steps = [("m", module), *(("a", name) for name in names)]
    return Change(1, ObjectPath.of(steps), kind, what, "object", (), True, in_app)


def in_turn(changes: Sequence[Change], *words: str) -> list[str]:
    mention = Mention(words, changes)
    return [each.text() for each in sorted(changes, key=lambda each: rank_told(each, mention, ()))]


def test_what_mentions_the_requests_comes_before_what_does_not() -> None:
    changes = [change("shop.HITS", "attribute", "1 -> 2"), change("shop.user.last.name", "attribute", "'ann'")]
    assert in_turn(changes, "ann") == ["shop.user.last.name", "shop.HITS"]


def test_a_cache_cannot_mention_anybody_and_is_suspected_with_those_who_do() -> None:
    noise = [change(f"shop.engine.dialect.statements._{n}", "attribute", "'select'") for n in range(9)]
    told = change("shop.engine.strings._known", "dict", "+['ann']")
    cache = change("shop.find", "lru_cache", "0 -> 1 entries")
    assert in_turn([*noise, told, cache], "ann")[:2] == ["shop.find", "shop.engine.strings._known"]


def test_a_cache_of_a_library_is_not_suspected_before_the_app() -> None:
    changes = [change("re.compile", "lru_cache", "", in_app=False), change("shop.HITS", "attribute", "1 -> 2")]
    assert in_turn(changes, "ann") == ["shop.HITS", "re.compile"]
