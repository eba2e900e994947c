"""The workload file: what is taken, what is refused and where, what goes out, and the way back to a file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.app.problem import Exit, Problem
from fungible.app.quantity import parse_duration
from fungible.verify.workload.dump import workload_text
from fungible.verify.workload.file import (
    ABSENT,
    File,
    Job,
    Quiet,
    Request,
    Workload,
    dump_workload,
    load_workload,
    parse_workload,
    render,
)

pytestmark = pytest.mark.pure

PATH = Path("workload.yaml")


def read(*requests: Any, **top: Any) -> Workload:
    return parse_workload({"requests": list(requests), **top}, PATH)


def test_every_field_of_the_design() -> None:
    workload = read(
        {"method": "POST", "path": "/login", "form": {"user": "ann", "age": 7}, "jar": "bob"},
        {"method": "POST", "path": "/items", "json": {"title": None}, "save": {"id": "json:$.id"}, "wait": 0.5},
        {"method": "PUT", "path": "/a?x=1", "query": {"y": ["1", "2"]}, "headers": {"X-A": "b"}, "timeout": 3},
        {"method": "POST", "path": "/up", "form": {"a": "b"}, "files": {"f": ["n.txt", "text", "text/plain"]}},
        {"method": "POST", "path": "/raw", "body": {"base64": "AP8="}, "ignore_body": True},
        {"job": "python send.py"},
        {"until": "quiet"},
        masks=["a+"],
        host="shop.test:80",
        headers={"Authorization": "Basic dTpw"},
    )
    login, items, put, upload, raw, job, quiet = workload.steps
    assert login == Request("POST", "/login", form=(("user", "ann"), ("age", "7")), jar="bob")
    assert items == Request("POST", "/items", json={"title": None}, save={"id": "json:$.id"}, wait=0.5)
    assert put == Request("PUT", "/a?x=1", query=(("y", "1"), ("y", "2")), headers=(("X-A", "b"),), timeout=3.0)
    assert upload == Request("POST", "/up", form=(("a", "b"),), files=(File("f", "n.txt", "text", "text/plain"),))
    assert raw == Request("POST", "/raw", body=b"\0\xff", ignore_body=True)
    assert (job, quiet) == (Job("python send.py"), Quiet())
    assert (workload.masks, workload.host) == (("a+",), "shop.test:80")
    assert workload.headers == (("Authorization", "Basic dTpw"),)
    assert workload.path == PATH and workload.quiet() == {6}


GET: dict[Any, Any] = {"method": "GET", "path": "/"}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], ["must be a mapping"]),
        ({"request": []}, ['request is not known. Did you mean "requests"?']),
        ({"requests": {}}, ["requests must be a list"]),
        ({"requests": [GET], "mask": []}, ['Did you mean "masks"?']),
        ({"requests": [GET], "masks": ["("]}, ["masks[0] is not a regular expression"]),
        ({"requests": [GET], "host": "a b"}, ["host must be"]),
        ({"requests": [GET, {**GET, "heders": {}}]}, ["requests[1].heders", '"headers"']),
        ({"requests": [{"path": "/"}]}, ["requests[0]", '"method"']),
        ({"requests": [{**GET, "method": "GE T"}]}, ["requests[0].method"]),
        ({"requests": [{**GET, "method": "GTE"}]}, ['requests[0].method is not an HTTP method: "GTE".', '"GET"?']),
        ({"requests": [{**GET, "method": "post"}]}, ['requests[0].method is not an HTTP method: "post".', '"POST"?']),
        ({"requests": [{"methd": "GET", "path": "/"}]}, ['requests[0].methd is not known. Did you mean "method"?']),
        ({"requests": [{**GET, "colour": 1}]}, ["requests[0].colour is not known. Known are method, path, "]),
        ({"requests": [{**GET, "path": "login"}]}, ["requests[0].path", 'begin with "/"']),
        ({"requests": [{**GET, "path": 7}]}, ["requests[0].path must be text, not a number"]),
        ({"requests": [{**GET, "json": {}, "body": "x"}]}, ["requests[0] has several bodies: json and body"]),
        ({"requests": [{**GET, "json": {"a": [float("nan")]}}]}, ["requests[0].json.a[0]", "nan"]),
        ({"requests": [{**GET, "form": {"a": None}}]}, ["requests[0].form.a must be text, not null"]),
        ({"requests": [{**GET, "headers": {"a b": "c"}}]}, ["requests[0].headers.a b"]),
        ({"requests": [{**GET, "headers": {"a": "b\r\nc: d"}}]}, ["requests[0].headers.a", "line break"]),
        ({"requests": [{**GET, "save": {"id": 7}}]}, ["requests[0].save.id must be text"]),
        ({"requests": [{**GET, "save": {"id": "jason:$.id"}}]}, ["requests[0].save.id", "json:$.a.b[0]"]),
        ({"requests": [{**GET, "save": {"id": "json:id"}}]}, ["requests[0].save.id", "begins with $"]),
        ({"requests": [{**GET, "save": {"id": "json:$.a..b"}}]}, ["requests[0].save.id", "'..b'"]),
        ({"requests": [{**GET, "save": {"id": "re:("}}]}, ["requests[0].save.id", "bad regular expression"]),
        ({"requests": [{**GET, "save": {"id": "re:abc"}}]}, ["requests[0].save.id", "without a group"]),
        ({"requests": [{**GET, "save": {"a-b": "cookie:c"}}]}, ["requests[0].save.a-b", "not a name"]),
        ({"requests": [{**GET, "wait": "soon"}]}, ["requests[0].wait must be seconds or a duration", '"soon"']),
        ({"requests": [{**GET, "wait": "2h"}]}, ["requests[0].wait", "between 0 and 3600"]),
        ({"requests": [{**GET, "wait": [1]}]}, ["requests[0].wait must be seconds or a duration", "a list"]),
        ({"requests": [{**GET, "wait": 10**400}]}, ["requests[0].wait", "between 0 and 3600"]),
        ({"requests": [{**GET, "wait": -1}]}, ["requests[0].wait", "between 0 and 3600"]),
        ({"requests": [{**GET, "timeout": 0}]}, ["requests[0].timeout", "more than 0"]),
        ({"requests": [{**GET, "status": 99}]}, ["requests[0].status must be a status from 100 to 599"]),
        ({"requests": [{**GET, "status": "200"}]}, ["requests[0].status must be a status"]),
        ({"requests": [{**GET, "ignore_body": "yes"}]}, ["requests[0].ignore_body", "true or false"]),
        ({"requests": [{**GET, "files": {"f": "text"}}]}, ["requests[0].files.f", "[filename, text, type]"]),
        ({"requests": [{**GET, "body": {"base64": "%"}}]}, ["requests[0].body.base64"]),
        ({"requests": [{**GET, "body": "\ud800"}]}, ["requests[0].body", "surrogate"]),
        ({"requests": [{"job": ""}]}, ["requests[0].job"]),
        ({"requests": [{"job": "x", "path": "/"}]}, ["requests[0].path"]),
        ({"requests": [{"until": "tomorrow"}]}, ["requests[0].until", "quiet"]),
        ({"requests": [{**GET, 1: 2}]}, ["requests[0]", "quote it"]),
        ({"requests": [GET] * 10_001}, ["10001 steps", "10000"]),
    ],
)
def test_a_mistake_is_named_with_its_place(data: Any, words: list[str]) -> None:
    with pytest.raises(Problem) as caught:
        parse_workload(data, PATH)
    assert caught.value.exit is Exit.BAD_INPUT
    assert caught.value.message.startswith("workload.yaml: ")
    for word in words:
        assert word in caught.value.message
    assert not re.search(r"[.?!;,][.;,]|\?\.", caught.value.message.partition(": ")[2].replace("..", ""))


@pytest.mark.parametrize(
    ("written", "seconds"), [("2s", 2.0), ("500ms", 0.5), ("1m", 60.0), ("0.25 s", 0.25), ("3", 3.0), (0.5, 0.5)]
)
def test_times_are_written_as_in_the_settings(written: Any, seconds: float) -> None:
    (step,) = parse_workload({"requests": [{**GET, "wait": written, "timeout": written}]}, PATH).steps
    assert isinstance(step, Request)
    assert (step.wait, step.timeout) == (seconds, seconds) == (parse_duration(written),) * 2


@pytest.mark.parametrize("method", ["GET", "PATCH", "PROPFIND", "PURGE", "QUERY", "FROBNICATE"])
def test_other_methods_are_taken_and_those_that_nobody_knows_are_told(method: str) -> None:
    workload = parse_workload({"requests": [GET, {**GET, "method": method}]}, PATH)
    assert isinstance(workload.steps[1], Request) and workload.steps[1].method == method
    told = ('requests[1].method: "FROBNICATE" is no method of HTTP; it is sent as it is.',)
    assert workload.warnings == (told if method == "FROBNICATE" else ())


ATOMS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
KEYS = st.sampled_from(["requests", "method", "path", "json", "form", "files", "save", "job", "until", "wait"])
ANYTHING = st.recursive(
    ATOMS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=5)
)


@given(ANYTHING | st.fixed_dictionaries({"requests": st.lists(ANYTHING, max_size=3)}))
def test_any_data_is_a_workload_or_a_problem(data: Any) -> None:
    try:
        parse_workload(data, PATH)
    except Problem as problem:
        assert "\n" not in problem.message.replace(repr(data), "")


@given(st.text(max_size=60), st.sampled_from(["w.json", "w.yaml", "w.har"]))
def test_any_text_is_a_workload_or_a_problem(tmp_path_factory: Any, text: str, name: str) -> None:
    file = tmp_path_factory.getbasetemp() / name
    file.write_text(text, encoding="utf-8")
    with pytest.raises(Problem):
        load_workload(file)


# Files


def test_yaml_reads_plain_values_as_json_does(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(
        "requests:\n"
        "  - {method: POST, path: /a, form: {on: on, pin: 007, at: 12:30, day: 2024-01-02, n: 1.5}}\n"
        "  - {method: POST, path: /b, json: {a: true, b: ~, c: 3, d: no}}\n"
        "  - {until: quiet}\n"
    )
    form, data, quiet = load_workload(file).steps
    assert isinstance(form, Request) and isinstance(data, Request)
    assert form.form == (("on", "on"), ("pin", "007"), ("at", "12:30"), ("day", "2024-01-02"), ("n", "1.5"))
    assert data.json == {"a": True, "b": None, "c": 3, "d": "no"}
    assert quiet == Quiet()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("w.json", '{"requests": [}', ["w.json:1", "JSON"]),
        ("w.json", '{"requests": [], "requests": []}', ['"requests" stands twice']),
        ("w.yaml", "requests: [\n- a: {", ["w.yaml:2", "YAML"]),
        ("w.yaml", "requests: []\nrequests: []", ["w.yaml:2", "stands twice"]),
        ("w.yaml", "requests: !!python/object/apply:os.getpid []", ["w.yaml:1"]),
        ("w.yaml", "a: &a [*a]\nrequests: [{method: GET, path: /, json: &b [*b]}]", ["w.yaml"]),
        ("w.yaml", "requests: [{method: GET, path: /, json: &b [*b]}]", ["nested too deeply"]),
        ("w.har", '{"log": {"entries": {}}}', ["log.entries"]),
        ("w.yaml", "\0", ["w.yaml"]),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, name: str, text: str, words: list[str]) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(Problem) as caught:
        load_workload(file)
    for word in words:
        assert word in caught.value.message


def test_an_alias_bomb_is_refused_quickly(tmp_path: Path) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    file = tmp_path / "w.yaml"
    file.write_text("requests:\n- method: GET\n  path: /\n  json:\n" + "".join(f"    {row}\n" for row in rows))
    with pytest.raises(Problem, match="too large"):
        load_workload(file)


def test_a_missing_file_and_one_that_is_not_text(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="cannot be read"):
        load_workload(tmp_path / "none.json")
    (tmp_path / "w.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Problem, match="not UTF-8"):
        load_workload(tmp_path / "w.json")


# What goes out


def test_substitution_reaches_paths_headers_and_bodies_then_encodes() -> None:
    request = Request(
        "POST",
        "/items/${id}?t=${t}",
        query=(("q", "${t} x"),),
        headers=(("Authorization", "Basic {{b64:${user}:pw}}"), ("X-Unknown", "${nobody}")),
        json={"${id}": ["${t}", {"n": "${id:int}", "s": "n${id}"}], "k": 1},
    )
    rendered = render(
        request, {"id": "7", "t": 'a"b', "user": "u"}, defaults=(("authorization", "no"), ("A", "${t}"))
    )
    assert rendered.target == '/items/7?t=a"b&q=a%22b+x'
    assert rendered.headers == (
        ("A", 'a"b'),
        ("Authorization", "Basic dTpwdw=="),
        ("X-Unknown", "${nobody}"),
        ("Content-Type", "application/json"),
    )
    assert rendered.body == b'{"7":["a\\"b",{"n":7,"s":"n7"}],"k":1}'
    assert json.loads(rendered.body)["7"][1]["n"] == 7


def test_forms_and_files() -> None:
    form = render(Request("POST", "/", form=(("a b", "é&="), ("a b", "${x}"))), {"x": "+"})
    assert form.body == b"a+b=%C3%A9%26%3D&a+b=%2B"
    assert form.content_type == "application/x-www-form-urlencoded"

    request = Request("POST", "/", form=(("k", "${x}"),), files=(File("f", 'a"b.txt', b"\0\xff", "text/plain"),))
    rendered = render(request, {"x": "v"})
    boundary = (rendered.content_type or "").partition("boundary=")[2]
    parts = rendered.body.split(b"--" + boundary.encode())
    assert parts[1] == b'\r\nContent-Disposition: form-data; name="k"\r\n\r\nv\r\n'
    assert parts[2] == (
        b'\r\nContent-Disposition: form-data; name="f"; filename="a%22b.txt"\r\n'
        b"Content-Type: text/plain\r\n\r\n\0\xff\r\n"
    )
    assert parts[3] == b"--\r\n"
    assert render(request, {"x": "v"}) == rendered
    inside = render(Request("POST", "/", files=(File("f", "n", boundary),)), {})
    assert not (inside.content_type or "").endswith(f"={boundary}")


def test_a_stated_content_type_wins_but_a_multipart_one_needs_its_boundary() -> None:
    stated = Request("POST", "/", json=1, headers=(("content-type", "application/vnd.api+json"),))
    assert render(stated, {}).headers == (("content-type", "application/vnd.api+json"),)
    upload = Request("POST", "/", files=(), headers=(("content-type", "multipart/form-data"),))
    assert "boundary=" in (render(upload, {}).content_type or "")
    plain = render(Request("POST", "/", body="40"), {})
    assert (plain.headers, plain.body, plain.content_type) == ((), b"40", None)


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("${link}", "/show/1?a=b"),
        ("${none}", "/${none}"),
        ("/a b/é#top", "/a%20b/%C3%A9"),
        ("/a%20b", "/a%20b"),
        ("http://app.test", "/"),
    ],
)
def test_a_target_is_a_path_whatever_was_saved(path: str, target: str) -> None:
    assert render(Request("GET", path), {"link": "http://127.0.0.1:5000/show/1?a=b#x"}).target == target


def test_a_saved_value_cannot_add_a_header() -> None:
    rendered = render(Request("GET", "/", headers=(("X-Token", "${t}"),)), {"t": "a\r\nX-Evil: 1"})
    assert rendered.headers == (("X-Token", "a X-Evil: 1"),)


def test_producers_are_the_last_saves_before_the_use() -> None:
    workload = read(
        {**GET, "save": {"t": "re:(a)"}},
        {**GET, "path": "/${t}", "save": {"t": "re:(b)"}},
        {"job": "x"},
        {**GET, "form": {"a": "${t}", "b": "${other}"}},
    )
    assert [set(each) for each in workload.producers()] == [set(), {0}, set(), {1}]


# The way back

TEXT = st.text(max_size=12)
PAIRS = st.lists(st.tuples(TEXT, TEXT), max_size=4).map(tuple)
HEADERS = st.lists(
    st.tuples(
        st.from_regex(r"[A-Za-z-]{1,8}", fullmatch=True),
        st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"])),
    ),
    max_size=3,
).map(tuple)
CONTENT = TEXT | st.binary(max_size=12)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
FILES = st.lists(st.builds(File, TEXT, TEXT, CONTENT, TEXT), max_size=3).map(tuple)
BODIES = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"json": JSON}),
    st.fixed_dictionaries({"form": PAIRS}),
    st.fixed_dictionaries({"body": CONTENT}),
    st.fixed_dictionaries({"files": FILES}, optional={"form": PAIRS}),
)
SAVES = st.dictionaries(
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True),
    st.sampled_from(["json:$.a[0]", 're:"id": (\\d+)', "header:Location~/(\\w+)$", "cookie:c", 'json:$["a b"]']),
    max_size=2,
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    return Request(
        method=draw(st.sampled_from(["GET", "POST", "PROPFIND"])),
        path="/" + draw(TEXT),
        query=draw(PAIRS),
        headers=draw(HEADERS),
        **draw(BODIES),
        save=draw(SAVES),
        jar=draw(st.sampled_from(["default", "bob", ""])),
        wait=draw(st.floats(0, 3600)),
        timeout=draw(st.none() | st.floats(0.001, 3600)),
        ignore_body=draw(st.booleans()),
        status=draw(st.none() | st.integers(100, 599)),
    )


WORKLOADS = st.builds(
    Workload,
    steps=st.lists(requests() | st.just(Quiet()) | st.just(Job("python x.py 'a b'")), max_size=4).map(tuple),
    masks=st.lists(st.sampled_from(['"etag":\\s*"[^"]*"', "\u2028é", "a|b"]), max_size=2).map(tuple),
    host=st.none() | st.just("shop.test:8000"),
    headers=HEADERS,
)


@given(WORKLOADS, st.sampled_from(["w.json", "w.yaml"]))
def test_a_dumped_workload_reads_back_equal(tmp_path_factory: Any, workload: Workload, name: str) -> None:
    file = tmp_path_factory.getbasetemp() / name
    for text in (dump_workload(workload), workload_text(workload, name)):
        file.write_text(text, encoding="utf-8")
        assert load_workload(file) == workload


def test_yaml_is_written_as_people_write_it(tmp_path: Path) -> None:
    text = """\
