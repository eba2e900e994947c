"""Opaque tokens on every store, by both faces. Names begin with the requirement: T1, T2, T3, T7."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import valkey

from fungible_kit.tokens import Expired, Invalid, Missing, MissingScope, Reused, Revoked, TokenError, Tokens
from tests.kit.tokens.conftest import Clock, Face

HOUR, DAY = 3600, 86400


def bearer(issued: Any) -> str:
    return f"Bearer {issued.secret}"


def test_a_token_grants_what_it_was_issued_for(face: Face, clock: Clock) -> None:
    issued = face.issue("ann", kind="api", ttl="1h", scopes={"write", "read"}, label="Ännchens Laptop")
    grant = face.verify(bearer(issued), "read")
    assert (grant.user_id, grant.scopes, grant.kind, grant.label) == (
        "ann",
        {"read", "write"},
        "api",
        "Ännchens Laptop",
    )
    assert grant.token_id == issued.id and grant.expires == issued.expires == clock.now + HOUR
    assert face.verify_secret(issued.secret) == grant
    with pytest.raises(MissingScope) as refused:
        face.verify(bearer(issued), "read", "admin")
    assert refused.value.scopes == ("admin", "read")
    with pytest.raises(MissingScope):
        grant.require("admin")


def test_t1_a_secret_has_256_bits_and_only_its_hash_is_stored(
    face: Face, kind: str, url: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    many = [face.issue("ann", label="x", renew_for="2h", ttl="1h") for _ in range(20)]
    refreshed = face.refresh(bearer(many[0]))
    face.verify(bearer(refreshed))
    assert len({issued.secret for issued in many}) == 20
    assert all(re.fullmatch(r"acme_login_[0-9A-Za-z]{49}", issued.secret) for issued in many)
    stored = everything(kind, url, name)
    assert b"ann" in stored  # it is the right place
    for issued in (*many, refreshed):
        assert issued.secret.encode() not in stored and issued.secret[-49:-6].encode() not in stored
        assert issued.secret not in repr(issued) + str(issued) + caplog.text


def everything(kind: str, url: str, name: str) -> bytes:
    """All that a store holds under a name."""
    if kind == "sqlite":
        from pathlib import Path

        file = Path(url.removeprefix("sqlite:///"))
        return b"".join(path.read_bytes() for path in file.parent.glob(f"{file.name}*"))
    if kind == "postgres":
        with psycopg.connect(url) as connection:
            return repr(connection.execute(f"SELECT * FROM {name}").fetchall()).encode()
    with valkey.Valkey.from_url(url) as client:
        keys = client.keys(f"{name}:*")
        return repr([(k, client.hgetall(k) if b":t:" in k else client.zrange(k, 0, -1)) for k in keys]).encode()


def test_t2_revoked_anywhere_is_refused_everywhere_at_once(face: Face, make: Callable[..., Tokens]) -> None:
    elsewhere = make(kinds=("login", "api"))  # as in another process: nothing is shared but the store
    issued = face.issue("ann")
    elsewhere.verify(bearer(issued))
    assert face.revoke(issued.id) == 1
    for tokens in (face, elsewhere):
        with pytest.raises(Revoked):
            tokens.verify(bearer(issued))
    assert face.revoke(issued.id) == 0 and face.revoke("unknown") == 0


def test_t2_all_logins_of_a_user_end_but_the_one_that_is_kept(face: Face) -> None:
    mine, other, api = face.issue("ann"), face.issue("ann"), face.issue("ann", kind="api")
    bobs = face.issue("bob")
    assert face.revoke_user("ann", keep=mine.id) == 2
    assert face.verify(bearer(mine)) and face.verify(bearer(bobs))
    for gone in (other, api):
        with pytest.raises(Revoked):
            face.verify(bearer(gone))
    assert [login.id for login in face.of("ann")] == [mine.id]
    assert face.revoke_user("ann") == 1 and face.of("ann") == []
    assert face.revoke_user("nobody") == 0


def test_t3_every_token_expires(face: Face, clock: Clock) -> None:
    issued = face.issue("ann", ttl=60)
    usual = face.issue("ann")
    clock.now += 59
    assert face.verify(bearer(issued))
    clock.now += 1
    with pytest.raises(Expired):
        face.verify(bearer(issued))
    clock.now += 12 * HOUR - 61
    assert face.verify(bearer(usual))
    clock.now += 1
    with pytest.raises(Expired):
        face.verify(bearer(usual))
    for never in (0, -1, float("inf"), float("nan"), "for ever", True):
        with pytest.raises(ValueError, match=r"ttl=.* is (no duration|less than 1000 ms)"):
            face.issue("ann", ttl=never)
    with pytest.raises(ValueError, match="ttl"):
        Tokens("sqlite:///unused.db", prefix="acme", ttl=None)  # type: ignore[arg-type]


def test_a_list_shows_live_logins_and_no_secrets(face: Face, clock: Clock) -> None:
    first = face.issue(7, label="phone", scopes=["read"], renew_for="30d")
    clock.now += 10
    second = face.issue(7, kind="api", ttl="30d")
    face.issue(7, ttl=5)
    face.issue(77)
    clock.now += 10
    refreshed = face.refresh(bearer(first))
    assert face.refresh(bearer(first)).id == refreshed.id == first.id
    found = face.of(7)
    assert [login.id for login in found] == [second.id, first.id]
    assert found[1].label == "phone" and found[1].scopes == {"read"}
    assert found[1].created == clock.now - 20 and found[1].last_used == clock.now
    assert first.secret not in repr(found)


def test_its_use_is_noted_once_in_ten_minutes(face: Face, clock: Clock) -> None:
    issued, start = face.issue("ann"), clock.now
    for later, noted in ((599, start), (600, start + 600), (601, start + 600), (1200, start + 1200)):
        clock.now = start + later
        face.verify(bearer(issued))
        assert face.of("ann")[0].last_used == noted


def test_t7_a_refresh_replaces_the_secret_and_keeps_the_login(face: Face, clock: Clock) -> None:
    old = face.issue("ann", ttl="1h", renew_for="1d", scopes={"read"}, label="phone")
    clock.now += 1800
    new = face.refresh(bearer(old))
    assert new.secret != old.secret and new.expires == clock.now + HOUR
    assert (new.id, new.user_id, new.scopes, new.label) == (old.id, "ann", {"read"}, "phone")
    clock.now += 29
    assert face.verify(bearer(old)) and face.verify(bearer(new))  # the grace: requests on their way do not fail
    clock.now += 1
    with pytest.raises(Revoked):
        face.verify(bearer(old))
    assert face.verify(bearer(new))  # an old secret that only asks ends nothing


def test_t7_parallel_refreshes_in_the_grace_all_work(face: Face, clock: Clock) -> None:
    old = face.issue("ann", renew_for="1d")
    first = face.refresh(bearer(old))
    clock.now += 29
    second = face.refresh(bearer(old))
    clock.now += 2
    assert face.verify(bearer(first)).token_id == face.verify(bearer(second)).token_id == old.id


def test_t7_a_reused_secret_ends_the_whole_login_and_no_other(face: Face, clock: Clock) -> None:
    stolen, other = face.issue("ann", renew_for="1d"), face.issue("ann")
    by_thief = face.refresh(bearer(stolen))
    clock.now += 30
    again = face.refresh(bearer(by_thief))
    with pytest.raises(Reused):
        face.refresh(bearer(stolen))
    for secret in (stolen, by_thief, again):
        for refused in (face.verify, face.refresh):
            with pytest.raises(Revoked):
                refused(bearer(secret))
    assert face.verify(bearer(other))


def test_t7_refreshing_ends_at_the_time_that_was_set_and_needs_a_live_token(face: Face, clock: Clock) -> None:
    secret, start = face.issue("ann", ttl="1h", renew_for="100m"), clock.now
    clock.now += 3000
    secret = face.refresh(bearer(secret))
    assert secret.expires == start + 6000
    clock.now += 2999
    secret = face.refresh(bearer(secret))
    assert secret.expires == start + 6000 and secret.expires_in == 1
    clock.now += 1
    with pytest.raises(Expired):
        face.refresh(bearer(secret))
    with pytest.raises(Invalid, match="not issued to be refreshed"):
        face.refresh(bearer(face.issue("ann")))
    revoked = face.issue("ann", renew_for="1d")
    face.revoke(revoked.id)
    with pytest.raises(Revoked):
        face.refresh(bearer(revoked))


def test_t7_without_grace_a_second_refresh_is_reuse(make: Callable[..., Tokens]) -> None:
    tokens = make(grace=0)
    old = tokens.issue("ann", renew_for="1d")
    new = tokens.refresh(bearer(old))
    with pytest.raises(Reused):
        tokens.refresh(bearer(old))
    with pytest.raises(Revoked):
        tokens.verify(bearer(new))


def test_t7_no_refresh_outlives_a_revocation_that_runs_beside_it(make: Callable[..., Tokens]) -> None:
    """Four clients refresh as fast as they can while the user's logins are revoked: nothing is left."""
    tokens = make(grace=0)
    for _ in range(5):
        begun, last = threading.Barrier(5), []

        def refresh(begun: threading.Barrier = begun, last: list[Any] = last) -> None:
            held = tokens.issue("ann", renew_for="1d")
            begun.wait(30)
            try:
                while True:
                    last.append(held)
                    held = tokens.refresh(bearer(held))
            except Revoked:
                pass

        clients = [threading.Thread(target=refresh) for _ in range(4)]
        for client in clients:
            client.start()
        begun.wait(30)
        assert tokens.revoke_user("ann") >= 4
        for client in clients:
            client.join(60)
        assert not any(client.is_alive() for client in clients)
        assert tokens.of("ann") == []
        for held in last:
            with pytest.raises(Revoked):
                tokens.verify(bearer(held))


