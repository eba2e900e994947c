"""HAR 1.2 (http://www.softwareishard.com/blog/har-12-spec/) as a workload, with the run that it recorded."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from fungible.app.problem import Problem
from fungible.app.wording import few
from fungible.verify.transcript import Answer, Sent, Transcript
from fungible.verify.workload.provenance import set_cookies
from fungible.verify.workload.recorded import cookie_pairs, is_static, kept_headers, with_body
from fungible.verify.workload.steps import MAX_STEPS, TOKEN, File, Pairs, Request, Workload, render

MAX_ENTRIES: Final = 50_000

_LOGIN = re.compile(r"(?:log|sign)[-_]?in|/auth|/session|/token|passw", re.I)


@dataclass(frozen=True)
class Recording:
    """What a HAR holds: the requests, and the run in which they were recorded."""

    workload: Workload
    transcript: Transcript


def is_har(data: object) -> bool:
    """Is this the content of a HAR file?"""
    log = data.get("log") if isinstance(data, Mapping) else None
    return isinstance(log, Mapping) and "entries" in log


@dataclass(frozen=True)
class _Entry:
    """One checked entry of the log; header names as they were recorded."""

    number: int
    method: str
    url: SplitResult
    headers: Pairs
    post: Mapping[str, Any] | None
    answer: Answer
    has_text: bool

    @property
    def host(self) -> str:
        return self.url.netloc.rpartition("@")[2].lower()

    @property
    def static(self) -> bool:
        return is_static(self.method, self.url.path)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


def parse_har(data: object, path: Path) -> Recording:
    """Read the log of a HAR file, in the order in which the requests started.

    Only requests to the most frequent host (of what is no static asset) are kept, with all cookies in one jar.
    Requests that never reached a server (cached, blocked, cancelled, WebSockets, `data:`) are left out. What
    the user should know about that stands in the workload's `warnings`. Raises Problem for what is no HAR.
    """
    entries = _entries(data, path)
    warnings: list[str] = []
    hosts = Counter(each.host for each in entries if not each.static) or Counter(each.host for each in entries)
    if not hosts:
        raise Problem(f"{path}: the HAR has no request that reached a server.")
    host = hosts.most_common(1)[0][0]
    foreign = sorted({each.host for each in entries if each.host != host and not each.static})
    if foreign:
        warnings.append(f"Only requests to {host} are replayed; requests to {few(foreign)} were left out.")
    kept = [each for each in entries if each.host == host]
    if len(kept) > MAX_STEPS:
        raise Problem(f"{path}: the HAR has {len(kept)} requests to {host}; at most {MAX_STEPS} are taken.")
    warnings += _warnings(kept)

    jar: set[str] = set()
    before: set[str] = set()
    steps: list[Request] = []
    for each in kept:
        sent = cookie_pairs(each.header("cookie"))
        unknown = tuple((name, value) for name, value in sent if name not in jar)
        before.update(name for name, _ in unknown)
        with _place(path, each.number):
            steps.append(_request(each, host, unknown))
        jar.update(set_cookies(each.answer))
    if before:
        names = ", ".join(sorted(before)[:5])
        warnings.append(
            f"No recorded answer set the cookies {names}; they are sent as they were. "
            "If they are a login, record again from a private window."
        )
    workload = Workload(tuple(steps), host=host, path=path, warnings=tuple(warnings))
    transcript = Transcript(
        world="recording",
        sent=tuple(_sent(step) for step in steps),
        answers=tuple(each.answer for each in kept),
        placement=(0,) * len(steps),
    )
    return Recording(workload, transcript)


@contextmanager
def _place(path: Path, number: int) -> Iterator[None]:
    """Whatever an entry lacks is a Problem with its place."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        what = f"has no {error}" if isinstance(error, KeyError) else f"is not as HAR 1.2 says: {error}"
        raise Problem(f"{path}: log.entries[{number}] {what}.") from error


def _entries(data: object, path: Path) -> list[_Entry]:
    log = data.get("log") if isinstance(data, Mapping) else None
    rows = log.get("entries") if isinstance(log, Mapping) else None
    if not isinstance(rows, list):
        raise Problem(f"{path}: log.entries must be a list.")
    if len(rows) > MAX_ENTRIES:
        raise Problem(f"{path}: log.entries has {len(rows)} entries; at most {MAX_ENTRIES} are taken.")
    found = []
    for number, row in enumerate(rows):
        with _place(path, number):
            entry = _entry(number, row)
        if entry is not None:
            found.append((str(row.get("startedDateTime", "")), entry))
    # Times are compared as text: one recorder writes them all in one form and one zone.
    if all(len(time) == len(found[0][0]) for time, _ in found):
        found.sort(key=lambda pair: pair[0])
    return [entry for _, entry in found]


