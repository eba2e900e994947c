"""The router's pure parts: configuration text, causes, bodies, log lines, replies of the runtime API."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.app.problem import Problem
from fungible.runtime.events import Event
from fungible.runtime.router import Requests
from fungible.runtime.router.admin import Load, read_loads
from fungible.runtime.router.answers import CAUSES, NO_UPSTREAM, answers_map, cause_of
from fungible.runtime.router.configuration import (
    Descriptors,
    configuration,
    milliseconds,
    pool_keyword,
    quoted,
    server_words,
)
from fungible.runtime.router.model import RouterSettings, Upstream
from tests.runtime.access_lines import UPSTREAMS, WEB, line

pytestmark = pytest.mark.pure

GIVEN = Descriptors(listen=3, admin=4, log=5, port=8000)


def event_of(data: bytes) -> Event:
    (event,) = Requests([data], UPSTREAMS, 5.0).events()
    return event


def test_a_line_becomes_an_event_of_its_process() -> None:
    event = event_of(line(retries="+1"))
    assert (event.kind, event.process, event.instance, event.release) == ("router.request", "web.1", "i1", "v1")
    assert event.at == 5.0
    assert event.data == {
        "method": "GET",
        "path": "/a",
        "status": 200,
        "bytes": 120,
        "queue_ms": 0,
        "connect_ms": 1,
        "response_ms": 2,
        "total_ms": 3,
        "request_id": "4711",
        "cause": None,
        "retries": 1,
        "client": "127.0.0.1",
    }


def test_a_request_that_met_no_process_names_none() -> None:
    unmet = {"method": "<BADREQ>", "path": "<BADREQ>", "status": 400, "server": "<NOSRV>", "id": "-", "end": "PR"}
    event = event_of(line(**unmet, queue=-1, connect=-1, response=-1))
    assert event.process is None
    assert event.data["method"] is event.data["path"] is event.data["request_id"] is None
    assert event.data["response_ms"] is None and event.data["queue_ms"] == 0
    assert event.data["cause"] == "bad-request"


def test_what_a_client_chose_is_read_as_it_was_written() -> None:
    event = event_of(line(method="A|#", path="/#22quoted#22\\back|{} ;#23#E9" + "x" * 600))
    assert event.data["method"] == "A|#"
    assert event.data["path"].startswith('/"quoted"\\back|{} ;#é')
    assert len(event.data["path"]) == 512


@given(
    st.lists(st.tuples(st.sampled_from(["p1", "p2"]), st.sampled_from([200, 503]), st.integers(-1, 3)), max_size=40)
)
def test_requests_in_bulk_count_and_tell_what_each_alone_would(each: list[tuple[str, int, int]]) -> None:
    lines = [line(server=server, status=status, total=total) for server, status, total in each]
    requests = Requests([*lines, b"Proxy public stopped.", b""], UPSTREAMS, 5.0)
    told = list(requests.events())
    assert told == [event_of(alone) for alone in lines]
    assert len(requests) == sum(count for _, count in requests.outcomes) == len(lines)
    counted = Counter({(o.upstream, o.status, o.total_ms): 0 for o, _ in requests.outcomes})
    for outcome, count in requests.outcomes:
        counted[outcome.upstream, outcome.status, outcome.total_ms] += count
    alone = Counter((UPSTREAMS.get(server), status, max(0, total)) for server, status, total in each)
    assert counted == alone
    assert list(requests.events(last=3)) == told[-3:]


def test_of_many_requests_only_those_are_lost_that_a_process_did_not_answer() -> None:
    ends = [line(), line(end="SD", path="/cut"), line(cause="no-process", status=503), line(end="CD")]
    requests = Requests(ends, UPSTREAMS, 5.0)
    assert [(event.data["path"], event.data["cause"]) for event in requests.lost()] == [("/cut", "interrupted")]


@given(st.binary(max_size=300) | st.builds(lambda cut: line(path='/"é' * 9)[:cut], st.integers(0, 300)))
def test_no_line_upsets_the_reader(data: bytes) -> None:
    requests = Requests([data], {}, 5.0)
    assert len(list(requests.events())) == len(requests) <= 1


@pytest.mark.parametrize(
    ("named", "status", "termination", "cause"),
    [
        (None, 200, "--", None),
        (None, 503, "--", None),
        ("crashed", 502, "SH", "crashed"),
        ("crashed", 502, "PH", "bad-answer"),
        ("backend-timeout", 504, "sH", "backend-timeout"),
        ("queue-timeout", 503, "sQ", "queue-timeout"),
        ("no-process", 503, "LR", "no-process"),
        ("bad-request", 400, "CH", "client-closed"),
        ("bad-request", 400, "cH", "slow-request"),
        ("bad-request", 400, "LR", "bad-request"),
        (None, 400, "PR", "bad-request"),
        (None, 408, "cR", "slow-request"),
        (None, 200, "SD", "interrupted"),
        (None, 200, "sD", "backend-timeout"),
        (None, 200, "CD", "client-closed"),
        (None, 200, "cD", "client-timeout"),
        (None, 101, "KD", "closed"),
        (None, 500, "IH", "router-error"),
        (None, -1, "", None),
    ],
)
def test_a_cause_follows_from_what_was_said_and_how_it_ended(
    named: str | None, status: int, termination: str, cause: str | None
) -> None:
    assert cause_of(named=named, status=status, termination=termination) == cause


def test_every_cause_has_a_page_and_a_document_on_one_line() -> None:
    assert set(NO_UPSTREAM) <= set(CAUSES)
    lines = dict(entry.split(" ", 1) for entry in answers_map().splitlines())
    assert set(lines) == {f"{cause}{form}" for cause in CAUSES for form in ("", ".html")}
    for cause in CAUSES:
        assert json.loads(lines[cause])["cause"] == cause
        assert cause in lines[f"{cause}.html"]


def test_times_are_never_zero_for_that_means_for_ever() -> None:
    assert milliseconds(1.5) == "1500ms"
    assert milliseconds(0) == "1ms"


def test_settings_and_processes_reach_the_text() -> None:
    settings = RouterSettings(queue_timeout=3, request_timeout=7, max_body=4096, certificate="/etc/it's.pem")
    text = configuration(settings, GIVEN, [("p9", WEB)], version=(2, 8, 0), connections=321)
    for part in (
        "timeout queue 3000ms",
        "timeout server 7000ms",
        "req.body_size gt 4096",
        "bind fd@3 ssl crt '/etc/it'\\''s.pem'",
        "stats socket fd@4 level admin",
        "log fd@5 ",
        "maxconn 321",
        "retries 1",
        "X-Forwarded-Proto https",
    ):
        assert part in text
    assert re.search(r"server p9 127\.0\.0\.1:20001 .*pool-purge-delay \d+s.* maxconn 7", text)
    assert "server p" not in configuration(RouterSettings(), GIVEN)


def test_the_pool_of_a_request_is_named_as_the_version_knows_it() -> None:
    assert pool_keyword((2, 8, 25)) == "sni"
    assert pool_keyword((3, 2, 0)) == "pool-conn-name"


@pytest.mark.parametrize("address", ["127.0.0.1:80", "[::1]:8080", "unix@/run/user/0/f/web.sock"])
def test_addresses_that_are_taken(address: str) -> None:
    assert server_words(Upstream("web.1", "i", "v1", address), (2, 8, 0)).startswith(address + " ")


@given(st.text(max_size=40))
def test_no_address_smuggles_a_second_word_into_a_command(text: str) -> None:
    try:
        words = server_words(Upstream("web.1", "i", "v1", text), (2, 8, 0))
    except Problem:
        return
    assert words.split(" ")[0] == text
    assert not set(text) & set(" ;\n\\'\"#")


@given(st.text(st.characters(exclude_characters="\n\0", exclude_categories=["Cs"]), max_size=20))
def test_a_quoted_word_is_one_word(text: str) -> None:
    assert re.fullmatch(r"'[^']*'(\\''[^']*')*", quoted(text))


def test_a_line_break_cannot_be_quoted() -> None:
    with pytest.raises(ValueError, match="line break"):
        quoted("a\nb")


def test_loads_are_sessions_without_streams() -> None:
    stat = "# pxname,svname,qcur,qmax,scur,smax\napp,p1,0,0,3,9\napp,p2,0,0,0,1\n\n"
    table = "# table: streams, type: string, size:10, used:1\n0x5: key=p1 use=2 exp=9 shard=0 conn_cur=2\n"
    assert read_loads(stat, table) == {"p1": Load(3, 2), "p2": Load(0, 0)}
    assert read_loads(stat, table)["p1"].in_flight == 1
    assert read_loads("", "") == {}
