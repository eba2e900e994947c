"""Tokens as values: the row that a store holds, and what callers get."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fungible_kit.tokens.errors import MissingScope


@dataclass(frozen=True)
class Row:
    """What a store holds of one secret. Times are whole unix seconds, by the clock of the app's machine.

    `id` names the login: what `refresh` makes has the id of what it replaces. `created` is when the login was made,
    `issued` when this secret was.
    """

    digest: bytes
    id: str
    user_id: str
    kind: str
    scopes: tuple[str, ...]
    label: str
    created: int
    issued: int
    expires: int
    renew_until: int | None
    last_used: int
    replaced: int | None = None
    revoked: int | None = None


@dataclass(frozen=True)
class Issued:
    """A new token. `secret` is shown here and never again: only its hash is stored. `expires` is in unix seconds."""

    secret: str = field(repr=False)
    id: str
    user_id: str
    kind: str
    scopes: frozenset[str]
    label: str
    expires: int
    expires_in: int


@dataclass(frozen=True)
class Grant:
    """Who a request speaks for. `expires` is in unix seconds."""

    user_id: str
    scopes: frozenset[str]
    token_id: str
    kind: str
    label: str
    expires: int

    def require(self, *scopes: str) -> None:
        """Raises MissingScope unless the token has all of these."""
        if not self.scopes.issuperset(each_a_text(scopes)):
            raise MissingScope(scopes)


@dataclass(frozen=True)
class Login:
    """A login as its user may see it in a list: no secret, no hash. Times are unix seconds."""

    id: str
    kind: str
    scopes: frozenset[str]
    label: str
    created: int
    expires: int
    last_used: int


def each_a_text(scopes: Iterable[str]) -> tuple[str, ...]:
    """The scopes, if each of them is a text; raises ValueError."""
    found = tuple(scopes)
    for scope in found:
        if not isinstance(scope, str):
            raise ValueError(f'scope {scope!r}: each scope is a text of its own, such as "read", "write"')
    return found


def logins(rows: Iterable[Row]) -> list[Login]:
    """One entry for each login, the newest first. Parallel refreshes leave one of them with several secrets."""
    found: dict[str, Login] = {}
    for row in sorted(rows, key=lambda row: row.issued):
        used = max(row.last_used, found[row.id].last_used if row.id in found else 0)
        found[row.id] = Login(row.id, row.kind, frozenset(row.scopes), row.label, row.created, row.expires, used)
    return sorted(found.values(), key=lambda login: (-login.created, login.id))
