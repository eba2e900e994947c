"""What a workload is made of: requests, jobs and pauses as values, and how a request becomes bytes.

The fields are those of the workload file. Pairs rather than mappings wherever HTTP lets a name repeat.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import quote, quote_plus

Pairs: TypeAlias = tuple[tuple[str, str], ...]


class Absent(Enum):
    """The type of `ABSENT`, which tells "no JSON body" from the JSON body `null`."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT

MAX_STEPS: Final = 10_000
"""The longest workload that is taken."""

TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""A method or the name of a header (RFC 9110, 5.6.2)."""

REFERENCE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(:int)?\}")
"""`${name}`; as a whole string inside a JSON body `${name:int}` becomes a number."""

_BASE64 = re.compile(r"\{\{b64:(.*?)\}\}(?!\})", re.DOTALL)
_ABSOLUTE = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_TARGET_SAFE = "%/:?#[]@!$&'()*+,;=-._~{}|^`\\<>\""
_HEADER_BREAK = re.compile(r"[\r\n\0]+")
_BOUNDARY = "fungible-7d1c4f0ab2"


@dataclass(frozen=True)
class File:
    """A file of a multipart form. Text is sent as UTF-8 after substitution, bytes as they are."""

    field: str
    filename: str
    content: str | bytes
    type: str = "application/octet-stream"


@dataclass(frozen=True)
class Request:
    """One HTTP request, before substitution.

    At most one of `json`, `form` (with or without `files`) and `body` is present. `path` may carry a query of
    its own; `query` is added to it. `save` maps a name to a save expression (see `binding.extract`). `wait`
    and `timeout` are seconds, the wait comes before the request; `timeout` None leaves it to the runner.
    `ignore_body` leaves the body of the answer out of the comparison. `status` is what was answered when it was
    recorded: nothing is compared with it, but a workload that is answered otherwise lacks something.
    """

    method: str
    path: str
    query: Pairs = ()
    headers: Pairs = ()
    json: Any = ABSENT
    form: Pairs | None = None
    body: str | bytes | None = None
    files: tuple[File, ...] | None = None
    save: Mapping[str, str] = field(default_factory=dict)
    jar: str = "default"
    wait: float = 0.0
    timeout: float | None = None
    ignore_body: bool = False
    status: int | None = None

    def references(self) -> frozenset[str]:
        """The names that this request takes from earlier answers."""
        return frozenset(match[1] for text in texts(self) for match in REFERENCE.finditer(text))


@dataclass(frozen=True)
class Job:
    """A one-off process: `{job: COMMAND}`."""

    command: str


@dataclass(frozen=True)
class Quiet:
    """Wait until workers have nothing left to do: `{until: quiet}`."""


Step: TypeAlias = Request | Job | Quiet


@dataclass(frozen=True)
class Workload:
    """An ordered list of steps.

    `masks` are regular expressions over bodies and Location. `host` is the Host header of every request, None
    for the address that is really used. `headers` are sent with every request that does not set them itself.
    `path` is the file it was read from; `warnings` are sentences for the user about what reading it lost.
    """

    steps: tuple[Step, ...]
    masks: tuple[str, ...] = ()
    host: str | None = None
    headers: Pairs = ()
    path: Path | None = field(default=None, compare=False)
    warnings: tuple[str, ...] = field(default=(), compare=False)

    def producers(self) -> tuple[frozenset[int], ...]:
        """For each step, the earlier steps whose saves it refers to: the last save of a name counts."""
        saved: dict[str, int] = {}
        found: list[frozenset[int]] = []
        for index, step in enumerate(self.steps):
            names = step.references() if isinstance(step, Request) else frozenset()
            found.append(frozenset(saved[name] for name in names if name in saved))
            if isinstance(step, Request):
                saved.update(dict.fromkeys(step.save, index))
        return tuple(found)

    def quiet(self) -> frozenset[int]:
        """The steps that no slot serves."""
        return frozenset(index for index, step in enumerate(self.steps) if isinstance(step, Quiet))


def step_text(workload: Workload, step: int) -> str:
    """A step as people read it: `#2 GET /items`; its number alone where the workload has no such step."""
    if not 0 <= step < len(workload.steps):
        return f"#{step}"
    it = workload.steps[step]
    if isinstance(it, Request):
        return f"#{step} {it.method} {it.path}"
    return f"#{step} job {it.command}" if isinstance(it, Job) else f"#{step} until quiet"


@dataclass(frozen=True)
class Rendered:
    """A request as it goes out. `headers` hold `Content-Type` where there is one, but neither Host, Cookie
    (unless the workload wrote one) nor Content-Length; `content_type` repeats it for convenience."""

    method: str
    target: str
    headers: Pairs
    body: bytes
    content_type: str | None


def texts(request: Request) -> Iterator[str]:
    """Every text of a request in which `${name}` is replaced."""
    seen: list[str] = []

    def note(text: str) -> str:
        seen.append(text)
        return text

    map_texts(request, note)
    yield from seen


def map_texts(request: Request, change: Callable[[str], str]) -> Request:
    """The same request with `change` applied to its path, query, headers and body texts (JSON keys included)."""
    return replace(
        request,
        path=change(request.path),
        query=_map_pairs(request.query, change),
        headers=tuple((name, change(value)) for name, value in request.headers),
        json=_map_json(request.json, change),
        form=None if request.form is None else _map_pairs(request.form, change),
        body=change(request.body) if isinstance(request.body, str) else request.body,
        files=None if request.files is None else tuple(_map_file(each, change) for each in request.files),
    )


def _map_pairs(pairs: Pairs, change: Callable[[str], str]) -> Pairs:
    return tuple((change(name), change(value)) for name, value in pairs)


def _map_file(each: File, change: Callable[[str], str]) -> File:
    content = change(each.content) if isinstance(each.content, str) else each.content
    return replace(each, filename=change(each.filename), content=content)


def _map_json(value: Any, change: Callable[[str], Any]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list | tuple):
        return [_map_json(each, change) for each in value]
    if isinstance(value, Mapping):
        return {str(change(key)): _map_json(each, change) for key, each in value.items()}
    return value


def substitute(text: str, variables: Mapping[str, str]) -> str:
    """`text` with every known `${name}` replaced, then every `{{b64:...}}` encoded (UTF-8, standard alphabet).

    An unknown name stays as it is written: it may be text of the app's own.
    """

    def value(match: re.Match[str]) -> str:
        return variables.get(match[1], match[0])

    def encode(match: re.Match[str]) -> str:
        return base64.b64encode(match[1].encode("utf-8", "replace")).decode("ascii")

    return _BASE64.sub(encode, REFERENCE.sub(value, text))


def render(request: Request, variables: Mapping[str, str], defaults: Pairs = ()) -> Rendered:
    """Make the request that goes out: substitute, then encode the body.

    `variables` are the values saved so far in this world; `defaults` are the workload's own headers, which a
    header of the request with the same name replaces. A path that became an absolute URL (a saved link or
    Location) loses its origin, and a fragment is never sent (RFC 9110, 4.2.5). JSON keeps its order of keys,
    without spaces, UTF-8. Forms are encoded as in the URL standard; a multipart boundary is the same each time.
    """

    def change(text: str) -> str:
        return substitute(text, variables)

    filled = map_texts(replace(request, json=ABSENT), change)
    target = _target(filled.path, filled.query)
    body, content_type = _body(replace(filled, json=_fill_json(request.json, variables)))

    own = {name.lower() for name, _ in filled.headers}
    inherited = tuple((name, change(value)) for name, value in defaults if name.lower() not in own)
    headers = [(name, _HEADER_BREAK.sub(" ", value)) for name, value in inherited + filled.headers]
    stated = next((value for name, value in headers if name.lower() == "content-type"), None)
    without_boundary = request.files is not None and "boundary=" not in (stated or "").lower()
    if content_type is not None and (stated is None or without_boundary):
        headers = [pair for pair in headers if pair[0].lower() != "content-type"]
        headers.append(("Content-Type", content_type))
    else:
        content_type = stated
    return Rendered(request.method, target, tuple(headers), body, content_type)


def _target(path: str, query: Pairs) -> str:
    absolute = _ABSOLUTE.match(path)
    path = (path[absolute.end() :] if absolute else path).partition("#")[0]
    if not path.startswith("/"):
        path = "/" + path
    if query:
        path += ("&" if "?" in path else "?") + _urlencoded(query)
    return quote(path, safe=_TARGET_SAFE, errors="replace")


def _urlencoded(pairs: Pairs) -> str:
    def encode(text: str) -> str:
        return quote_plus(text, errors="replace")

    return "&".join(f"{encode(name)}={encode(value)}" for name, value in pairs)


def _fill_json(value: Any, variables: Mapping[str, str]) -> Any:
    def change(text: str) -> Any:
        whole = REFERENCE.fullmatch(text)
        if whole and whole[2]:
            number = variables.get(whole[1], "")
            if re.fullmatch(r"-?[0-9]{1,300}", number):
                return int(number)
        return substitute(text, variables)

    return _map_json(value, change)


def _body(request: Request) -> tuple[bytes, str | None]:
    if request.json is not ABSENT:
        text = json.dumps(request.json, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "replace"), "application/json"
    if request.files is not None:
        return _multipart(request.form or (), request.files)
    if request.form is not None:
        return _urlencoded(request.form).encode("ascii"), "application/x-www-form-urlencoded"
    if request.body is None:
        return b"", None
    return _bytes(request.body), None


def _bytes(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode("utf-8", "replace")


def _multipart(form: Pairs, files: tuple[File, ...]) -> tuple[bytes, str]:
    """RFC 7578, with the escapes of names that browsers use (HTML, multipart/form-data encoding)."""

    def named(text: str) -> str:
        return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")

    parts = [(f'name="{named(name)}"', "", _bytes(value)) for name, value in form]
    for each in files:
        head = f'name="{named(each.field)}"; filename="{named(each.filename)}"'
        parts.append((head, f"\r\nContent-Type: {_HEADER_BREAK.sub(' ', each.type)}", _bytes(each.content)))
    boundary, tries = _BOUNDARY, 0
    while any(boundary.encode() in content for _, _, content in parts):
        tries += 1
        boundary = f"{_BOUNDARY}-{tries}"
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {head}{kind}\r\n\r\n".encode("utf-8", "replace")
        + content
        + b"\r\n"
        for head, kind, content in parts
    )
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"
