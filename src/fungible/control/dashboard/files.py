"""The files of the page, as they are served."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from fungible.control.server import Answer

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
HEADERS = (
    # Nothing but our own files; no inline code, no form, no frame; text never becomes markup.
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
)
"""What every answer of the gateway carries (Content Security Policy 3, Fetch, HTML)."""


@cache
def page_files() -> Mapping[str, Answer]:
    """Path of the URL -> file. `/` is the page itself."""
    files = {}
    for path in sorted(Path(__file__).with_name("page").iterdir()):
        if path.suffix in _TYPES:
            name = "" if path.name == "index.html" else path.name
            files[f"/{name}"] = Answer(200, path.read_bytes(), _TYPES[path.suffix])
    return files
