"""Sessions for Django: `SESSION_ENGINE = "fungible_kit.sessions.django"`, with Django's own middleware or ours.

Settings, all optional: `FUNGIBLE_SESSIONS = {"store": "valkey://...", "absolute": "30d", ...}`, as for `Sessions`;
without `store`, the variable FUNGIBLE_SESSION_URL; `on_outage` may be the dotted name of a function. The idle limit
is Django's (`SESSION_COOKIE_AGE`, `set_expiry`), values are written by Django's serializer (`SESSION_SERIALIZER`),
and the cookie is Django's (`SESSION_COOKIE_...`).
"""

from __future__ import annotations

import inspect
import time
from difflib import get_close_matches
from functools import cache
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError
from django.contrib.sessions.middleware import SessionMiddleware as _DjangoMiddleware
from django.http import HttpResponse
from django.utils.cache import patch_cache_control, patch_vary_headers
from django.utils.http import http_date
from django.utils.module_loading import import_string

from fungible_kit.sessions.answer import Answer
from fungible_kit.sessions.errors import Misconfigured, SessionError, SessionTooLarge
from fungible_kit.sessions.identity import key_of, new_id, public_id, well_formed
from fungible_kit.sessions.record import Applied, Move, Patch, Record, Refused
from fungible_kit.sessions.sessions import Sessions
from fungible_kit.sessions.steps import Ask, Steps

T = TypeVar("T")

_USER = "_auth_user_id"  # django.contrib.auth.SESSION_KEY


@cache
def sessions() -> Sessions:
    """The `Sessions` of this Django project: for `of` and `revoke`, and for the events."""
    given: dict[str, Any] = dict(getattr(settings, "FUNGIBLE_SESSIONS", {}))
    _check_options(given)
    given.setdefault("absolute", "30d")
    given.setdefault("idle", float(settings.SESSION_COOKIE_AGE))
    given.setdefault("development", True)  # the cookie is Django's affair
    if isinstance(given.get("on_outage"), str):
        given["on_outage"] = import_string(given["on_outage"])
    return Sessions(**given)


def _check_options(given: dict[str, Any]) -> None:
    known = list(inspect.signature(Sessions).parameters)
    for name in given:
        if name not in known:
            near = get_close_matches(str(name), known, 1)
            mend = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise Misconfigured(f"the setting FUNGIBLE_SESSIONS has an unknown option {name!r}; {mend}")


