"""Laying the same place of several runs side by side: what is constant in a string, which items belong together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from difflib import SequenceMatcher

from fungible.verify.compare.lexemes import Token, joined_tokens, tokens, type_of
from fungible.verify.compare.trees import Leaf, Map, Node, Seq

_JOINERS = frozenset("-_./+=~%|:$!*")
_MOST_TOKENS = 3000
_IDENTIFIERS = frozenset({"uuid", "jwt", "signed", "clock", "age"})

Part = str | tuple[str, ...]
"""A constant part of a string, or what stood there in each run."""


def parts_of(texts: Sequence[str], volatile: Callable[[Token], bool]) -> list[Part] | None:
    """Cut strings (one a run) into constant parts and what varied between them; None if they share too little.

    A token for which `volatile` holds counts as varying even where it was the same in every run.
    """
    cut = [tokens(text) for text in texts]
    if max(map(len, cut)) > _MOST_TOKENS and len({len(row) for row in cut}) > 1:
        return None
    columns = _by_position(cut, volatile) or _by_matching(cut, volatile)
    return _joined(columns) if columns is not None else None


Column = tuple[tuple[str, ...], bool]


def _by_position(cut: Sequence[Sequence[Token]], volatile: Callable[[Token], bool]) -> list[Column] | None:
    if len({len(row) for row in cut}) != 1:
        return None
    columns: list[Column] = []
    for column in zip(*cut, strict=True):
        same = len({token.text for token in column}) == 1
        if not same and any(token.kind in ("space", "mark") for token in column):
            return None
        columns.append((tuple(token.text for token in column), not same or volatile(column[0])))
    return columns


def _by_matching(cut: Sequence[Sequence[Token]], volatile: Callable[[Token], bool]) -> list[Column] | None:
    base = [token.text for token in cut[0]]
    found: dict[int, list[int]] = {index: [index] for index, token in enumerate(cut[0]) if not volatile(token)}
    for row in cut[1:]:
        matcher = SequenceMatcher(None, base, [token.text for token in row], autojunk=False)
        pairs = {a + i: b + i for a, b, size in matcher.get_matching_blocks() for i in range(size)}
        found = {index: [*where, pairs[index]] for index, where in found.items() if index in pairs}
    columns: list[Column] = []
    at = [0] * len(cut)
    for index in [*sorted(found), None]:
        upto = found[index] if index is not None else [len(row) for row in cut]
        if any(stop > start for start, stop in zip(at, upto, strict=True)):
            gap = tuple(
                "".join(token.text for token in row[start:stop])
                for row, start, stop in zip(cut, at, upto, strict=True)
            )
            columns.append((gap, True))
        if index is not None:
            columns.append(((base[index],) * len(cut), False))
        at = [stop + 1 for stop in upto]
    constant = sum(len(text[0]) for text, varies in columns if not varies and text[0].strip())
    longest = max(sum(len(token.text) for token in row) for row in cut)
    if constant * 4 < longest and sum(varies for _, varies in columns) > 1:
        return [(tuple("".join(token.text for token in row) for row in cut), True)]
    return columns


def _joined(columns: Sequence[Column]) -> list[Part]:
    """Constants put together; pieces of one random word (`ab-cd_ef` here, `abcd-ef` there) put together too."""
    merged: list[Column] = []
    for column in columns:
        merged.append(column)
        while (start := _word_before(merged)) is not None:
            pieces = merged[start:]
            whole = tuple("".join(piece[0][run] for piece in pieces) for run in range(len(column[0])))
            merged[start:] = [(whole, True)]
    result: list[Part] = []
    for texts, varies in merged:
        last = result[-1] if result else None
        if not varies and isinstance(last, str):
            result[-1] = last + texts[0]
        elif varies and isinstance(last, tuple):
            result[-1] = tuple(a + b for a, b in zip(last, texts, strict=True))
        else:
            result.append(texts if varies else texts[0])
    return result


def _word_before(columns: Sequence[Column]) -> int | None:
    """Where the varying column begins that the last one continues, if both are pieces of one random word."""
    if len(columns) < 2 or not columns[-1][1]:
        return None
    for index in range(len(columns) - 2, max(-1, len(columns) - 8), -1):
        texts, varies = columns[index]
        if varies:
            return index if _ragged(texts) or _ragged(columns[-1][0]) else None
        if not (texts[0] in _JOINERS or (len(texts[0]) <= 2 and texts[0].isalnum())):
            return None
    return None


def _ragged(texts: Sequence[str]) -> bool:
    if len({len(text) for text in texts}) == 1:
        return False
    return type_of(texts).name in ("hex", "token", "text")


Abstract = Callable[[int, Token, int], str]
"""The canonical form of a token: (run, token, level) -> text. Level 0 keeps what is not a name, 2 almost nothing."""


class Canonical:
    """Nodes with everything replaced that a run may choose: equal forms may stand for each other."""

    __slots__ = ("abstract", "known", "texts", "ties")

    def __init__(self, abstract: Abstract) -> None:
        self.abstract = abstract
        self.known: dict[tuple[int, int, int], tuple[Node, str]] = {}
        self.texts: dict[tuple[str, int, int], str] = {}
        self.ties = False
        """Whether some items could not be told from each other: more names may put them in order."""

    def of(self, node: Node, run: int, level: int) -> str:
        """The form of a node of a run."""
        if isinstance(node, Leaf):
            return node.kind[0] + self.text(node.text, run, level)
        key = (id(node), run, level)
        if key not in self.known:
            if isinstance(node, Seq):
                form = "[" + "\0".join([self.of(item, run, level) for item in node.items])
            elif node.what == "element":
                form = "<" + "\0".join(sorted([f"{k}={self.of(v, run, level)}" for k, v in node.fields.items()]))
            else:
                inside = [f"{self.text(k, run, level)}={self.of(v, run, level)}" for k, v in node.fields.items()]
                form = "{" + "\0".join(sorted(inside))
            # The node is kept too, so that its id stays its own; a long form by its hash: depth costs nothing.
            self.known[key] = node, form if len(form) < 160 else f"#{hash(form):x}"
        return self.known[key][1]

    def text(self, text: str, run: int, level: int) -> str:
        """The form of a string of a run."""
        key = (text, run, level)
        form = self.texts.get(key)
        if form is None:
            words = tokens(text) if level < 2 else joined_tokens(tokens(text))
            form = "".join([self.abstract(run, token, level) for token in words])
            if len(text) <= 200:
                self.texts[key] = form
        return form


def same_order(
    rows: Sequence[Sequence[Node]], forms_of: Canonical, anyway: bool = False
) -> tuple[list[list[Node]], bool]:
    """Sequences of equal length, put into the first one's order, and whether their order varied.

    `anyway` says that order means nothing here. Where items cannot be told from each other they stay in order.
    """
    as_they_are = [list(row) for row in rows], anyway
    # An item that is the same in every run stays where it is.
    moved = [at for at, column in enumerate(zip(*rows, strict=True)) if any(node != column[0] for node in column)]
    if len(moved) < 2:
        return as_they_are

    def forms(level: int) -> list[list[str]]:
        return [[forms_of.of(row[at], run, level) for at in moved] for run, row in enumerate(rows)]

    coarsest, coarse = 2, forms(2)
    if any(Counter(form) != Counter(coarse[0]) for form in coarse[1:]):
        coarsest, coarse = 3, forms(3)
    if all(form == coarse[0] for form in coarse):
        if len(set(coarse[0])) == len(moved):
            return as_they_are
        forms_of.ties = True
    elif any(Counter(form) != Counter(coarse[0]) for form in coarse[1:]):
        return as_they_are
    for level in range(coarsest + 1):
        found = coarse if level == coarsest else forms(level)
        if all(form == found[0] for form in found):
            return as_they_are
        if all(Counter(form) == Counter(found[0]) for form in found[1:]):
            return [_reordered(row, moved, form, found[0]) for row, form in zip(rows, found, strict=True)], True
    return as_they_are


def in_common(rows: Sequence[Sequence[Node]], forms_of: Canonical, unordered: bool) -> list[tuple[Node, ...]]:
    """Items that sequences of different lengths share, in their common order: per item what each run had."""
    forms = [[forms_of.of(item, run, 2) for item in row] for run, row in enumerate(rows)]
    found: dict[int, list[int]] = {index: [index] for index in range(len(rows[0]))}
    for form in forms[1:]:
        if unordered:
            where: dict[str, list[int]] = {}
            for index in range(len(form) - 1, -1, -1):
                where.setdefault(form[index], []).append(index)
            pairs = {index: where[text].pop() for index, text in enumerate(forms[0]) if where.get(text)}
        elif max(len(form), len(forms[0])) > _MOST_TOKENS:
            pairs = {}
        else:
            matcher = SequenceMatcher(None, forms[0], form, autojunk=False)
            pairs = {a + i: b + i for a, b, size in matcher.get_matching_blocks() for i in range(size)}
        found = {index: [*there, pairs[index]] for index, there in found.items() if index in pairs}
    return [tuple(row[index] for row, index in zip(rows, found[first], strict=True)) for first in sorted(found)]


def _reordered(row: Sequence[Node], moved: Sequence[int], forms: Sequence[str], wanted: Sequence[str]) -> list[Node]:
    where: dict[str, list[int]] = {}
    for at, form in reversed(list(zip(moved, forms, strict=True))):
        where.setdefault(form, []).append(at)
    result = list(row)
    for at, form in zip(moved, wanted, strict=True):
        result[at] = row[where[form].pop()]
    return result


def entries(fields: Mapping[str, Node]) -> list[Node]:
    """A mapping as (key, value) items."""
    return [Map({"key": Leaf("str", key), "value": item}) for key, item in fields.items()]
