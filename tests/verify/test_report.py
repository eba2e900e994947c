"""What all forms of the report say: words, secrets, classes of state, text, JSON and HTML."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from fungible.verify.blame.culprit import Culprit
from fungible.verify.findings import Difference, Note, WorldRow
from fungible.verify.report import CLASSES, mask_of, mend_class, page, to_html, to_json, to_text
from fungible.verify.report.answers import outcome
from fungible.verify.report.words import letters, route
from fungible.verify.shrink.case import Case
from fungible.verify.verify import painter, worst
from tests.verify.report_findings import BASKET, STATUS, WORKLOAD, differing, findings

pytestmark = pytest.mark.pure

DOCS = Path(__file__).parents[2] / "docs" / "mend"


# Words.


@pytest.mark.parametrize(
    ("place", "expected", "got", "said"),
    [
        ("body", {"length": 2, "missing": ["two"]}, {"length": 1}, "body: 2 items expected, `two` is missing"),
        ("body", {"length": 1}, {"length": 2, "extra": ["x"]}, "body: 1 item expected, `x` is extra"),
        ("body", {"length": 3}, {"length": 1}, "body: 3 items expected, 1 came"),
        ("body", {"length": [3, 5]}, {"length": 0}, "body: 3 to 5 items expected, 0 came"),
        ("body", {"length": 2, "missing": ["a", "b"]}, {"length": 0}, "body: 2 items expected, `a`, `b` are missing"),
        ("status", 200, 404, "404 Not Found instead of 200 OK"),
        ("status", 200, 0, "no answer instead of 200 OK"),
        ("fault", "", "timeout", "no answer in time instead of a complete answer"),
        ("header location", "/home", None, "the header Location is missing (`/home` expected)"),
        ("cookie session value", "***", None, "the cookie session is not set"),
        ("body.user", "ann", "", "body.user: `ann` expected, got an empty text"),
        ("body.user", "ann", None, "body.user: `ann` is missing"),
        ("body.user", None, "ann", "body.user: `ann` was not expected"),
        ("body.n", 3, 1, "body.n: `3` expected, got `1`"),
        ("body.all", ["a"], [], 'body.all: `["a"]` expected, got an empty list'),
        ("body.it", {"a": 1, "b": 2}, {"a": 1, "b": 3}, "body.it: b: `2` expected, got `3`"),
    ],
)
def test_expected_and_got_in_words(place: str, expected: Any, got: Any, said: str) -> None:
    assert outcome(differing(place, expected, got).deviation) == said


def test_long_texts_are_shown_where_they_differ() -> None:
    said = outcome(differing("body", "x" * 500 + "ann", "x" * 500 + "bob").deviation)
    assert "ann`" in said and "bob`" in said and len(said) < 200


def test_a_store_names_itself() -> None:
    said = outcome(differing("users[]", {"id": 1}, None, "store", store="DATABASE_URL").deviation)
    assert said == 'DATABASE_URL, users[]: `{"id": 1}` is missing'


def test_an_old_value_is_told_to_be_the_one_processes() -> None:
    known = differing("body.price", 99, 10, "stale")
    cached = replace(known, deviation=replace(known.deviation, outdated=True))
    assert outcome(known.deviation) == (
        "body.price: `99` with one process for all; `10`, an old value, with processes as listed"
    )
    assert outcome(cached.deviation) == (
        "body.price: `99`, what is stored, with processes as listed; `10`, an old value, with one process for all"
    )
    told = [to_json(findings(each))["differences"][0] for each in (known, cached)]
    assert [(each["expected"], each["got"]) for each in told] == [(99, 10), (99, 10)]
    assert [each["expected_from"] for each in told] == ["one process for all", "processes as listed"]
    assert [each["got_from"] for each in told] == ["processes as listed", "one process for all"]
    assert "Got (one process for all)" in to_html([findings(cached)])


_ONE, _APART = "one process for all", "processes as listed"


@pytest.mark.parametrize(
    ("place", "expected", "got", "kind", "where", "one", "apart"),
    [
        ("status", 200, 303, "lost", None, "200 OK", "303 See Other"),
        ("fault", "", "timeout", "lost", None, "a complete answer", "no answer in time"),
        ("body.n", 35, 30, "stale", "body.n", "`35`", "`30`, an old value"),
        ("body.user", "ann", None, "lost", "body.user", "`ann`", "nothing there"),
        ("cookie sid value", "***", None, "lost", "the cookie sid", "`***`", "nothing there"),
        ("header etag", None, "x", "diverged", "the header ETag", "nothing there", "`x`"),
        ("body", {"length": 2, "missing": ["a"]}, {"length": 1}, "lost", "body", "2 items with `a`", "1 item"),
        ("body", {"length": [3, 5]}, {"length": 6, "extra": [7]}, "lost", "body", "3 to 5 items", "6 items with `7`"),
        ("body", {"a": 1, "b": 2, "c": 5}, {"a": 1, "b": 3}, "lost", "body", "b: `2`, c: `5`", "b: `3`, no c"),
    ],
)
def test_people_read_who_answered_what(
    place: str, expected: Any, got: Any, kind: str, where: str | None, one: str, apart: str
) -> None:
    lines = [line.strip() for line in to_text(findings(differing(place, expected, got, kind))).splitlines()]
    at = lines.index(f"{_ONE}: {one}")
    assert lines[at + 1] == f"{_APART}: {apart}"
    assert lines[at - 1] == (where or "#4 GET /items   process B")


def test_people_read_what_is_stored() -> None:
    known = differing("body.n", 35, 30, "stale")
    text = to_text(findings(replace(known, deviation=replace(known.deviation, outdated=True))))
    assert (
        "   body.n\n     processes as listed: `35`, what is stored\n     one process for all: `30`, an old value\n"
    ) in text


def test_a_secret_is_told_as_a_sentence() -> None:
    text = to_text(findings(differing("body.token", "***", "***")))
    assert "   body.token: another value than expected (not shown, it may be a secret)\n" in text


def test_processes_that_were_there_before_are_told() -> None:
    early = replace(BASKET, case=replace(BASKET.case, late=False))
    for text in (to_text(findings(early)), to_html([findings(early)])):
        assert "all processes were started before the first request" in text
    assert "were started" not in to_text(findings(BASKET))


def test_the_first_process_is_a() -> None:
    assert letters(replace(BASKET, case=Case((0, 1, 2, 4), (7, -1, 2, 7)))) == ("A", None, "B", "A")


@pytest.mark.parametrize(
    ("request_line", "named"),
    [
        ("#2 GET /items/7?x=1", "GET /items/{}"),
        ("#2 GET /items/${id}/edit", "GET /items/{}/edit"),
        ("#12 POST /a/0b7fd9a2-70b9-4ab7-8d8e-6d2f8d3b1c11", "POST /a/{}"),
        ("#1 job python send.py", "job python send.py"),
    ],
)
def test_routes(request_line: str, named: str) -> None:
    assert route(request_line) == named


# Classes.


@pytest.mark.parametrize(
    ("culprit", "kind", "name"),
    [
        (Culprit("shop.views.CARTS['ann']"), "lost", "session-in-memory"),
        (Culprit("shop.accounts.LOGGED_IN"), "lost", "session-in-memory"),
        (Culprit("shop.basket.Basket.items"), "lost", "class-attribute"),
        (Culprit("shop.catalogue.row.<cached 7>"), "stale", "cache"),
        (Culprit("flask_caching.backends.simplecache.SimpleCache._cache"), "stale", "cache"),
        (Culprit("shop.limits.TRIES['ann']"), "lost", "counter-or-limiter"),
        (Culprit("app.count"), "diverged", "counter-or-limiter"),
        (Culprit("desk.views._tickets_made[1]", None, "v.py:10", "v.py:34"), "stale", "counter-or-limiter"),
        (Culprit("shop.sharing.SIGNING_KEY", None, "s.py:3", "s.py:3"), "lost", "secret-at-import"),
        (Culprit("app.SECRET"), "diverged", "secret-at-import"),
        (Culprit("shop.exports.JOBS[3]"), "lost", "job-status"),
        (Culprit("shop.settings.CURRENT", None, "s.py:3", "s.py:3"), "stale", "settings-at-boot"),
        (Culprit("shop.current.LEVEL", None, "s.py:3", "s.py:3", "s.py:3"), "stale", "settings-at-boot"),
        (Culprit("shop.catalogue.find_row", None, "c.py:3", "c.py:3", "c.py:20"), "stale", "cache"),
        (Culprit(None, "uploads/photo.png"), "lost", "files"),
        (Culprit(None, "data/notes.txt"), "lost", "files"),
        (Culprit(None, "static/site.css"), "lost", "assets-at-run-time"),
        (Culprit(where="file"), "lost", "files"),
        (Culprit(where="memory of a worker process"), "lost", "background-work"),
        (Culprit(where="memory"), "lost", "session-in-memory"),
        (Culprit(where="memory"), "stale", "cache"),
        (Culprit("shop.OWN_NAME", None, "s.py:3", "s.py:3", "s.py:3"), "lost", "settings-at-boot"),
        (Culprit("payments.breaker._fail_counter", None, "p.py:3", "p.py:9"), "lost", "counter-or-limiter"),
        (Culprit("dav.WebDAV.prefix_mapping[0].locks", None, "d.py:3", "d.py:9"), "lost", "class-attribute"),
        (Culprit("locale.setlocale()", written_at="app.py:3"), "diverged", "process-setting"),
        (Culprit("os.environ['LANG']", written_at="app.py:3"), "diverged", "process-setting"),
        (Culprit(where="hash seed", written_at="app.py:3"), "lost", "hash-seed"),
    ],
)
def test_the_class_follows_from_what_held_the_state(culprit: Culprit, kind: str, name: str) -> None:
    assert mend_class(differing("body.x", "one", "two", kind, culprit)) == name


def test_classes_from_the_answers() -> None:
    assert mend_class(differing("users[]", 1, None, "store", store="DATABASE_URL")) == "store"
    assert mend_class(differing("status", 429, 200)) == "counter-or-limiter"
    assert mend_class(differing("status", "409", "200", "diverged", Culprit("app.NAMES"))) == "session-in-memory"
    back = differing("body", {"length": 1}, {"length": 0}, case=Case((0, 1, 2), (0, 1, 0)), requests=("a", "b", "c"))
    assert mend_class(back) == "cache"
    quiet = differing("body", "done", "waiting", requests=("#0 POST /job", "#1 until quiet", "#2 GET /job"))
    assert mend_class(quiet) == "background-work"


def test_every_class_has_a_page_that_names_the_frameworks() -> None:
    assert {path.stem for path in DOCS.glob("*.md")} - {"README", "index"} == set(CLASSES)
    for name in CLASSES:
        text = (DOCS / f"{name}.md").read_text()
        assert all(word in text for word in ("Django", "Flask", "FastAPI")), name
        assert page(name) == f"docs/mend/{name}.md"


# Text.


def test_text_says_the_verdict_first_and_a_block_a_difference() -> None:
    text = to_text(findings(BASKET, STATUS))
    assert text.startswith("stateful: shop with tests/workload.yaml keeps state in its processes: 2 differences (12 ")
    block = text.split("\n\n")[1]
    assert block.splitlines() == [
        "1. lost: what an earlier request left is gone",
        "     #1 POST /items  process A",
        "     #4 GET /items   process B",
        "   body.items",
        "     one process for all: 2 items with `two`",
        "     processes as listed: 1 item",
        "   also seen at #2 GET /items/${id}",
        "   held by shop.views.CARTS['ann']",
        "     written at shop/views.py:41",
        "     declared at shop/views.py:9",
        "   how to mend it: fungible verify --explain session-in-memory",
    ]
    assert "15 of 15 pairs" in text and "20 of 22 fields" in text and "loopback ports" in text
    assert "races and locks" in text


def test_text_never_says_that_an_app_is_stateless() -> None:
    text = to_text(findings())
    assert text.startswith("no difference found in these worlds: shop")
    assert "stateless" not in text and "not covered" in text


def test_what_is_said_of_one_place_at_many_requests_is_said_once() -> None:
    said = "a process's own name, id or address is shown"
    many = tuple(Note(step, "header x-served-by", said) for step in range(6))
    text = to_text(findings(notes=(*many, Note(None, "shop", "other"))))
    (line,) = [line for line in text.splitlines() if "x-served-by" in line]
    assert line.startswith("  note: #0 ") and " and 2 more, header x-served-by: a process's own name" in line
    assert "  note: shop: other; this is no difference" in text
    assert to_html([findings(notes=many)]).count("x-served-by") == 1


def test_text_of_what_was_not_judged() -> None:
    text = to_text(findings(verdict="not_judged", reasons=("the app did not come up",), notes=(), not_judged=()))
    assert text.splitlines() == [text.splitlines()[0], "", "  the app did not come up"]
    assert text.startswith("not judged: shop")


def test_known_differences_are_one_line() -> None:
    text = to_text(findings(replace(BASKET, known=True)))
    assert text.startswith("no new difference: ") and "1 known difference" in text
    assert "known: lost at #4 GET /items, held by shop.views.CARTS['ann']" in text
    assert "process A" not in text


def test_isolation_below_copy_cannot_judge_files() -> None:
    assert "state in files" in to_text(findings(isolation="scratch"))
    assert "state in files" not in to_text(findings(isolation="copy"))


def test_no_control_character_of_an_answer_reaches_the_terminal() -> None:
    evil = differing("body", "fine", "\x1b[2J\x1b]0;owned\x07 and \u202e", requests=("#0 GET /\x1b[31m", "#1 GET /"))
    text = to_text(findings(evil, warnings=("\x1b[0m",)))
    assert not re.search(r"[^\n\x20-\x7e\xa0-\u2027\u2030-\uffff]", text)


def test_colour_only_on_a_terminal_that_wants_it() -> None:
    assert painter(True, {})("x", "red") == "\x1b[31;1mx\x1b[0m"
    for terminal, environment in ((False, {}), (True, {"NO_COLOR": "1"}), (True, {"TERM": "dumb"})):
        assert painter(terminal, environment)("x", "red") == "x"


# JSON.


def test_json_has_the_fields_of_the_contract() -> None:
    document = json.loads(json.dumps(to_json(findings(BASKET, STATUS))))
    assert {"verdict", "app", "requests", "worlds", "executions", "coverage", "differences", "isolation"} <= {
        *document
    }
    assert {"sensitivity", "noise", "not_covered", "not_judged", "reasons"} <= {*document}
    assert document["coverage"]["pairs"] == [15, 15]
    first = document["differences"][0]
    assert (first["kind"], first["request"], first["minimal"], first["world"]) == ("lost", 4, [1, 4], "newborn")
    assert first["expected"] == {"length": 2, "missing": ["two"]} and first["got"] == {"length": 1}
    assert first["culprit"]["object"] == "shop.views.CARTS['ann']" and first["culprit"]["confirmed"] is True
    assert first["mend"] == "docs/mend/session-in-memory.md" and first["processes"] == ["A", "B"]


def test_json_is_bounded() -> None:
    deep: Any = "x"
    for _ in range(200):
        deep = [deep]
    many = tuple(differing("body", {"a": "y" * 100_000, "b": list(range(10_000))}, deep) for _ in range(600))
    assert len(json.dumps(to_json(findings(*many)))) < 2_000_000


# Secrets.

ENVIRONMENT = {
    "SECRET_KEY": "hunter2hunter2",
    "DATABASE_URL": "postgres://shop:pa55word@db/shop",
    "HOME": "/home/ann",
}


def _leaky() -> tuple[Difference, ...]:
    return (
        differing(
            "body.debug",
            {
                "key": "hunter2hunter2",
                "Authorization": "Digest abc",
                "Cookie": "a=b",
                "auth": "Bearer 0123456789abcdef",
            },
            "postgres://shop:pa55word@db/shop in /srv/shop/views.py, /tmp/0123abcd/shop/x.db and /home/ann/.netrc "
            "/opt/venv/lib/python3.11/site-packages/flask/app.py",
        ),
        differing("cookie session value", "cookie-one", "cookie-two"),
        differing("cookie session value~.user", "user-one", "user-two"),
        differing("cookie session", {"value": "cookie-three", "path": "/"}, None),
        differing("header set-cookie", "cookie-four", "x"),
        replace(STATUS, culprit=Culprit("app.SESSIONS['9f86d081884c7d659a2feaa0c55ad015']")),
        differing("body.echo", "opensesame", "tok-9876543210"),
    )


def test_no_form_of_the_report_shows_secrets_or_machine_paths() -> None:
    mask = mask_of(ENVIRONMENT, WORKLOAD, Path("/srv/shop"))
    made = findings(*_leaky(), reasons=("/srv/shop/app.py: hunter2hunter2",), warnings=("see /home/ann/x",))
    from fungible.verify.report import to_junit, to_sarif

    for text in (
        to_text(made, mask=mask),
        json.dumps(to_json(made, mask)),
        to_html([made], mask),
        json.dumps(to_sarif([made], mask)),
        to_junit([made], mask),
    ):
        for secret in (
            *(
                "hunter2",
                "pa55word",
                "Digest abc",
                "a=b",
                "0123456789abcdef",
                "cookie-one",
                "cookie-two",
                "cookie-three",
            ),
            *("cookie-four", "user-one", "9f86d081884c7d65", "opensesame", "tok-9876543210"),
            *("/srv/", "/home/ann", "/tmp/0123abcd", "/opt/venv"),
        ):
            assert secret not in text, secret
    assert "flask/app.py" in json.dumps(to_json(made, mask))


def test_a_hidden_difference_still_reads_as_one() -> None:
    text = to_text(findings(differing("cookie session value", "one-secret", "two-secret")))
    assert "the cookie session: another value than expected (not shown" in text


# HTML.


class _Page(HTMLParser):
    """Checks nesting, and keeps what a page loads and says."""

    VOID = frozenset({"meta", "br", "hr", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.classes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.classes += [value or "" for name, value in attrs if name == "class"]
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "data", "action", "srcset")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.classes += [value or "" for name, value in attrs if name == "class"]
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _read(page_text: str) -> _Page:
    read = _Page()
    read.feed(page_text)
    assert read.open == []
    return read


def test_html_is_whole_and_loads_nothing() -> None:
    text = to_html([findings(BASKET, STATUS), findings()])
    read = _read(text)
    assert read.loads == [] and not {"script", "link", "img", "iframe"} & {*read.tags}
    assert "url(" not in text and "@import" not in text and "http" not in text.replace("http-equiv", "")
    assert read.tags.count("article") == 2
    for said in ("two", "shop/views.py:41", "10 of 12", "15 of 15", "races and locks", "hash seed", "3 of 4 values"):
        assert said in text


def test_html_draws_worlds_and_outlines_deviations() -> None:
    read = _read(to_html([findings(BASKET)]))
    assert read.classes.count("deviates") == 5
    assert "svg" in read.tags
    assert "svg" not in _read(to_html([findings(grid=())])).tags
    large = tuple(WorldRow(f"split {n}", (0, 1) * 1000, (1, 1999)) for n in range(200))
    assert len(to_html([findings(grid=large)])) < 8_000_000


def test_html_escapes_what_the_app_said() -> None:
    evil = "</style><script>alert(1)</script>\x00\ud800"
    made = differing("body", evil, f"`{evil}`", requests=(f"#0 GET /{evil}", f"#1 GET /{evil}"))
    made = replace(made, culprit=Culprit(evil, evil, evil, evil, evil))
    text = to_html([findings(made, app=evil, reasons=(evil,), grid=(WorldRow(evil, (0, 1), (1,)),))])
    assert "<script" not in text and "\x00" not in text
    text.encode("utf-8")
    _read(text)


def test_the_exit_code_of_known_differences() -> None:
    assert worst([findings()]) == 0
    assert worst([findings(), findings(BASKET)]) == 1
    assert worst([findings(replace(BASKET, known=True))]) == 0
    assert worst([findings(replace(BASKET, known=True)), findings(verdict="not_judged")]) == 4
    assert worst([findings(BASKET), findings(verdict="not_judged")]) == 1
