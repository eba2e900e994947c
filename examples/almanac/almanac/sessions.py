"""Sessions in Valkey: the cookie holds a random id, the store the data, and the store forgets it in time.

Nothing is kept in the process, so any process can serve the next request. The store sees only a digest of
the id: who reads the store cannot become a user.
"""

import hashlib
import json
import secrets
from typing import Any

from flask import Flask, Request, Response
from flask.sessions import SessionInterface, SessionMixin
from werkzeug.datastructures import CallbackDict

from almanac import settings
from almanac.store import client

COOKIE = "almanac_session"


class StoredSession(CallbackDict[str, Any], SessionMixin):
    """A session's data with its id; an id of None means that the store has nothing under it yet."""

    def __init__(self, sid: str | None = None, data: dict[str, Any] | None = None) -> None:
        super().__init__(data or {}, on_update=lambda changed: setattr(changed, "modified", True))
        self.sid = sid
        self.old_sid: str | None = None
        self.modified = False

    def renew(self) -> None:
        """Empty the session and have it stored under a new id (done at log in, against fixation)."""
        self.old_sid, self.sid = self.old_sid or self.sid, None
        self.clear()


class ValkeySessions(SessionInterface):
    def open_session(self, app: Flask, request: Request) -> StoredSession:
        sid = request.cookies.get(COOKIE)
        # GETEX: reading a session and giving it new time is one step in the store.
        text = client.getex(_key(sid), ex=settings.SESSION_SECONDS) if sid else None
        return StoredSession(sid, json.loads(text)) if text else StoredSession()

    def save_session(self, app: Flask, session: StoredSession | None, response: Response) -> None:
        if session is None or not session.modified:
            return
        response.vary.add("Cookie")
        with client.pipeline(transaction=True) as steps:
            if gone := session.old_sid or (session.sid if not session else None):
                steps.delete(_key(gone))
            if session:
                session.sid = session.sid or secrets.token_urlsafe(32)
                steps.set(_key(session.sid), json.dumps(session), ex=settings.SESSION_SECONDS)
            steps.execute()
        if not session:
            response.delete_cookie(COOKIE, httponly=True, samesite="Lax")
        else:
            secure = app.config["SECURE_COOKIES"]()
            response.set_cookie(COOKIE, session.sid, httponly=True, samesite="Lax", secure=secure)


def _key(sid: str) -> str:
    return "session:" + hashlib.sha256(sid.encode()).hexdigest()
