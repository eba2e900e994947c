"""Where a value of a run came from: what the client sent, what the app answered, and which was first."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote_plus, urlsplit

from fungible.verify.transcript import Answer, Sent
from fungible.verify.workload.extraction import body_json, body_text, extract, json_path

_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
LEVELS: Final = (
    re.compile(r"[A-Za-z0-9._~+/=:-]+"),
    re.compile(r"[A-Za-z0-9._~-]+"),
    re.compile(r"[A-Za-z0-9_-]+"),
    _UUID,
    re.compile(r"[A-Za-z0-9]+"),
)
"""Runs of characters that may be a token, the widest first: base64 and signed values, then what needs no
escape in a URL (RFC 3986, 2.3), then identifiers, UUIDs, words."""

MIN_TOKEN: Final = 8
_MIN_NUMBER = 12
_MIN_LETTERS = 20
_MAX_TOKEN = 4096
_MAX_TEXT = 1 << 20
_WORD = re.compile(r"[A-Za-z0-9]+")
_ALTERNATES = re.compile(r"[A-Za-z][0-9]|[0-9][A-Za-z]")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T_ -]?[\d:.]*(?:Z|[+-][\d:]+)?)?")
_CLASSES = re.compile(r"[a-z]+|[A-Z]+|[0-9]+")
_KINDS = (re.compile(r"[a-z]"), re.compile(r"[A-Z]"), re.compile(r"[0-9]"))

STANDARD_HEADERS: Final = frozenset(
    """accept accept-charset accept-encoding accept-language accept-ranges cache-control connection content-length
    content-type cookie date depth dnt expect forwarded host origin pragma range referer te timeout
    upgrade-insecure-requests user-agent via x-forwarded-for x-forwarded-host x-forwarded-proto
    x-requested-with""".split()  # noqa: SIM905
)
"""Request headers that carry no value of the app's. Cookies are the jar's affair."""


@lru_cache(maxsize=65536)
def is_token(text: str) -> bool:
    """Is this a value that does not occur twice by chance?

    A UUID; a number of 12 and more digits; a word of 8 and more letters and digits that changes between the two
    at least twice, as hexadecimal does; or, also over separators, 8 and more characters of which both cases and
    digits change places as often as in base64; without digits, 20 and more, about half of them capitals. So
    `chapter-10`, `iPhone-14-Pro`, `python3` and dates are none.
    """
    if not MIN_TOKEN <= len(text) <= _MAX_TOKEN or _DATE.fullmatch(text):
        return False
    if _UUID.fullmatch(text) or (text.isascii() and text.isdigit() and len(text) >= _MIN_NUMBER):
        return True
    words = _WORD.findall(text)
    if any(len(word) >= MIN_TOKEN and len(_ALTERNATES.findall(word)) >= 2 for word in words):
        return True
    length = sum(map(len, words))
    changes = sum(len(_CLASSES.findall(word)) - 1 for word in words)
    # Two random characters of base64 differ in class with odds of 0.62; words of a language rarely do.
    often = 0.4 if length < 16 else 0.33
    if length < MIN_TOKEN or changes < often * (length - 1):
        return False
    if all(kind.search(text) for kind in _KINDS):
        return True
    # One in forty of 16 bytes in base64 has no digit; then half of its letters are capitals, and fewer of a name's.
    return length >= _MIN_LETTERS and 0.3 <= sum(map(str.isupper, text)) / length <= 0.7


def tokens(text: str) -> set[str]:
    """All tokens in a text, at every level."""
    return {run for level in LEVELS for run in level.findall(text[:_MAX_TEXT]) if is_token(run)}


def set_cookies(answer: Answer) -> dict[str, str]:
    """The cookies that an answer sets: name -> value, as RFC 6265, 5.2 reads them, without attributes."""
    found: dict[str, str] = {}
    for name, value in answer.headers:
        if name.lower() == "set-cookie":
            pair = value.partition(";")[0]
            key, equals, text = pair.partition("=")
            if equals and key.strip():
                found[key.strip()] = text.strip()
    return found


@dataclass
class Provenance:
    """Reads a run step by step: `request` then `answer` for each, and is asked in between."""

    answers: dict[int, Answer] = field(default_factory=dict)
    sent: dict[int, str] = field(default_factory=dict)
    made: dict[str, list[int]] = field(default_factory=dict)

    def request(self, step: int, sent: Sent) -> None:
        """Note what the client sends at a step."""
        self.sent[step] = sent_text(sent)

    def answer(self, step: int, answer: Answer) -> None:
        """Note what the app answered."""
        self.answers[step] = answer
        for token in tokens(answer_text(answer)):
            self.made.setdefault(token, []).append(step)

    def makers(self, token: str) -> tuple[int, ...]:
        """The answers that have a token, the earliest first; none where a client sent it before the earliest."""
        steps = self.made.get(token, [])
        if not steps or any(token in text for step, text in self.sent.items() if step <= steps[0]):
            return ()
        return tuple(steps)


def sent_text(sent: Sent) -> str:
    """Everything a request says that may be a value, also unescaped."""
    body = sent.body[:_MAX_TEXT].decode("utf-8", "replace")
    headers = [value for name, value in sent.headers if name.lower() not in STANDARD_HEADERS]
    plain = [sent.target, body]
    return "\n".join([*plain, *(unquote_plus(text) for text in plain if "%" in text or "+" in text), *headers])


def answer_text(answer: Answer) -> str:
    """Everything an answer says that a later request may repeat, also unescaped."""
    body = body_text(answer)[:_MAX_TEXT]
    texts = [value.partition(";")[0] if name == "set-cookie" else value for name, value in answer.headers]
    texts.append(body)
    if "&" in body:
        texts.append(html.unescape(body))
    if "\\" in body:
        texts.extend(str(leaf) for _, leaf in leaves(body_json(answer)))
    return "\n".join(texts)


def leaves(
    value: Any, at: tuple[str | int, ...] = (), depth: int = 20
) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """The strings and numbers of JSON data with their places, in order."""
    if isinstance(value, Mapping) and depth:
        for key, each in value.items():
            yield from leaves(each, (*at, key), depth - 1)
    elif isinstance(value, list) and depth:
        for index, each in enumerate(value):
            yield from leaves(each, (*at, index), depth - 1)
    elif isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        yield at, value


def expression(answer: Answer, value: str) -> str | None:
    """A save expression that takes `value` out of an answer, the least fragile first; None where there is none."""
    for candidate in _expressions(answer, value):
        try:
            if extract(candidate, answer, set_cookies(answer)) == value:
                return candidate
        except ValueError:
            continue
    return None


def _expressions(answer: Answer, value: str) -> Iterator[str]:
    for at, leaf in leaves(body_json(answer)):
        if str(leaf) == value:
            yield json_path(at)
    for name, text in answer.headers:
        if name != "set-cookie":
            if text == value:
                yield f"header:{name}"
            elif value in text:
                for pattern in _patterns(text, value):
                    yield f"header:{name}~{pattern}"
    for name, text in set_cookies(answer).items():
        if text == value:
            yield f"cookie:{name}"
    body = body_text(answer)[:_MAX_TEXT]
    for written in dict.fromkeys((value, html.escape(value), value.replace("+", "&#43;").replace("=", "&#61;"))):
        for pattern in _patterns(body, written):
            yield f"re:{pattern}"


def _patterns(text: str, value: str) -> Iterator[str]:
    """Regular expressions whose first match in `text` should be `value`: with what stands to its left, then
    also with what stands to its right. Contexts that hold a token themselves would not match again."""
    at, tries = text.find(value), 0
    while at >= 0 and tries < 10:
        end = at + len(value)
        before, after = text[at - 1 : at], text[end : end + 1]
        if not (before.isalnum() or after.isalnum()):
            tries += 1
            group = _group(value, after)
            for left in (16, 32, 64, 120):
                context = text[_word_start(text, at - left) : at]
                if group and not tokens(context):
                    yield _escape(context) + group
            for right in (16, 48, 120):
                context, behind = text[max(0, at - 32) : at], text[end : end + right]
                if group and not tokens(context) and not tokens(behind):
                    yield _escape(context) + group + _escape(behind)
        at = text.find(value, at + 1)


def _word_start(text: str, at: int) -> int:
    """A place at or shortly before `at` where no word is cut in two."""
    start = max(0, at)
    while start > max(0, at - 20) and text[start - 1].isalnum() and text[start].isalnum():
        start -= 1
    return start


def _group(value: str, after: str) -> str | None:
    """A group that matches `value` and ends before `after`: everything but quotes, tags, spaces and `after`."""
    stop = [char for char in "\"'<>" if char not in value]
    if after and not after.isspace() and after not in stop:
        if after in value:
            return None
        stop.append(after)
    if re.search(r"\s", value):
        return None
    return "([^" + "".join(re.escape(char) for char in stop) + r"\s]+)"


def _escape(context: str) -> str:
    return r"\s+".join(re.escape(part) for part in re.split(r"\s+", context))


def segments(target: str) -> list[str]:
    """The segments of a request target's path."""
    try:
        path = urlsplit(target).path
    except ValueError:
        path = target.partition("?")[0]
    return [part for part in path.split("/") if part]
