"""Serve the assets of a build, by servestatic: in front of a WSGI or an ASGI app.

Only what the manifest names is served, and of earlier builds what has a name of its content. Below the assets' URL
nothing reaches the app: its page for everything must not answer for a script that has gone. Where that URL is `/`,
whatever is no asset is the app's.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fungible_kit.assets.manifest import Asset, Assets, assets, variants
from fungible_kit.assets.shared import Shared

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
_MISSING = "assets are served by servestatic, which is not installed: it comes with the extra fungible-kit[assets]"


def wsgi(application: WSGIApplication, known: Assets | None = None) -> WSGIApplication:
    """`application` with the assets in front of it. Raises AssetsMissing, and ImportError without servestatic."""
    try:
        from servestatic.wsgi import FileServerWSGI
    except ImportError as error:
        raise ImportError(_MISSING) from error

    served = _Served(known or assets(), FileServerWSGI)

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "").encode("latin-1", "replace").decode("utf-8", "replace")
        server = served.find(path)
        if server is not None:
            return server(environ, start_response)  # type: ignore[no-any-return]
        if not served.owns(path):
            return application(environ, start_response)
        start_response("404 Not Found", list(_GONE))
        return [_GONE_BODY] if environ["REQUEST_METHOD"] != "HEAD" else []

    return serve


def asgi(application: Application, known: Assets | None = None) -> Application:
    """`application` with the assets in front of it. Raises AssetsMissing, and ImportError without servestatic."""
    try:
        from servestatic.asgi import FileServerASGI
    except ImportError as error:
        raise ImportError(_MISSING) from error

    served = _Served(known or assets(), FileServerASGI)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        server = served.find(path)
        if server is not None:
            await server(scope, receive, send)
            return
        if not served.owns(path):
            await application(scope, receive, send)
            return
        headers = [(name.lower().encode(), value.encode()) for name, value in _GONE]
        await send({"type": "http.response.start", "status": 404, "headers": headers})
        body = _GONE_BODY if scope["method"] != "HEAD" else b""
        await send({"type": "http.response.body", "body": body})

    return serve


class _Served:
    """What answers at which path: this build's files, those of builds before, those of releases beside this one.

    `make` makes a server of a servestatic file.
    """

    def __init__(self, known: Assets, make: Callable[[Any], Any]) -> None:
        self._prefix = urlsplit(known.url).path
        self._make = make
        self._shared = Shared()
        # A name of builds before that this one uses for something else is this one's.
        files: Mapping[str, Asset] = {**known.previous, **known.files}
        self._servers = {path: make(_static_file(known.folder, file)) for path, file in files.items()}

    def owns(self, path: str) -> bool:
        """Whether it is below the URL of assets, and so none of the app's."""
        return self._prefix != "/" and path.startswith(self._prefix)

    def find(self, path: str) -> Any:
        """What serves the file at `path`, None where there is none."""
        if not path.startswith(self._prefix):
            return None
        name = path[len(self._prefix) :]
        server = self._servers.get(name)
        if server is None and name:
            file = self._shared.find(name)
            if file is not None and self._shared.folder is not None:
                with contextlib.suppress(OSError):  # taken away since the index was read
                    server = self._servers[name] = self._make(_static_file(self._shared.folder, file))
        return server


def _static_file(folder: Path, file: Asset) -> Any:
    from servestatic.responders import StaticFile

    path = os.path.join(folder, "files", file.path)
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
