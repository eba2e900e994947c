"""Small numbers that are ids, known by their route: `POST /items` answers `{"id": 7}`, then `/items/7`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from fungible.verify.extraction import body_json, json_path
from fungible.verify.provenance import leaves, segments
from fungible.verify.transcript import Answer, Sent

_NUMBER = re.compile(r"[0-9]{1,18}")
_VERBS = frozenset(("new", "create", "add", "insert"))
_MAKES = frozenset(("POST", "PUT"))


@dataclass(frozen=True)
class RouteId:
    """A number that the answer of `step` gave to a member of a collection, and how to take it out again."""

    step: int
    collection: str
    value: str
    save: str


@dataclass
class RouteIds:
    """Reads a run step by step; is asked for the id behind a number of a later request."""

    made: list[RouteId] = field(default_factory=list)
    known: set[tuple[str, str]] = field(default_factory=set)

    def request(self, sent: Sent) -> None:
        """Numbers that the client names itself, before the app did, are its own."""
        self.known.update(_members(segments(sent.target)))

    def answer(self, step: int, sent: Sent, answer: Answer) -> None:
        """Note what a POST or PUT made, then everything that this answer shows to exist."""
        data = body_json(answer)
        collection = _collection(segments(sent.target))
        if sent.method in _MAKES and 200 <= answer.status < 400:
            own = _own_ids(sent.body, collection)
            for each in (*_from_location(step, answer), *_from_json(step, collection, data)):
                if (each.collection, each.value) not in self.known and each.value not in own:
                    self.made.append(each)
        if collection:
            shown = ((at[-1], leaf) for at, leaf in leaves(data) if at)
            self.known.update((collection, str(leaf)) for key, leaf in shown if _is_id(key, collection))

    def member(self, collection: str, value: str) -> RouteId | None:
        """What was made in a collection with this id. An id that is made a second time (after a deletion) keeps
        its first maker."""
        found = (each for each in self.made if (each.collection, each.value) == (collection, value))
        return next(found, None)

    def reference(self, key: str, value: str) -> RouteId | None:
        """What was made with the id that a field like `item_id` or `itemId` names."""
        match = re.fullmatch(r"(.+?)(?:_id|-id|Id|_pk)", key)
        if match is None or not _NUMBER.fullmatch(value):
            return None
        names = plurals(match[1].lower())
        found = (each for each in self.made if each.value == value and each.collection.lower() in names)
        return next(found, None)


def plurals(singular: str) -> frozenset[str]:
    """The collection names that go with a name: `box` with `box`, `boxs`, `boxes`."""
    forms = {singular, singular + "s", singular + "es"}
    if singular.endswith("y"):
        forms.add(singular[:-1] + "ies")
    return frozenset(forms)


def number_places(parts: list[str]) -> Iterator[tuple[int, str]]:
    """(index, collection) of the segments that are numbers behind a segment that is none."""
    for index in range(1, len(parts)):
        if _NUMBER.fullmatch(parts[index]) and not _NUMBER.fullmatch(parts[index - 1]):
            yield index, parts[index - 1]


def _members(parts: list[str]) -> Iterator[tuple[str, str]]:
    for index, collection in number_places(parts):
        yield collection, parts[index]


def _collection(parts: list[str]) -> str:
    """The name of the collection that a request's path ends in, without a trailing verb or number."""
    while parts and (parts[-1] in _VERBS or _NUMBER.fullmatch(parts[-1])):
        parts = parts[:-1]
    return parts[-1] if parts else ""


def _is_id(key: str | int, collection: str) -> bool:
    if not isinstance(key, str):
        return False
    if key.lower() in ("id", "_id", "pk"):
        return True
    match = re.fullmatch(r"(.+?)(?:_id|Id)", key)
    return match is not None and collection.lower() in plurals(match[1].lower())


def _own_ids(body: bytes, collection: str) -> set[str]:
    """The ids that the client chose itself."""
    try:
        fields = [(at[-1], leaf) for at, leaf in leaves(json.loads(body)) if at]
    except (ValueError, RecursionError):
        fields = list(parse_qsl(body.decode("utf-8", "replace")))
    return {str(leaf) for key, leaf in fields if _is_id(key, collection)}


def _from_json(step: int, collection: str, data: object) -> Iterator[RouteId]:
    if not collection:
        return
    for at, leaf in leaves(data, depth=2):
        if at and _is_id(at[-1], collection) and _NUMBER.fullmatch(str(leaf)):
            yield RouteId(step, collection, str(leaf), json_path(at))
            return


def _from_location(step: int, answer: Answer) -> Iterator[RouteId]:
    location = answer.header("location")
    if location is None:
        return
    parts = segments(location)
    for index, collection in reversed(list(number_places(parts))):
        pattern = f"/{re.escape(collection)}/([0-9]+)"
        found = re.search(pattern, location)
        if found and found[1] == parts[index]:
            yield RouteId(step, collection, parts[index], f"header:Location~{pattern}")
        return
