"""What a workload file may say, checked key by key: plain data in, a `Workload` out."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from fungible.app.problem import Problem
from fungible.app.quantity import parse_duration
from fungible.app.wording import nearest, plain, shown
from fungible.verify.workload.extraction import parse_save
from fungible.verify.workload.steps import ABSENT, MAX_STEPS, TOKEN, File, Job, Pairs, Quiet, Request, Step, Workload

MAX_SECONDS: Final = 3600.0
_MAX_DEPTH = 100
_MAX_NODES = 1_000_000

_TOP = ("requests", "masks", "host", "headers")
_REQUEST = (
    "method",
    "path",
    "query",
    "headers",
    "json",
    "form",
    "body",
    "files",
    "save",
    "jar",
    "wait",
    "timeout",
    "ignore_body",
    "status",
)
METHODS: Final = tuple(
    """GET HEAD POST PUT PATCH DELETE OPTIONS TRACE CONNECT QUERY ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT COPY
    LABEL LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE ORDERPATCH PRI PROPFIND PROPPATCH
    REBIND REPORT SEARCH UNBIND UNCHECKOUT UNLINK UNLOCK UPDATE UPDATEREDIRECTREF VERSION-CONTROL
    PURGE""".split()  # noqa: SIM905
)
"""The registered methods (IANA, HTTP Method Registry), and what caches are told to purge with."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class _Reader:
    """Reads checked values; `where` is the place in the file, as `requests[3].save.id`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.nodes = 0
        self.warnings: list[str] = []

    def problem(self, where: str, what: str, hint: str = "") -> Problem:
        """`hint` is a sentence of its own, with a space before it."""
        return Problem(f"{self.path}: {where + ' ' if where else ''}{what}.{hint}")

    def mapping(self, value: object, where: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise self.problem(where or "the workload", f"must be a mapping, not {_kind(value)}")
        for key in value:
            if not isinstance(key, str):
                raise self.problem(where, f"has a key that is not text: {key!r}; quote it")
            self.text(key, where)
        return value

    def known(self, value: Mapping[str, Any], keys: Collection[str], where: str) -> None:
        for key in value:
            if key not in keys:
                hint = nearest(key, keys) or f" Known are {', '.join(keys)}."
                raise self.problem(_join(where, plain(key)[:80]), "is not known", hint)

    def text(self, value: object, where: str) -> str:
        if not isinstance(value, str):
            raise self.problem(where, f"must be text, not {_kind(value)}")
        if any("\ud800" <= char <= "\udfff" for char in value):
            raise self.problem(where, "has half of a surrogate pair, which no request can carry")
        return value

    def scalar(self, value: object, where: str) -> str:
        """Text of a form field, a query value or a header: a number or a boolean is written as in JSON."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
            return json.dumps(value)
        return self.text(value, where)

    def pairs(self, value: object, where: str) -> Pairs:
        """`{name: value}`, `{name: [value, value]}` or `[[name, value], ...]`."""
        if isinstance(value, list):
            found = []
            for index, each in enumerate(value):
                at = f"{where}[{index}]"
                if not isinstance(each, list) or len(each) != 2:
                    raise self.problem(at, "must be a pair [name, value]")
                found.append((self.text(each[0], at), self.scalar(each[1], at)))
            return tuple(found)
        found = []
        for name, each in self.mapping(value, where).items():
            at = _join(where, name)
            if isinstance(each, list):
                found.extend((name, self.scalar(item, f"{at}[{i}]")) for i, item in enumerate(each))
            else:
                found.append((name, self.scalar(each, at)))
        return tuple(found)

    def headers(self, value: object, where: str) -> Pairs:
        pairs = self.pairs(value, where)
        for name, text in pairs:
            if not TOKEN.fullmatch(name):
                raise self.problem(_join(where, name), "is not the name of a header (RFC 9110, 5.1)")
            if re.search(r"[\r\n\0]", text):
                raise self.problem(_join(where, name), "has a line break, which no header can carry")
        return pairs

    def seconds(self, value: object, where: str) -> float:
        """A number of seconds, or a duration as the settings take it: `500ms`, `2s`, `1m`."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            seconds = float(value) if abs(value) <= 10**15 else math.inf
        else:
            try:
                seconds = parse_duration(value)
            except ValueError:
                said = shown(value) if isinstance(value, str) else _kind(value)
                raise self.problem(where, f"must be seconds or a duration such as 500ms or 2s, not {said}") from None
        if not 0 <= seconds <= MAX_SECONDS:
            raise self.problem(where, f"must be between 0 and {MAX_SECONDS:g} seconds, not {value}")
        return seconds

    def content(self, value: object, where: str) -> str | bytes:
        """Text, or `{base64: TEXT}` for bytes."""
        if not isinstance(value, Mapping):
            return self.text(value, where)
        self.known(self.mapping(value, where), ("base64",), where)
        if not value:
            raise self.problem(where, "must be text or {base64: TEXT}")
        text = self.text(value["base64"], _join(where, "base64"))
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise self.problem(_join(where, "base64"), f"is not base64: {error}") from error

    def data(self, value: Any, where: str, depth: int = 0) -> Any:
        """JSON data, bounded: YAML aliases can make a small file into a huge or endless value."""
        self.nodes += 1
        if depth > _MAX_DEPTH or self.nodes > _MAX_NODES:
            raise self.problem(where, "is nested too deeply or too large")
        if isinstance(value, str):
            return self.text(value, where)
        if isinstance(value, list):
            return [self.data(each, f"{where}[{index}]", depth + 1) for index, each in enumerate(value)]
        if isinstance(value, Mapping):
            checked = self.mapping(value, where)
            return {key: self.data(each, _join(where, key), depth + 1) for key, each in checked.items()}
        if isinstance(value, float) and not math.isfinite(value):
            raise self.problem(where, f"is {value}, which JSON cannot carry")
        if value is None or isinstance(value, bool | int | float):
            return value
        raise self.problem(where, f"must be JSON data, not {_kind(value)}")

    def files(self, value: object, where: str) -> tuple[File, ...]:
        """`{field: [filename, text, type]}` or, where a field repeats, `[[field, filename, text, type], ...]`."""
        if isinstance(value, list):
            found = []
            for index, each in enumerate(value):
                at = f"{where}[{index}]"
                if not isinstance(each, list) or not each:
                    raise self.problem(at, "must be [field, filename, text, type]")
                found.append(self.file(self.text(each[0], f"{at}[0]"), each[1:], at))
            return tuple(found)
        return tuple(
            self.file(field, each, _join(where, field)) for field, each in self.mapping(value, where).items()
        )

    def file(self, field: str, value: object, where: str) -> File:
        if not isinstance(value, list) or len(value) not in (2, 3):
            raise self.problem(where, "must be [filename, text, type]")
        kind = self.text(value[2], where) if len(value) == 3 else "application/octet-stream"
        return File(field, self.text(value[0], where), self.content(value[1], where), kind)

    def save(self, value: object, where: str) -> dict[str, str]:
        found = {}
        for name, each in self.mapping(value, where).items():
            at = _join(where, name)
            if not _NAME.fullmatch(name):
                raise self.problem(at, "is not a name: use letters, digits and _, as in ${user_id}")
            text = self.text(each, at)
            try:
                parse_save(text)
            except ValueError as error:
                raise self.problem(at, str(error)) from error
            found[name] = text
        return found

    def step(self, value: object, where: str) -> Step:
        data = self.mapping(value, where)
        if "job" in data:
            self.known(data, ("job",), where)
            command = self.text(data["job"], _join(where, "job"))
            if not command.strip() or "\0" in command:
                raise self.problem(_join(where, "job"), "must be a command")
            return Job(command)
        if "until" in data:
            self.known(data, ("until",), where)
            if data["until"] != "quiet":
                raise self.problem(_join(where, "until"), f'must be "quiet", not {data["until"]!r}')
            return Quiet()
        return self.request(data, where)

    def method(self, value: object, where: str) -> str:
        """A method; one that nobody has registered is taken, and told, unless it looks like a slip of the pen."""
        method = self.text(value, where)
        if not TOKEN.fullmatch(method):
            raise self.problem(where, f"is not an HTTP method: {method!r}")
        if method not in METHODS:
            hint = nearest(method, METHODS)
            if hint:
                raise self.problem(where, f"is not an HTTP method: {shown(method)}", hint)
            warning = f"{where}: {shown(method)} is no method of HTTP; it is sent as it is."
            self.warnings.append(warning)
        return method

    def status(self, value: object, where: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 100 <= value <= 599:
            raise self.problem(where, "must be a status from 100 to 599, that of the recorded answer")
        return value

    def request(self, data: Mapping[str, Any], where: str) -> Request:
        self.known(data, _REQUEST, where)
        for key in ("method", "path"):
            if key not in data:
                raise self.problem(where, f'has no "{key}"')
        bodies = [key for key in ("json", "form", "body", "files") if key in data]
        if len(bodies) > 1 and bodies != ["form", "files"]:
            raise self.problem(where, f"has several bodies: {' and '.join(bodies)}; keep one")
        method = self.method(data["method"], _join(where, "method"))
        path = self.text(data["path"], _join(where, "path"))
        if not path.startswith(("/", "${", "http://", "https://")):
            raise self.problem(_join(where, "path"), f'must begin with "/": {path!r}')
        jar = self.text(data.get("jar", "default"), _join(where, "jar"))
        ignore = data.get("ignore_body", False)
        if not isinstance(ignore, bool):
            raise self.problem(_join(where, "ignore_body"), f"must be true or false, not {_kind(ignore)}")
        timeout = self.seconds(data["timeout"], _join(where, "timeout")) if "timeout" in data else None
        if timeout == 0:
            raise self.problem(_join(where, "timeout"), "must be more than 0 seconds")
        return Request(
            method=method,
            path=path,
            query=self.pairs(data.get("query", {}), _join(where, "query")),
            headers=self.headers(data.get("headers", {}), _join(where, "headers")),
            json=self.data(data["json"], _join(where, "json")) if "json" in data else ABSENT,
            form=self.pairs(data["form"], _join(where, "form")) if "form" in data else None,
            body=self.content(data["body"], _join(where, "body")) if "body" in data else None,
            files=self.files(data["files"], _join(where, "files")) if "files" in data else None,
            save=self.save(data.get("save", {}), _join(where, "save")),
            jar=jar,
            wait=self.seconds(data.get("wait", 0), _join(where, "wait")),
            timeout=timeout,
            ignore_body=ignore,
            status=self.status(data["status"], _join(where, "status")) if "status" in data else None,
        )


def parse_workload(data: object, path: Path) -> Workload:
    """Check what a JSON or YAML parser made of a workload file, and make a `Workload` of it.

    `path` is for messages. Raises Problem, naming the place (`requests[3].save.id`), for an unknown key (with
    the nearest known one), a wrong type, a bad save expression or mask, several bodies, or more than 10,000
    steps.
    """
    read = _Reader(path)
    top = read.mapping(data, "")
    read.known(top, _TOP, "")
    requests = top.get("requests")
    if not isinstance(requests, list):
        raise read.problem("requests", "must be a list of requests")
    if len(requests) > MAX_STEPS:
        raise read.problem("requests", f"has {len(requests)} steps; at most {MAX_STEPS} are taken")
    masks = top.get("masks", [])
    if not isinstance(masks, list):
        raise read.problem("masks", f"must be a list of regular expressions, not {_kind(masks)}")
    for index, mask in enumerate(masks):
        try:
            re.compile(read.text(mask, f"masks[{index}]"))
        except (re.error, RecursionError, OverflowError) as error:
            raise read.problem(f"masks[{index}]", f"is not a regular expression: {error}") from error
    host = read.text(top["host"], "host") if "host" in top else None
    if host is not None and not re.fullmatch(r"[^\s/?#@]+", host):
        raise read.problem("host", f"must be a host name with an optional port, not {host!r}")
    steps = tuple(read.step(each, f"requests[{index}]") for index, each in enumerate(requests))
    headers = read.headers(top.get("headers", {}), "headers")
    return Workload(steps, tuple(masks), host, headers, path, tuple(read.warnings))


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    names = {str: "text", int: "a number", float: "a number", list: "a list", dict: "a mapping"}
    return names.get(type(value), type(value).__name__)


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
