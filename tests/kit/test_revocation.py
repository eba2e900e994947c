"""One call ends everything that lets a user in, on real stores."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fungible_kit import NotAllRevoked, Revoked, Sessions, SignedTokens, Tokens, arevoke_everything, revoke_everything
from fungible_kit.tokens import Revoked as TokenRevoked
from fungible_kit.tokens import new_keys
from tests.kit.sessions import apps
from tests.kit.sessions.clients import WsgiBrowser
from tests.kit.sessions.servers import running


@pytest.fixture(scope="module", params=["valkey", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(request.param, tmp_path_factory.mktemp(request.param)) as url:
        yield url


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    tokens = Tokens(f"sqlite:///{tmp_path}/tokens.db", prefix="acme")
    tokens.create()
    return tokens


def signed_in(sessions: Sessions, user: str, count: int = 2) -> list[WsgiBrowser]:
    browsers = [WsgiBrowser(apps.wsgi(sessions)) for _ in range(count)]
    for browser in browsers:
        browser.get(f"/login/{user}")
    return browsers


def who(browser: WsgiBrowser) -> str:
    return browser.get("/who").text.partition(",")[0]


def test_sessions_and_tokens_of_one_user_end_and_nobody_elses(url: str, tokens: Tokens) -> None:
    sessions = Sessions(url, deadline="5s")
    hers, his = signed_in(sessions, "ann"), signed_in(sessions, "bob", 1)
    secrets = [tokens.issue("ann").secret for _ in range(3)]
    other = tokens.issue("bob").secret
    assert revoke_everything("ann", tokens, sessions) == Revoked(sessions=2, tokens=3)
    assert [who(browser) for browser in (*hers, *his)] == ["[null", "[null", '["bob"']
    for secret in secrets:
        with pytest.raises(TokenRevoked):
            tokens.verify_secret(secret)
    assert tokens.verify_secret(other).user_id == "bob"
    assert revoke_everything("ann", sessions, tokens) == Revoked(0, 0)
    sessions.revoke("bob")


def test_after_a_change_of_password_this_session_and_this_token_go_on(url: str, tokens: Tokens) -> None:
    sessions = Sessions(url, deadline="5s")
    here, there = signed_in(sessions, "7")
    kept, gone = tokens.issue(7), tokens.issue(7)

    async def revoke() -> Revoked:
        try:
            mine = sessions.open(here.jar.header)
            return await arevoke_everything(7, sessions, tokens, keep=mine, keep_token=kept.id)
        finally:
            await sessions.aclose()

    assert asyncio.run(revoke()) == Revoked(sessions=1, tokens=1)
    assert who(here) == '["7"' and who(there) == "[null"
    assert tokens.verify_secret(kept.secret)
    with pytest.raises(TokenRevoked):
        tokens.verify_secret(gone.secret)
    sessions.revoke(7)


def test_a_store_that_is_away_is_told_and_does_not_keep_the_other_from_being_asked(tokens: Tokens) -> None:
    secret = tokens.issue("ann").secret
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        sessions = Sessions(f"valkey://127.0.0.1:{held.getsockname()[1]}")
        with pytest.raises(NotAllRevoked, match=r"call again \(the session store cannot be reached\)") as told:
            revoke_everything("ann", sessions, tokens)
    assert told.value.done == Revoked(sessions=0, tokens=1) and len(told.value.failures) == 1
    with pytest.raises(TokenRevoked):
        tokens.verify_secret(secret)


def test_what_cannot_be_revoked_is_refused_before_anything_ends(tokens: Tokens) -> None:
    secret = tokens.issue("ann").secret
    signed = SignedTokens(new_keys()[0], issuer="a", audience="b")
    with pytest.raises(TypeError, match="a SignedTokens revokes nothing by user"):
        revoke_everything("ann", tokens, signed)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="name what is to be revoked"):
        revoke_everything("ann")
    assert tokens.verify_secret(secret)
