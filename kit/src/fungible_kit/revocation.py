"""Everything that lets a user in, ended with one call: sessions and tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fungible_kit.sessions.session import Session
    from fungible_kit.sessions.sessions import Sessions
    from fungible_kit.tokens.tokens import Tokens


@dataclass(frozen=True)
class Revoked:
    """How many were ended."""

    sessions: int = 0
    tokens: int = 0


class NotAllRevoked(Exception):
    """Something of the user's may still be let in, because a store could not be asked; call again.

    `done` is what was ended, `failures` are the errors, one for each store. All stores were tried.
    """

    def __init__(self, done: Revoked, failures: list[Exception]) -> None:
        self.done = done
        self.failures = failures
        why = "; ".join(map(str, failures))
        super().__init__(f"not everything of the user is revoked, call again ({why})")


def revoke_everything(
    user: str | int, *stores: Sessions | Tokens, keep: Session | None = None, keep_token: str | None = None
) -> Revoked:
    """End all sessions and all tokens of a user in `stores`, which are the `Sessions` and `Tokens` of the app.

    `keep` is the session that goes on, as after a change of password, and `keep_token` the id of a token
    (`grant.token_id`). A request that is under way may still begin a session or issue a token: close the account, or
    change the password, first. Signed tokens (`SignedTokens`) are let in until they expire.

    A store that fails does not keep the others from being asked: raises `NotAllRevoked` at the end. Raises
    `TypeError` before anything is ended where one of `stores` can revoke nothing.
    """
    results: list[tuple[bool, int | Exception]] = []
    for of_sessions, store in _sorted(stores):
        call = _call(store, "revoke" if of_sessions else "revoke_user", user, keep if of_sessions else keep_token)
        try:
            results.append((of_sessions, call()))
        except Exception as error:
            results.append((of_sessions, error))
    return _sum(results)


async def arevoke_everything(
    user: str | int, *stores: Sessions | Tokens, keep: Session | None = None, keep_token: str | None = None
) -> Revoked:
    """`revoke_everything` in an event loop."""
    results: list[tuple[bool, int | Exception]] = []
    for of_sessions, store in _sorted(stores):
        call = _call(store, "arevoke" if of_sessions else "arevoke_user", user, keep if of_sessions else keep_token)
        try:
            results.append((of_sessions, await call()))
        except Exception as error:
            results.append((of_sessions, error))
    return _sum(results)


def _sorted(stores: tuple[Any, ...]) -> Iterator[tuple[bool, Any]]:
    """Sessions first: with a session one may get a token, more often than the other way round."""
    if not stores:
        raise TypeError("revoke_everything(user, sessions, tokens): name what is to be revoked")
    for store in stores:
        if not (hasattr(store, "revoke_user") or hasattr(store, "arevoke")):
            raise TypeError(f"a {type(store).__name__} revokes nothing by user; give Sessions and Tokens")
    kinds = [(not hasattr(store, "revoke_user"), store) for store in stores]
    return iter(sorted(kinds, key=lambda kind: not kind[0]))


def _call(store: Any, method: str, user: str | int, keep: Any) -> Callable[[], Any]:
    return lambda: getattr(store, method)(user, keep=keep)


def _sum(results: list[tuple[bool, int | Exception]]) -> Revoked:
    done = Revoked(
        sum(found for of_sessions, found in results if of_sessions and isinstance(found, int)),
        sum(found for of_sessions, found in results if not of_sessions and isinstance(found, int)),
    )
    failures = [found for _, found in results if isinstance(found, Exception)]
    if failures:
        raise NotAllRevoked(done, failures)
    return done
