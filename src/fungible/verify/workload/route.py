"""Short ids, known by their route: `POST /items` answers `{"id": 7}`, then `/items/7`.

A short value means nothing by itself; behind the name of a collection it means one of its members. It is the
app's where an answer shows it first, and nothing before that answer did: the answer to the request that made it,
or, for numbers, a page of the same collection after something was sent there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from fungible.verify.transcript import Answer, Sent
from fungible.verify.workload.extraction import body_json, body_text, extract, json_path
from fungible.verify.workload.provenance import leaves, segments, sent_text, tokens
from fungible.verify.workload.recorded import is_static

_NUMBER = re.compile(r"[0-9]{1,18}")
_NAME = re.compile(r"[A-Za-z0-9_.~-]{1,64}")
_WORD = re.compile(r"[A-Za-z0-9_.~-]+")
_LINK = re.compile(r"(?<![\w/.-])(?:https?://[\w.:\[\]-]+)?(/[A-Za-z0-9_.~%/-]*)")
_VERBS = frozenset(("new", "create", "add", "insert"))
_MAKES = frozenset(("POST", "PUT"))
_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
_MOST_TEXT = 1 << 18
_MOST_LINKS = 5000


@dataclass(frozen=True)
class RouteId:
    """An id that the answer of `step` gave to a member of a collection, and how to take it out again."""

    step: int
    collection: str
    value: str
    save: str


@dataclass
class RouteIds:
    """Reads a run step by step; is asked for the id behind a short value of a later request.

    `known` are members that the client or an earlier answer named, `words` the parts of their paths; `changed`
    the collections to which something was sent.
    """

    made: dict[tuple[str, str], RouteId] = field(default_factory=dict)
    names: dict[str, RouteId] = field(default_factory=dict)
    known: set[tuple[str, str]] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)

    def request(self, sent: Sent) -> None:
        """What the client names itself, before the app did, is its own."""
        parts = segments(sent.target)
        self.known.update(_members(parts))
        self.words.update(_WORD.findall(sent_text(sent)[:_MOST_TEXT]))
        if sent.method not in _SAFE:
            self.changed.update(parts)

    def answer(self, step: int, sent: Sent, answer: Answer) -> None:
        """Note what a POST or PUT made, then everything that this answer shows to exist."""
        data = body_json(answer)
        collection = _collection(segments(sent.target))
        links = _links(answer)
        if 200 <= answer.status < 400:
            if sent.method in _MAKES:
                own = _own_ids(sent.body, collection)
                for each in (
                    *_from_location(step, answer),
                    *_from_json(step, collection, data),
                    *_from_links(step, answer, links),
                ):
                    if each.value not in own:
                        self._make(each)
                self.changed.update(segments(answer.header("location") or ""))
            elif sent.method in _SAFE and self.changed:
                if collection in self.changed:
                    for each in _from_rows(step, collection, data):
                        self._make(each)
                for each in _from_links(step, answer, links):
                    if each.collection in self.changed and _NUMBER.fullmatch(each.value):
                        self._make(each)
        if collection:
            shown = ((at[-1], leaf) for at, leaf in leaves(data) if at)
            self.known.update((collection, str(leaf)) for key, leaf in shown if _is_id(key, collection))
        for parts in links:
            self.known.update(_members(list(parts)))
            self.words.update(parts)

    def _make(self, each: RouteId) -> None:
        key = (each.collection, each.value)
        is_number = _NUMBER.fullmatch(each.value) is not None
        if key not in self.known and (is_number or each.value not in self.words):
            self.made.setdefault(key, each)
            if _looks_made(each.value):
                self.names.setdefault(each.value, each)

    def member(self, collection: str, value: str) -> RouteId | None:
        """What was made in a collection with this id, or anywhere with this name, which is no number and no word.

        An id that is made a second time (after a deletion) keeps its first maker.
        """
        return self.made.get((collection, value)) or self.names.get(value)

    def reference(self, key: str, value: str) -> RouteId | None:
        """What was made with the id that a field like `item_id` or `itemId` names."""
        match = re.fullmatch(r"(.+?)(?:_id|-id|Id|_pk)", key)
        if match is None:
            return None
        names = plurals(match[1].lower())
        found = (each for each in self.made.values() if each.value == value and each.collection.lower() in names)
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
        if at and _is_id(at[-1], collection) and _NAME.fullmatch(str(leaf)):
            yield RouteId(step, collection, str(leaf), json_path(at))
            return


def _from_rows(step: int, collection: str, data: object) -> Iterator[RouteId]:
    """The ids of the rows of a list, or of the one thing shown; not those of what is nested in them."""
    for at, leaf in leaves(data, depth=3):
        row = at[:-1]
        listed = not row or isinstance(row[-1], int) or row == ("data",)
        if at and listed and _is_id(at[-1], collection) and _NUMBER.fullmatch(str(leaf)):
            yield RouteId(step, collection, str(leaf), json_path(at))


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
    if parts and _looks_made(parts[-1]):
        before = parts[-2] if len(parts) > 1 else ""
        pattern = f"/{re.escape(before)}/([^/?#]+)" if before else r"^(?:https?://[^/]+)?/([^/?#]+)"
        found = re.search(pattern, location)
        if found and found[1] == parts[-1]:
            yield RouteId(step, before, parts[-1], f"header:Location~{pattern}")


def _looks_made(value: str) -> bool:
    """No word of a route, and no number: it has a digit or a capital."""
    is_name = _NAME.fullmatch(value) is not None and _NUMBER.fullmatch(value) is None
    return is_name and any(char.isdigit() or char.isupper() for char in value)


def _links(answer: Answer) -> list[tuple[str, ...]]:
    """The paths that an answer's body shows, as segments; those of static assets left out."""
    text = body_text(answer)[:_MOST_TEXT]
    found = dict.fromkeys(match[1] for match, _ in zip(_LINK.finditer(text), range(_MOST_LINKS), strict=False))
    return [tuple(segments(path)) for path in found if len(path) > 1 and not is_static("GET", path)]


