"""Signed tokens between services. Names begin with the requirement: T4, T5, T6."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey

from fungible_kit.tokens import Expired, Invalid, Missing, MissingScope, SignedTokens, TokenError, new_keys
from tests.kit.tokens.conftest import Clock

PARTIES = {"issuer": "orders", "audience": "billing"}
PRIVATE, PUBLIC = new_keys("ES256")
HEADER = {"alg": "ES256", "typ": "service+jwt", "kid": json.loads(PUBLIC)["keys"][0]["kid"]}


def sides(
    clock: Clock, private: str = PRIVATE, public: str = PUBLIC, **words: Any
) -> tuple[SignedTokens, SignedTokens]:
    return (
        SignedTokens(private, clock=clock, **PARTIES, **words),
        SignedTokens(public, clock=clock, **PARTIES, **words),
    )


def forged(header: dict[str, Any], claims: dict[str, Any], private: str = PRIVATE) -> str:
    """A token that is signed as it should be, but says something else."""
    (key,) = KeySet.import_key_set(json.loads(private)).keys
    header = {name: value for name, value in header.items() if value is not None}
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(header, claims, key, algorithms=[str(header.get("alg"))], default_type=None)


def good(clock: Clock) -> dict[str, Any]:
    now = int(clock())
    return {"iss": "orders", "aud": "billing", "sub": "job", "iat": now, "exp": now + 60, "jti": "1", "scope": "read"}


@pytest.mark.parametrize(
    "algorithm", ["Ed25519", "ES256", "ES384", "ES512", "HS256", "HS384", "HS512", "PS256", "RS256"]
)
def test_t4_what_one_side_signs_the_other_takes(algorithm: str, clock: Clock) -> None:
    private, public = new_keys(algorithm)
    signer, verifier = sides(clock, private, public)
    token = signer.sign("job 7", scopes={"write", "read"}, ttl="1m", claims={"tenant": "acme"})
    grant = verifier.verify({"REQUEST_METHOD": "GET", "HTTP_AUTHORIZATION": f"Bearer {token}"}, "read")
    assert (grant.subject, grant.scopes, grant.claims["tenant"]) == ("job 7", {"read", "write"}, "acme")
    assert grant.expires == clock() + 60
    with pytest.raises(MissingScope):
        verifier.verify(f"Bearer {token}", "admin")
    if not algorithm.startswith("HS"):
        assert '"d"' not in public
        with pytest.raises(ValueError, match="none of the keys can sign"):
            verifier.sign("job")


def test_t4_it_lives_for_minutes_and_no_longer(clock: Clock) -> None:
    signer, verifier = sides(clock)
    token = signer.sign("job")
    clock.now += 300
    assert verifier.verify_secret(token)  # within what two clocks may differ by
    clock.now += 30
    with pytest.raises(Expired):
        verifier.verify_secret(token)
    with pytest.raises(ValueError, match="15 minutes at most"):
        sides(clock, max_ttl="16m")
    sides(clock, max_ttl="15m")
    with pytest.raises(ValueError, match="300 s at most"):
        signer.sign("job", ttl="6m")


def test_t4_a_longer_one_of_the_other_side_is_refused(clock: Clock) -> None:
    longer, _ = sides(clock, max_ttl="15m")
    _, verifier = sides(clock)
    with pytest.raises(Invalid, match="longer"):
        verifier.verify_secret(longer.sign("job"))


@pytest.mark.parametrize(
    "header",
    [
        {"typ": None},
        {"typ": "JWT"},
        {"kid": None},
        {"kid": "other"},
        {"kid": "../../dev/null"},
        {"jku": "https://example.org/keys"},
        {"x5u": "https://example.org/certificate"},
        {"jwk": json.loads(PUBLIC)["keys"][0]},
        {"cty": "JWT"},
    ],
)
def test_t4_a_header_that_says_anything_else_is_refused(header: dict[str, Any], clock: Clock) -> None:
    _, verifier = sides(clock)
    assert verifier.verify_secret(forged(HEADER, good(clock)))
    with pytest.raises(Invalid):
        verifier.verify_secret(forged(HEADER | header, good(clock)))


@pytest.mark.parametrize("header", [{"crit": ["x"], "x": 1}, {"crit": []}, {"crit": ["b64"], "b64": False}])
def test_t4_unknown_critical_words_are_refused(header: dict[str, Any], clock: Clock) -> None:
    """The library would not write them: the header is put there by hand, which leaves the signature wrong as well."""
    _, verifier = sides(clock)
    _, payload, signature = forged(HEADER, good(clock)).split(".")
    with pytest.raises(Invalid, match="other fields"):
        verifier.verify_secret(".".join([_encoded(HEADER | header), payload, signature]))


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "ES384", "RS256", "", None, 7, ["ES256"]])
def test_t4_a_key_is_used_with_its_own_algorithm_alone(algorithm: Any, clock: Clock) -> None:
    _, verifier = sides(clock)
    _, payload, signature = forged(HEADER, good(clock)).split(".")
    for signed in (signature, "", "AA"):
        with pytest.raises(Invalid):
            verifier.verify_secret(".".join([_encoded(HEADER | {"alg": algorithm}), payload, signed]))


def test_t4_a_public_key_is_no_secret_of_an_hmac(clock: Clock) -> None:
    _, verifier = sides(clock)
    for secret in (PUBLIC, json.dumps(json.loads(PUBLIC)["keys"][0])):
        key = OctKey.import_key(secret.encode(), {"alg": "HS256", "kid": HEADER["kid"]})
        token = jwt.encode(HEADER | {"alg": "HS256"}, good(clock), key, algorithms=["HS256"], default_type=None)
        with pytest.raises(Invalid):
            verifier.verify_secret(token)


@pytest.mark.parametrize(
    "claims",
    [
        *({name: None} for name in ("iss", "aud", "sub", "exp", "iat", "jti")),
        {"iss": "other"},
        {"iss": ["orders"]},
        {"aud": "other"},
        {"aud": ["billing", "other"]},
        {"exp": "never"},
        {"exp": True},
        {"exp": 1e300},
        {"iat": 0},
        {"sub": 7},
        {"scope": ["read"]},
    ],
)
def test_t4_exp_iss_aud_and_who_is_meant_are_required(claims: dict[str, Any], clock: Clock) -> None:
    _, verifier = sides(clock)
    with pytest.raises(Invalid):
        verifier.verify_secret(forged(HEADER, good(clock) | claims))


def test_t4_one_from_the_future_is_refused(clock: Clock) -> None:
    signer, verifier = sides(clock)
    clock.now += 31
    token = signer.sign("job")
    clock.now -= 31
    with pytest.raises(Invalid, match="future"):
        verifier.verify_secret(token)


def test_t4_another_issuer_audience_or_key_is_refused(clock: Clock) -> None:
    signer, _ = sides(clock)
    token = signer.sign("job")
    for words in ({"issuer": "others"}, {"audience": "others"}, {"type": "other+jwt"}):
        with pytest.raises(Invalid):
            SignedTokens(PUBLIC, clock=clock, **PARTIES | words).verify_secret(token)
    private, _ = new_keys("ES256")
    with pytest.raises(Invalid):
        SignedTokens(PUBLIC, clock=clock, **PARTIES).verify_secret(sides(clock, private, private)[0].sign("job"))


@given(st.one_of(st.text(), st.binary().map(lambda b: b.decode("latin-1")), st.from_regex(r"[\w-]+\.[\w-]+\.[\w-]+")))
def test_t4_junk_is_refused(token: str) -> None:
    with pytest.raises(Invalid):
        SignedTokens(PUBLIC, **PARTIES).verify_secret(token)


@given(st.data())
def test_t4_a_changed_token_is_refused(data: st.DataObject) -> None:
    signer, verifier = sides(Clock())
    token = signer.sign("job")
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABCDabcd0123-_."))
    changed = token[:place] + other + token[place + 1 :]
    try:
        grant = verifier.verify_secret(changed)
    except TokenError:
        return
    # The last character of each part has bits that say nothing (RFC 4648, section 3.5).
    assert grant == verifier.verify_secret(token)


def test_keys_are_exchanged_without_a_gap(clock: Clock) -> None:
    old_private, old_public = (json.loads(text)["keys"] for text in (PRIVATE, PUBLIC))
    new_private, new_public = (json.loads(text)["keys"] for text in new_keys("Ed25519"))
    verifier = SignedTokens({"keys": [*old_public, *new_public]}, clock=clock, **PARTIES)
    for keys, used in ((old_private, old_private), ([*new_private, *old_private], new_private)):
        token = SignedTokens({"keys": keys}, clock=clock, **PARTIES).sign("job")
        assert verifier.verify_secret(token).subject == "job"
        assert json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))["kid"] == used[0]["kid"]
    token = SignedTokens({"keys": old_private}, clock=clock, **PARTIES).sign("job")
    with pytest.raises(Invalid):
        SignedTokens({"keys": new_public}, clock=clock, **PARTIES).verify_secret(token)


def key_set(*keys: Any) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=True) for key in keys]}


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (key_set(OctKey.import_key(b"x" * 31, {"alg": "HS256", "kid": "1"})), "too short for HS256, 32 bytes"),
        (key_set(OctKey.import_key(b"x" * 32, {"alg": "HS512", "kid": "1"})), "too short for HS512, 64 bytes"),
        (key_set(OctKey.generate_key(256, {"alg": "ES256", "kid": "1"})), "ES256 wants a key of type EC"),
        (key_set(ECKey.generate_key("P-384", {"alg": "ES256", "kid": "1"})), "type EC P-256"),
        (key_set(OKPKey.generate_key("X25519", {"alg": "Ed25519", "kid": "1"})), "type OKP Ed25519"),
        (key_set(RSAKey.generate_key(1024, {"alg": "RS256", "kid": "1"})), "too short for RS256, 2048 bits"),
        (key_set(OctKey.generate_key(256, {"alg": "none", "kid": "1"})), "needs an `alg`"),
        (key_set(ECKey.generate_key("P-256", {"kid": "1"})), "needs an `alg`"),
        ({"keys": [{"kty": "oct", "k": "AAAA", "alg": "HS256"}]}, "needs a `kid`|too short"),
        ({"keys": json.loads(PUBLIC)["keys"] * 2}, "needs a `kid` of its own"),
        ({"keys": []}, "not a JWK set"),
        ({}, "not a JWK set"),
        ("{", "not a JWK set"),
        ("[]", "not a JWK set"),
        ({"keys": [{"kty": "oct"}]}, "not a JWK set"),
    ],
)
def test_t5_a_key_without_what_it_needs_or_too_weak_is_said(keys: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SignedTokens(keys, **PARTIES)


def test_t5_a_weak_key_in_an_error_is_not_shown() -> None:
    secret = base64.urlsafe_b64encode(b"hunter2hunter2").decode().rstrip("=")
    with pytest.raises(ValueError) as refused:
        SignedTokens({"keys": [{"kty": "oct", "k": secret, "alg": "HS256", "kid": "1"}]}, **PARTIES)
    assert secret not in str(refused.value) and "hunter2" not in str(refused.value)


def test_t6_a_signed_token_comes_in_the_header_as_well(clock: Clock) -> None:
    signer, verifier = sides(clock)
    with pytest.raises(Missing) as refused:
        verifier.verify({"REQUEST_METHOD": "GET", "QUERY_STRING": f"access_token={signer.sign('job')}"})
    assert verifier.answer(refused.value).status == 401


def test_wrong_words_are_said(clock: Clock) -> None:
    signer, _ = sides(clock)
    with pytest.raises(ValueError, match="claims: exp, iss"):
        signer.sign("job", claims={"exp": 1, "iss": "x"})
    with pytest.raises(ValueError, match="a collection"):
        signer.sign("job", scopes="read")
    with pytest.raises(ValueError, match="known are"):
        new_keys("HS1")
    with pytest.raises(ValueError, match="each a text"):
        SignedTokens(PUBLIC, issuer="", audience="billing")


def _encoded(header: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
