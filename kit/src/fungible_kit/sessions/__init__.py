"""Sessions that any process can serve: kept in a store, merged there, the same for WSGI and ASGI."""

from fungible_kit.sessions.answer import Outage, Page
from fungible_kit.sessions.codec import Codec, JsonCodec
from fungible_kit.sessions.cookie import Cookie
from fungible_kit.sessions.errors import (
    Misconfigured,
    NotStorable,
    NotSupported,
    SessionAlreadySent,
    SessionConflict,
    SessionError,
    SessionNotLoaded,
    SessionTooLarge,
    StoreUnavailable,
)
from fungible_kit.sessions.exchange import Policy
from fungible_kit.sessions.record import Listed
from fungible_kit.sessions.sealing import Sealed
from fungible_kit.sessions.session import Session
from fungible_kit.sessions.sessions import Sessions
from fungible_kit.sessions.stores import AsyncStore, Caps, Store

__all__ = [
    "AsyncStore",
    "Caps",
    "Codec",
    "Cookie",
    "JsonCodec",
    "Listed",
    "Misconfigured",
    "NotStorable",
    "NotSupported",
    "Outage",
    "Page",
    "Policy",
    "Sealed",
    "Session",
    "SessionAlreadySent",
    "SessionConflict",
    "SessionError",
    "SessionNotLoaded",
    "SessionTooLarge",
    "Sessions",
    "Store",
    "StoreUnavailable",
]
