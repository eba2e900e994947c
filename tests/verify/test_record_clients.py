"""Which client a request belongs to, what is written of it, and in which order."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fungible.verify.record.clients import origins
from fungible.verify.record.exchange import Exchange, Losses
from fungible.verify.record.recording import as_workload
from fungible.verify.transcript import Answer
from fungible.verify.workload.file import dump_workload
from fungible.verify.workload.recorded import cookie_pairs
from fungible.verify.workload.steps import ABSENT, File, Request, Workload, render
from fungible.verify.world.client import as_sent
from fungible.verify.world.cookies import Jar

pytestmark = pytest.mark.pure

CLOCK = itertools.count(1)
ANN, BOB = "s=4fK9xPq2LmZ8", "s=8hT3vWn6RcY1"


def seen(
    target: str = "/",
    cookie: str | None = None,
    *sets: str,
    method: str = "GET",
    connection: int = 0,
    headers: tuple[tuple[str, str], ...] = (),
    body: bytes = b"",
    answer: Answer | None = None,
    times: tuple[float, float, float] | None = None,
) -> Exchange:
    now = next(CLOCK)
    began, answered, ended = times or (now, now + 0.1, now + 0.2)
    carried = (("Cookie", cookie),) if cookie else ()
    base = answer or Answer(200)
    made = Answer(base.status, (*base.headers, *(("set-cookie", line) for line in sets)), base.body)
    host = () if any(name == "Host" for name, _ in headers) else (("Host", "127.0.0.1:81"),)
    return Exchange(connection, method, target, (*host, *headers, *carried), body, made, began, answered, ended)


def clients(*exchanges: Exchange) -> list[int]:
    return [each.client for each in origins(exchanges)]


def written(*exchanges: Exchange) -> list[tuple[tuple[str, str], ...]]:
    return [each.written for each in origins(exchanges)]


def requests(*exchanges: Exchange, **options: Any) -> list[Request]:
    return [step for step in as_workload(exchanges, **options).steps if isinstance(step, Request)]


def test_a_client_is_known_by_the_cookie_that_comes_back_on_any_connection() -> None:
    visit = [
        seen("/", None, ANN, connection=1),
        seen("/", None, BOB, connection=1),
        seen("/", BOB, connection=2),
        seen("/", ANN, connection=2),
        seen("/new", None, connection=2),
    ]
    assert clients(*visit) == [0, 1, 1, 0, 2]
    assert written(*visit) == [(), (), (), (), ()]


def test_a_renewed_cookie_is_still_the_same_client() -> None:
    renewed = "s=0aB1cD2eF3gH"
    assert clients(seen("/", None, ANN), seen("/", ANN, renewed), seen("/", None, BOB), seen("/", renewed)) == [
        0,
        0,
        1,
        0,
    ]


def test_requests_that_overlapped_are_one_client() -> None:
    assert clients(
        seen("/", None, ANN, connection=1),
        seen("/logo", None, "t=9zY8xW7vU6tS", connection=2),
        seen("/", f"{ANN}; t=9zY8xW7vU6tS", connection=3),
    ) == [0, 0, 0]


def test_a_value_that_two_may_have_tells_nothing() -> None:
    steps = [
        seen("/", None, ANN, "lang=en", connection=1),
        seen("/", None, "lang=en", connection=2),
        seen("/", "lang=en", connection=3),
        seen("/", f"{ANN}; lang=en", connection=3),
    ]
    assert clients(*steps) == [0, 1, 1, 0]


def test_cookies_from_before_are_written_and_said() -> None:
    old = "old=1fG7kQ2mX9aB"
    workload = as_workload([seen("/", old), seen("/", f"{old}; {ANN}"), seen("/", f"{old}; theme=dark", ANN)])
    first, *_ = workload.steps
    assert isinstance(first, Request) and first.headers == (("Cookie", old),)
    assert any("old, s, theme" in warning for warning in workload.warnings)


def test_what_a_script_changed_is_written_and_wins_over_the_jar() -> None:
    first, second = requests(seen("/", None, ANN, "theme=light"), seen("/", f"{ANN}; theme=dark"))
    assert second.jar == first.jar and second.headers == (("Cookie", "theme=dark"),)
    jar = Jar()
    jar.store("/", [ANN, "theme=light"])
    sent = as_sent(render(second, {}), "h", jar.header("/"))
    assert dict(sent.headers)["cookie"] == f"{ANN}; theme=dark"


def test_an_old_session_that_is_tried_again_is_bound() -> None:
    steps = requests(
        seen("/login", None, ANN, method="POST"),
        seen("/logout", ANN, "s=; Max-Age=0", method="POST"),
        seen("/me", ANN, answer=Answer(401)),
    )
    assert steps[0].save == {"_b1": "cookie:s"}
    assert steps[2].headers == (("Cookie", "s=${_b1}"),)


NAMES = st.sampled_from(["s=4fK9xPq2LmZ8", "s=8hT3vWn6RcY1", "s=; Max-Age=0", "t=9zY8xW7vU6tS; Path=/a", "lang=en"])


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["/", "/a", "/a/b"]), st.lists(NAMES, max_size=2), st.integers(0, 2), st.booleans()
        ),
        max_size=12,
    )
)
def test_browsers_with_jars_of_their_own_replay_what_they_sent(
    visits: list[tuple[str, list[str], int, bool]],
) -> None:
    """Whatever three browsers do, every cookie that was sent is sent again with its value."""
    browsers = [Jar(), Jar(), Jar()]
    exchanges = []
    for number, (target, sets, browser, unique) in enumerate(visits):
        lines = [line.replace("=4f", f"=4f{number}x{browser}") for line in sets] if unique else sets
        exchanges.append(seen(target, browsers[browser].header(target), *lines, connection=number))
        browsers[browser].store(target, lines)
    jars: dict[int, Jar] = {}
    for exchange, origin in zip(exchanges, origins(exchanges), strict=True):
        jar = jars.setdefault(origin.client, Jar())
        request = Request(
            "GET", exchange.target, headers=(("Cookie", _header(origin.written)),) if origin.written else ()
        )
        sent = as_sent(render(request, {}), "h", jar.header(exchange.target))
        assert set(cookie_pairs(exchange.header("cookie"))) <= set(cookie_pairs(dict(sent.headers).get("cookie")))
        jar.store(exchange.target, [value for name, value in exchange.answer.headers if name == "set-cookie"])


def _header(pairs: tuple[tuple[str, str], ...]) -> str:
    return "; ".join(f"{name}={value}" for name, value in pairs)


# What is written


def test_the_order_is_that_in_which_answers_began() -> None:
    poll = seen("/poll", times=(0.0, 5.0, 5.1))
    push = seen("/push", method="POST", times=(1.0, 2.0, 2.1))
    assert [step.path for step in requests(poll, push)] == ["/push", "/poll"]


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (b'{"a": [1.50, "\\u00e9"]}', {"Content-Type": "application/json"}, {"json": {"a": [1.5, "é"]}}),
        (b"null", {"Content-Type": "application/json"}, {"json": None}),
        (b'"{{b64:a}}"', {"Content-Type": "application/json"}, {"body": b'"{{b64:a}}"'}),
        (b'{"a": 1e999}', {"Content-Type": "application/json"}, {"body": '{"a": 1e999}'}),
        (b'{"a": 1}', {"Content-Type": "application/json", "X-Hub-Signature": "x"}, {"body": '{"a": 1}'}),
        (b"a=*&b=%7E", {"Content-Type": "application/x-www-form-urlencoded"}, {"form": (("a", "*"), ("b", "~"))}),
        (b"a&b=%ff", {"Content-Type": "application/x-www-form-urlencoded"}, {"body": "a&b=%ff"}),
        (b"\x1f\x8b\xff", {"Content-Type": "text/plain", "Content-Encoding": "gzip"}, {"body": b"\x1f\x8b\xff"}),
        (
            b'--B\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n\xff\r\n--B--\r\n',
            {"Content-Type": "multipart/form-data; boundary=B"},
            {"form": (), "files": (File("f", "x", b"\xff"),)},
        ),
    ],
)
def test_bodies(body: bytes, headers: dict[str, str], expected: dict[str, Any]) -> None:
    (step,) = requests(seen("/", method="POST", body=body, headers=tuple(headers.items())))
    fields = {"json": ABSENT, "form": None, "files": None, "body": None, **expected}
    assert {name: getattr(step, name) for name in fields} == fields


def test_headers_of_the_connection_and_of_caches_are_not_written() -> None:
    tag = Answer(200, (("etag", '"4fK9xPq2LmZ8"'),))
    known = (("If-None-Match", '"4fK9xPq2LmZ8"'), ("X-Own", "1"))
    first, second = requests(
        seen(
            headers=(*known, ("Connection", "x"), ("Accept-Encoding", "br"), ("Sec-Fetch-Mode", "cors")), answer=tag
        ),
        seen(headers=known),
    )
    assert first.headers == (("X-Own", "1"),)
    assert second.headers == (("If-None-Match", '"${_b1}"'), ("X-Own", "1"))


def test_headers_that_all_have_are_said_once_and_other_hosts_are_kept() -> None:
    agent = ("User-Agent", "B/1")
    workload = as_workload(
        [seen(headers=(agent,)), seen(headers=(agent,)), seen(headers=(agent, ("Host", "b.test")))]
    )
    assert workload.headers == (agent,) and workload.host == "127.0.0.1:81"
    assert [step.headers for step in workload.steps if isinstance(step, Request)] == [(), (), (("Host", "b.test"),)]
    other = workload.steps[2]
    assert isinstance(other, Request)
    assert as_sent(render(other, {}), "127.0.0.1:81", None).headers[0] == ("host", "b.test")


def test_assets_are_left_out_on_request() -> None:
    exchanges = [seen("/"), seen("/app.css?v=1"), seen("/app.css", method="POST")]
    assert len(requests(*exchanges)) == 3
    assert [step.method for step in requests(*exchanges, assets=False)] == ["GET", "POST"]


def test_polls_keep_their_pace() -> None:
    def poll(status: int, began: float) -> Exchange:
        return seen("/job", answer=Answer(status), times=(began, began + 0.1, began + 0.1))

    waits = [step.wait for step in requests(poll(202, 0), poll(202, 0.6), poll(200, 9), poll(200, 19))]
    assert waits == [0, 0.5, 2, 2]
    assert [step.wait for step in requests(poll(200, 0), poll(200, 0.6))] == [0, 0]


def test_what_a_workload_cannot_say_is_counted() -> None:
    workload = as_workload([seen("*", method="OPTIONS"), seen("/")])
    assert len(workload.steps) == 1 and "1 request left out" in workload.warnings[0]
    assert Losses(websockets=2, large=1).sentences("1 MiB") == [
        "2 WebSocket connections passed through and not recorded.",
        "1 request left out: the body has more than 1 MiB, or all bodies together have too much.",
    ]
    assert dump_workload(as_workload([])) == dump_workload(Workload(()))
