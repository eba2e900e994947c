"""Who may ask a port of this machine."""

from __future__ import annotations

import pytest

from fungible.control.guard import is_loopback, names_this_machine, refusal

pytestmark = pytest.mark.pure

TOKEN = "t" * 43
GOOD = {"host": "127.0.0.1:4949", "authorization": f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:80", "localhost:4949", "LOCALHOST", "[::1]:4949", "127.8.9.10:1", "localhost."]
)
def test_names_of_this_machine(host: str) -> None:
    assert names_this_machine(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:4949",
        "localhost.evil.example",
        "127.0.0.1.evil.example:4949",
        "127.0.0.1:4949@evil.example",
        "evil.example#127.0.0.1",
        "0.0.0.0:4949",
        "10.0.0.5:4949",
        "[::]:4949",
        "127.0.0.1:4949 ",
        "127.1:4949:1",
        "::1",
    ],
)
def test_every_other_name_is_refused(host: str) -> None:
    assert not names_this_machine(host)
    assert refusal(GOOD | {"host": host}, TOKEN) is not None


def test_who_has_the_token_and_comes_from_our_own_page_may_ask() -> None:
    assert refusal(GOOD, TOKEN) is None
    own = {"origin": "http://127.0.0.1:4949", "sec-fetch-site": "same-origin"}
    assert refusal(GOOD | own, TOKEN) is None
    assert refusal(GOOD | {"authorization": f"bearer {TOKEN}"}, TOKEN) is None


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "https://127.0.0.1:4949"}, 403),
        ({"origin": "http://127.0.0.1:5000"}, 403),  # the app's own page
        ({"origin": "http://localhost:4949"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),  # another port of this machine
        ({"authorization": ""}, 401),
        ({"authorization": "Bearer"}, 401),
        ({"authorization": f"Basic {TOKEN}"}, 401),
        ({"authorization": f"Bearer {TOKEN[:-1]}"}, 401),
        ({"authorization": f"Bearer {TOKEN}x"}, 401),
        ({"authorization": "Bearer ü"}, 401),
    ],
)
def test_everybody_else_may_not(header: dict[str, str], status: int) -> None:
    refused = refusal(GOOD | header, TOKEN)
    assert refused is not None
    assert refused[0] == status


def test_loopback_addresses() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost")] == [True] * 3
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "192.168.1.2", "example.org")] == [False] * 4