def test_t7_of_parallel_refreshes_on_an_event_loop_none_fails(make: Callable[..., Tokens]) -> None:
    tokens = make()

    async def scenario() -> None:
        old = await tokens.aissue("ann", renew_for="1d")
        new = await asyncio.gather(*(tokens.arefresh(bearer(old)) for _ in range(20)))
        assert {(await tokens.averify(bearer(each))).token_id for each in new} == {old.id}
        assert len({each.secret for each in new}) == 20 and len(await tokens.aof("ann")) == 1
        await tokens.aclose()

    asyncio.run(scenario())


def test_a_token_of_another_kind_or_app_is_none(face: Face, make: Callable[..., Tokens]) -> None:
    resets = make(kinds=("reset",))
    link = resets.issue("ann")
    with pytest.raises(Invalid):
        face.verify(bearer(link))
    assert resets.verify_secret(link.secret).kind == "reset"
    with pytest.raises(Invalid):
        make(prefix="other", kinds=("reset",)).verify(bearer(link))


def test_what_expired_is_purged_from_a_table(face: Face, kind: str, url: str, clock: Clock) -> None:
    face.issue("ann", ttl=10)
    kept = face.issue("ann")
    clock.now += 11
    assert face.purge() == (0 if kind == "valkey" else 1)  # Valkey does that by itself
    assert face.verify(bearer(kept))


