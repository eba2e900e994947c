"""HTTP/1.1 as far as a server of one app needs it (RFC 9110, RFC 9112); no sockets here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import formatdate

HEAD_AT_MOST = 65536
_CHUNK_LINE_AT_MOST = 4096
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_VERSION = re.compile(rb"HTTP/1\.([01])\Z")
_LENGTH = re.compile(rb"[0-9]{1,18}\Z")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}\Z")

Header = tuple[bytes, bytes]


class BadRequest(Exception):
    """The client does not speak HTTP/1.1; `status` is what to answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Head:
    """A request's line and headers; header names are lower case. `length` is None for a chunked body."""

    method: bytes
    target: bytes
    minor: int
    headers: tuple[Header, ...]
    length: int | None
    keep_alive: bool
    expects_continue: bool

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def path(self) -> bytes:
        """The target's path as sent: an absolute form loses scheme and host (RFC 9112, 3.2.2)."""
        return self._parts()[0]

    @property
    def query(self) -> bytes:
        """What follows the question mark."""
        return self._parts()[1]

    @property
    def scheme(self) -> str:
        """What a proxy before us said; every known server believes one on the same machine."""
        said = (self.header(b"x-forwarded-proto") or b"").strip().lower()
        return "https" if said == b"https" else "http"

    def _parts(self) -> tuple[bytes, bytes]:
        target = self.target
        if not target.startswith(b"/") and b"://" in target:
            _, _, rest = target.partition(b"://")
            slash = re.search(rb"[/?]", rest)
            target = rest[slash.start() :] if slash else b"/"
            if target.startswith(b"?"):
                target = b"/" + target
        path, _, query = target.partition(b"?")
        return path.partition(b"#")[0], query.partition(b"#")[0]


def end_of_head(data: bytes) -> int:
    """Where the head at the start of `data` ends, -1 where more is to come. Raises BadRequest for one too long."""
    end = data.find(b"\r\n\r\n")
    if (end if end >= 0 else len(data)) > HEAD_AT_MOST:
        raise BadRequest(431, "the head is too long")
    return end + 4 if end >= 0 else -1


def parse_head(data: bytes) -> Head:
    """A complete head, blank line included. Raises BadRequest."""
    lines = data.lstrip(b"\r\n").split(b"\r\n")
    words = lines[0].split(b" ")
    if len(words) != 3:
        raise BadRequest(400, "the request line")
    method, target, version = words
    matched = _VERSION.match(version)
    if matched is None:
        raise BadRequest(505 if version.startswith(b"HTTP/") else 400, "the version")
    if not _TOKEN.match(method) or not target or re.search(rb"[\x00-\x20\x7f]", target):
        raise BadRequest(400, "the request line")
    headers: list[Header] = []
    for line in lines[1:]:
        if not line:
            continue
        name, colon, value = line.partition(b":")
        if not colon or not _TOKEN.match(name) or re.search(rb"[\x00\r\n]", value):
            raise BadRequest(400, "a header")
        headers.append((name.lower(), value.strip(b" \t")))
    minor = int(matched[1])
    named = {name for name, _ in headers}
    if minor and b"host" not in named:
        raise BadRequest(400, "no Host")
    tokens = [
        token.strip().lower() for name, value in headers if name == b"connection" for token in value.split(b",")
    ]
    keep_alive = b"close" not in tokens and (minor == 1 or b"keep-alive" in tokens)
    expects = any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)
    return Head(method, target, minor, tuple(headers), _length(headers), keep_alive, expects and minor == 1)


def _length(headers: Iterable[Header]) -> int | None:
    """RFC 9112, 6.3: both framings at once, or two lengths that differ, are an attack or a mistake."""
    encodings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    lengths = {value.strip() for name, value in headers if name == b"content-length"}
    if encodings:
        if lengths or encodings != [b"chunked"]:
            raise BadRequest(400 if lengths else 501, "the framing of the body")
        return None
    if len(lengths) > 1 or not all(_LENGTH.match(value) for value in lengths):
        raise BadRequest(400, "Content-Length")
    return int(lengths.pop()) if lengths else 0


