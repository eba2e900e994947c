"""Words of an answer and what they are by their form: dates, identifiers, tokens, numbers.

Forms are from RFC 9110 (HTTP dates), RFC 3339 and ISO 8601, RFC 9562 (UUID), RFC 7519 (JWT) and from what
common frameworks print for people ("Nov. 5, 2025, 9:07 a.m.", "3 seconds ago", "took 12.3 ms").
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from fungible.verify.compare.signed import is_signed

_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?"
    r"|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\.?"
)
_DAY = r"(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?"
_COLON = r"(?::|%3A)"
_TIME = rf"\d{{1,2}}{_COLON}\d\d(?:{_COLON}\d\d(?:[.,]\d+)?)?(?: ?[aApP]\.?[mM]\b\.?)?"
_SPOKEN = rf"(?:noon|midnight|{_TIME}|\d{{1,2}} [ap]\.m\.)"
_ZONE = r"(?: ?(?:Z\b|UTC\b|GMT\b|[+-]\d\d:?\d\d\b))?"
_CLOCKS = (
    rf"\d{{4}}-\d\d-\d\d(?:(?:[T _+]|%20)\d\d{_COLON}?\d\d(?:{_COLON}?\d\d(?:[.,]\d+)?)?{_ZONE})?",
    rf"(?:{_DAY},? )?\d{{1,2}}[ -]{_MONTH}[ -]\d{{4}}(?:(?:,? (?:at )?|T|:){_SPOKEN}{_ZONE})?",
    rf"(?:{_DAY},? )?{_MONTH} +\d{{1,2}}(?:st|nd|rd|th)?,? +\d{{4}}(?:,? (?:at )?{_SPOKEN}{_ZONE})?",
    rf"{_DAY} {_MONTH} +\d{{1,2}} {_TIME}(?: [A-Z]{{3,4}})? \d{{4}}",
    rf"\d{{1,2}}/{_MONTH}/\d{{4}}:\d\d:\d\d:\d\d(?: [+-]\d{{4}})?",
    rf"(?<!/)(?:\d{{4}}/\d\d?/\d\d?|\d\d?/\d\d?/\d{{4}}|\d\d?\.\d\d?\.\d{{4}})(?!/)(?:,? {_SPOKEN})?",
    r"\d{8}T\d{6}(?:\.\d+)?Z?",
    r"\d{1,2}:\d\d:\d\d(?:\.\d+)?(?: ?[aApP]\.?[mM]\b\.?)?|\d{1,2}:\d\d ?[aApP]\.?[mM]\b\.?",
)
_CLOCK = "|".join(f"(?:{form})" for form in _CLOCKS)
_SPAN = r"(?:seconds?|secs?|minutes?|mins?|milliseconds?|microseconds?)"
_AGE = (
    rf"(?:\d+(?:\.\d+)?|an?|one|a few|less than an?|about an?)[  ]{_SPAN}"
    rf"(?:(?:,|,? and)? \d+ {_SPAN})*(?: ago)?|just now|moments ago|a moment ago"
    r"|\d+(?:\.\d+)?[  ]?(?:ms|msecs?|µs|μs|us|ns)|\d+\.\d+[  ]?s"
)
_UUID = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_JWT = r"eyJ[A-Za-z0-9_-]{6,}\.eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*"
_SIGNED = (
    r"\.?[A-Za-z0-9_-]{2,}={0,2}(?:\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,86}|:[A-Za-z0-9]{6}:[A-Za-z0-9_-]{27,86})"
)
_LEXER = re.compile(
    rf"(?<![^\W_])(?:(?P<jwt>{_JWT})|(?P<signed>{_SIGNED})|(?P<uuid>{_UUID})|(?P<clock>{_CLOCK})|(?P<age>{_AGE})"
    r"|(?P<dotted>\d+(?:\.\d+){2,})|(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![,\d])|\d+\.\d+(?:[eE][+-]?\d+)?))(?![^\W_])"
    r"|(?P<word>[^\W_]+)|(?P<space>\s+)|(?P<mark>.)",
    re.DOTALL,
)
_VOLATILE = re.compile(rf"(?<![^\W_])(?:{_CLOCK}|{_AGE}|{_SIGNED}|{_JWT}|\d{{10,19}}(?:\.\d+)?)(?![^\W_])")
_FORMS = {
    "uuid": re.compile(_UUID),
    "jwt": re.compile(_JWT),
    "clock": re.compile(_CLOCK),
    "age": re.compile(_AGE),
    "int": re.compile(r"[-+]?\d+"),
    "number": re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?|[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"),
    "hex": re.compile(r"[0-9a-fA-F]+"),
    "digits": re.compile(r"\d+|[0-9a-fA-F]{1,4}"),
    "token": re.compile(r"[^\s<>\"'(){}\[\],;]+"),
}
_EPOCH = re.compile(r"1\d{9}(?:\.\d+)?|1\d{12}(?:\.\d+)?|1\d{15}|1\d{18}")
_YEARS = (datetime(2015, 1, 1, tzinfo=UTC).timestamp(), datetime(2040, 1, 1, tzinfo=UTC).timestamp())
CLOCKS = frozenset({"clock", "epoch", "age", "signed", "jwt"})
"""Types whose values follow the clock: two of them may be equal, or not, by the luck of a second."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a number, a date, a run of space or a single mark, as it stands in a string."""

    kind: str
    text: str


