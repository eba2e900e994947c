"""Places of an answer, forms of words, and cases where a mask would have hidden a leak."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence

import pytest

from fungible.verify.compare import compare, first, learn, leaves, not_judged, sensitivity
from fungible.verify.compare.lexemes import instant, type_of
from fungible.verify.compare.signed import is_signed
from fungible.verify.compare.trees import Leaf, Map, Node, plain
from fungible.verify.transcript import Answer, Sent, Transcript

pytestmark = pytest.mark.pure


def run(bodies: Sequence[object], *, placement: Sequence[int] = (), kind: str = "application/json") -> Transcript:
    answers = [
        body
        if isinstance(body, Answer)
        else Answer(
            200, (("content-type", kind),), body.encode() if isinstance(body, str) else json.dumps(body).encode()
        )
        for body in bodies
    ]
    sent = tuple(Sent("GET", "/x", (("host", "127.0.0.1:1"),)) for _ in answers)
    return Transcript("x", sent, tuple(answers), placement=tuple(placement))


def at(tree: Map, *keys: str) -> Node:
    node: Node = tree
    for key in keys:
        assert isinstance(node, Map)
        node = node.fields[key]
    return node


def test_headers_of_the_hop_are_dropped_and_sets_sorted() -> None:
    answer = Answer(
        200,
        (
            ("date", "x"),
            ("server", "y"),
            ("x-request-id", "1"),
            ("content-length", "3"),
            ("allow", "POST, GET"),
            ("set-cookie", "sid=abc=; Path=/; HttpOnly; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0"),
            ("set-cookie", "b=2; Expires=Thu, 01 Jan 2032 00:00:00 GMT"),
            ("location", "http://10.0.0.1:8001/next?from=10.0.0.1%3A8001"),
        ),
        b"abc",
    )
    tree = leaves(answer, host="10.0.0.1:8001")
    assert plain(at(tree, "header")) == {"allow": "GET, POST", "location": "http://<host>/next?from=<host>"}
    assert plain(at(tree, "cookie")) == {
        "sid": {"value": "abc=", "path": "/", "httponly": "", "expires": "past", "max-age": "0"},
        "b": {"value": "2", "expires": "later"},
    }


@pytest.mark.parametrize(
    ("kind", "body", "first_leaf"),
    [
        ("application/json", b'{"a": 1', "str"),
        ("application/json", b"1.50", "float"),
        ("text/html", b"plain", "str"),
        ("image/png", b"\x89PNG\x00", "digest"),
        ("text/plain; charset=latin-1", b"\xe9", "str"),
        ("text/plain; charset=nonsense", b"\xe9", "digest"),
    ],
)
def test_a_type_that_lies_is_read_as_what_it_is(kind: str, body: bytes, first_leaf: str) -> None:
    node = at(leaves(Answer(200, (("content-type", kind),), body)), "body")
    while not isinstance(node, Leaf):
        node = node.items[0] if not isinstance(node, Map) else next(iter(node.fields.values()))
    assert node.kind == first_leaf


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (["550e8400-e29b-41d4-a716-446655440000"], "uuid"),
        (["2026-03-01T10:00:00.123Z", "2026-03-01 10:00"], "clock"),
        (["Nov. 5, 2025, 9 a.m.", "Nov. 5, 2025, noon", "November 5, 2025, 11:07 p.m."], "clock"),
        (["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT".replace("-94", "-1994")], "clock"),
        (["05/Nov/2025:09:42:11 +0000"], "clock"),
        (["3 seconds ago", "just now", "12.3ms"], "age"),
        (["1762335731", "1762335731.25", "1762335731123"], "epoch"),
        (["17", "4"], "int"),
        (["17", "4.5", "1,234"], "number"),
        (["deadbeef01", "0123456789"], "hex"),
        (["x_Y-z", "abc"], "token"),
        (["a b", "c"], "text"),
    ],
)
def test_forms(values: list[str], name: str) -> None:
    assert type_of(values).name == name
    assert all(type_of(values).admits(value) for value in values)


def test_dates_are_read() -> None:
    assert instant("1970-01-02T00:00:01Z") == (86401.0, 1.0)
    assert instant("Jan. 2, 1970, 1 a.m.") == (86400.0 + 3600, 60.0)
    assert instant("Jan. 2, 1970, noon") == (86400.0 + 43200, 60.0)
    assert instant("Fri, 02 Jan 1970 00:00:02 GMT") == (86402.0, 1.0)
    assert instant("2 Jan 1970") == (86400.0, 86400.0)
    assert instant("2026-13-45") is None
    assert not is_signed("jquery.zzzzzz.0123456789012345678901234567")


def test_a_counter_that_starts_anywhere_has_to_grow() -> None:
    def counted(start: int, n: int = 6) -> list[object]:
        return [{"seq": start + i, "ok": True} for i in range(n)]

    relations = learn([run(counted(start)) for start in (17, 230, 4711)])
    assert compare(relations, run(counted(9000))) == ()
    again = counted(9000)
    again[3] = {"seq": 9000, "ok": True}
    assert first(compare(relations, run(again)))[0].step == 3


def test_time_that_passes_in_a_process_is_its_own() -> None:
    def uptime(seed: int) -> list[object]:
        chance = random.Random(seed)
        total, pages = 0.0, []
        for _ in range(8):
            total += chance.random()
            pages.append({"uptime": round(total, 6), "ok": True})
        return list(pages)

    relations = learn([run(uptime(n), placement=[0] * 8) for n in range(3)])
    assert compare(relations, run(uptime(7), placement=[0] * 8)) == ()
    newborn = run([{"uptime": 0.01 + n % 2 / 1000, "ok": True} for n in range(8)], placement=range(8))
    found = compare(relations, newborn)
    assert found
    assert all(deviation.identity and deviation.relation == "ordered" for deviation in found)


def hexes(seed: int, count: int) -> list[str]:
    chance = random.Random(seed)
    return [chance.randbytes(12).hex() for _ in range(count)]


def test_what_is_under_a_mask_is_still_compared() -> None:
    def pages(seed: int) -> list[dict[str, object]]:
        one, two, nonce = hexes(seed, 3)
        return [{"id": one, "n": nonce}, {"id": two, "n": None}, {"all": [one, two], "of": {one: 1, two: 2}}]

    relations = learn([run(pages(n)) for n in range(3)])
    assert compare(relations, run(pages(9))) == ()
    changes: list[tuple[int, Callable[[list[dict[str, object]]], None]]] = [
        (1, lambda p: p[1].update(id=p[0]["id"])),
        (0, lambda p: p[0].update(n=None)),
        (0, lambda p: p[0].update(n="")),
        (0, lambda p: p[0].update(n=5)),
        (0, lambda p: p[0].update(n="abc")),
        (0, lambda p: p[0].pop("n")),
        (1, lambda p: p[1].update(n=hexes(1, 1)[0])),
        (2, lambda p: p[2].update(all=[p[0]["id"]])),
        (2, lambda p: p[2].update(all=[p[0]["id"], p[0]["id"]])),
        (2, lambda p: p[2].update(all=[p[0]["id"], hexes(77, 1)[0]])),
        (2, lambda p: p[2].update(of={str(p[0]["id"]): 2, str(p[1]["id"]): 1})),
        (2, lambda p: p[2].update(extra=1)),
    ]
    for step, change in changes:
        changed = pages(9)
        change(changed)
        found = first(compare(relations, run(changed)))
        assert found, step
        assert found[0].step == step


def test_a_login_page_instead_of_the_page_is_lost() -> None:
    def page(inner: str, seed: int) -> str:
        return f"<html><title>shop</title><body><i data-n='{hexes(seed, 1)[0]}'></i>{inner}</body></html>"

    form = "<h1>Log in</h1><form><input name=u><input type=password name=p></form>"
    home = "<h1>Hello ann</h1><ul><li>one</li></ul>"
    relations = learn([run([page(form, n), page(home, n)], kind="text/html") for n in range(3)])
    found = first(compare(relations, run([page(form, 5), page(form, 5)], kind="text/html")))
    assert found[0].step == 1
    assert {deviation.kind for deviation in found} <= {"lost", "stale"}


def test_sequences_of_several_tables_may_meet() -> None:
    def pages(user: int, item: int) -> list[object]:
        return [{"user": user}, {"item": item}, {"user": user}, {"item": item}, {"user": user + 1, "item": item + 1}]

    relations = learn([run(pages(1000, 5000)), run(pages(2300, 7000)), run(pages(4100, 6500))])
    assert compare(relations, run(pages(8000, 8000))) == ()
    assert first(compare(relations, run([*pages(8000, 8100)[:4], {"user": 8000, "item": 8101}])))[0].step == 4


def test_a_permanently_stale_tag_is_found() -> None:
    def pages(seed: int, stale: bool = False) -> list[object]:
        one, two = hexes(seed, 2)
        tags = [one, one, one if stale else two]
        return [Answer(200, (("content-type", "text/plain"), ("etag", f'"{tag}"')), b"same") for tag in tags]

    relations = learn([run(pages(n)) for n in range(3)])
    assert compare(relations, run(pages(5))) == ()
    found = compare(relations, run(pages(5, stale=True)))
    assert [(deviation.step, deviation.place) for deviation in found] == [(2, "header etag")]
    # That two answers shared a tag may be the luck of a second: it is not asked for.
    lucky = [Answer(200, (("content-type", "text/plain"), ("etag", f'"{tag}"')), b"same") for tag in hexes(6, 3)]
    assert compare(relations, run(lucky)) == ()


def test_what_is_computed_from_the_body_is_told_after_the_body() -> None:
    def page(title: str) -> list[object]:
        tag = ("etag", f'W/"{len(title)}-{title}"')
        return [Answer(200, (("content-type", "application/json"), tag), f'{{"title": "{title}"}}'.encode())]

    relations = learn([run(page("new")) for _ in range(3)])
    assert [each.place for each in compare(relations, run(page("old")))] == ["body.title", "header etag"]


def test_a_page_of_varying_length_is_not_called_judged() -> None:
    def page(seed: int) -> list[object]:
        chance = random.Random(seed)
        rows = "".join(f"<p>{chance.random()}</p>" for _ in range(5 + seed))
        return [f"<html><head><title>t</title></head><body>{rows}</body></html>"]

    relations = learn([run(page(n), kind="text/html") for n in range(3)])
    assert compare(relations, run(page(4), kind="text/html")) == ()
    assert [item.endpoint for item in not_judged(relations)] == ["GET /x"]
    assert sensitivity(relations).blind


def test_runs_of_different_workloads_are_refused() -> None:
    with pytest.raises(ValueError, match="different numbers"):
        learn([run([{}]), run([{}, {}])])
    with pytest.raises(ValueError, match="no warm run"):
        learn([])


@pytest.mark.parametrize("size", [1 << 12, 1 << 13, 1 << 14])
def test_a_text_is_one_text_wherever_a_long_page_is_cut_for_the_parser(size: int) -> None:
    def page(before: int) -> str:
        return f"<html><body><p>{'x' * before}</p><p>Powered by &amp; for all <b>readers</b></p></body></html>"

    for before in range(size - 60, size + 4):
        assert compare(learn([run([page(size)], kind="text/html")]), run([page(before)], kind="text/html"))[1:] == ()
