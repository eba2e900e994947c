"""A web framework of one page for the apps of these tests; it is copied beside each of them."""

import json
import os
import sqlite3
from http.cookies import SimpleCookie
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, make_server

ROUTES = {}
PHRASES = {200: "OK", 201: "Created", 202: "Accepted", 302: "Found", 304: "Not Modified"}


class Call:
    """A request as a handler sees it."""

    def __init__(self, environ, rest):
        self.rest = rest
        self.query = {name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        self.cookies = {name: each.value for name, each in SimpleCookie(environ.get("HTTP_COOKIE", "")).items()}
        self.headers = {name[5:].lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
        self.body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))

    @property
    def json(self):
        return json.loads(self.body)


def route(method, path):
    """Serve `path`, and whatever is one word longer, by the function; the word is `call.rest`."""

    def register(function):
        ROUTES[method, path] = function
        return function

    return register


def application(environ, start_response):
    """The WSGI callable. A handler returns a value, or a status with it, or headers as well."""
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    rest = None
    if (method, path) not in ROUTES:
        path, _, rest = path.rpartition("/")
    handler = ROUTES.get((method, path))
    value = handler(Call(environ, rest)) if handler else (404, {"error": "no such page"})
    status, value, headers = {2: (*value, {}), 3: value}[len(value)] if isinstance(value, tuple) else (200, value, {})
    kind = "text/html; charset=utf-8" if isinstance(value, str) else "application/json"
    body = (
        value
        if isinstance(value, bytes)
        else value.encode()
        if isinstance(value, str)
        else json.dumps(value).encode()
    )
    start_response(
        f"{status} {PHRASES.get(status, 'Error')}",
        [("Content-Type", kind), ("Content-Length", str(len(body))), *headers.items()],
    )
    return [body]


def store():
    """A connection to the declared store, that commits by itself."""
    return sqlite3.connect(os.environ["DATABASE_URL"].partition("://")[2].removeprefix("/"), isolation_level=None)


class Silent(WSGIRequestHandler):
    """Requests are not logged."""

    def log_message(self, *_):
        pass


def serve():
    make_server("127.0.0.1", int(os.environ["PORT"]), application, handler_class=Silent).serve_forever()