def tokens(text: str) -> Sequence[Token]:
    """Cut a string into tokens; joined again they are the string."""
    return _short(text) if len(text) <= 200 else _cut(text)


@lru_cache(maxsize=1 << 14)
def _short(text: str) -> tuple[Token, ...]:
    return tuple(_cut(text))


def _cut(text: str) -> list[Token]:
    return [Token(match.lastgroup or "mark", match.group()) for match in _LEXER.finditer(text)]


def joined_tokens(cut: Sequence[Token]) -> Sequence[Token]:
    """Tokens with the pieces of each random word put together: base64 for URLs (RFC 4648, 5) has `-` and `_` in it,
    at other places in every one."""
    text = "".join(token.text for token in cut)
    if not any(token.text in "-_" for token in cut) or len(text) < 16:
        return cut
    joined: list[Token] = []
    pieces: list[Token] = []
    for token in (*cut, Token("mark", "")):
        if token.text in ("-", "_") or (token.kind in ("word", "number", "hex") and token.text.isascii()):
            pieces.append(token)
            continue
        word = "".join(piece.text for piece in pieces)
        joined += [Token("word", word)] if len(pieces) > 1 and _is_urlsafe(word) else pieces
        joined.append(token)
        pieces = []
    return joined[:-1]


def _is_urlsafe(word: str) -> bool:
    """Whether a word with `-` and `_` in it is drawn by chance: long, of both cases, and with digits or cases that
    change within its parts."""
    letters = word.replace("-", "").replace("_", "")
    if len(word) < 16 or letters.lower() == letters or letters.upper() == letters:
        return False
    turns = sum(one.islower() and other.isupper() for one, other in itertools.pairwise(letters))
    return any(letter.isdigit() for letter in letters) or turns >= 4


def may_be_volatile(text: str) -> bool:
    """Whether a string could hold something that follows the clock; cheap, and never falsely no."""
    return _VOLATILE.search(text) is not None


@dataclass(frozen=True, slots=True)
class Type:
    """What several values have in common by their form: a name and bounds of their length in characters."""

    name: str
    low: int
    high: int

    def admits(self, text: str) -> bool:
        """Whether a value is of this type."""
        # A number that was whole by chance may be written with a fraction or with separators another time.
        return self.low <= len(text) <= self.high and _is("number" if self.name == "int" else self.name, text)


_ORDER = ("uuid", "jwt", "signed", "clock", "age", "epoch", "int", "number", "hex", "token")
_UNBOUNDED = frozenset({"jwt", "signed", "clock", "age", "epoch", "int", "number"})


@lru_cache(maxsize=1 << 16)
def _is(name: str, text: str) -> bool:
    if name == "text":
        return True
    if name == "empty":
        return text == ""
    if name == "epoch":
        return epoch(text) is not None
    if name == "signed":
        return is_signed(text)
    return _FORMS[name].fullmatch(text) is not None