class SessionStore(SessionBase):  # type: ignore[misc]  # Django has no types
    """Django's contract, with only changed names written, merged at the store, and never after a logout."""

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__(session_key)
        self._record: Record | None = None
        self.ended = False
        """Whether this request ended the session: only then is the cookie cleared."""

    # What Django asks for, sync and async.

    def load(self) -> dict[str, Any]:
        return self._run(self._load_steps())

    async def aload(self) -> dict[str, Any]:
        return await self._arun(self._load_steps())

    def exists(self, session_key: str) -> bool:
        return self._run(self._exists_steps(session_key))

    async def aexists(self, session_key: str) -> bool:
        return await self._arun(self._exists_steps(session_key))

    def create(self) -> None:
        self._session_key = new_id()
        self.save(must_create=True)
        self.modified = True

    async def acreate(self) -> None:
        self._session_key = new_id()
        await self.asave(must_create=True)
        self.modified = True

    def save(self, must_create: bool = False) -> None:
        if self.session_key is None:
            self.create()
            return
        data = self._get_session(no_load=must_create)
        self._run(self._save_steps(data, self.get_expiry_age(), must_create))

    async def asave(self, must_create: bool = False) -> None:
        if self.session_key is None:
            await self.acreate()
            return
        data = await self._aget_session(no_load=must_create)
        await self._arun(self._save_steps(data, await self.aget_expiry_age(), must_create))

    def delete(self, session_key: str | None = None) -> None:
        self._run(self._delete_steps(session_key))

    async def adelete(self, session_key: str | None = None) -> None:
        await self._arun(self._delete_steps(session_key))

    def cycle_key(self) -> None:
        data = self._session  # read before the old key ends
        if self.session_key is None:
            self.create()
        else:
            self._run(self._cycle_steps(data, self.get_expiry_age()))

    async def acycle_key(self) -> None:
        data = await self._aget_session()
        if self.session_key is None:
            await self.acreate()
        else:
            await self._arun(self._cycle_steps(data, await self.aget_expiry_age()))

    @classmethod
    def clear_expired(cls) -> None:
        """`manage.py clearsessions`."""
        sessions().purge()

    @classmethod
    async def aclear_expired(cls) -> None:
        cls.clear_expired()

    def touch_due(self) -> bool:
        """Whether reading alone should move the idle limit on."""
        if self._record is None or not self.accessed:
            return False
        return sessions().policy.lifetime.touch_due(self._record.touched, int(time.time()))

    # Steps.

    def _load_steps(self) -> Steps[dict[str, Any]]:
        key = self.session_key
        record: Record | None = None
        if key is not None and well_formed(key):
            record = yield Ask("read", (key_of(key),))
        if record is None or record.moved_to is not None:
            sessions().policy.event("session.unknown_id", "")
            self._session_key = None  # type: ignore[assignment]  # a property that takes it
            return {}
        self._record = record
        return {name: self.serializer().loads(data) for name, data in record.fields.items()}

    def _exists_steps(self, key: str | None) -> Steps[bool]:
        if not key or not well_formed(key):
            return False
        record: Record | None = yield Ask("read", (key_of(key),))
        return record is not None and record.moved_to is None

    def _delete_steps(self, key: str | None) -> Steps[None]:
        own = key is None
        key = key if key is not None else self.session_key
        self.ended = self.ended or own
        if key is not None and well_formed(key):
            yield Ask("delete", (key_of(key),))

    def _save_steps(self, data: dict[str, Any], age: int, must_create: bool) -> Steps[None]:
        policy = sessions().policy
        key = str(self.session_key)
        if not well_formed(key):
            raise CreateError if must_create else UpdateError
        now = int(time.time())
        fields = self._encoded(data)
        user = data.get(_USER)
        if must_create:
            record = Record(fields, now, now + policy.lifetime.absolute, now, now + age, user=user, rotated=now)
            if not (yield Ask("create", (key_of(key), record))):
                raise CreateError
            self._record = record
            return
        before = self._record.fields if self._record is not None else {}
        patch = Patch(
            now,
            now + age,
            {name: value for name, value in fields.items() if before.get(name) != value},
            frozenset(before) - frozenset(fields),
            user=user if self._record is None or self._record.user != user else None,
            max_bytes=policy.max_bytes,
            max_names=policy.max_names,
        )
        outcome = yield Ask("patch", (key_of(key), patch, self._record))
        if isinstance(outcome, Applied):
            self._record = self._settled(patch, fields, outcome)
        elif outcome is Refused.GONE:
            raise UpdateError
        else:
            raise SessionTooLarge("with what other requests wrote, the session is too large; nothing was written")

    def _settled(self, patch: Patch, fields: dict[str, bytes], done: Applied) -> Record | None:
        if self._record is None:
            return None
        return Record(
            fields,
            self._record.created,
            self._record.absolute,
            patch.touched,
            patch.idle_at,
            patch.user or self._record.user,
            self._record.rotated,
            done.version,
            token=done.token,
        )

    def _cycle_steps(self, data: dict[str, Any], age: int) -> Steps[None]:
        """Django cycles the key at login and when a password changes: a life of its own begins."""
        policy, now, old = sessions().policy, int(time.time()), str(self.session_key)
        fields = self._encoded(data)
        before = self._record.fields if self._record is not None else {}
        sets = {name: value for name, value in fields.items() if before.get(name) != value}
        new = new_id()
        if well_formed(old):
            patch = Patch(now, now + age, sets, frozenset(before) - frozenset(fields))
            restart = (now, now + policy.lifetime.absolute)
            user = data.get(_USER) or (self._record.user if self._record is not None else None)
            outcome = yield Ask("move", (key_of(old), key_of(new), Move(patch, user, now, restart)))
            if isinstance(outcome, Record):
                self._session_key, self._record = new, outcome
                return
        # Ended meanwhile. Who signs in here and now gets a session with what this request did, not what ended.
        record = Record(sets, now, now + policy.lifetime.absolute, now, now + age, rotated=now)
        if not (yield Ask("create", (key_of(new), record))):
            raise CreateError
        self._session_key, self._record = new, record

    def _encoded(self, data: dict[str, Any]) -> dict[str, bytes]:
        policy = sessions().policy
        fields = {name: bytes(self.serializer().dumps(value)) for name, value in data.items()}
        total = sum(len(name) + len(value) for name, value in fields.items())
        if total > policy.max_bytes or len(fields) > policy.max_names:
            raise SessionTooLarge(
                f"the session takes {total} bytes under {len(fields)} names, and it holds {policy.max_bytes} under "
                f"{policy.max_names}; keep large values elsewhere and their keys in the session"
            )
        return fields

    def _run(self, steps: Steps[T]) -> T:
        return sessions().runner.run(steps)

    async def _arun(self, steps: Steps[T]) -> T:
        return await sessions().runner.arun(steps)


