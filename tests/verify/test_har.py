"""HAR files as workloads: what is kept, what is dropped and said, and bodies in every form that recorders write."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.app.problem import Problem
from fungible.verify.workload.file import dump_workload, load_workload, parse_workload, render
from fungible.verify.workload.har import parse_har
from fungible.verify.workload.steps import File, Request

pytestmark = pytest.mark.pure

PATH = Path("shop.har")


def entry(
    method: str,
    url: str,
    *,
    headers: dict[str, str] | None = None,
    post: dict[str, Any] | None = None,
    status: int = 200,
    answer: dict[str, str] | None = None,
    text: str | None = "ok",
    at: int = 0,
    **more: Any,
) -> dict[str, Any]:
    request: dict[str, Any] = {
        "method": method,
        "url": url,
        "headers": [{"name": name, "value": value} for name, value in (headers or {}).items()],
    }
    if post is not None:
        request["postData"] = post
    content: dict[str, Any] = {"size": 2, "mimeType": "text/html"}
    if text is not None:
        content["text"] = text
    response = {
        "status": status,
        "headers": [{"name": name, "value": value} for name, value in (answer or {}).items()],
        "content": content,
    }
    return {"startedDateTime": f"2024-01-01T00:00:{at:02}Z", "request": request, "response": response, **more}


def har(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"log": {"version": "1.2", "creator": {"name": "x", "version": "1"}, "entries": list(entries)}}


def steps(*entries: dict[str, Any]) -> list[Request]:
    return [step for step in parse_har(har(*entries), PATH).workload.steps if isinstance(step, Request)]


def test_the_most_frequent_host_is_the_app_and_assets_do_not_vote() -> None:
    recording = parse_har(
        har(
            entry("GET", "https://Shop.test/"),
            *(entry("GET", f"https://cdn.test/{n}.js?v=1") for n in range(5)),
            entry("GET", "https://shop.test/static/site.css"),
            entry("GET", "https://shop.test:8443/elsewhere"),
            entry("POST", "https://stats.test/hit"),
            entry("GET", "https://shop.test/cart?x=a%20b"),
        ),
        PATH,
    )
    paths = [step.path for step in recording.workload.steps if isinstance(step, Request)]
    assert paths == ["/", "/static/site.css", "/cart?x=a%20b"]
    assert recording.workload.host == "shop.test"
    assert [w for w in recording.workload.warnings if "left out" in w] == [
        "Only requests to shop.test are replayed; requests to shop.test:8443, stats.test were left out."
    ]
    assert not any("cdn.test" in warning for warning in recording.workload.warnings)


def test_what_never_reached_the_server_is_no_request() -> None:
    kept = steps(
        entry("GET", "http://h/a"),
        entry("GET", "http://h/cancelled", status=0),
        entry("GET", "http://h/cached", _fromCache="disk"),
        entry("GET", "ws://h/socket", status=101),
        entry("GET", "http://h/upgrade", status=101),
        entry("GET", "data:text/plain,x"),
        entry("GET", "chrome-extension://abc/x.js"),
    )
    assert [step.path for step in kept] == ["/a"]
    with pytest.raises(Problem, match="no request that reached a server"):
        parse_har(har(entry("GET", "data:,")), PATH)


def test_requests_stand_in_the_order_in_which_they_began() -> None:
    kept = steps(entry("GET", "http://h/b", at=5), entry("GET", "http://h/a", at=3), entry("GET", "http://h/c", at=5))
    assert [step.path for step in kept] == ["/a", "/b", "/c"]


def test_headers_of_the_connection_and_the_browser_go_and_the_origin_follows_the_host() -> None:
    (step,) = steps(
        entry(
            "POST",
            "https://h/a",
            headers={
                ":authority": "h",
                "Host": "h",
                "Content-Length": "3",
                "Accept-Encoding": "br",
                "If-None-Match": '"x"',
                "Sec-Fetch-Mode": "cors",
                "Accept": "text/html",
                "Origin": "https://h",
                "Referer": "https://h/form?x",
                "X-CSRF": "t",
            },
        )
    )
    assert step.headers == (
        ("Accept", "text/html"),
        ("Origin", "http://h"),
        ("Referer", "http://h/form?x"),
        ("X-CSRF", "t"),
    )


def test_cookies_of_answers_are_the_jars_and_others_are_sent_as_they_were() -> None:
    recording = parse_har(
        har(
            entry(
                "GET", "http://h/", headers={"Cookie": "theme=dark"}, answer={"Set-Cookie": "sid=1; Path=/\ntok=2"}
            ),
            entry("GET", "http://h/a", headers={"cookie": "sid=1; theme=dark; tok=2"}),
            entry("GET", "http://h/b", headers={"Cookie": "sid=1"}),
        ),
        PATH,
    )
    sent = [step.headers for step in recording.workload.steps if isinstance(step, Request)]
    assert sent == [(("Cookie", "theme=dark"),), (("Cookie", "theme=dark"),), ()]
    assert {step.jar for step in recording.workload.steps if isinstance(step, Request)} == {"default"}
    (warning,) = recording.workload.warnings
    assert "theme" in warning and "sid" not in warning
    assert recording.transcript.answers[0].headers == (("set-cookie", "sid=1; Path=/"), ("set-cookie", "tok=2"))


def test_a_sanitised_recording_is_told() -> None:
    login = entry("POST", "http://h/login", post={"mimeType": "text/plain", "text": "x"})
    password = entry("POST", "http://h/", post={"params": [{"name": "Password", "value": "x"}]})
    for each in (login, password):
        (warning,) = parse_har(har(each), PATH).workload.warnings
        assert "sanitised" in warning and "fungible record" in warning
    for headers, answer in (({"Cookie": "a=b"}, None), ({"Authorization": "x"}, None), ({}, {"Set-Cookie": "a=b"})):
        warnings = parse_har(
            har(entry("POST", "http://h/login", headers=headers, answer=answer)), PATH
        ).workload.warnings
        assert not any("sanitised" in warning for warning in warnings)
    assert parse_har(har(entry("POST", "http://h/items")), PATH).workload.warnings == ()


def test_a_recording_without_answer_bodies_is_told() -> None:
    (warning,) = parse_har(har(entry("GET", "http://h/", text=None)), PATH).workload.warnings
    assert "no answer bodies" in warning


FORM = "application/x-www-form-urlencoded"
MULTIPART = (
    b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    b'--B\r\nContent-Disposition: form-data; name="f"; filename="x.bin"\r\n'
    b"Content-Type: image/png\r\n\r\n\x89P\xff\r\n"
    b"--B--\r\n"
)


@pytest.mark.parametrize(
    ("post", "expected"),
    [
        (
            {"mimeType": FORM, "text": "a=1&b=x+y&a=%26", "params": [{"name": "no"}]},
            {"form": (("a", "1"), ("b", "x y"), ("a", "&"))},
        ),
        (
            {"mimeType": FORM, "params": [{"name": "a", "value": "1 2"}, {"name": "b"}]},
            {"form": (("a", "1 2"), ("b", ""))},
        ),
        ({"mimeType": FORM, "text": "a=%7e&&b"}, {"body": "a=%7e&&b", "headers": (("Content-Type", FORM),)}),
        (
            {"mimeType": f"{FORM};charset=UTF-8", "text": "a=1"},
            {"form": (("a", "1"),), "headers": (("Content-Type", f"{FORM};charset=UTF-8"),)},
        ),
        ({"mimeType": "application/json", "text": '{"a":[1,"é"]}'}, {"json": {"a": [1, "é"]}}),
        (
            {"mimeType": "application/json", "text": '{"a": 1}'},
            {"json": {"a": 1}},
        ),
        (
            {"mimeType": "application/json", "text": '{"a":1,"a":2}'},
            {"body": '{"a":1,"a":2}', "headers": (("Content-Type", "application/json"),)},
        ),
        (
            {"mimeType": "application/vnd.api+json", "text": "1"},
            {"json": 1, "headers": (("Content-Type", "application/vnd.api+json"),)},
        ),
        ({"mimeType": "", "text": "40"}, {"body": "40"}),
        (
            {"mimeType": "a/b", "text": "AP8=", "encoding": "base64"},
            {"body": b"\0\xff", "headers": (("Content-Type", "a/b"),)},
        ),
        (
            {
                "mimeType": "multipart/form-data; boundary=B",
                "text": base64.b64encode(MULTIPART).decode(),
                "encoding": "base64",
            },
            {"form": (("a", "1"),), "files": (File("f", "x.bin", b"\x89P\xff", "image/png"),)},
        ),
        (
            {
                "mimeType": "multipart/form-data; boundary=B",
                "params": [{"name": "a", "value": "1"}, {"name": "f", "fileName": "x", "value": "t"}],
            },
            {"form": (("a", "1"),), "files": (File("f", "x", "t"),)},
        ),
        (
            {"mimeType": "multipart/form-data; boundary=C", "text": "no parts"},
            {"body": "no parts", "headers": (("Content-Type", "multipart/form-data; boundary=C"),)},
        ),
    ],
)
def test_bodies(post: dict[str, Any], expected: dict[str, Any]) -> None:
    (step,) = steps(entry("POST", "http://h/a", post=post))
    assert step == Request("POST", "/a", **expected)


@given(
    st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=3),
    st.text(max_size=20),
    st.binary(max_size=20),
)
def test_what_was_sent_is_sent_again(pairs: list[tuple[str, str]], text: str, raw: bytes) -> None:
    for sent in (
        render(Request("POST", "/a", form=tuple(pairs)), {}),
        render(Request("POST", "/a", json=dict(pairs)), {}),
        render(Request("POST", "/a", json=text), {}),
        render(Request("POST", "/a", body=raw, headers=(("Content-Type", "a/b"),)), {}),
        render(Request("POST", "/a", form=tuple(pairs), files=(File("f", "n", raw, "a/b"),)), {}),
    ):
        post = {"mimeType": sent.content_type, "text": base64.b64encode(sent.body).decode(), "encoding": "base64"}
        (step,) = steps(entry("POST", "http://h/a", post=post))
        again = render(step, {})
        if "multipart" not in str(sent.content_type):
            assert (again.body, again.content_type) == (sent.body, sent.content_type)
        else:
            assert step.files is not None and len(step.files) == 1


def test_answers_are_the_recorded_run() -> None:
    recording = parse_har(
        har(entry("GET", "http://h/a", text=base64.b64encode(b"\xff").decode(), status=404, answer={"X-Y": "z"})),
        PATH,
    )
    answer = recording.transcript.answers[0]
    assert (answer.status, answer.headers) == (404, (("x-y", "z"),))
    sent = recording.transcript.sent[0]
    assert sent is not None and (sent.method, sent.target) == ("GET", "/a")
    binary = entry("GET", "http://h/a")
    binary["response"]["content"] = {"text": "/w==", "encoding": "base64"}
    assert parse_har(har(binary), PATH).transcript.answers[0].body == b"\xff"


def test_a_loaded_recording_binds_what_the_app_made(tmp_path: Path) -> None:
    token = "IjA1ZjQ4c2Qi.ZxYz9A.q3_Rt-7"
    file = tmp_path / "shop.json"
    file.write_text(
        json.dumps(
            har(
                entry("GET", "http://h/new", text=f'<input name="csrf_token" value="{token}">'),
                entry(
                    "POST",
                    "http://h/items",
                    headers={"Cookie": "sid=1", "Content-Type": FORM},
                    post={"mimeType": FORM, "text": f"csrf_token={token}&title=one"},
                    status=302,
                    answer={"Location": "http://h/items/7"},
                ),
                entry("GET", "http://h/items/7", headers={"Cookie": "sid=1"}),
            )
        )
    )
    workload = load_workload(file)
    first, second, third = workload.steps
    assert isinstance(first, Request) and isinstance(second, Request) and isinstance(third, Request)
    assert second.form == (("csrf_token", "${_b1}"), ("title", "one"))
    assert third.path == "/items/${_b2}"
    assert set(first.save) == {"_b1"} and set(second.save) == {"_b2"}
    assert parse_workload(json.loads(dump_workload(workload)), file) == workload
    assert any("sid" in warning for warning in workload.warnings)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"log": {"entries": 7}}, "log.entries must be a list"),
        (har({}), r"log.entries\[0\] has no 'request'"),
        (har({"request": {"url": "http://h/"}, "response": {"status": 200}}), r"log.entries\[0\] has no 'method'"),
        (
            har(entry("POST", "http://h/", post={"mimeType": FORM, "params": 7})),
            r"log.entries\[0\] is not as HAR 1.2 says",
        ),
        (har({"request": 7, "response": {}}), r"log.entries\[0\]"),
        (har(entry("GET", "http://[/")), r"log.entries\[0\]"),
        (har(entry("G T", "http://h/")), r"not an HTTP method"),
        (har(*[entry("GET", "http://h/")] * 10_001), "at most 10000"),
    ],
)
def test_what_is_no_har_is_named(broken: Any, words: str) -> None:
    with pytest.raises(Problem, match=words):
        parse_har(broken, PATH)


JUNK = st.recursive(
    st.none() | st.integers() | st.text(max_size=8) | st.sampled_from(["http://h/a", "POST", "base64"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [
                    "method",
                    "url",
                    "headers",
                    "postData",
                    "text",
                    "encoding",
                    "params",
                    "name",
                    "value",
                    "status",
                    "content",
                    "mimeType",
                    "request",
                    "response",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(
    st.fixed_dictionaries({}, optional={"headers": JUNK, "postData": JUNK, "method": JUNK}),
    st.fixed_dictionaries({}, optional={"headers": JUNK, "content": JUNK, "status": JUNK}),
)
def test_any_entry_is_a_request_or_a_problem(request: dict[str, Any], response: dict[str, Any]) -> None:
    good = entry("GET", "http://h/")
    broken = {"request": {**good["request"], **request}, "response": {**good["response"], **response}}
    try:
        parse_har(har(good, broken), PATH)
    except Problem as problem:
        assert "log.entries[1]" in problem.message
