"""The format of a secret, and where a request carries one."""

from __future__ import annotations

import contextlib
import re
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible_kit.tokens import Invalid, Missing, secret
from fungible_kit.tokens.bearer import secret_in

pytestmark = pytest.mark.pure

RANDOM = st.binary(min_size=32, max_size=32)


@given(RANDOM)
def test_what_is_minted_is_well_formed_and_found_by_scanners(random: bytes) -> None:
    minted = secret.mint("acme", "login", random)
    assert len(minted) == len("acme_login_") + 49
    assert secret.kind_of(minted, "acme", ("api", "login")) == "login"
    assert secret.kind_of(minted, "acme", ("api",)) is None and secret.kind_of(minted, "acm", ("login",)) is None
    value = 0
    for digit in minted[11:54]:
        value = value * 62 + secret.DIGITS.index(digit)
    assert value == int.from_bytes(random)
    for text in (f"token={minted}", f'"{minted}"', f"Authorization: Bearer {minted}\n"):
        for kinds in ((), ("login", "api")):
            assert re.findall(secret.pattern("acme", kinds), text) == [minted]
    assert not re.search(secret.pattern("acme", ("api",)), minted)
    assert not re.search(secret.pattern("acme"), minted + "x")


@given(RANDOM, st.integers(0, 59), st.sampled_from(secret.DIGITS + "_- é\n"))
def test_one_changed_character_makes_it_junk(random: bytes, place: int, other: str) -> None:
    minted = secret.mint("acme", "login", random)
    changed = minted[:place] + other + minted[place + 1 :]
    assert (secret.kind_of(changed, "acme", ("login",)) is None) == (changed != minted)


@given(st.text())
def test_junk_is_junk(text: str) -> None:
    assert secret.kind_of(text, "acme", ("login",)) is None
    assert secret.kind_of(f"acme_login_{text}", "acme", ("login",)) is None


def test_the_format_is_the_documented_one() -> None:
    body = "acme_login_" + "0" * 42 + "1"
    value, check = zlib.crc32(body.encode()), ""
    for _ in range(6):
        value, digit = divmod(value, 62)
        check = secret.DIGITS[digit] + check
    assert secret.mint("acme", "login", b"\0" * 31 + b"\1") == body + check


@given(st.integers(0, 2**256 - 1))
def test_base62_keeps_the_order(number: int) -> None:
    written = secret.base62(number, 43)
    assert len(written) == 43 and (number == 0 or secret.base62(number - 1, 43) < written)


class Request:
    """As Flask (environ), Django (META), Starlette (scope) and others (headers) have them."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


SCOPE = {"type": "http", "headers": [(b"host", b"x"), (b"authorization", b"Bearer abc")]}
ENVIRON = {"REQUEST_METHOD": "GET", "HTTP_AUTHORIZATION": "Bearer abc"}


@pytest.mark.parametrize(
    "source",
    [
        "Bearer abc",
        "bearer abc",
        "BEARER   abc ",
        SCOPE,
        ENVIRON,
        {"host": "x", "authorization": "Bearer abc"},
        {"Authorization": "Bearer abc"},
        Request(environ=ENVIRON),
        Request(META=ENVIRON),
        Request(scope=SCOPE),
        Request(headers={"Authorization": "Bearer abc"}),
    ],
)
def test_t6_the_authorization_header_is_read_wherever_it_is(source: Any) -> None:
    assert secret_in(source) == "abc"


@pytest.mark.parametrize(
    "source",
    [
        None,
        "",
        "Basic abc",
        "abc",
        {
            "type": "http",
            "headers": [(b"cookie", b"token=abc; access_token=abc")],
            "query_string": b"access_token=abc",
        },
        {"REQUEST_METHOD": "GET", "QUERY_STRING": "access_token=abc", "HTTP_COOKIE": "access_token=abc"},
        {"REQUEST_METHOD": "POST", "HTTP_X_AUTHORIZATION": "Bearer abc", "HTTP_PROXY_AUTHORIZATION": "Bearer abc"},
        {},
    ],
)
def test_t6_and_nowhere_else(source: Any) -> None:
    with pytest.raises(Missing):
        secret_in(source)


@pytest.mark.parametrize(
    "source",
    [
        "Bearer",
        "Bearer ",
        "Bearer a b",
        "Bearer a,b",
        'Bearer token="abc"',
        "Bearer é",
        "Bearer abc\r\nX: y",
        "Bearer " + "a" * 8192,
        {"type": "http", "headers": [(b"authorization", b"Bearer abc"), (b"Authorization", b"Bearer abc")]},
        {"REQUEST_METHOD": "GET", "HTTP_AUTHORIZATION": "Bearer abc,Bearer abc"},
    ],
)
def test_t6_a_malformed_or_doubled_header_is_no_token(source: Any) -> None:
    with pytest.raises(Invalid) as refused:
        secret_in(source)
    assert "abc" not in str(refused.value)


@given(st.text())
def test_any_header_is_a_token_or_refused(header: str) -> None:
    with contextlib.suppress(Invalid):
        assert re.fullmatch(r"[\w.~+/-]+=*", secret_in(header), re.ASCII)


def test_what_is_no_request_is_said() -> None:
    with pytest.raises(TypeError, match="int is no request"):
        secret_in(7)
