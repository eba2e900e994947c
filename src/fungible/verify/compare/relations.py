"""Learning from the warm worlds what each place has to be in any other world."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from fungible.verify.compare.clock import Window
from fungible.verify.compare.jars import jars
from fungible.verify.compare.learner import Chance, Learner
from fungible.verify.compare.lexemes import instant, tokens
from fungible.verify.compare.names import Names, learn_names
from fungible.verify.compare.orders import Order, learn_orders
from fungible.verify.compare.patterns import Fixed, Pattern, places
from fungible.verify.compare.places import authority, dump_places, leaves, sent_places
from fungible.verify.compare.trees import Map, Node
from fungible.verify.transcript import Sent, Transcript


@dataclass(frozen=True, slots=True)
class Step:
    """What is known of one step. `noise` says why it is not judged; `jar` is the client it belongs to, 0 for none."""

    endpoint: str
    answer: Pattern
    sent: Pattern
    jar: int = 0
    noise: str | None = None


@dataclass(frozen=True)
class Relations:
    """What the warm worlds have in common: the strongest relation at every place of every step and store."""

    steps: tuple[Step, ...]
    dumps: Mapping[str, Pattern]
    names: Names
    orders: Mapping[str, Order]
    warm: tuple[Transcript, ...]
    masks: tuple[str, ...] = ()
    ignore_body: frozenset[int] = frozenset()
    windows: tuple[Window, ...] | None = None
    compiled: tuple[re.Pattern[str], ...] = field(default=(), compare=False, repr=False)

    def tree(self, step: int, transcript: Transcript) -> Map:
        """The places of a transcript's answer, under this workload's masks."""
        return _tree(transcript, step, self.compiled, self.ignore_body)

    @cached_property
    def shown_to(self) -> Mapping[str, frozenset[int]]:
        """To which clients (by their jars) the first warm run showed a text as a value of its own."""
        found: dict[str, set[int]] = {}
        for step in self.steps:
            for place in places(step.answer) if step.noise is None else ():
                if place.sample is not None:
                    found.setdefault(place.sample.text, set()).add(step.jar)
        return {text: frozenset(clients) for text, clients in found.items()}


def learn(
    warm: Sequence[Transcript],
    masks: Sequence[str] = (),
    ignore_body: Collection[int] = (),
    windows: Sequence[Window] | None = None,
) -> Relations:
    """The strongest relation at every place that all warm runs allow.

    `warm` are runs of one workload, each on a process of its own (at least one; noise is only seen from two on,
    and seen well from three). `masks` are regexes, hidden in bodies and Location before comparing. `ignore_body`
    are the steps whose bodies are not compared. `windows` are the first and last second of each run, where the
    caller knows them; otherwise they are read from Date headers. Raises ValueError for runs of different
    workloads, and `re.error` for a mask that is no regex.
    """
    if not warm:
        raise ValueError("no warm run to learn from")
    count = len(warm[0].answers)
    if any(len(run.answers) != count or len(run.sent) != count for run in warm):
        raise ValueError("the warm runs have different numbers of steps")
    compiled = tuple(re.compile(mask) for mask in masks)
    ignored = frozenset(ignore_body)
    seen = tuple(windows) if windows is not None else _windows(warm)
    trees = [[_tree(run, step, compiled, ignored) for run in warm] for step in range(count)]
    sent = [[sent_places(run.sent[step]) for run in warm] for step in range(count)]
    stores = sorted(set.intersection(*(set(run.dumps) for run in warm)))
    dumps = {store: [dump_places(run.dumps[store]) for run in warm] for store in stores}
    noise = [_noise(warm, step) for step in range(count)]
    names, orders, chance = Names(), dict[str, Order](), Chance()
    volatile: dict[int, tuple[Node, bool]] = {}
    learner = Learner(len(warm), seen, names, orders, chance, volatile)
    # Names, then names once more where items had to be put in order by them, then the patterns.
    for phase in ("names", "order", "patterns"):
        if phase == "order" and not (learner.moved or learner.forms.ties):
            continue
        learner = Learner(len(warm), seen, names, orders, chance, volatile)
        steps = []
        for step in range(count):
            learner.step, learner.endpoint = step, endpoint(warm[0].sent[step], names)
            learner.area = "sent"
            request = learner.node(sent[step], "")
            learner.area = "answer"
            learner.total[learner.endpoint] += noise[step] is None
            answer = learner.node(trees[step], "") if noise[step] is None else Fixed(trees[step][0])
            steps.append(Step(learner.endpoint, answer, request, noise=noise[step]))
        learner.area, learner.step, learner.endpoint = "dump", count, "store"
        patterns = {store: learner.store(dumps[store], store) for store in stores}
        if phase != "patterns":
            names = learn_names(learner.sightings, len(warm))
            orders, chance = learn_orders(learner.values, names), Chance.of(learner.met, learner.total)
    owners = jars(warm[0])
    return Relations(
        steps=tuple(replace(step, jar=owner) for step, owner in zip(steps, owners, strict=True)),
        dumps=patterns,
        names=names,
        orders=orders,
        warm=tuple(warm),
        masks=tuple(masks),
        ignore_body=ignored,
        windows=tuple(windows) if windows is not None else None,
        compiled=compiled,
    )


def widen(
    relations: Relations, more_warm: Sequence[Transcript], windows: Sequence[Window] | None = None
) -> Relations:
    """Learn again with further warm runs; relations only get weaker, where one of these differs.

    `windows` belong to the further runs; they are used only where the first runs had theirs given too.
    """
    given = None
    if relations.windows is not None and windows is not None:
        given = (*relations.windows, *windows)
    return learn((*relations.warm, *more_warm), relations.masks, relations.ignore_body, given)


def endpoint(sent: Sent | None, names: Names) -> str:
    """Method and path of a request, with `{}` for what identifies one thing among many; `job` for a job."""
    if sent is None:
        return "job"
    path = sent.target.split("?", 1)[0]
    shown = "".join(
        "{}"
        if token.kind == "uuid"
        or (token.kind == "word" and (token.text.isdigit() or names.at(0, token.text) is not None))
        else token.text
        for token in tokens(path)
    )
    return f"{sent.method} {shown}"


def _tree(run: Transcript, step: int, masks: Sequence[re.Pattern[str]], ignored: Collection[int]) -> Map:
    return leaves(run.answers[step], masks, host=authority(run.sent[step]), body=step not in ignored)


def _noise(warm: Sequence[Transcript], step: int) -> str | None:
    statuses = sorted({run.answers[step].status for run in warm})
    if len(statuses) > 1:
        return f"status varied between warm runs: {', '.join(map(str, statuses))}"
    faults = sorted({run.answers[step].fault or "none" for run in warm})
    return f"fault varied between warm runs: {', '.join(faults)}" if len(faults) > 1 else None


def _windows(warm: Sequence[Transcript]) -> tuple[Window, ...]:
    found = []
    for run in warm:
        dates = [instant(answer.header("date") or "") for answer in run.answers]
        seconds = [date[0] for date in dates if date is not None]
        if seconds:
            found.append((min(seconds), max(seconds)))
    return tuple(found)