def _entry(number: int, row: Mapping[str, Any]) -> _Entry | None:
    """None for what never reached a server or cannot be sent again."""
    request, response = row["request"], row["response"]
    url = urlsplit(str(request["url"]))
    status = int(response.get("status") or 0)
    cached = row.get("_fromCache") or response.get("_fromCache") or response.get("_fetchedViaServiceWorker")
    if url.scheme not in ("http", "https") or status in (0, 101) or cached:
        return None
    content = response.get("content") or {}
    text = content.get("text")
    body = _bytes(text or "", content.get("encoding"))
    headers = tuple((name.lower(), value) for name, value in _headers(response))
    post = request.get("postData")
    if post is not None and not isinstance(post, Mapping):
        raise ValueError("postData must be a mapping")
    method = str(request["method"])
    if not TOKEN.fullmatch(method):
        raise ValueError(f"not an HTTP method: {method!r}")
    return _Entry(
        number=number,
        method=method,
        url=url,
        headers=_headers(request),
        post=post,
        answer=Answer(status, headers, body),
        has_text=text is not None or not content.get("size") or status in (204, 304) or 300 <= status < 400,
    )


def _headers(message: Mapping[str, Any]) -> Pairs:
    rows = message.get("headers") or []
    pairs = [(str(row["name"]), re.sub(r"[\r\0]", "", str(row["value"]))) for row in rows]
    # Chrome joins several Set-Cookie headers by line feeds; HTTP/2 pseudo headers are part of the URL.
    return tuple((name, line) for name, value in pairs if TOKEN.fullmatch(name) for line in value.split("\n"))


def _bytes(text: str, encoding: object) -> bytes:
    if encoding == "base64":
        try:
            return base64.b64decode(text)
        except (binascii.Error, ValueError) as error:
            raise ValueError(f"a body is not base64 ({error})") from error
    return text.encode("utf-8", "replace")


def _warnings(kept: list[_Entry]) -> list[str]:
    found = []
    secrets = any(each.header(name) for each in kept for name in ("cookie", "authorization"))
    if not secrets and not any(each.answer.header("set-cookie") for each in kept) and any(map(_login, kept)):
        found.append(
            "The HAR is a sanitised one: there is a login but no Cookie, Set-Cookie or Authorization header. "
            "Export it again with sensitive data (in Chrome: Settings, Preferences, Network, "
            '"Allow to generate HAR with sensitive data"), or use "fungible record".'
        )
    if kept and not any(each.has_text and each.answer.body for each in kept):
        found.append(
            "The HAR has no answer bodies, so values that the app made cannot be recognised in them; "
            'save it with content, or use "fungible record".'
        )
    return found


def _login(each: _Entry) -> bool:
    post = json.dumps(each.post) if each.post else ""
    return each.method == "POST" and bool(_LOGIN.search(each.url.path) or "passw" in post.lower())


def _request(each: _Entry, host: str, cookies: Pairs) -> Request:
    path = (each.url.path or "/") + (f"?{each.url.query}" if each.url.query else "")
    origin = f"http://{host}"
    headers: list[tuple[str, str]] = []
    for name, value in kept_headers(each.headers):
        if name.lower() in ("origin", "referer"):
            # The worlds speak plain HTTP under the recorded host name.
            value = re.sub(rf"^https?://{re.escape(host)}(?=/|$)", origin, value, flags=re.I)
        headers.append((name, value))
    if cookies:
        headers.append(("Cookie", "; ".join(f"{name}={value}" for name, value in cookies)))
    request = Request(each.method, path, headers=tuple(headers))
    if not each.post:
        return request
    raw = _bytes(str(each.post.get("text") or ""), each.post.get("encoding"))
    params = [_param(row) for row in each.post.get("params") or []]
    return with_body(request, raw, str(each.post.get("mimeType") or ""), params)


def _param(row: Mapping[str, Any]) -> tuple[str, str | File]:
    name, value = str(row["name"]), str(row.get("value") or "")
    if "fileName" not in row:
        return name, value
    return name, File(name, str(row["fileName"]), value, str(row.get("contentType") or "application/octet-stream"))


def _sent(step: Request) -> Sent:
    rendered = render(step, {})
    return Sent(rendered.method, rendered.target, rendered.headers, rendered.body)
