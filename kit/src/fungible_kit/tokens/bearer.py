"""Where a request carries its token: in one `Authorization: Bearer` header and nowhere else. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fungible_kit.tokens.errors import Invalid, Missing

_LONGEST = 8192
_CREDENTIALS = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) +([0-9A-Za-z._~+/-]+=*)")  # RFC 7235, section 2.1: token68


def secret_in(source: Any) -> str:
    """The bearer token of a request.

    `source` is the value of an Authorization header (None: there is none), a WSGI environ, an ASGI scope, a mapping
    of headers, or a request of Starlette, FastAPI, Flask or Django. Raises Missing or Invalid.
    """
    header = authorization(source)
    if header is None:
        raise Missing("no bearer token")
    if len(header) > _LONGEST:
        raise Invalid("the Authorization header is too long")
    header = header.strip(" \t")
    if header[:7].lower() not in ("bearer ", "bearer"):
        if isinstance(source, str) and header and " " not in header:
            raise Missing(
                "no bearer token: a text is read as an Authorization header; give a secret to verify_secret"
            )
        raise Missing("no bearer token")  # of another scheme
    found = _CREDENTIALS.fullmatch(header)
    if found is None:
        raise Invalid("a malformed Authorization header")
    return found[2]


def authorization(source: Any) -> str | None:
    """The value of a request's Authorization header; several are one value, which is then no token."""
    if source is None or isinstance(source, str):
        return source
    if isinstance(source, Mapping):
        if "headers" in source and "type" in source:  # an ASGI scope; Starlette's requests are mappings of one
            found = [value.decode("latin-1") for name, value in source["headers"] if name.lower() == b"authorization"]
            return ", ".join(found) if found else None
        if "REQUEST_METHOD" in source:
            return source.get("HTTP_AUTHORIZATION")
        return next((value for name, value in source.items() if name.lower() == "authorization"), None)
    for attribute in ("environ", "META", "scope", "headers"):
        inner = getattr(source, attribute, None)
        if isinstance(inner, Mapping):
            return authorization(inner)
    raise TypeError(f"{type(source).__name__} is no request: give an Authorization header, an environ or a scope")
