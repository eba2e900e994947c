"""What was expected and what came: the two answers, and who gave which. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fungible.verify.compare import Deviation
from fungible.verify.report.redaction import HIDDEN
from fungible.verify.report.words import plain

_FAULTS = {
    "timeout": "no answer in time",
    "refused": "the connection was refused",
    "reset": "the connection was closed without an answer",
    "cut": "the answer was cut off",
    "boot": "the process did not come up",
    "": "a complete answer",
}
_CANONICAL = {"etag": "ETag", "www-authenticate": "WWW-Authenticate", "x-csrf-token": "X-CSRF-Token"}
LONGEST = 120
_LIST = 3

ONE, APART = "one process for all", "processes as listed"
"""Who gave the two answers: the warm worlds, and the world that the case makes."""


def sides(deviation: Deviation) -> tuple[str, str]:
    """Who gave what is expected, and who gave what came instead."""
    return (APART, ONE) if deviation.outdated else (ONE, APART)


def outcome(deviation: Deviation) -> str:
    """What was expected and what came, as one sentence without a full stop."""
    if deviation.kind != "stale" or not _told_by_two(deviation):
        return _outcome(deviation)
    (expected, got), (first, second) = _two(deviation), sides(deviation)
    where, stored = place_of(deviation), ", what is stored," if deviation.outdated else ""
    return f"{where + ': ' if where else ''}{expected}{stored} with {first}; {got}, an old value, with {second}"


def place_of(deviation: Deviation) -> str | None:
    """Where in an answer or a store it is; None where it is the answer as a whole."""
    place = deviation.place
    if deviation.store is not None:
        return f"{deviation.store}, {place}" if place != deviation.store else place
    if place in ("status", "fault"):
        return None
    if place.startswith("header "):
        return f"the header {_CANONICAL.get(place[7:], place[7:].title())}"
    if place.startswith("cookie "):
        name, _, part = place[7:].partition(" ")
        return f"the cookie {name}" + (f", {part}" if part and part != "value" else "")
    return place


def answers(deviation: Deviation) -> tuple[tuple[str, str], tuple[str, str]] | None:
    """Who answered what, what is expected first: `one process for all`, `200 OK`. None where two values would not
    tell how they differ."""
    if not _told_by_two(deviation):
        return None
    said = _two(deviation)
    first, second = sides(deviation)
    if deviation.kind == "stale":
        stored = ", what is stored" if deviation.outdated else ""
        said = f"{said[0]}{stored}", f"{said[1]}, an old value"
    return (first, said[0]), (second, said[1])


def _told_by_two(deviation: Deviation) -> bool:
    hidden = deviation.expected == deviation.got and _mentions(deviation.expected, HIDDEN)
    return not (deviation.order_only or hidden)


def _two(deviation: Deviation) -> tuple[str, str]:
    place, expected, got = deviation.place, deviation.expected, deviation.got
    if deviation.store is None and place == "status":
        return _status(expected), _status(got)
    if deviation.store is None and place == "fault":
        return _FAULTS.get(str(expected or ""), str(expected)), _FAULTS.get(str(got or ""), str(got))
    if isinstance(expected, Mapping) and "length" in expected:
        return _items(expected), _items(got)
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        names = [name for name in sorted({*expected, *got}, key=str) if _differs(name, expected, got)]
        return _some(expected, names), _some(got, names)
    if deviation.relation == "ordered" and expected is not None:
        return str(expected), _present(got)
    if isinstance(expected, str) and isinstance(got, str):
        expected, got = _window(expected, got)
    return _present(expected), _present(got)


def _present(value: Any, most: int = LONGEST) -> str:
    return "nothing there" if value is None else _value(value, most)


def _items(value: Any) -> str:
    """A list of which only the length is known, and some of what it has more or less than the other one."""
    if isinstance(value, list | tuple):
        return _count(len(value))
    if not isinstance(value, Mapping) or "length" not in value:
        return _present(value)
    length = value["length"]
    ranged = isinstance(length, list | tuple) and len(length) == 2
    said = [f"{length[0]} to {length[1]} items" if ranged else _count(length)]
    for word, of in (("with", "missing"), ("with", "extra")):
        if value.get(of):
            said.append(f"{word} {_named(value[of])}")
    return " ".join(said)


def _differs(name: Any, expected: Mapping[str, Any], got: Mapping[str, Any]) -> bool:
    return name not in expected or name not in got or expected[name] != got[name]


def _some(value: Mapping[str, Any], names: Sequence[Any]) -> str:
    """The members called `names`, the first of them."""
    if not names:
        return _value(value)
    said = [f"{name}: {_value(value[name], 50)}" if name in value else f"no {name}" for name in names[:_LIST]]
    return ", ".join(said) + (f" and {len(names) - _LIST} more" if len(names) > _LIST else "")


def _outcome(deviation: Deviation) -> str:
    place, expected, got = deviation.place, deviation.expected, deviation.got
    if deviation.store is not None:
        return _of_place(place_of(deviation) or place, deviation)
    if place == "status":
        return f"{_status(got)} instead of {_status(expected)}"
    if place == "fault":
        return f"{_FAULTS.get(str(got or ''), str(got))} instead of {_FAULTS.get(str(expected or ''), str(expected))}"
    if place.startswith("header "):
        if got is None:
            return f"{place_of(deviation)} is missing ({_value(expected)} expected)"
        return _of_place(place_of(deviation) or place, deviation)
    if place.startswith("cookie "):
        name, _, part = place[7:].partition(" ")
        if got is None:
            return f"the cookie {name} is not set" if part in ("", "value") else f"the cookie {name} has no {part}"
        if expected is None:
            return f"the cookie {name} is set, which was not expected"
        return _of_place(place_of(deviation) or place, deviation)
    return _of_place(place, deviation)


def _of_place(place: str, deviation: Deviation) -> str:
    expected, got = deviation.expected, deviation.got
    if deviation.order_only:
        return f"{place}: the same parts in another order"
    if expected == got and _mentions(expected, HIDDEN):
        return f"{place}: another value than expected (not shown, it may be a secret)"
    if isinstance(expected, Mapping) and "length" in expected:
        return f"{place}: {_lengths(expected, got)}"
    if got is None:
        return f"{place}: {_value(expected)} is missing"
    if expected is None:
        return f"{place}: {_value(got)} was not expected"
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        return f"{place}: {_fields(expected, got)}"
    if deviation.relation == "ordered":
        return f"{place}: {expected} expected, got {_value(got)}"
    if isinstance(expected, str) and isinstance(got, str):
        expected, got = _window(expected, got)
    return f"{place}: {_value(expected)} expected, got {_value(got)}"


def _lengths(expected: Mapping[str, Any], got: Any) -> str:
    wanted = expected["length"]
    if isinstance(wanted, list | tuple) and len(wanted) == 2:
        said = [f"{wanted[0]} to {wanted[1]} items expected"]
    else:
        said = [f"{_count(wanted)} expected"]
    if isinstance(got, Mapping) and "length" in got:
        if not expected.get("missing") and not got.get("extra"):
            said[0] += f", {got['length']} came"
        parts = [f"{_listed(expected['missing'])} missing" if expected.get("missing") else ""]
        parts.append(f"{_listed(got['extra'])} extra" if got.get("extra") else "")
        return ", ".join([*said, *filter(None, parts)])
    if isinstance(got, list | tuple):
        said.append(f"{len(got)} came")
    else:
        said.append(f"got {_value(got)}")
    return ", ".join(said)


def _count(number: Any) -> str:
    return "1 item" if number == 1 else f"{number} items"


def _listed(values: Sequence[Any] | Any) -> str:
    one = not isinstance(values, list | tuple) or len(values) == 1
    return f"{_named(values)} {'is' if one else 'are'}"


def _named(values: Sequence[Any] | Any) -> str:
    if not isinstance(values, list | tuple):
        values = [values]
    said = ", ".join(_value(each, LONGEST // 2) for each in values[:_LIST])
    return said + (f" and {len(values) - _LIST} more" if len(values) > _LIST else "")


def _fields(expected: Mapping[str, Any], got: Mapping[str, Any]) -> str:
    said = []
    for key in sorted({*expected, *got}, key=str):
        if key not in got:
            said.append(f"{key} is missing")
        elif key not in expected:
            said.append(f"{key} was not expected")
        elif expected[key] != got[key]:
            said.append(f"{key}: {_value(expected[key], 50)} expected, got {_value(got[key], 50)}")
    more = f"; {len(said) - _LIST} more" if len(said) > _LIST else ""
    return "; ".join(said[:_LIST]) + more if said else "another value"


def _window(expected: str, got: str) -> tuple[str, str]:
    """Two long texts from a little before the first character in which they differ."""
    if max(len(expected), len(got)) <= LONGEST:
        return expected, got
    at = next(
        (i for i, (a, b) in enumerate(zip(expected, got, strict=False)) if a != b), min(len(expected), len(got))
    )
    start = max(0, at - 20)
    cut = "…" if start else ""

    def shown(text: str) -> str:
        return cut + text[start : start + 60] + ("…" if len(text) > start + 60 else "")

    return shown(expected), shown(got)


def _value(value: Any, most: int = LONGEST) -> str:
    if value is None:
        return "nothing"
    if value == "":
        return "an empty text"
    if value == [] or value == ():
        return "an empty list"
    if value == {}:
        return "an empty object"
    text = value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)
    text = " ".join(text.split()) or "white space"
    return f"`{text if len(text) <= most else text[: most - 1] + '…'}`"


def _mentions(value: Any, text: str) -> bool:
    if isinstance(value, Mapping):
        return any(_mentions(each, text) for each in value.values())
    if isinstance(value, list | tuple):
        return any(_mentions(each, text) for each in value)
    return isinstance(value, str) and text in value


def _status(value: Any) -> str:
    text = str(value)
    if value is None or text in ("0", ""):
        return "no answer"
    try:
        return f"{text} {HTTPStatus(int(text)).phrase}"
    except ValueError:
        return text
