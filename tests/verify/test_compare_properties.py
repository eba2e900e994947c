"""Documents made at random: clean worlds are never flagged, a replaced equal value always is."""

from __future__ import annotations

import json
import random
import uuid
from html import escape
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fungible.verify.compare import compare, first, learn, leaves, sensitivity
from fungible.verify.compare.align import parts_of
from fungible.verify.compare.lexemes import tokens
from fungible.verify.transcript import Answer, Sent, Transcript

pytestmark = pytest.mark.pure

NOISES = ("uuid", "hex", "float", "time", "id", "urlsafe", "shuffled")
words = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Co")), max_size=20)
scalars = st.one_of(
    words, st.integers(-(10**6), 10**6), st.booleans(), st.none(), st.sampled_from([f"~{n}" for n in NOISES])
)
documents = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=4),
    st.recursive(
        scalars,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.dictionaries(st.text("klmnop", min_size=1, max_size=3), inner, max_size=4)
        ),
        max_leaves=12,
    ),
    min_size=1,
    max_size=5,
)


def filled(value: Any, world: int, chance: random.Random, count: list[int]) -> Any:
    """A document with its noise as one world has it."""
    if isinstance(value, dict):
        return {key: filled(item, world, chance, count) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, world, chance, count) for item in value]
    count[0] += 1
    match value:
        case "~uuid":
            return str(uuid.UUID(bytes=chance.randbytes(16), version=4))
        case "~hex":
            return f"sess-{chance.randbytes(8).hex()}"
        case "~float":
            return chance.random() * 10
        case "~time":
            return f"2026-01-{world % 28 + 1:02d}T10:{chance.randrange(60):02d}:{chance.randrange(60):02d}"
        case "~id":
            return 1000 * world + count[0]
        case "~urlsafe":
            return f"/reset/{''.join(chance.choices('abcdefghijkLMNOPQR0123456789-_', k=22))}/x"
        case "~shuffled":
            return random.Random(f"seed {world}").sample([f"item {n}" for n in range(6)], 6)
    return value


