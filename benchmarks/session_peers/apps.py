"""The same small app for each library of sessions: the path says what is done.

`/untouched` does not look at the session, `/fill` puts a profile of about 1 KB and a number into it, `/read` reads
from the profile, `/write` reads from it and adds one to the number, `/first` writes the number without reading,
`/pair/NAME/VALUE` reads, waits for its twin and writes one name, `/show` tells what is in it.

Every library is set up as its documentation says, and not tuned; the store is one and the same.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

PROFILE = {
    "name": "Ann Example",
    "language": "en",
    "seen": [1730000000 + 3600 * n for n in range(24)],
    "cart": [{"article": f"article-{n:04d}", "pieces": n, "price": f"{n}.99"} for n in range(10)],
    "flags": {f"feature-{n}": n % 2 == 0 for n in range(10)},
}
"""About 1 KB as JSON."""

VISITOR = "a visitor"
"""Whom an app takes somebody for whose session is not there."""

Mapping = MutableMapping[str, Any]


class Twins:
    """What `/pair` waits at between its read and its write; set by whoever measures."""

    wait: Callable[[], object] = staticmethod(lambda: None)
    await_: Callable[[], Awaitable[object]]


def act(session: Callable[[], Mapping], path: str) -> str:
    """The body of the answer."""
    if path == "/untouched":
        return "ok"
    held = session()
    if path in ("/read", "/write"):
        profile = held.get("profile")
        name = profile["name"] if profile is not None else VISITOR
        if path == "/write":
            held["n"] = held.get("n", 0) + 1
        return str(name)
    if path == "/first":
        held["n"] = 1
    elif path == "/fill":
        held["profile"], held["n"], held["user"] = PROFILE, 0, "ann"
    elif path == "/show":
        return json.dumps({name: held.get(name) for name in ("user", "a", "b")})
    return "ok"


def write_pair(session: Mapping, path: str) -> str:
    _, _, name, value = path.split("/")
    session[name] = int(value)
    return "ok"


@dataclass(frozen=True)
class App:
    """An app with sessions and the same one without; `sync`: WSGI, else ASGI. `queries` counts SQL of a call."""

    sync: bool
    sessions: Callable[..., Any]
    bare: Callable[..., Any]
    setup: Callable[[], Awaitable[None]] | None = None


def _flask(install: Callable[[Any], object] | None) -> Any:
    from flask import Flask, session

    app = Flask("bench")
    if install is not None:
        install(app)

    @app.get("/<path:path>")
    def view(path: str) -> str:
        path = f"/{path}"
        if path.startswith("/pair"):
            session.get("user")
            Twins.wait()
            return write_pair(session, path)
        return act(lambda: session, path)

    return app


def flask_session(url: str, folder: str) -> App:
    import redis
    from flask_session import Session

    def install(app: Any) -> None:
        app.config.update(SESSION_TYPE="redis", SESSION_REDIS=redis.from_url(url))
        Session(app)

    return App(True, _flask(install), _flask(None))


def kit_flask(url: str, folder: str) -> App:
    from fungible_kit import Sessions

    return App(True, _flask(Sessions(url).flask), _flask(None))


def _starlette(middleware: Callable[[Any], Any] | None, before: Callable[[Any], Any] | None = None) -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def view(request: Request) -> PlainTextResponse:
        path = request.url.path
        if path.startswith("/pair"):
            request.session.get("user")
            await Twins.await_()
            return PlainTextResponse(write_pair(request.session, path))
        return PlainTextResponse(act(lambda: request.session, path))

    app = Starlette(routes=[Route("/{path:path}", view)])
    return middleware(app) if middleware is not None else app


def starsessions(url: str, folder: str) -> App:
    from starlette.applications import Starlette  # noqa: F401  # it says so where it is missing
    from starsessions import SessionAutoloadMiddleware, SessionMiddleware
    from starsessions.stores.redis import RedisStore

    store = RedisStore(url)

    def middleware(app: Any) -> Any:
        app.add_middleware(SessionAutoloadMiddleware)
        app.add_middleware(SessionMiddleware, store=store, lifetime=1800, rolling=True)
        return app

    return App(False, _starlette(middleware), _starlette(None))


def kit_starlette(url: str, folder: str) -> App:
    from fungible_kit import Sessions

    def middleware(app: Any) -> Any:
        app.add_middleware(Sessions(url).asgi)
        return app

    return App(False, _starlette(middleware), _starlette(None))


def _litestar(**options: Any) -> Any:
    from litestar import Litestar, Request, get

    @get("/{path:path}", media_type="text/plain")
    async def view(path: str, request: Request) -> str:
        path = f"/{path.lstrip('/')}"
        if path.startswith("/pair"):
            request.session.get("user")
            await Twins.await_()
            return write_pair(request.session, path)
        return act(lambda: request.session, path)

    view.fn.__annotations__.update(path=str, request=Request, **{"return": str})
    return Litestar(route_handlers=[view], **options)


def litestar(url: str, folder: str) -> App:
    from litestar.middleware.session.server_side import ServerSideSessionConfig
    from litestar.stores.redis import RedisStore

    store = RedisStore.with_client(url)
    app = _litestar(middleware=[ServerSideSessionConfig(max_age=1800).middleware], stores={"sessions": store})
    return App(False, app, _litestar())


def kit_litestar(url: str, folder: str) -> App:
    from fungible_kit import Sessions

    return App(False, Sessions(url).asgi(_litestar()), _litestar())


def _django(url: str, folder: str, engine: str, middleware: str) -> App:
    import django
    from django.conf import settings
    from django.http import HttpResponse
    from django.urls import re_path

    def view(request: Any) -> HttpResponse:
        path = request.path
        if path.startswith("/pair"):
            request.session.get("user")
            Twins.wait()
            return HttpResponse(write_pair(request.session, path))
        return HttpResponse(act(lambda: request.session, path))

    class urls:  # noqa: N801  # a module, to Django
        urlpatterns = (re_path(r"^", view),)

    settings.configure(
        DEBUG=False,
        SECRET_KEY="of the benchmark",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=urls,
        USE_TZ=True,
        INSTALLED_APPS=["django.contrib.sessions"],
        MIDDLEWARE=[],
        SESSION_ENGINE=engine,
        FUNGIBLE_SESSIONS={"store": url},
        CACHES={"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": url}},
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{folder}/django.db"}},
        LOGGING_CONFIG=None,
    )
    django.setup()
    from django.core.handlers.wsgi import WSGIHandler
    from django.core.management import call_command

    if not os.path.exists(f"{folder}/django.db"):
        call_command("migrate", verbosity=0)
    bare = WSGIHandler()
    settings.MIDDLEWARE = [middleware]
    return App(True, WSGIHandler(), bare)


_DJANGO = "django.contrib.sessions.middleware.SessionMiddleware"


def django_cache(url: str, folder: str) -> App:
    return _django(url, folder, "django.contrib.sessions.backends.cache", _DJANGO)


def django_cached_db(url: str, folder: str) -> App:
    return _django(url, folder, "django.contrib.sessions.backends.cached_db", _DJANGO)


def django_db(url: str, folder: str) -> App:
    return _django(url, folder, "django.contrib.sessions.backends.db", _DJANGO)


def kit_django(url: str, folder: str) -> App:
    return _django(url, folder, "fungible_kit.sessions.django", "fungible_kit.sessions.django.SessionMiddleware")


def kit_wsgi(url: str, folder: str) -> App:
    from fungible_kit import Sessions

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        path, name = environ["PATH_INFO"], "fungible.session"
        if path.startswith("/pair"):
            environ[name].get("user")
            Twins.wait()
            body = write_pair(environ[name], path)
        else:
            body = act(lambda: environ[name], path)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body.encode()]

    return App(True, Sessions(url).wsgi(app), app)


def kit_asgi(url: str, folder: str) -> App:
    from fungible_kit import Sessions

    async def app(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        if path.startswith("/pair"):
            scope["session"].get("user")
            await Twins.await_()
            body = write_pair(scope["session"], path)
        else:
            body = act(lambda: scope["session"], path)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": body.encode()})

    return App(False, Sessions(url).asgi(app), app)


APPS: dict[str, tuple[Callable[[str, str], App], str]] = {
    "Flask-Session": (flask_session, "flask-session"),
    "kit in Flask": (kit_flask, "flask"),
    "starsessions": (starsessions, "starsessions"),
    "kit in Starlette": (kit_starlette, "starlette"),
    "Litestar": (litestar, "litestar"),
    "kit in Litestar": (kit_litestar, "litestar"),
    "Django cache": (django_cache, "django"),
    "Django cached_db": (django_cached_db, "django"),
    "Django db": (django_db, "django"),
    "kit in Django": (kit_django, "django"),
    "kit, plain WSGI": (kit_wsgi, ""),
    "kit, plain ASGI": (kit_asgi, ""),
}
"""Name -> how it is made, and the distribution whose version is told."""
