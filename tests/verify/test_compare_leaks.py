"""An app in numbers, with each kind of leak switched on: found at the right step, and not when it is mended."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs

import pytest

from fungible.verify.compare import Deviation, compare, first, jars, learn, not_judged, sensitivity, widen
from fungible.verify.transcript import Answer, Sent, Transcript

from .test_compare_noise import World, itsdangerous

pytestmark = pytest.mark.pure

WORKLOAD: list[tuple[str, str, str, str]] = [
    ("POST", "/login", "user=ann", "ann"),  # 0
    ("GET", "/me", "", "ann"),  # 1
    ("POST", "/login", "user=bob", "bob"),  # 2
    ("POST", "/cart", "add=book-of-ann", "ann"),  # 3
    ("POST", "/cart", "add=lamp-of-bob", "bob"),  # 4
    ("GET", "/cart", "", "ann"),  # 5
    ("GET", "/items", "", "ann"),  # 6
    ("POST", "/items", "title=one", "ann"),  # 7
    ("GET", "/items", "", "bob"),  # 8
    ("POST", "/items", "title=two", "bob"),  # 9
    ("GET", "/items", "", "ann"),  # 10
    ("GET", "/hits", "", ""),  # 11
    ("GET", "/hits", "", ""),  # 12
    ("GET", "/hits", "", ""),  # 13
    ("GET", "/limited", "", ""),  # 14
    ("GET", "/limited", "", ""),  # 15
    ("GET", "/limited", "", ""),  # 16
    ("GET", "/page", "", "ann"),  # 17
    ("PUT", "/page", "text=new", "ann"),  # 18
    ("GET", "/page", "", "ann"),  # 19
]


class App:
    """A shop; `leaks` names what it keeps in the process instead of the store."""

    def __init__(self, world: World, leaks: set[str]) -> None:
        self.world = world
        self.leaks = leaks
        self.store: dict[str, Any] = {"users": {}, "items": [], "audit": []}
        self.processes: dict[int, dict[str, Any]] = {}

    def place(self, leak: str) -> dict[str, Any]:
        return self.processes.setdefault(self.world.process, {}) if leak in self.leaks else self.store

    def __call__(self, sent: Sent) -> Answer:
        w = self.world
        form = {key: value[0] for key, value in parse_qs(sent.body.decode()).items()}
        cookie = next((value for name, value in sent.headers if name == "cookie"), "")
        sessions = self.place("session").setdefault("sessions", {})
        user = sessions.get(cookie.partition("=")[2])
        route = f"{sent.method} {sent.target}"
        if route == "POST /login":
            sid = w.hex(32)
            sessions[sid] = form["user"]
            return self.page({"hello": form["user"]}, ("set-cookie", f"sid={sid}; HttpOnly; Path=/"))
        if sent.target in ("/me", "/cart", "/items") and user is None:
            if "login page" in self.leaks:
                login = b"<html><body><h1>Log in</h1><input type=password name=p></body></html>"
                return Answer(200, (("content-type", "text/html"),), login)
            return Answer(401, (("content-type", "application/json"),), b'{"error":"log in"}')
        if route == "GET /me":
            return self.page({"user": user, "seen": w.now.isoformat()})
        if sent.target == "/cart":
            carts = self.place("cart").setdefault("carts", {})
            key = "all" if "shared cart" in self.leaks else user
            if "add" in form:
                carts.setdefault(key, []).append(form["add"])
                if "shared cart" in self.leaks:
                    carts[key] = carts[key][-1:]
            return self.page({"cart": carts.get(key, [])})
        if route == "POST /items":
            ids = self.place("ids")
            number = ids["next"] = ids.get("next", w.offset) + 1
            row = {"id": number, "title": form["title"], "by": user, "at": w.now.isoformat(timespec="seconds")}
            if "lost write" not in self.leaks or w.process == 0:
                self.store["items"].append(row)
            self.store["audit"].append({"item": number, "what": "made", "token": w.hex(16)})
            return self.page(row, ("location", f"/items/{number}"))
        if route == "GET /items":
            items = list(self.store["items"])
            if "stale list" in self.leaks:
                cache = self.processes.setdefault(w.process, {})
                items = cache.setdefault("items", items)
            rows = [dict(row) for row in items]
            if "field" in self.leaks and w.process:
                rows = [{key: value for key, value in row.items() if key != "at"} for row in rows]
            return self.page({"items": rows, "took": w.random.random(), "request": w.hex(32)})
        if route == "GET /hits":
            hits = self.place("counter")
            hits["hits"] = hits.get("hits", 0) + 1
            return self.page({"hits": hits["hits"]})
        if route == "GET /limited":
            limit = self.place("limiter")
            limit["used"] = limit.get("used", 0) + 1
            left = ("x-ratelimit-remaining", str(max(0, 2 - limit["used"])))
            return Answer(429, (left,), b"slow down") if limit["used"] > 2 else self.page({"ok": True}, left)
        if route == "PUT /page":
            self.store["page"] = form["text"]
            return self.page({})
        own = self.processes.setdefault(w.process, {})
        shown = self.store.get("page", "old")
        if "etag" in self.leaks:
            own = self.processes.setdefault(w.step == 18 or w.process, {})
            shown = own.setdefault("page", shown)
        tag = hashlib.md5(f"{shown} {w.number}".encode()).hexdigest()
        return Answer(200, (("content-type", "text/plain"), ("etag", f'"{tag}"')), b"the page")

    def page(self, value: object, *headers: tuple[str, str]) -> Answer:
        w = self.world
        fixed = (
            ("content-type", "application/json"),
            ("date", format_datetime(w.now, usegmt=True)),
            ("set-cookie", f"flash={itsdangerous(w, {'n': 1})}; Path=/"),
            *headers,
        )
        return Answer(200, fixed, json.dumps(value).encode())


def run(number: int, leaks: Sequence[str] = (), placement: Callable[[int], int] | None = None) -> Transcript:
    """One world: warm unless `placement` gives the process of each step."""
    world = World(number, pace=0.05 + number * 0.01)
    app = App(world, set(leaks))
    cookies: dict[str, str] = {}
    sent, answers, slots = [], [], []
    for step, (method, path, body, jar) in enumerate(WORKLOAD):
        world.step = step
        slot = placement(step) if placement is not None else 0
        world.slot = slot
        headers = [("host", f"127.0.0.1:{9000 + number}")]
        if jar in cookies:
            headers.append(("cookie", cookies[jar]))
        request = Sent(method, path, tuple(headers), body.encode())
        answer = app(request)
        for name, value in answer.headers:
            if name == "set-cookie" and value.startswith("sid=") and jar:
                cookies[jar] = value.split(";")[0]
        sent.append(request)
        answers.append(answer)
        slots.append(slot)
    dumps = {
        "DATABASE_URL": {
            "table items": [
                {**row, "updated_at": str(world.now + timedelta(seconds=1))} for row in app.store["items"]
            ],
            "table audit": list(reversed(app.store["audit"])),
        }
    }
    return Transcript(f"world {number}", tuple(sent), tuple(answers), dumps, tuple(slots))


def newborn(step: int) -> int:
    return step


def warm(leaks: Sequence[str] = ()) -> list[Transcript]:
    return [run(n, leaks) for n in range(3)]


@pytest.mark.parametrize("placement", [None, newborn, lambda step: step % 2, lambda step: step // 3 % 2])
def test_the_clean_app_does_not_deviate(placement: Callable[[int], int] | None) -> None:
    relations = learn(warm())
    for number in range(3, 8):
        assert compare(relations, run(number, (), placement)) == ()
    assert not_judged(relations) == ()


@pytest.mark.parametrize(
    ("leaks", "placement", "step", "place", "kind"),
    [
        (["session"], newborn, 1, "status", "lost"),
        (["session", "login page"], newborn, 1, "header content-type", "lost"),
        (["cart"], newborn, 5, "body.cart", "lost"),
        (["shared cart"], lambda step: int(step == 4), 5, None, None),
        (["stale list"], lambda step: int(step == 9), 8, "body.items", "lost"),
        (["counter"], newborn, 12, "body.hits", "stale"),
        (["counter"], lambda step: int(step == 12), 12, "body.hits", "stale"),
        (["limiter"], newborn, 15, "header x-ratelimit-remaining", "stale"),
        (["limiter"], lambda step: int(step == 15), 15, "header x-ratelimit-remaining", "stale"),
        (["ids"], newborn, 9, "header location", "stale"),
        (["field"], lambda step: int(step == 10), 10, "body.items[0].at", "lost"),
        (["lost write"], lambda step: int(step == 9), 10, "body.items", "lost"),
        (["etag"], lambda step: int(step == 18), 19, "header etag", None),
    ],
)
def test_a_leak_is_found_at_its_step(
    leaks: list[str], placement: Callable[[int], int], step: int, place: str | None, kind: str | None
) -> None:
    relations = learn(
        warm([leak for leak in leaks if leak not in ("shared cart", "stale list")] if leaks != ["etag"] else [])
    )
    for number in (3, 4, 5):
        found = first(compare(relations, run(number, leaks, placement)))
        assert found
        assert found[0].step == step
        if place is not None:
            assert place in {deviation.place for deviation in found}
        if kind is not None:
            assert kind in {deviation.kind for deviation in found}
        assert not any(deviation.order_only or deviation.identity for deviation in found)


def test_anothers_cart_is_named_as_such() -> None:
    relations = learn(warm())
    clean = run(3)
    answers = list(clean.answers)
    answers[5] = replace(answers[5], body=json.dumps({"cart": ["lamp-of-bob"]}).encode())
    (found,) = compare(relations, replace(clean, answers=tuple(answers)))
    assert (found.step, found.place, found.kind) == (5, "body.cart[0]", "leaked")
    assert (found.expected, found.got) == ("book-of-ann", "lamp-of-bob")


def test_clients_are_told_apart_by_what_they_carry() -> None:
    who = jars(run(0))
    by_name = [jar for *_, jar in WORKLOAD]
    assert len({who[step] for step, jar in enumerate(by_name) if jar == "ann"}) == 1
    assert who[0] != who[2]


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("table items", lambda rows: rows[:1]),
        ("table items", lambda rows: [*rows, rows[0]]),
        ("table items", lambda rows: [{**rows[0], "title": "other"}, rows[1]]),
        ("table items", lambda rows: [{**rows[0], "id": rows[1]["id"]}, rows[1]]),
        ("table items", lambda rows: [{**rows[0], "updated_at": None}, rows[1]]),
        ("table audit", lambda rows: [rows[0], {**rows[1], "item": rows[0]["item"]}]),
        ("table audit", lambda rows: []),
    ],
)
def test_a_store_that_differs_is_found(table: str, change: Callable[[list[Any]], list[Any]]) -> None:
    relations = learn(warm())
    clean = run(3)
    dump = {**clean.dumps["DATABASE_URL"]}
    dump[table] = change(list(dump[table]))
    found = compare(relations, replace(clean, dumps={"DATABASE_URL": dump}))
    assert found
    assert all(d.kind == "store" and d.store == "DATABASE_URL" and d.step is None for d in found)
    assert all(table in d.place for d in found)


def test_rows_come_in_any_order() -> None:
    relations = learn(warm())
    clean = run(3)
    turned = {name: list(reversed(rows)) for name, rows in clean.dumps["DATABASE_URL"].items()}
    assert compare(relations, replace(clean, dumps={"DATABASE_URL": turned})) == ()


def test_a_missing_row_is_shown() -> None:
    relations = learn(warm())
    clean = run(3)
    dump = {**clean.dumps["DATABASE_URL"], "table items": clean.dumps["DATABASE_URL"]["table items"][:1]}
    (found,) = compare(relations, replace(clean, dumps={"DATABASE_URL": dump}))
    assert found.got is None
    assert found.expected["title"] == "two"
    assert found.expected["id"] == clean.dumps["DATABASE_URL"]["table items"][1]["id"]


def test_keys_of_a_store_are_renamed() -> None:
    def keyed(run: Transcript, drop: bool = False) -> Transcript:
        sid = next(v for n, v in run.answers[0].headers if v.startswith("sid="))[4:36]
        rows = {f"key session:{sid}": [{"value": "ann"}], "key hits": [{"value": "3"}]}
        if drop:
            rows = {f"key session:{'0' * 32}": [{"value": "ann"}], "key hits": [{"value": "3"}]}
        return replace(run, dumps={"VALKEY_URL": rows})

    relations = learn([keyed(one) for one in warm()])
    assert compare(relations, keyed(run(4))) == ()
    assert compare(relations, keyed(run(4), drop=True))


def test_a_hang_and_a_cut_answer_deviate() -> None:
    relations = learn(warm())
    clean = run(3)
    for answer in (Answer(0, fault="timeout"), replace(clean.answers[6], fault="cut")):
        answers = (*clean.answers[:6], answer, *clean.answers[7:])
        assert first(compare(relations, replace(clean, answers=answers)))[0].step == 6
    short = replace(clean, answers=clean.answers[:6], sent=clean.sent[:6], dumps={})
    assert [d.step for d in compare(relations, short) if d.store is None] == [6]


def test_more_warm_runs_weaken_what_was_luck() -> None:
    def at(number: int, value: int) -> Transcript:
        one = run(number)
        answers = list(one.answers)
        answers[11] = replace(answers[11], body=json.dumps({"hits": 1, "load": value}).encode())
        return replace(one, answers=tuple(answers))

    relations = learn([at(n, 7) for n in range(3)])
    assert [d.place for d in compare(relations, at(3, 8))] == ["body.load"]
    wider = widen(relations, [at(4, 9), at(5, 11)])
    assert compare(wider, at(6, 8)) == ()
    assert compare(wider, at(7, 8))[:0] == ()


def test_the_score_says_what_would_be_seen() -> None:
    relations = learn(warm())
    score = sensitivity(relations)
    assert score.of > 80
    assert score.flagged > score.of * 0.75
    blind = {(item.endpoint, item.place) for item in score.blind}
    assert ("GET /me", "body.seen") in blind
    assert ("GET /items", "body.took") in blind
    assert ("GET /cart", "body.cart[0]") not in blind
    assert ("GET /hits", "body.hits") not in blind
    assert ("POST /items", "body.id") not in blind
    assert score.sampled is None
    assert score.by_endpoint is not None
    assert sum(of for _, of in score.by_endpoint.values()) == score.of


def test_expected_values_are_in_the_words_of_the_world() -> None:
    relations = learn(warm())
    clean = run(6)
    made = json.loads(clean.answers[7].body)["id"]
    answers = list(clean.answers)
    listed = json.loads(answers[10].body)
    listed["items"][0]["id"] = made + 55
    answers[10] = replace(answers[10], body=json.dumps(listed).encode())
    found: tuple[Deviation, ...] = compare(relations, replace(clean, answers=tuple(answers)))
    assert [(d.step, d.place, d.relation, d.expected, d.got) for d in found if d.step is not None] == [
        (10, "body.items[0].id", "renamed", made, made + 55)
    ]