def type_of(values: Sequence[str]) -> Type:
    """The narrowest type that holds for all values (at least one)."""
    name = next((name for name in _ORDER if all(value and _is(name, value) for value in values)), "text")
    if name == "epoch" and not _of_one_day(values):
        name = "number" if any("." in value for value in values) else "int"
    short, long = min(map(len, values)), max(map(len, values))
    if name == "hex" and short < 4:
        name = "token"
    if name in _UNBOUNDED:
        return Type(name, 1, 1 << 16)
    if short == long:
        return Type(name, short, long)
    return Type(name, min(short, max(1, short // 2)) if short else 0, long * 2 + 8)


def is_hexadecimal(text: str) -> bool:
    """Whether a text has the digits of hexadecimal numbers only."""
    return _is("hex", text)


def type_in_name(values: Sequence[str]) -> Type:
    """`type_of` what varies in the name of a file: a few digits there may be the first ones of a digest, which are of
    any kind another time."""
    kind = type_of(values)
    if kind.name in ("int", "token") and all(_is("digits", value) for value in values):
        return Type("digits", 1, 1 << 16)
    return kind


def _of_one_day(values: Sequence[str]) -> bool:
    """Whether counts of seconds may be the clock of runs that ran one after the other: a checksum may look like one,
    but not three within a day."""
    times = [epoch(value) or 0.0 for value in values]
    return max(times) - min(times) <= 86400


def epoch(text: str) -> float | None:
    """A count of seconds, milli-, micro- or nanoseconds since 1970 between 2015 and 2040, in seconds."""
    if _EPOCH.fullmatch(text) is None:
        return None
    digits = len(text.split(".")[0])
    value = float(text) / 10 ** (digits - 10)
    return value if _YEARS[0] <= value <= _YEARS[1] else None


_PARTS = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)|(?P<y2>\d{4})/(?P<m2>\d\d?)/(?P<d2>\d\d?)"
    r"|(?P<y3>\d{4})\d{4}T\d{6}"
)
_NAMED = re.compile(rf"(?P<d>\d{{1,2}})?[ /-]?\s*(?P<m>{_MONTH})[ /-]+(?P<d2>\d{{1,2}}(?!\d))?")
_CLOCK_TIME = re.compile(rf"(\d{{1,2}}){_COLON}(\d\d)(?:{_COLON}(\d\d(?:[.,]\d+)?))?(?: ?([aApP])\.?[mM])?")
_HOUR_ALONE = re.compile(r"(?<![\d:])(\d{1,2}) ([ap])\.m\.")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@lru_cache(maxsize=1 << 14)
def instant(text: str) -> tuple[float, float] | None:
    """Seconds since 1970 (read as UTC) and resolution in seconds (1, 60 or 86400) of a date; None if unclear."""
    seconds = epoch(text)
    if seconds is not None:
        return seconds, 1.0
    try:
        match = _PARTS.search(text)
        if match and match["y3"]:
            when = datetime.strptime(match.group(), "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
            return when.timestamp(), 1.0
        if match:
            year, month, day = (
                int(match[a] or match[b]) for a, b in (("year", "y2"), ("month", "m2"), ("day", "d2"))
            )
        else:
            named, years = _NAMED.search(text), re.search(r"\b\d{4}\b", text)
            if not named or not years:
                return None
            year, month = int(years.group()), _MONTHS.index(named["m"][:3].lower()) + 1
            day = int(named["d"] or named["d2"] or 1)
        start = datetime(year, month, day, tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return None
    text = _HOUR_ALONE.sub(r"\1:00 \2m", text)
    time = _CLOCK_TIME.search(text)
    if time is None:
        return (
            (start + 43200 if "noon" in text else start, 60.0)
            if "noon" in text or "midnight" in text
            else (start, 86400.0)
        )
    hour = int(time[1]) % 12 + (12 if time[4] in "pP" else 0) if time[4] else int(time[1])
    second = float(time[3].replace(",", ".")) if time[3] else 0.0
    return start + hour * 3600 + int(time[2]) * 60 + second, 1.0 if time[3] else 60.0