class SessionMiddleware(_DjangoMiddleware):  # type: ignore[misc]
    """In place of Django's: a store that is away is a 503 and not a lost login, a request whose session was ended
    meanwhile is answered and not refused with 400, and the cookie is cleared only by who signs out.
    """

    def process_exception(self, request: Any, exception: Exception) -> HttpResponse | None:
        answer = _answer(request, exception) if isinstance(exception, SessionError) else None
        return _response(answer) if answer is not None else None

    def process_response(self, request: Any, response: Any) -> Any:
        session = getattr(request, "session", None)
        if not isinstance(session, SessionStore):
            return super().process_response(request, response)
        if session.accessed or session.ended:
            patch_vary_headers(response, ("Cookie",))
        if session.is_empty():
            if session.ended and settings.SESSION_COOKIE_NAME in request.COOKIES:
                response.delete_cookie(
                    settings.SESSION_COOKIE_NAME,
                    path=settings.SESSION_COOKIE_PATH,
                    domain=settings.SESSION_COOKIE_DOMAIN,
                    samesite=settings.SESSION_COOKIE_SAMESITE,
                )
            return response
        modified = session.modified or settings.SESSION_SAVE_EVERY_REQUEST
        if response.status_code >= 500 or not (modified or session.touch_due()):
            return response
        key = session.session_key
        try:
            session.save()
        except UpdateError:
            sessions().policy.event("session.ended_write", public_id(key_of(key)) if key else "")
            return response
        except SessionError as error:
            answer = _answer(request, error)
            if answer is None:
                raise
            return _response(answer) if modified else response
        if not modified and not settings.SESSION_EXPIRE_AT_BROWSER_CLOSE and session.session_key == key:
            return response
        self._set_cookie(request, response, session)
        return response

    def _set_cookie(self, request: Any, response: Any, session: SessionStore) -> None:
        max_age = None if session.get_expire_at_browser_close() else session.get_expiry_age()
        response.set_cookie(
            settings.SESSION_COOKIE_NAME,
            session.session_key,
            max_age=max_age,
            expires=http_date(time.time() + max_age) if max_age is not None else None,
            domain=settings.SESSION_COOKIE_DOMAIN,
            path=settings.SESSION_COOKIE_PATH,
            secure=settings.SESSION_COOKIE_SECURE or None,
            httponly=settings.SESSION_COOKIE_HTTPONLY or None,
            samesite=settings.SESSION_COOKIE_SAMESITE,
        )
        patch_vary_headers(response, ("Cookie",))
        if response.has_header("Cache-Control"):
            patch_cache_control(response, private=True)
        else:
            response["Cache-Control"] = "no-store"


def _answer(request: Any, error: SessionError) -> Answer | None:
    return sessions().answer(error, request.method or "", request.path, request.headers.get("Accept", ""))


def _response(answer: Answer) -> HttpResponse:
    return HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))
