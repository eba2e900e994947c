"""The rules of tokens: plans that ask a store for operations. No input, no output, no clock of its own."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from fungible_kit.tokens import secret as secrets_of
from fungible_kit.tokens.errors import Expired, Invalid, MissingScope, Reused, Revoked, StoreUnavailable
from fungible_kit.tokens.record import Grant, Issued, Login, Row, each_a_text, logins
from fungible_kit.tokens.store import (
    Create,
    Find,
    Insert,
    OfUser,
    Plan,
    Purge,
    Replace,
    RevokeLogin,
    RevokeUser,
    Touch,
)

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}")  # a scope-token of RFC 6749, section 3.3
_MOST_SCOPES = 50
_LONGEST = 255
_ID_BYTES = 12
log = logging.getLogger("fungible_kit.tokens")


@dataclass(frozen=True)
class Policy:
    """What an app decided about its tokens; lengths of time in seconds.

    `kinds` are those that `verify` lets in, the first is what `issue` makes unless told. `grace` is how long a
    replaced secret is taken, `last_used_every` how often at most its use is noted (None: never). `clock` gives unix
    seconds, `random` that many random bytes.
    """

    prefix: str
    kinds: tuple[str, ...]
    ttl: int
    grace: int
    last_used_every: int | None
    clock: Callable[[], float]
    random: Callable[[int], bytes]

    def issue(
        self, user_id: str | int, kind: str, ttl: int, renew_for: int | None, scopes: Collection[str], label: str
    ) -> Plan[Issued]:
        if kind not in self.kinds:
            raise ValueError(f"kind {kind!r}: these tokens have the kinds {', '.join(self.kinds)}")
        now = self._now
        until = None if renew_for is None else now + renew_for
        made = secrets_of.mint(self.prefix, kind, self.random(secrets_of.RANDOM_BYTES))
        row = Row(
            digest=secrets_of.digest(made),
            id=self.random(_ID_BYTES).hex(),
            user_id=_user(user_id),
            kind=kind,
            scopes=_scopes(scopes),
            label=_text("label", label),
            created=now,
            issued=now,
            expires=now + ttl if until is None else min(now + ttl, until),
            renew_until=until,
            last_used=now,
        )
        yield Insert(row)
        return _issued(made, row, now)

    def verify(self, secret: str, scopes: Collection[str]) -> Plan[Grant]:
        """One look-up; none for junk."""
        each_a_text(scopes)
        row = yield from self._find(secret)
        now = self._now
        if row.revoked is not None or self._beyond_grace(row, now):
            raise Revoked("the token has been revoked")
        if row.expires <= now:
            raise Expired("the token has expired")
        if not set(row.scopes).issuperset(scopes):
            raise MissingScope(scopes)
        if self.last_used_every is not None and now - row.last_used >= self.last_used_every:
            try:
                yield Touch(row.digest, now, now - self.last_used_every)
            except StoreUnavailable as error:
                # The request is let in: a look-up said so, and the note will be made by a later one.
                log.warning("the use of token %s was not noted: %s", row.id, error)
        return Grant(row.user_id, frozenset(row.scopes), row.id, row.kind, row.label, row.expires)

    def refresh(self, secret: str) -> Plan[Issued]:
        """A new secret of the same login; the old one is taken for `grace` more."""
        row = yield from self._find(secret)
        while True:
            now = self._now
            if row.revoked is not None:
                raise Revoked("the token has been revoked")
            if self._beyond_grace(row, now):
                yield from self.revoke(row.id)
                log.warning(
                    "login %s of user %s: a replaced token was refreshed, all are revoked", row.id, row.user_id
                )
                raise Reused("the token had been replaced; all tokens of this login are revoked")
            if row.expires <= now:
                raise Expired("the token has expired")
            if row.renew_until is None:
                raise Invalid("the token was not issued to be refreshed")
            made = secrets_of.mint(self.prefix, row.kind, self.random(secrets_of.RANDOM_BYTES))
            new = Row(
                digest=secrets_of.digest(made),
                id=row.id,
                user_id=row.user_id,
                kind=row.kind,
                scopes=row.scopes,
                label=row.label,
                created=row.created,
                issued=now,
                expires=min(now + row.expires - row.issued, row.renew_until),
                renew_until=row.renew_until,
                last_used=now,
            )
            if (yield Replace(row.digest, new, now, now - self.grace)):
                return _issued(made, new, now)
            # Somebody was faster: revoked it, or replaced it longer ago than our grace. Look again which.
            row = yield from self._find(secret)

    def revoke(self, token_id: str) -> Plan[int]:
        """Until nothing is left to revoke: a refresh that ran beside it may have added one that it did not see."""
        self._no_secret("token_id", token_id)
        total = 0
        while count := (yield RevokeLogin(token_id, self._now)):
            total += count
        return total

    def revoke_user(self, user_id: str | int, keep: str | None) -> Plan[int]:
        self._no_secret("keep", keep)
        total, user = 0, _user(user_id)
        while count := (yield RevokeUser(user, self._now, keep)):
            total += count
        return total

    def of(self, user_id: str | int) -> Plan[list[Login]]:
        return logins((yield OfUser(_user(user_id), self._now)))

    def purge(self) -> Plan[int]:
        return int((yield Purge(self._now)))

    def create(self) -> Plan[None]:
        yield Create()

    @property
    def _now(self) -> int:
        return int(self.clock())

    def _no_secret(self, what: str, token_id: str | None) -> None:
        """Raises ValueError where a secret is given in place of an id: no login would be found by it."""
        if isinstance(token_id, str) and re.search(secrets_of.pattern(self.prefix), token_id):
            raise ValueError(
                f"{what}: this is a secret; give its id, such as issued.id or verify_secret(secret).token_id"
            )

    def _find(self, secret: str) -> Plan[Row]:
        if secrets_of.kind_of(secret, self.prefix, self.kinds) is None:
            raise Invalid("not a token of ours")
        row: Row | None = yield Find(secrets_of.digest(secret))
        if row is None:
            raise Invalid("an unknown token")
        return row

    def _beyond_grace(self, row: Row, now: int) -> bool:
        return row.replaced is not None and row.replaced <= now - self.grace


def _issued(made: str, row: Row, now: int) -> Issued:
    return Issued(
        made, row.id, row.user_id, row.kind, frozenset(row.scopes), row.label, row.expires, row.expires - now
    )


def _user(given: str | int) -> str:
    if isinstance(given, bool) or not isinstance(given, (str, int)) or given == "":
        raise ValueError(f"user_id {given!r}: a text or a whole number")
    return _text("user_id", str(given))


def _text(what: str, given: str) -> str:
    if len(given) > _LONGEST or not given.isprintable():
        raise ValueError(f"{what}: {_LONGEST} printable characters at most")
    return given


def _scopes(given: Collection[str]) -> tuple[str, ...]:
    if isinstance(given, str):
        raise ValueError(f"scopes {given!r}: a collection of texts, such as {{{given!r}}}")
    if not isinstance(given, Iterable):
        raise ValueError(f"scopes {given!r}: a collection of texts, empty for none")
    found = sorted(set(each_a_text(given)))
    if len(found) > _MOST_SCOPES or any(not _SCOPE.fullmatch(scope) for scope in found):
        raise ValueError(
            f"scopes {found}: {_MOST_SCOPES} at most, each of printable ASCII without space, quote, backslash"
        )
    return tuple(found)