def as_html(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(f'<div id="{key}">{as_html(item)}</div>' for key, item in value.items())
    if isinstance(value, list):
        return f"<ul>{''.join(f'<li>{as_html(item)}</li>' for item in value)}</ul>"
    return f'<p title="x">{escape(str(value))}</p>'


def world(pages: list[dict[str, Any]], number: int, form: str) -> Transcript:
    chance = random.Random(number)
    answers = []
    for page in pages:
        value = filled(page, number, chance, [0])
        if form == "json":
            keys = random.Random(number).sample(sorted(value), len(value))
            answers.append(
                Answer(200, (("content-type", "application/json"),), json.dumps({k: value[k] for k in keys}).encode())
            )
        elif form == "html":
            answers.append(Answer(200, (("content-type", "text/html"),), as_html(value).encode()))
        else:
            body = "\n".join(f"{key}: {json.dumps(item)}" for key, item in value.items())
            answers.append(Answer(200, (("content-type", "text/plain"),), body.encode()))
    return Transcript(str(number), tuple(Sent("GET", f"/{i}") for i in range(len(pages))), tuple(answers))


@settings(max_examples=60, deadline=None)
@given(
    pages=st.lists(documents, min_size=1, max_size=3),
    form=st.sampled_from(["json", "html", "text"]),
    seed=st.integers(1, 10**6),
)
def test_a_clean_world_is_never_flagged(pages: list[dict[str, Any]], form: str, seed: int) -> None:
    relations = learn([world(pages, seed + n, form) for n in range(4)])
    for n in range(4, 8):
        assert compare(relations, world(pages, seed + n, form)) == ()


def equal_leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [found for key, item in value.items() for found in equal_leaves(item, (*path, key))]
    if isinstance(value, list):
        return [found for index, item in enumerate(value) for found in equal_leaves(item, (*path, index))]
    return [] if isinstance(value, str) and value.startswith("~") else [path]


@settings(max_examples=60, deadline=None)
@given(pages=st.lists(documents, min_size=1, max_size=3), data=st.data(), seed=st.integers(1, 10**6))
def test_a_replaced_equal_value_is_always_flagged(
    pages: list[dict[str, Any]], data: st.DataObject, seed: int
) -> None:
    where = [(index, path) for index, page in enumerate(pages) for path in equal_leaves(page)]
    if not where:
        return
    relations = learn([world(pages, seed + n, "json") for n in range(3)])
    index, path = data.draw(st.sampled_from(where))
    clean = world(pages, seed + 5, "json")
    page = json.loads(clean.answers[index].body)
    inside = page
    for key in path[:-1]:
        inside = inside[key]
    other = data.draw(scalars.filter(lambda value: not (isinstance(value, str) and value.startswith("~"))))
    if json.dumps(other) == json.dumps(inside[path[-1]]):
        return
    inside[path[-1]] = other
    answers = list(clean.answers)
    answers[index] = Answer(200, answers[index].headers, json.dumps(page).encode())
    found = first(compare(relations, Transcript("x", clean.sent, tuple(answers))))
    assert found
    assert found[0].step == index


@given(words)
def test_tokens_are_the_string(text: str) -> None:
    assert "".join(token.text for token in tokens(text)) == text


@given(st.lists(words, min_size=1, max_size=4))
def test_parts_are_the_strings(texts: list[str]) -> None:
    parts = parts_of(texts, lambda token: False)
    assert parts is not None
    for run, text in enumerate(texts):
        assert "".join(part if isinstance(part, str) else part[run] for part in parts) == text


@settings(max_examples=300)
@given(
    st.binary(max_size=200) | words.map(str.encode),
    st.sampled_from(["application/json", "text/html", "text/plain", "", "image/png", "application/xml; charset=x"]),
    st.sampled_from(["", "gzip", "deflate"]),
)
def test_any_body_can_be_read(body: bytes, kind: str, encoding: str) -> None:
    answer = Answer(200, (("content-type", kind), ("content-encoding", encoding)), body)
    assert leaves(answer) == leaves(answer)
    one = Transcript("x", (None,), (answer,))
    assert compare(learn([one, one]), one) == ()
    other = Answer(200, answer.headers, body + b"<p>x</p>1")
    assert compare(learn([one, one]), Transcript("y", (None,), (other,)))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"[" * 100_000),
        ("application/json", b"[" * 500 + b"]" * 500),
        ("application/json", b'{"a":' * 300 + b"1" + b"}" * 300),
        ("application/json", json.dumps(list(range(300_000))).encode()),
        ("text/html", b"<div>" * 50_000),
        ("text/html", b"<a href='" * 10_000),
        ("text/html", b"<![x[" * 1000),
        ("text/plain", b"x" * (10 << 20)),
        ("text/plain", b"a b-c_d 1.2.3 \n" * 700_000),
        ("application/octet-stream", bytes(range(256)) * 40_000),
    ],
)
def test_work_on_a_large_body_is_bounded(kind: str, body: bytes) -> None:
    def one(extra: bytes) -> Transcript:
        return Transcript("x", (Sent("GET", "/"),), (Answer(200, (("content-type", kind),), body + extra),))

    relations = learn([one(b""), one(b"")])
    assert compare(relations, one(b"")) == ()
    assert compare(relations, one(b"z"))


def test_the_score_of_a_long_workload_is_quick() -> None:
    pages = [{f"f{n}": n * step if n % 3 else "~uuid" for n in range(50)} for step in range(100)]
    relations = learn([world(pages, n, "json") for n in range(3)])
    score = sensitivity(relations)
    assert score.of == 100 * 52
    assert score.flagged > 3000


def test_differences_at_every_depth_cost_little() -> None:
    def nested(depth: int, mark: str) -> str:
        inner = nested(depth - 1, mark) if depth else ""
        return f"<div><p>{mark}</p><b>{mark} {depth}</b>{inner}<i>x{mark}</i><i>y</i></div>"

    def page(body: str) -> Transcript:
        answer = Answer(200, (("content-type", "text/html"),), body.encode())
        return Transcript("x", (Sent("GET", "/"),), (answer,))

    relations = learn([page(nested(60, "a")), page(nested(60, "a"))])
    assert len(compare(relations, page(nested(60, "b")))) > 100
    assert compare(relations, page(nested(59, "a")))
    assert compare(relations, page(nested(60, "a").replace("<i>y</i>", "")))


def test_items_of_a_varying_number_are_anchored() -> None:
    def page(number: int, lines: list[str]) -> Transcript:
        noise = [f"# {random.Random(number + i).random()}" for i in range(number % 3 + 1)]
        text = "\n".join(["head", *lines[:2], *noise, *lines[2:]])
        return Transcript("x", (Sent("GET", "/"),), (Answer(200, (("content-type", "text/plain"),), text.encode()),))

    lines = ["one", "two", "three", "four"]
    relations = learn([page(n, lines) for n in range(3)])
    assert compare(relations, page(3, lines)) == ()
    assert compare(relations, page(4, ["one", "two", "other", "four"]))
    assert compare(relations, page(4, ["one", "three", "four"]))
