"""How a request that somebody recorded becomes a request of a workload: its headers, its cookies, its body."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_to_bytes

from fungible.verify.transcript import Answer
from fungible.verify.workload.steps import File, Pairs, Request, Workload

_DROPPED: Final = frozenset(
    """accept-encoding cache-control connection content-length cookie dnt host if-modified-since if-none-match
    keep-alive pragma priority proxy-connection te trailer transfer-encoding upgrade upgrade-insecure-requests
    expect""".split()  # noqa: SIM905
)
"""Set again by whoever sends, meaningless on another connection, a browser's own cache or wishes speaking."""

_STATIC = re.compile(r"\.(?:avif|css|eot|gif|ico|jpe?g|js|map|mjs|mp4|otf|png|svg|ttf|webm|webp|woff2?)$", re.I)
_PART_NAME = re.compile(r'\bname="([^"]*)"')
_PART_FILE = re.compile(r'\bfilename="([^"]*)"')
_SIGNED = re.compile(r"signature|digest|hmac|content-md5|^x-amz-content-sha256$", re.I)


def is_static(method: str, path: str) -> bool:
    """Is this the fetch of a static asset, by its name?"""
    return method in ("GET", "HEAD") and bool(_STATIC.search(path.partition("?")[0]))


def kept_headers(headers: Pairs, also: Collection[str] = ()) -> Pairs:
    """The headers worth sending again; `also` are lower-case names that are kept all the same."""
    return tuple(
        (name, value)
        for name, value in headers
        if (lower := name.lower()) in also
        or not (
            lower in _DROPPED
            or lower.startswith(("sec-", "proxy-"))
            or (lower == "accept" and value.strip() == "*/*")  # as without it (RFC 9110, 12.5.1)
        )
    )


def cookie_pairs(header: str | None) -> Pairs:
    """The names and values of a Cookie header (RFC 6265, 4.2.1)."""
    pairs = (pair.strip().partition("=") for pair in (header or "").split(";"))
    return tuple((name, value) for name, equals, value in pairs if equals and name)


def with_statuses(workload: Workload, answers: Sequence[Answer]) -> Workload:
    """Every request with the status that it was answered with, as far as that is the app's word for it: a cache's
    304 is not."""
    steps = tuple(
        replace(step, status=answer.status)
        if isinstance(step, Request) and 200 <= answer.status <= 599 and answer.status != 304
        else step
        for step, answer in zip(workload.steps, answers, strict=True)
    )
    return replace(workload, steps=steps)


def with_body(
    request: Request, raw: bytes, stated: str | None, params: Iterable[tuple[str, str | File]] = ()
) -> Request:
    """The request with its body as JSON, a form or files where that means the same to the app; else as it is.

    `stated` is the media type where the request's headers have none. `params` are the fields of a form whose
    bytes were not recorded. A body that is signed or encoded stays as it is, byte for byte.
    """
    named = {name.lower(): value for name, value in request.headers}
    kind = named.get("content-type") or stated or ""
    bare = kind.partition(";")[0].strip().lower()
    plain = replace(request, headers=tuple(pair for pair in request.headers if pair[0].lower() != "content-type"))
    typed = replace(plain, headers=(*plain.headers, ("Content-Type", kind))) if kind else plain
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = None
    fields = list(params)
    if b"{{b64:" in raw:
        return replace(typed, body=raw)  # as text it would be encoded once more
    if "content-encoding" in named or any(_SIGNED.search(name) for name in named):
        pass
    elif bare == "multipart/form-data":
        parts = _parts(raw, kind) if raw else fields
        if parts is not None:
            form = tuple((name, value) for name, value in parts if isinstance(value, str))
            files = tuple(value for _, value in parts if isinstance(value, File))
            return replace(plain, form=form, files=files)
    elif bare == "application/x-www-form-urlencoded":
        pairs = tuple((name, str(value)) for name, value in fields) if fields and not raw else _form(text)
        if pairs is not None:
            return replace(plain if kind.lower() == bare else typed, form=pairs)
    elif bare.endswith("json") and text:
        try:
            value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite)
            json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair cannot be written
        except (ValueError, RecursionError):
            pass
        else:
            return replace(plain if kind.lower() == "application/json" else typed, json=value)
    return replace(typed, body=text if text is not None else raw)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(text)
    return value


def _form(text: str | None) -> Pairs | None:
    """The fields of a form; None where they would not be the same fields when encoded again."""
    if text is None or not text.isascii():
        return None
    parts = text.split("&") if text else []
    try:
        for part in parts:
            unquote_to_bytes(part).decode("utf-8")
    except UnicodeDecodeError:
        return None
    if not all("=" in part for part in parts):
        return None
    return tuple(parse_qsl(text, keep_blank_values=True))


def _parts(raw: bytes, kind: str) -> list[tuple[str, str | File]] | None:
    """The parts of a multipart body (RFC 7578); None where it is not one, or not one that we can send again."""
    match = re.search(r'boundary="?([^";]+)', kind, re.I)
    if match is None:
        return None
    found: list[tuple[str, str | File]] = []
    for part in (b"\r\n" + raw).split(b"\r\n--" + match[1].encode())[1:]:
        if part.startswith(b"--"):
            return found
        head, blank, content = part.partition(b"\r\n\r\n")
        header = head.decode("utf-8", "replace")
        name, filename = _PART_NAME.search(header), _PART_FILE.search(header)
        if not blank or name is None:
            return None
        stated = re.search(r"^content-type:\s*([^\r\n]+)", header, re.I | re.M)
        try:
            text: str | bytes = content.decode("utf-8")
        except UnicodeDecodeError:
            text = content
        if filename is not None:
            type = stated[1].strip() if stated else "application/octet-stream"
            found.append((name[1], File(name[1], filename[1], text, type)))
        elif isinstance(text, str):
            found.append((name[1], text))
        else:
            return None
    return None
