"""Short-lived signed tokens between services (JWT, by joserfc).

They are verified without a store and so cannot be revoked: only for minutes, never for people. Rules: RFC 8725 (JSON
Web Token Best Current Practices).
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fungible_kit.duration import Duration, whole_seconds
from fungible_kit.tokens.answers import Answer, answer_to
from fungible_kit.tokens.bearer import secret_in
from fungible_kit.tokens.errors import Expired, Invalid, MissingScope, StoreUnavailable, TokenError
from fungible_kit.tokens.record import each_a_text

if TYPE_CHECKING:
    from joserfc.jwk import Key, KeySet

MOST = 15 * 60
LEEWAY = 30
"""Seconds by which the clocks of two machines may differ."""
_HEADER = {"alg", "typ", "kid"}
# Algorithm -> kind of key, and for curves which, for `oct` how many bytes at least (RFC 7518, section 3.2).
_ALGORITHMS: dict[str, tuple[str, str | int | None]] = {
    "HS256": ("oct", 32),
    "HS384": ("oct", 48),
    "HS512": ("oct", 64),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "Ed25519": ("OKP", "Ed25519"),
    "PS256": ("RSA", 2048),
    "RS256": ("RSA", 2048),
}
_OURS = {"iss", "aud", "sub", "exp", "iat", "jti", "scope"}


@dataclass(frozen=True)
class SignedGrant:
    """Who a service's request speaks for. `expires` is in unix seconds, `claims` all that was signed."""

    subject: str
    scopes: frozenset[str]
    token_id: str
    expires: int
    claims: Mapping[str, Any]

    def require(self, *scopes: str) -> None:
        """Raises MissingScope unless the token has all of these."""
        if not self.scopes.issuperset(each_a_text(scopes)):
            raise MissingScope(scopes)