def _from_links(step: int, answer: Answer, links: list[tuple[str, ...]]) -> Iterator[RouteId]:
    """The numbers of the paths that an answer shows, and a last segment that is no word."""
    tried: set[tuple[str, str]] = set()
    for parts in links:
        members = [(collection, parts[index]) for index, collection in number_places(list(parts))]
        if parts and _looks_made(parts[-1]):
            members.append((parts[-2] if len(parts) > 1 else "", parts[-1]))
        for collection, value in members:
            if (collection, value) not in tried and len(tried) < 200:
                tried.add((collection, value))
                save = _link_expression(answer, collection, value)
                if save is not None:
                    yield RouteId(step, collection, value, save)


def _link_expression(answer: Answer, collection: str, value: str) -> str | None:
    """A save expression whose first match in the body is this member's link."""
    text = body_text(answer)[:_MOST_TEXT]
    at = re.search(
        rf"/{re.escape(collection)}/{re.escape(value)}(?![\w.~%-])"
        if collection
        else rf"(?<=\w)/{re.escape(value)}(?![\w.~%-])",
        text,
    )
    if at is None:
        return None
    begin = at.end() - len(value)
    for left in (len(collection) + 2, 24, 48):
        context = text[max(0, begin - left) : begin]
        for right in (0, 1, 12, 24):
            behind = text[at.end() : at.end() + right]
            if tokens(context) or tokens(behind):
                continue  # what another run makes anew would not be found again
            save = f"re:{_loose(context)}([^/?#&\"'<>\\s]+){_loose(behind)}"
            try:
                if extract(save, answer, {}) == value:
                    return save
            except ValueError:
                continue
    return None


def _loose(context: str) -> str:
    return r"\s+".join(re.escape(part) for part in re.split(r"\s+", context))