masks: [etag]
host: shop.test
headers: {User-Agent: curl}
requests:
  - {method: POST, path: /login, form: {user: ann, password: '007'}}
  - {method: POST, path: /items, json: {title: one, n: 1, 'on': null}, save: {id: 'json:$.id'}}
  - {method: GET, path: '/items/${id}', jar: bob, wait: 0.5}
  - {job: python work.py}
  - {until: quiet}
  - method: POST
    path: /long
    headers: {Accept: text/html, Referer: 'http://shop.test/a-page-with-a-long-name'}
    form: [[tag, a], [tag, "two\\nlines"]]
"""
    (tmp_path / "w.yaml").write_text(text)
    workload = load_workload(tmp_path / "w.yaml")
    written = workload_text(workload, "w.yaml")
    assert written == text
    assert json.loads(workload_text(workload, "w.json"))["host"] == "shop.test"


@given(requests(), st.dictionaries(st.sampled_from(["a", "b"]), TEXT))
def test_every_request_can_be_sent(request: Request, variables: dict[str, str]) -> None:
    rendered = render(request, variables)
    assert rendered.target.startswith("/") and rendered.target.isascii() and " " not in rendered.target
    assert not any(char in value for _, value in rendered.headers for char in "\r\n\0")
    if request.json is not ABSENT and not variables:
        assert json.loads(rendered.body) == request.json