class SignedTokens:
    """Signs for, and takes from, one issuer and one audience.

    `keyset` is a JWK set: a `joserfc.jwk.KeySet`, its dict or its JSON text. Every key has a `kid` and an `alg`: that
    algorithm alone is used with it. The first that can sign does; all verify, so a key is exchanged by putting the
    new one first on the signing side once every verifying side has it. `max_ttl` is 15 minutes at most; a longer
    token is refused, too. `type` is the `typ` of the header. Needs fungible-kit[tokens].

    Raises ValueError where a key is missing what it needs or is too weak.
    """

    def __init__(
        self,
        keyset: KeySet | Mapping[str, Any] | str,
        *,
        issuer: str,
        audience: str,
        max_ttl: Duration = "5m",
        type: str = "service+jwt",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = _keys(keyset)
        self._signer = next((key for key in self._keys.values() if _signs(key)), None)
        self._issuer, self._audience, self._type, self._clock = issuer, audience, type, clock
        self._max_ttl = whole_seconds("max_ttl", max_ttl)
        if not issuer or not audience or not type:
            raise ValueError("issuer, audience and type: each a text")
        if self._max_ttl > MOST:
            raise ValueError(f"max_ttl: {MOST // 60} minutes at most, for a signed token cannot be revoked")

    def sign(
        self,
        subject: str,
        *,
        scopes: Collection[str] = (),
        ttl: Duration | None = None,
        claims: Mapping[str, Any] | None = None,
    ) -> str:
        """A token that speaks for `subject` for `ttl` (default: `max_ttl`); `claims` are added, as JSON values."""
        from joserfc import jwt

        lasts = self._max_ttl if ttl is None else whole_seconds("ttl", ttl)
        if lasts > self._max_ttl:
            raise ValueError(f"ttl: {self._max_ttl} s at most")
        if self._signer is None:
            raise ValueError("keyset: none of the keys can sign")
        if taken := _OURS & set(claims or {}):
            raise ValueError(f"claims: {', '.join(sorted(taken))} are set by arguments")
        if isinstance(scopes, str):
            raise ValueError(f"scopes {scopes!r}: a collection of texts")
        now = int(self._clock())
        ours = {"iss": self._issuer, "aud": self._audience, "sub": subject, "iat": now, "exp": now + lasts}
        ours |= {"jti": secrets.token_urlsafe(16), "scope": " ".join(sorted(scopes))}
        header = {"alg": str(self._signer.alg), "typ": self._type, "kid": str(self._signer.kid)}
        return jwt.encode(header, {**(claims or {}), **ours}, self._signer, algorithms=[header["alg"]])

    def verify(self, request: Any, *scopes: str) -> SignedGrant:
        """Who the request speaks for, if its token has all these scopes; `request` as for `Tokens.verify`.

        Raises Missing, Invalid, Expired or MissingScope.
        """
        return self.verify_secret(secret_in(request), *scopes)

    def verify_secret(self, token: str, *scopes: str) -> SignedGrant:
        """The same for the token alone."""
        from joserfc import jws, jwt
        from joserfc.errors import JoseError

        if len(token) > 8192 or not re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", token, re.ASCII):
            raise Invalid("not a signed token")
        try:
            header = jws.extract_compact(token.encode()).headers()
            # Nothing that the sender names is followed: no jku, jwk, x5u, x5c, crit.
            if set(header) != _HEADER or header["typ"] != self._type or not isinstance(header["kid"], str):
                raise Invalid("a header with other fields, or of another type")
            key = self._keys.get(header["kid"])
            if key is None or header["alg"] != key.alg:
                raise Invalid("an unknown key, or not with its algorithm")
            claims = jwt.decode(token, key, algorithms=[str(key.alg)]).claims
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise Invalid(f"not a valid signed token: {type(error).__name__}") from None
        grant = self._grant(claims)
        grant.require(*scopes)
        return grant

    def answer(self, error: TokenError | StoreUnavailable) -> Answer:
        """The HTTP answer to a request whose token was refused (RFC 6750)."""
        return answer_to(error, self._audience)

    def _grant(self, claims: Mapping[str, Any]) -> SignedGrant:
        now = self._clock()
        expires, issued = claims.get("exp"), claims.get("iat")
        subject, token_id, scope = claims.get("sub"), claims.get("jti"), claims.get("scope", "")
        if claims.get("iss") != self._issuer or claims.get("aud") != self._audience:
            raise Invalid("of another issuer or for another audience")
        if type(expires) is not int or type(issued) is not int or not isinstance(subject, str):
            raise Invalid("lacks exp, iat or sub")
        if not isinstance(token_id, str) or not isinstance(scope, str):
            raise Invalid("lacks jti, or its scope is no text")
        if (
            issued > now + LEEWAY
            or not 0 < expires - issued <= self._max_ttl
            or claims.get("nbf", 0) not in (0, issued)
        ):
            raise Invalid("lives longer than is allowed, or is from the future")
        if expires <= now - LEEWAY:
            raise Expired("the token has expired")
        return SignedGrant(subject, frozenset(scope.split()), token_id, expires, claims)


def new_keys(algorithm: str = "Ed25519") -> tuple[str, str]:
    """A new key as two JWK sets in JSON: the private one, for who signs, and the public one, for who verifies.

    For an HS algorithm both are the same secret.
    """
    from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

    kind, size = _ALGORITHMS.get(algorithm, ("", None))
    words: Any = {"alg": algorithm, "kid": secrets.token_hex(8), "use": "sig"}
    key: Key
    if kind == "oct" and isinstance(size, int):
        key = OctKey.generate_key(size * 8, words)
    elif kind == "EC":
        key = ECKey.generate_key(str(size), words)
    elif kind == "OKP":
        key = OKPKey.generate_key("Ed25519", words)
    elif kind == "RSA":
        key = RSAKey.generate_key(3072, words)
    else:
        raise ValueError(f"algorithm {algorithm!r}: known are {', '.join(_ALGORITHMS)}")
    private = json.dumps({"keys": [key.as_dict(private=True)]})
    return private, private if kind == "oct" else json.dumps({"keys": [key.as_dict(private=False)]})


def _keys(keyset: KeySet | Mapping[str, Any] | str) -> dict[str, Key]:
    try:
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet
    except ImportError as missing:
        raise ImportError(f"signed tokens need fungible-kit[tokens]: {missing}") from missing
    if not isinstance(keyset, KeySet):
        try:
            given: Any = json.loads(keyset) if isinstance(keyset, str) else keyset
            keyset = KeySet.import_key_set(given)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"keyset: not a JWK set ({type(error).__name__})") from None
    found: dict[str, Key] = {}
    for number, key in enumerate(keyset.keys):
        where = f"keyset: key {number}"
        words = key.as_dict(private=False) if key.key_type != "oct" else key.as_dict()
        kid, algorithm = words.get("kid"), str(words.get("alg"))
        if not kid or not isinstance(kid, str) or kid in found:
            raise ValueError(f"{where}: needs a `kid` of its own")
        if algorithm not in _ALGORITHMS:
            raise ValueError(f"{where}: needs an `alg`, one of {', '.join(_ALGORITHMS)}")
        kind, needed = _ALGORITHMS[algorithm]
        if key.key_type != kind or (isinstance(needed, str) and words.get("crv") != needed):
            raise ValueError(f"{where}: {algorithm} wants a key of type {kind}{f' {needed}' if needed else ''}")
        if isinstance(needed, int) and _size(key) < needed:
            raise ValueError(
                f"{where}: too short for {algorithm}, {needed} {'bytes' if kind == 'oct' else 'bits'} at least"
            )
        found[kid] = key
    if not found:
        raise ValueError("keyset: no key")
    return found


def _size(key: Any) -> int:
    """Bytes of a secret, bits of an RSA key."""
    return len(key.raw_value) if key.key_type == "oct" else key.raw_value.key_size


def _signs(key: Any) -> bool:
    return key.key_type == "oct" or bool(key.is_private)