def test_a_secret_in_place_of_an_id_or_of_a_header_is_told_and_not_shown(face: Face) -> None:
    issued = face.issue("ann", kind="api")
    with pytest.raises(ValueError, match="give its id") as refused:
        face.revoke(issued.secret)
    assert issued.secret not in str(refused.value) and face.verify_secret(issued.secret).token_id == issued.id
    with pytest.raises(ValueError, match="keep: this is a secret; give its id") as refused:
        face.revoke_user("ann", keep=issued.secret)
    assert issued.secret not in str(refused.value) and face.verify_secret(issued.secret)
    with pytest.raises(Missing, match="give a secret to verify_secret") as missing:
        face.verify(issued.secret)
    assert issued.secret not in str(missing.value)
    with pytest.raises(ValueError, match="each scope is a text"):
        face.verify(bearer(issued), ["read"])
    with pytest.raises(ValueError, match="each scope is a text"):
        face.verify_secret(issued.secret).require({"read"})


def test_in_valkey_nothing_outlives_its_expiry(valkey_url: str) -> None:
    tokens = Tokens(valkey_url, prefix="acme", name="expiring")
    tokens.refresh(bearer(tokens.issue("ann", ttl="1h", renew_for="1d", label="x")))
    with valkey.Valkey.from_url(valkey_url) as client:
        lives = [client.ttl(key) for key in client.keys("expiring:*")]
    assert len(lives) == 4 and all(0 < left <= 2 * HOUR for left in lives)
    tokens.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"user_id": ""}, "user_id"),
        ({"user_id": True}, "user_id"),
        ({"user_id": "a\nb"}, "user_id"),
        ({"user_id": "u" * 256}, "user_id"),
        ({"kind": "admin"}, "these tokens have the kinds login"),
        ({"scopes": "read"}, "a collection"),
        ({"scopes": None}, "scopes None: a collection"),
        ({"scopes": [["read"]]}, "each scope is a text"),
        ({"scopes": ["a b"]}, "scopes"),
        ({"scopes": ['a"b']}, "scopes"),
        ({"scopes": [str(number) for number in range(51)]}, "scopes"),
        ({"label": "\x1b[2J"}, "label"),
        ({"label": "x" * 256}, "label"),
        ({"renew_for": "soon"}, "renew_for"),
    ],
)
def test_what_cannot_be_issued_is_said(words: dict[str, Any], said: str, tmp_path: Any) -> None:
    tokens = Tokens(f"sqlite:///{tmp_path}/t.db", prefix="acme")
    with pytest.raises(ValueError, match=said):
        tokens.issue(**{"user_id": "ann"} | words)
    assert not list(tmp_path.iterdir())  # refused before anything was asked


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"prefix": "Acme"}, "prefix"),
        ({"prefix": "ac_me"}, "prefix"),
        ({"prefix": "acme", "kinds": ()}, "kinds"),
        ({"prefix": "acme", "kinds": "login"}, "kinds"),
        ({"prefix": "acme", "kinds": ("a-b",)}, "kind"),
        ({"prefix": "acme", "name": 'x"; DROP'}, "name"),
        ({"prefix": "acme", "store": "valkey://localhost", "name": "a:b"}, "name"),
        ({"prefix": "acme", "store": "postgres://localhost", "name": "Tokens"}, "name"),
        ({"prefix": "acme", "realm": 'a"b'}, "realm"),
        ({"prefix": "acme", "grace": -1}, "grace"),
        ({"prefix": "acme", "store": "mongodb://h/d"}, "no store for URLs with 'mongodb'"),
        ({"prefix": "acme", "store": "sqlite://"}, "lost with the process"),
        ({"prefix": "acme", "store": "sqlite:///:memory:"}, "lost with the process"),
    ],
)
def test_wrong_settings_are_said(words: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Tokens(**{"store": "sqlite:///never-made.db"} | words)


def test_errors_are_of_one_family() -> None:
    assert issubclass(Reused, Revoked) and all(
        issubclass(e, TokenError) for e in (Invalid, Expired, Revoked, MissingScope)
    )


def test_every_requirement_has_a_test_that_names_it() -> None:
    text = "".join(file.read_text() for file in Path(__file__).parent.glob("test_*.py"))
    assert {int(number) for number in re.findall(r"^def test_t(\d+)_", text, re.MULTILINE)} == set(range(1, 10))
