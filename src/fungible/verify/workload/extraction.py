"""Save expressions: how a value is taken out of an answer."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from fungible.verify.transcript import Answer

Kind: TypeAlias = Literal["json", "re", "header", "cookie"]

_STEP = re.compile(r"\.([^.\[\]]+)|\[(-?[0-9]{1,9})\]|\[\"((?:[^\"\\]|\\.)*)\"\]|\['([^'\\]*)'\]")
_CHARSET = re.compile(r"charset\s*=\s*\"?([A-Za-z0-9._:-]+)", re.IGNORECASE)
FORMS = "json:$.a.b[0], re:REGEX, header:Name, header:Name~REGEX or cookie:NAME"


@dataclass(frozen=True)
class SaveExpression:
    """A parsed save expression. `steps` for json; `name` for header and cookie; `pattern` for re and header."""

    kind: Kind
    name: str = ""
    steps: tuple[str | int, ...] = ()
    pattern: re.Pattern[str] | None = None


@lru_cache(maxsize=4096)
def parse_save(text: str) -> SaveExpression:
    """Parse `json:$.a.b[0]` (also `["a key"]`), `re:REGEX`, `header:Name`, `header:Name~REGEX`, `cookie:NAME`.

    Raises ValueError with the reason, to be put behind the place where the expression stands. A pattern must
    have a group: group 1 is the value.
    """
    kind, colon, rest = text.partition(":")
    if not colon or not rest:
        raise ValueError(f"is not a save expression: {text!r}; write {FORMS}")
    if kind == "json":
        return SaveExpression("json", steps=_json_path(rest))
    if kind == "re":
        return SaveExpression("re", pattern=_pattern(rest))
    if kind == "header":
        name, tilde, pattern = rest.partition("~")
        if not name:
            raise ValueError(f"names no header: {text!r}")
        return SaveExpression("header", name.lower(), pattern=_pattern(pattern) if tilde else None)
    if kind == "cookie":
        return SaveExpression("cookie", rest)
    raise ValueError(f"is not a save expression: {text!r}; write {FORMS}")


def _json_path(text: str) -> tuple[str | int, ...]:
    if not text.startswith("$"):
        raise ValueError(f"is not a JSON path: {text!r}; it begins with $, as in json:$.items[0].id")
    steps: list[str | int] = []
    at = 1
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None:
            raise ValueError(f"is not a JSON path: {text!r}, at {text[at:]!r}; write json:$.items[0].id")
        if match[1] is not None:
            steps.append(match[1])
        elif match[2] is not None:
            steps.append(int(match[2]))
        else:
            steps.append(match[4] if match[4] is not None else _unquote(match[3]))
        at = match.end()
    return tuple(steps)


def _unquote(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError as error:
        raise ValueError(f"has a bad escape in {text!r}") from error


def _pattern(text: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"has a bad regular expression {text!r}: {error}") from error
    if not pattern.groups:
        raise ValueError(f"has a regular expression without a group: {text!r}; put ( ) around the value to save")
    return pattern


def json_path(steps: tuple[str | int, ...]) -> str:
    """The save expression of a place in a JSON answer: the inverse of what `parse_save` reads."""
    written = "$"
    for step in steps:
        if isinstance(step, int):
            written += f"[{step}]"
        elif re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", step):
            written += f".{step}"
        else:
            written += f"[{json.dumps(step)}]"
    return f"json:{written}"


def body_text(answer: Answer) -> str:
    """The body as text, by the charset of its Content-Type, UTF-8 otherwise; undecodable bytes become U+FFFD."""
    match = _CHARSET.search(answer.header("content-type") or "")
    try:
        return answer.body.decode(match[1] if match else "utf-8", "replace")
    except (LookupError, ValueError):
        return answer.body.decode("utf-8", "replace")


def body_json(answer: Answer) -> Any:
    """The body as JSON data, or None where it is not JSON."""
    try:
        return json.loads(body_text(answer))
    except (ValueError, RecursionError):
        return None


def extract(save_expr: str, answer: Answer, cookies: Mapping[str, str]) -> str | None:
    """Take a value out of an answer; None where it is not there.

    `cookies` are the names and values of the step's jar after the answer. JSON strings come as they are, other
    JSON values as JSON text. A group of `re:` is HTML-unescaped. Raises ValueError for a bad expression.
    """
    save = parse_save(save_expr)
    if save.kind == "json":
        return _at(body_json(answer), save.steps)
    if save.kind == "re" and save.pattern is not None:
        found = save.pattern.search(body_text(answer))
        return html.unescape(found[1]) if found and found[1] is not None else None
    if save.kind == "cookie":
        return cookies.get(save.name)
    for name, value in answer.headers:
        if name.lower() == save.name:
            if save.pattern is None:
                return value
            found = save.pattern.search(value)
            if found and found[1] is not None:
                return found[1]
    return None


def _at(value: Any, steps: tuple[str | int, ...]) -> str | None:
    for step in steps:
        if isinstance(step, int) and isinstance(value, list):
            if not -len(value) <= step < len(value):
                return None
            value = value[step]
        elif isinstance(step, str) and isinstance(value, dict):
            value = value.get(step)
        else:
            return None
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
