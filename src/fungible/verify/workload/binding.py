"""Values that the app made in one run, found again in later requests and bound there.

A literal of a request is app-made when it occurs first in an answer and in no request before that answer
(provenance by first occurrence). It becomes a save at the step that made it and a `${name}` where it is used,
so that in another world the request carries that world's value. Two kinds are recognised: tokens that do not
meet by chance, by equality; and small numbers, only where the route says that they are ids.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, quote_plus

from fungible.verify.transcript import Transcript
from fungible.verify.workload.extraction import extract
from fungible.verify.workload.provenance import (
    LEVELS,
    MIN_TOKEN,
    STANDARD_HEADERS,
    Provenance,
    expression,
    is_token,
    set_cookies,
)
from fungible.verify.workload.route import RouteId, RouteIds
from fungible.verify.workload.steps import ABSENT, REFERENCE, Pairs, Request, Step, Workload, texts

__all__ = ["extract", "infer_bindings", "set_cookies"]

_PLAIN_HEADERS = STANDARD_HEADERS - {"cookie"}
"""A Cookie header in a workload is one that no jar makes: it may carry what the app made."""


def infer_bindings(workload: Workload, transcript: Transcript, again: Transcript | None = None) -> Workload:
    """Turn app-made values in the workload's literals into saves (`_b1`, `_b2` ...) and references.

    `transcript` is a run of this very workload: a recording's own requests and answers, or a warm world's. With
    `again`, another run of it, values that the app made alike both times are left literal: they are not random,
    and a reference would only tie the request to the answer that shows them. What the user saved is used where
    it has the value. Steps, their order and everything else stay as they are.
    """
    binder = _Binder(workload, transcript, again)
    for index in range(min(len(workload.steps), len(transcript.sent), len(transcript.answers))):
        binder.step(index)
    return replace(workload, steps=tuple(binder.steps))


@dataclass
class _Binder:
    workload: Workload
    transcript: Transcript
    again: Transcript | None
    steps: list[Step] = field(init=False)
    provenance: Provenance = field(default_factory=Provenance)
    routes: RouteIds = field(default_factory=RouteIds)
    names: dict[tuple[int, str], str] = field(default_factory=dict)
    last_save: dict[str, int] = field(default_factory=dict)
    known: dict[str, str | None] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.steps = list(self.workload.steps)
        for step in self.steps:
            if isinstance(step, Request):
                self.taken.update(step.save)
                self.taken.update(match[1] for text in texts(step) for match in REFERENCE.finditer(text))

    def step(self, index: int) -> None:
        """Bind what step `index` carries, then learn from what it sent and was answered."""
        step, sent, answer = self.steps[index], self.transcript.sent[index], self.transcript.answers[index]
        if not isinstance(step, Request) or sent is None:
            return
        self.steps[index] = self.bind(step)
        self.provenance.request(index, sent)
        self.routes.request(sent)
        self.provenance.answer(index, answer)
        self.routes.answer(index, sent, answer)
        self.known.clear()
        self.last_save.update(dict.fromkeys(step.save, index))

    def bind(self, request: Request) -> Request:
        path, query = self.bind_target(request.path, request.query)
        return replace(
            request,
            path=path,
            query=query,
            headers=tuple(
                (name, value if name.lower() in _PLAIN_HEADERS else self.bind_text(value))
                for name, value in request.headers
            ),
            json=request.json if request.json is ABSENT else self.bind_json(request.json, ""),
            form=None if request.form is None else self.bind_pairs(request.form),
            body=self.bind_text(request.body) if isinstance(request.body, str) else request.body,
        )

    def bind_target(self, path: str, query: Pairs) -> tuple[str, Pairs]:
        route, mark, written = path.partition("?")
        parts = route.split("/")
        literal = tuple(parts)
        for index in range(1, len(parts)):
            found = self.routes.member(literal[index - 1], literal[index])
            parts[index] = self.reference(found) or parts[index]
        route = "/".join(part if "${" in part else self.bind_text(part, LEVELS[1:]) for part in parts)
        bound = self.bind_pairs(query)
        pairs = tuple(parse_qsl(written, keep_blank_values=True))
        if mark and "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs) == written:
            changed = self.bind_pairs(pairs)
            return (route, changed + bound) if changed != pairs else (route + mark + written, bound)
        return route + mark + self.bind_text(written, LEVELS[1:]), bound

    def bind_pairs(self, pairs: Pairs) -> Pairs:
        return tuple(
            (name, self.reference(self.routes.reference(name, value)) or self.bind_text(value))
            for name, value in pairs
        )

    def bind_json(self, value: Any, key: str) -> Any:
        if isinstance(value, dict):
            return {name: self.bind_json(each, name) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.bind_json(each, key) for each in value]
        if isinstance(value, bool) or not isinstance(value, str | int):
            return value
        found = self.reference(self.routes.reference(key, str(value)))
        if isinstance(value, str):
            return found or self.bind_text(value)
        name = None if found else self.token(str(value))
        found = found or (f"${{{name}}}" if name else None)
        return value if found is None else found[:-1] + ":int}"

    def bind_text(self, text: str, levels: tuple[re.Pattern[str], ...] = LEVELS) -> str:
        """Replace the tokens of a text outside `${name}`, the widest that the app made first."""
        return _each(REFERENCE, text, str, lambda literal: self.bind_literal(literal, levels))

    def bind_literal(self, text: str, levels: tuple[re.Pattern[str], ...]) -> str:
        if not levels or len(text) < MIN_TOKEN:
            return text

        def narrower(part: str) -> str:
            return self.bind_literal(part, levels[1:])

        def bound(run: str) -> str:
            name = self.token(run)
            return f"${{{name}}}" if name else narrower(run)

        return _each(levels[0], text, bound, narrower)

    def token(self, value: str) -> str | None:
        """The name under which a token's value is saved; None where it is not app-made."""
        if not is_token(value):
            return None
        if value not in self.known:
            self.known[value] = None
            for maker in self.provenance.makers(value):
                if save := expression(self.provenance.answers[maker], value):
                    self.known[value] = self.name(maker, save, value)
                    break
        return self.known[value]

    def reference(self, found: RouteId | None) -> str | None:
        name = self.name(found.step, found.save, found.value) if found else None
        return f"${{{name}}}" if name else None

    def name(self, maker: int, save: str, value: str) -> str | None:
        """Save `value` at step `maker`, unless it is saved there already or is made alike in every run."""
        step = self.steps[maker]
        if not isinstance(step, Request):
            return None
        answer = self.transcript.answers[maker]
        if self.again is not None and maker < len(self.again.answers):
            other = self.again.answers[maker]
            if extract(save, other, set_cookies(other)) == value:
                return None
        if (maker, save) in self.names:
            return self.names[maker, save]
        for name, written in step.save.items():
            if self.last_save.get(name) == maker and extract(written, answer, set_cookies(answer)) == value:
                return name
        name = next(each for number in range(1, 1 << 30) if (each := f"_b{number}") not in self.taken)
        self.taken.add(name)
        self.names[maker, save] = name
        self.steps[maker] = replace(step, save={**step.save, name: save})
        return name


def _each(pattern: re.Pattern[str], text: str, inside: Callable[[str], str], outside: Callable[[str], str]) -> str:
    """`text` with `inside` applied to the matches of a pattern and `outside` to what is between them."""
    parts, at = [], 0
    for match in pattern.finditer(text):
        parts += [outside(text[at : match.start()]), inside(match[0])]
        at = match.end()
    return "".join([*parts, outside(text[at:])])
