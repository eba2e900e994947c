"""Serve the assets of a build, by servestatic: in front of a WSGI or an ASGI app.

Only what the manifest names is served, and of earlier builds what has a name of its content. Below the assets' URL
nothing reaches the app: its page for everything must not answer for a script that has gone. Where that URL is `/`,
whatever is no asset is the app's.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fungible_kit.assets.manifest import Asset, Assets, assets, variants

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

YEAR = 31536000
_FOR_EVER = f"public, max-age={YEAR}, immutable"
_EACH_TIME = "no-cache"
_GONE = (
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Length", "10"),
)
_GONE_BODY = b"not found\n"


def wsgi(application: WSGIApplication, known: Assets | None = None) -> WSGIApplication:
    """`application` with the assets in front of it. Raises AssetsMissing, and ImportError without servestatic."""
    from servestatic.wsgi import FileServerWSGI

    files, prefix = _files(known or assets())
    servers = {path: FileServerWSGI(file) for path, file in files.items()}

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "").encode("latin-1", "replace").decode("utf-8", "replace")
        server = servers.get(path)
        if server is None and not (prefix != "/" and path.startswith(prefix)):
            return application(environ, start_response)
        if server is not None:
            return server(environ, start_response)  # type: ignore[no-any-return]
        start_response("404 Not Found", list(_GONE))
        return [_GONE_BODY] if environ["REQUEST_METHOD"] != "HEAD" else []

    return serve


def asgi(application: Application, known: Assets | None = None) -> Application:
    """`application` with the assets in front of it. Raises AssetsMissing, and ImportError without servestatic."""
    from servestatic.asgi import FileServerASGI

    files, prefix = _files(known or assets())
    servers = {path: FileServerASGI(file) for path, file in files.items()}

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        server = servers.get(scope["path"]) if scope["type"] == "http" else None
        if server is not None:
            await server(scope, receive, send)
            return
        if scope["type"] != "http" or prefix == "/" or not scope["path"].startswith(prefix):
            await application(scope, receive, send)
            return
        headers = [(name.lower().encode(), value.encode()) for name, value in _GONE]
        await send({"type": "http.response.start", "status": 404, "headers": headers})
        body = _GONE_BODY if scope["method"] != "HEAD" else b""
        await send({"type": "http.response.body", "body": body})

    return serve


def _files(known: Assets) -> tuple[dict[str, Any], str]:
    """What answers at which path, and the path that all of them are below."""
    prefix = urlsplit(known.url).path
    # A name of earlier builds that this one uses for something else is this one's.
    served: Mapping[str, Asset] = {**known.previous, **known.files}
    return {prefix + path: _static_file(known, file) for path, file in served.items()}, prefix


def _static_file(known: Assets, file: Asset) -> Any:
    from servestatic.responders import StaticFile

    path = os.path.join(known.folder, "files", file.path)
    charset = "; charset=utf-8" if file.type.startswith("text/") else ""
    headers = [
        ("Content-Type", file.type + charset),
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", _FOR_EVER if file.hashed else _EACH_TIME),
        ("Access-Control-Allow-Origin", "*"),
        # Of what it holds, not of when it was copied: the same in every process and in every release. Weak, for it is
        # the same in every coding (RFC 9110, 8.8.3.3).
        ("ETag", f'W/"{file.integrity[7:39]}"'),
    ]
    codings = dict(zip(file.encodings, (path + suffix for suffix in variants(file)), strict=True))
    return StaticFile(path, headers, encodings=codings)
