"""One small app, as WSGI and as ASGI: the path says what is done to the session, in order."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from fungible_kit import Session, Sessions


def act(session: Session, path: str) -> Any:
    """`/set/a/1` `/append/a/1` `/del/a` `/all` `/untouched` `/login/ann` `/logout` `/rotate` `/has/a` `/len` ..."""
    verb, *rest = path.strip("/").split("/")
    if verb == "set":
        session[rest[0]] = json.loads(rest[1])
    elif verb == "append":
        session[rest[0]].append(json.loads(rest[1]))
    elif verb == "setread":
        session[rest[0]] = session.get(rest[0], 0) + 1
    elif verb == "del":
        del session[rest[0]]
    elif verb == "all":
        return dict(session)
    elif verb == "has":
        return rest[0] in session
    elif verb == "len":
        return len(session)
    elif verb == "iter":
        return sorted(session)
    elif verb == "who":
        return [session.user, session.fresh, session.new]
    elif verb == "login":
        session.login(rest[0])
    elif verb == "switch":
        session.login(rest[0])
        session["of"] = rest[0]
    elif verb == "logout":
        session.logout()
    elif verb == "rotate":
        session.rotate()
    elif verb == "incr":
        return session.incr(rest[0])
    elif verb == "take":
        return session.take(rest[0])
    elif verb == "fail":
        session["a"] = "dropped"
        raise RuntimeError("the app's own")
    return None


async def aact(session: Session, path: str) -> Any:
    verb, *rest = path.strip("/").split("/")
    if verb == "incr":
        return await session.aincr(rest[0])
    if verb == "take":
        return await session.atake(rest[0])
    return act(session, path)


def wsgi(sessions: Sessions, status: str = "200 OK") -> Callable[..., Any]:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        body = json.dumps(act(environ["fungible.session"], environ["PATH_INFO"]))
        start_response(status, [("Content-Type", "application/json")])
        return [body.encode()]

    return sessions.wsgi(app)


def asgi(sessions: Sessions, status: int = 200, **options: Any) -> Callable[..., Any]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = json.dumps(await aact(scope["session"], scope["path"]))
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body.encode()})

    return sessions.asgi(app, **options)