class BodyDecoder:
    """Takes a request's body from what was received; `unused` is what belongs to the next request."""

    def __init__(self, head: Head) -> None:
        self._left = head.length or 0
        self._chunked = head.length is None
        self._state = "size"
        self._waiting = b""
        self.finished = head.length == 0
        self.unused = b""

    def feed(self, data: bytes) -> bytes:
        """The body's next bytes. Raises BadRequest for wrong chunks."""
        if self.finished:
            self.unused += data
            return b""
        if not self._chunked:
            taken, rest = data[: self._left], data[self._left :]
            self._left -= len(taken)
            self._finish(rest, self._left == 0)
            return taken
        return self._chunks(data)

    def _finish(self, rest: bytes, finished: bool) -> None:
        if finished:
            self.finished = True
            self.unused += rest

    def _chunks(self, data: bytes) -> bytes:
        waiting = self._waiting + data
        taken: list[bytes] = []
        while True:
            if self._state == "data":
                part = waiting[: self._left]
                taken.append(part)
                self._left -= len(part)
                waiting = waiting[len(part) :]
                if self._left:
                    break
                self._state = "end"
            line, found, rest = waiting.partition(b"\r\n")
            if not found:
                if len(waiting) > _CHUNK_LINE_AT_MOST:
                    raise BadRequest(400, "a chunk")
                break
            waiting = rest
            if self._state == "end":
                if line:
                    raise BadRequest(400, "a chunk")
                self._state = "size"
            elif self._state == "size":
                size = line.partition(b";")[0].strip()
                if not _CHUNK_SIZE.match(size):
                    raise BadRequest(400, "a chunk's size")
                self._left = int(size, 16)
                self._state = "data" if self._left else "trailer"
            elif not line:  # the trailers' end
                self._finish(waiting, True)
                waiting = b""
                break
        self._waiting = waiting
        return b"".join(taken)


@dataclass(frozen=True)
class Framing:
    """How an answer's body is sent: by its length, in chunks, or until the connection ends."""

    head: bytes
    chunked: bool
    closes: bool
    has_body: bool


def frame(request: Head, status: str, headers: Iterable[Header], keep_alive: bool) -> Framing:
    """The head of the answer `status` (`200 OK`) to `request`. Raises ValueError for a header that would break it."""
    code = int(status[:3])
    lines = [b"HTTP/1.1 " + status.encode("latin-1")]
    named = set()
    for name, value in headers:
        lower = name.lower()
        if not _TOKEN.match(name) or re.search(rb"[\x00\r\n]", value):
            raise ValueError(f"a header of the answer has a line break or a wrong name: {name!r}")
        if lower in (b"connection", b"keep-alive", b"transfer-encoding"):
            keep_alive = keep_alive and value.lower() != b"close"
            continue  # the server's own concern
        named.add(lower)
        lines.append(name + b": " + value)
    if b"date" not in named:
        lines.append(b"Date: " + formatdate(usegmt=True).encode())
    has_body = request.method != b"HEAD" and code >= 200 and code not in (204, 304)
    framed = b"content-length" in named
    chunked = has_body and not framed and request.minor == 1
    if chunked:
        lines.append(b"Transfer-Encoding: chunked")
    closes = not keep_alive or (has_body and not framed and not chunked)
    if closes:
        lines.append(b"Connection: close")
    elif request.minor == 0:
        lines.append(b"Connection: keep-alive")
    return Framing(b"\r\n".join(lines) + b"\r\n\r\n", chunked, closes, has_body)


def chunk(data: bytes) -> bytes:
    """One chunk; the empty one ends the body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def plain_answer(status: str) -> bytes:
    """A complete answer of our own, after which the connection ends."""
    text = status.encode() + b"\n"
    return b"HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (
        status.encode(),
        len(text),
        text,
    )


REASONS = {400: "Bad Request", 431: "Request Header Fields Too Large", 500: "Internal Server Error",
           501: "Not Implemented", 505: "HTTP Version Not Supported"}  # fmt: skip
