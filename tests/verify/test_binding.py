"""Save expressions, and values of the app's found in later requests without a `save`."""

from __future__ import annotations

import base64
import json
import random
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.verify.transcript import Answer, Sent, Transcript
from fungible.verify.workload.binding import extract, infer_bindings, set_cookies
from fungible.verify.workload.extraction import json_path, parse_save
from fungible.verify.workload.file import Request, Workload, render
from fungible.verify.workload.provenance import is_token

pytestmark = pytest.mark.pure


def html(text: str, *headers: tuple[str, str]) -> Answer:
    return Answer(200, (("content-type", "text/html; charset=utf-8"), *headers), text.encode())


def data(value: Any, status: int = 200, *headers: tuple[str, str]) -> Answer:
    return Answer(status, (("content-type", "application/json"), *headers), json.dumps(value).encode())


OK = Answer(200)


def run(*pairs: tuple[Request, Answer]) -> tuple[Workload, Transcript]:
    steps = tuple(request for request, _ in pairs)
    rendered = [render(step, {}) for step in steps]
    sent = tuple(Sent(each.method, each.target, each.headers, each.body) for each in rendered)
    return Workload(steps), Transcript("warm", sent, tuple(answer for _, answer in pairs))


def bound(*pairs: tuple[Request, Answer]) -> tuple[Request, ...]:
    workload, transcript = run(*pairs)
    return tuple(step for step in infer_bindings(workload, transcript).steps if isinstance(step, Request))


def untouched(*pairs: tuple[Request, Answer]) -> bool:
    workload, transcript = run(*pairs)
    return infer_bindings(workload, transcript) == workload


# Save expressions


@pytest.mark.parametrize(
    ("save", "value"),
    [
        ("json:$.a.b[0]", "x"),
        ("json:$.a.b[-1]", "2"),
        ("json:$.a.b[9]", None),
        ("json:$.a.b.c", None),
        ("json:$.a", '{"b":["x",2]}'),
        ("json:$.t", "true"),
        ("json:$.none", None),
        ('json:$["k.k"]', "é"),
        ("json:$['k.k']", "é"),
        ("json:$[0]", None),
        ("header:Location", "http://h/items/7?a"),
        ("header:location~/items/([0-9]+)", "7"),
        ("header:X-Two~b(.)", "2"),
        ("header:X-None", None),
        ("cookie:sid", "s1"),
        ("cookie:other", None),
        (r're:"t": (\w+)', "true"),
        ("re:(zzz)", None),
        ("re:(zzz)?", None),
    ],
)
def test_extract(save: str, value: str | None) -> None:
    answer = data(
        {"a": {"b": ["x", 2]}, "t": True, "none": None, "k.k": "é"},
        302,
        ("location", "http://h/items/7?a"),
        ("x-two", "a1"),
        ("x-two", "b2"),
    )
    assert extract(save, answer, {"sid": "s1"}) == value


def test_a_group_is_html_unescaped_and_decoded_by_charset() -> None:
    assert extract('re:value="([^"]+)"', html('<i value="a&amp;b&#43;c">'), {}) == "a&b+c"
    latin = Answer(200, (("content-type", "text/plain; charset=latin-1"),), "x=é".encode("latin-1"))
    assert extract("re:x=(.)", latin, {}) == "é"
    assert extract("re:x=(.)", replace(latin, headers=(("content-type", "t/p; charset=none"),)), {}) == "\ufffd"
    assert extract("json:$.a", Answer(200, body=b"[" * 100_000), {}) is None


@given(st.lists(st.text(max_size=6) | st.integers(0, 99), max_size=4).map(tuple))
def test_a_written_json_path_reads_back(steps: tuple[str | int, ...]) -> None:
    assert parse_save(json_path(steps)).steps == steps


@given(st.text(max_size=30))
def test_any_text_is_a_save_expression_or_a_value_error(text: str) -> None:
    for prefix in ("", "json:$", "re:", "header:", "cookie:"):
        try:
            parse_save(prefix + text)
        except ValueError:
            continue


def test_set_cookies() -> None:
    answer = Answer(200, (("set-cookie", "a=1=2; Path=/"), ("set-cookie", "b = x ; Secure"), ("set-cookie", "junk")))
    assert set_cookies(answer) == {"a": "1=2", "b": "x"}


# What is a token


@given(st.uuids().map(str) | st.binary(min_size=16, max_size=32).map(bytes.hex))
def test_random_values_are_tokens(text: str) -> None:
    # Hexadecimal without two changes between letters and digits has odds below one in a million.
    assert is_token(text) or text.isdigit() or len(set(text)) < 6


def test_url_safe_tokens_are_tokens() -> None:
    rolls = random.Random(1)
    tokens = [base64.urlsafe_b64encode(rolls.randbytes(16)).decode().rstrip("=") for _ in range(1000)]
    # About one in forty has no digit.
    assert sum(map(is_token, tokens)) >= 990


@pytest.mark.parametrize(
    "text",
    """password apple python3 chapter-10 chapter-10-section-2 item2024 2024-01-02T10:00:00Z 12345678 application
    v1.2.3 T_1 bucket1 foo-1.0.tar.gz utf-8 iso-8859-1 x264 iPhone-14-Pro-128GB Chapter-10-Part-2 getElementById
    getElementsByTagNameNS getHTMLElementByURLName ThisIsAVeryLongCamelCaseName CONTENT_SECURITY_POLICY_REPORT_ONLY
    application/vnd.api+json text/html Mozilla/5.0 sprint-2024-q3""".split(),  # noqa: SIM905
)
def test_what_people_write_is_none(text: str) -> None:
    assert not is_token(text)


# Tokens

TOKEN = "IjA1ZjQ4c2Qi.ZxYz9A.q3_Rt-7"
ID = "3f9a12c47bd0"


@pytest.mark.parametrize(
    ("answer", "save"),
    [
        (data({"data": [{"token": TOKEN}]}), "json:$.data[0].token"),
        (html("x", ("x-csrf-token", TOKEN)), "header:x-csrf-token"),
        (html("x", ("set-cookie", f"csrf={TOKEN}; Path=/")), "cookie:csrf"),
        (html(f'<p>a</p><input type="hidden" name="csrf_token" value="{TOKEN}"><p>'), None),
        (html(f'<input value="{TOKEN}" name="t"><input value="other" name="u">'), None),
        (html(f'<input value="other" name="u"><input value="{TOKEN}" name="t">'), None),
        (html(f'<script>window.csrf = "{TOKEN}";</script>'), None),
        (html(f"<meta content='{TOKEN}' name=csrf>"), None),
        (html(f'{{"a": "\\/x\\/{TOKEN}"'), None),
    ],
)
def test_a_token_is_saved_where_it_was_made_and_used_by_name(answer: Answer, save: str | None) -> None:
    first, second = bound(
        (Request("GET", "/form"), answer),
        (Request("POST", "/form", form=(("csrf_token", TOKEN), ("name", "ann"))), OK),
    )
    assert second.form == (("csrf_token", "${_b1}"), ("name", "ann"))
    assert list(first.save) == ["_b1"]
    if save:
        assert first.save["_b1"] == save
    # The save finds another world's token in the same place, and only there.
    other = "WyJhYmMxMjMiXQ.Zq11zz.e4-Tt_9"
    again = replace(
        answer,
        body=answer.body.replace(TOKEN.encode(), other.encode()),
        headers=tuple((name, value.replace(TOKEN, other)) for name, value in answer.headers),
    )
    assert extract(first.save["_b1"], again, set_cookies(again)) == other


def test_every_part_of_a_request_is_looked_at() -> None:
    made = data({"id": ID, "etag": "9f8e7d6c5b4a"})
    _, used = bound(
        (Request("POST", "/files"), made),
        (
            Request(
                "POST",
                f"/files/{ID}/copy-{ID}.txt?from={ID}&x=1",
                query=(("to", ID),),
                headers=(("If-Match", '"9f8e7d6c5b4a"'), ("Referer", f"/files/{ID}")),
                json={"ids": [ID, "plain"], "note": f"see {ID}!"},
            ),
            OK,
        ),
    )
    assert used.path == "/files/${_b1}/copy-${_b1}.txt"
    assert used.query == (("from", "${_b1}"), ("x", "1"), ("to", "${_b1}"))
    assert used.headers == (("If-Match", '"${_b2}"'), ("Referer", f"/files/{ID}"))
    assert used.json == {"ids": ["${_b1}", "plain"], "note": "see ${_b1}!"}


def test_bodies_as_text_and_bearer_tokens() -> None:
    jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmN-HlQ"
    first, second, third = bound(
        (Request("POST", "/login", json={"user": "ann"}), data({"access_token": jwt})),
        (Request("GET", "/me", headers=(("Authorization", f"Bearer {jwt}"),)), OK),
        (Request("POST", "/xml", body=f"<t>{jwt}</t>"), OK),
    )
    assert first.save == {"_b1": "json:$.access_token"}
    assert second.headers == (("Authorization", "Bearer ${_b1}"),)
    assert third.body == "<t>${_b1}</t>"


def test_a_location_and_a_long_number() -> None:
    first, second, third = bound(
        (Request("POST", "/pastes", form=(("t", "x"),)), Answer(302, (("location", f"http://h/show/{ID}?new=1"),))),
        (Request("GET", f"/show/{ID}"), data({"snowflake": 1234567890123456})),
        (Request("POST", "/star", json={"post": 1234567890123456}), OK),
    )
    assert second.path == "/show/${_b1}"
    assert extract(first.save["_b1"], Answer(302, (("location", "http://h/show/abc?new=1"),)), {}) == "abc"
    assert third.json == {"post": "${_b2:int}"}
    assert render(third, {"_b2": "42"}).body == b'{"post":42}'


def test_an_escaped_query_is_bound_and_encoded_again() -> None:
    token = "aB3+xY9/zz8="
    _, used = bound((Request("GET", "/"), data({"t": token})), (Request("GET", "/x?a=1&t=aB3%2BxY9%2Fzz8%3D"), OK))
    assert (used.path, used.query) == ("/x", (("a", "1"), ("t", "${_b1}")))
    assert render(used, {"_b1": token}).target == "/x?a=1&t=aB3%2BxY9%2Fzz8%3D"


def test_the_earliest_answer_is_the_maker() -> None:
    steps = bound(
        (Request("POST", "/a"), data({"id": ID})),
        (Request("GET", f"/a/{ID}"), data({"id": ID})),
        (Request("DELETE", f"/a/{ID}"), OK),
    )
    assert [dict(step.save) for step in steps] == [{"_b1": "json:$.id"}, {}, {}]
    assert steps[2].path == "/a/${_b1}"


def test_what_the_client_sent_first_is_its_own() -> None:
    key = str(uuid.uuid4())
    assert untouched(
        (Request("PUT", f"/a/{key}", headers=(("Idempotency-Key", ID),)), data({"id": key, "key": ID})),
        (Request("GET", f"/a/{key}"), data({"key": ID})),
        (Request("GET", f"/b/{ID}"), OK),
    )
    # Also where it was sent inside something longer, or URL-encoded.
    assert untouched(
        (Request("POST", "/a", form=(("name", f"xx{ID}"), ("sig", "aB3+xY9/zz8="))), data([ID, "aB3+xY9/zz8="])),
        (Request("GET", f"/a/{ID}", query=(("s", "aB3+xY9/zz8="),)), OK),
    )


def test_what_occurs_first_in_the_request_itself_is_no_reference() -> None:
    assert untouched((Request("GET", f"/a/{ID}"), data({"id": ID})), (Request("GET", f"/a/{ID}"), OK))


def test_words_and_constants_stay() -> None:
    page = html('<a href="/docs/chapter-10">password</a> <b>application/json</b> 2024-01-02')
    assert untouched(
        (Request("GET", "/"), page),
        (Request("GET", "/docs/chapter-10?day=2024-01-02", headers=(("Accept", "application/json"),)), OK),
    )


def test_references_and_saves_of_the_user_are_kept_and_used() -> None:
    other = "7bd03f9a12c4"
    steps = bound(
        (Request("POST", "/a", save={"_b1": "json:$.id"}), data({"id": ID, "key": other})),
        (Request("GET", f"/a/${{_b1}}/{ID}/{other}"), OK),
    )
    assert steps[1].path == "/a/${_b1}/${_b1}/${_b2}"
    assert steps[0].save == {"_b1": "json:$.id", "_b2": "json:$.key"}


def test_a_name_that_was_saved_again_is_not_used_for_the_old_value() -> None:
    steps = bound(
        (Request("POST", "/a", save={"t": "json:$.id"}), data({"id": ID})),
        (Request("POST", "/b", save={"t": "json:$.id"}), data({"id": "7bd03f9a12c4"})),
        (Request("GET", f"/a/{ID}"), OK),
    )
    assert steps[2].path == "/a/${_b1}"


def test_with_a_second_run_only_what_moved_is_bound() -> None:
    seeded = "5c0ffee5beef1"
    workload, first = run(
        (Request("GET", "/products"), data([{"sku": seeded}])),
        (Request("POST", "/orders", json={"sku": seeded}), data({"id": ID})),
        (Request("GET", f"/orders/{ID}"), OK),
    )
    second = replace(first, answers=(first.answers[0], data({"id": "7bd03f9a12c4"}), OK))
    assert "${_b1}" in str(infer_bindings(workload, first).steps[1])
    once = infer_bindings(workload, first, second)
    assert once.steps[:1] == workload.steps[:1]
    assert once.steps[1] == Request("POST", "/orders", json={"sku": seeded}, save={"_b1": "json:$.id"})
    assert once.steps[2] == Request("GET", "/orders/${_b1}")


# Numbers


@pytest.mark.parametrize(
    ("maker", "answer", "save"),
    [
        (Request("POST", "/api/items", json={"n": 7}), data({"id": 7, "n": 7}, 201), "json:$.id"),
        (Request("POST", "/api/items/", form=()), data({"data": {"item_id": "7"}}), "json:$.data.item_id"),
        (Request("POST", "/api/items/new"), data([{"pk": 7}]), "json:$[0].pk"),
        (
            Request("POST", "/api/add"),
            Answer(303, (("location", "http://h/api/items/7/edit?a=8"),)),
            "header:Location~/items/([0-9]+)",
        ),
    ],
)
def test_a_small_number_is_an_id_by_its_route(maker: Request, answer: Answer, save: str) -> None:
    first, *later = bound(
        (maker, answer),
        (Request("PUT", "/api/items/7/title?page=7", json={"n": 7}), OK),
        (Request("POST", "/cart", json={"itemId": 7, "quantity": 7}), OK),
        (Request("POST", "/cart", form=(("item_id", "7"), ("quantity", "7"))), OK),
    )
    assert dict(first.save) == {"_b1": save}
    assert later[0] == Request("PUT", "/api/items/${_b1}/title?page=7", json={"n": 7})
    assert later[1].json == {"itemId": "${_b1:int}", "quantity": 7}
    assert later[2].form == (("item_id", "${_b1}"), ("quantity", "7"))


def test_a_number_means_the_thing_made_with_it_in_its_collection() -> None:
    steps = bound(
        (Request("POST", "/items"), data({"id": 1})),
        (Request("POST", "/items"), data({"id": 2})),
        (Request("POST", "/users"), data({"id": 1})),
        (Request("GET", "/items/1"), OK),
        (Request("GET", "/items/2"), OK),
        (Request("GET", "/users/1"), OK),
    )
    assert [step.path for step in steps[3:]] == ["/items/${_b1}", "/items/${_b2}", "/users/${_b3}"]


@pytest.mark.parametrize(
    "pairs",
    [
        # Not made by the app: seen in a list before, or named by the client before.
        [(Request("GET", "/items"), data([{"id": 7}])), (Request("POST", "/items"), data({"id": 7}))],
        [(Request("GET", "/items/7"), Answer(404)), (Request("POST", "/items"), data({"id": 7}))],
        [(Request("PUT", "/items/7"), data({"id": 7}))],
        [(Request("POST", "/items", json={"id": 7}), data({"id": 7}))],
        [(Request("POST", "/items", form=(("id", "7"),)), data({"id": 7}))],
        # Not an id, not a success, not a thing made, not this collection.
        [(Request("POST", "/items"), data({"count": 7}))],
        [(Request("POST", "/items"), data({"id": 7}, 422))],
        [(Request("GET", "/items/latest"), data({"id": 7}))],
        [(Request("POST", "/users"), data({"id": 7}))],
        [(Request("POST", "/login"), Answer(302, (("location", "/users/7"),)))],
    ],
)
def test_a_number_without_its_route_stays(pairs: list[tuple[Request, Answer]]) -> None:
    assert untouched(*pairs, (Request("GET", "/items/7"), OK))


def test_a_new_member_in_a_list_is_the_apps() -> None:
    page = '<a href="/admin/group/{}/change/">editors</a> <a href="/admin/user/3/">ann</a>'
    steps = bound(
        (Request("GET", "/admin/group/"), html("none yet")),
        (
            Request("POST", "/admin/group/add/", form=(("name", "editors"),)),
            Answer(302, (("location", "/admin/group/"),)),
        ),
        (Request("GET", "/admin/group/"), html(page.format(1))),
        (Request("POST", "/admin/group/1/change/", form=(("name", "writers"),)), OK),
        (Request("GET", "/admin/user/3/"), OK),
    )
    (save,) = steps[2].save.values()
    assert extract(save, html(page.format(1001)), {}) == "1001"
    assert [step.path for step in steps[3:]] == ["/admin/group/${_b1}/change/", "/admin/user/3/"]


def test_a_new_row_of_a_list_is_the_apps() -> None:
    steps = bound(
        (Request("GET", "/items"), data([{"id": 1, "owner": {"id": 5}}])),
        (Request("POST", "/items", json={"n": 1}), Answer(204)),
        (Request("GET", "/items?page=1"), data([{"id": 1, "owner": {"id": 5}}, {"id": 2, "owner": {"id": 9}}])),
        (Request("GET", "/items/1"), OK),
        (Request("GET", "/items/2"), OK),
        (Request("GET", "/items/9"), OK),
    )
    assert dict(steps[2].save) == {"_b1": "json:$[1].id"}
    assert [step.path for step in steps[3:]] == ["/items/1", "/items/${_b1}", "/items/9"]


def test_a_row_that_nobody_sent_stays() -> None:
    assert untouched(
        (Request("GET", "/items"), data([{"id": 1}])),
        (Request("POST", "/users", json={"n": 1}), Answer(204)),
        (Request("GET", "/items?all"), data([{"id": 1}, {"id": 2}])),
        (Request("GET", "/items/2"), OK),
    )


SHORT = "Paste: http://h:81/DE\nRaw: http://h:81/raw/DE\nRemove: http://h:81/remove/never/asked"


LINKS = {"link": "http://h:81/DE", "raw": "/raw/DE"}
ANCHORS = '<p>/raw/</p><a href="/DE">it</a><a href=/raw/DE>raw</a>'


@pytest.mark.parametrize(
    ("answer", "other"),
    [
        (Answer(200, (("content-type", "text/plain"),), SHORT.encode()), SHORT.replace("DE", "X9")),
        (data(LINKS), json.dumps(LINKS).replace("DE", "X9")),
        (html(ANCHORS), ANCHORS.replace("DE", "X9")),
    ],
)
def test_a_short_name_is_the_apps_where_its_link_is_first_shown(answer: Answer, other: str) -> None:
    first, link, raw, elsewhere, *others = bound(
        (Request("POST", "/paste", form=(("raw", "hello"),)), answer),
        (Request("GET", "/DE"), OK),
        (Request("GET", "/raw/DE"), OK),
        (Request("GET", "/show/DE/full"), OK),
        (Request("GET", "/show/de"), OK),
        (Request("GET", "/show", query=(("country", "DE"),)), OK),
    )
    again = replace(answer, body=other.encode())
    saved = {name: extract(save, again, {}) or "" for name, save in first.save.items()}
    assert set(saved.values()) == {"X9"}
    assert [render(step, saved).target for step in (link, raw, elsewhere)] == ["/X9", "/raw/X9", "/show/X9/full"]
    assert [render(step, saved).target for step in others] == ["/show/de", "/show?country=DE"]


def test_a_short_name_in_a_location_or_under_id() -> None:
    moved = Answer(302, (("location", "http://h/board/K7"),))
    steps = bound(
        (Request("POST", "/start"), moved),
        (Request("POST", "/items", json={"title": "x"}), data({"id": "q-z"})),
        (Request("GET", "/board/K7"), OK),
        (Request("PUT", "/items/q-z", json={"item_id": "q-z", "title": "q-z"}), OK),
    )
    assert steps[0].save == {"_b1": "header:Location~/board/([^/?#]+)"}
    assert (steps[2].path, steps[3].path) == ("/board/${_b1}", "/items/${_b2}")
    assert steps[3].json == {"item_id": "${_b2}", "title": "q-z"}


@pytest.mark.parametrize(
    "pairs",
    [
        # A word of a route, seen before, sent before, a static asset.
        [(Request("POST", "/login"), Answer(302, (("location", "/dashboard"),))), (Request("GET", "/dashboard"), OK)],
        [
            (Request("GET", "/"), html('<a href="/v2">')),
            (Request("POST", "/x"), html('<a href="/v2">')),
            (Request("GET", "/v2"), OK),
        ],
        [(Request("POST", "/x", json={"n": "B2"}), html('<a href="/B2">')), (Request("GET", "/B2"), OK)],
        [(Request("POST", "/x"), html('<script src="/jquery-3.7.js">')), (Request("GET", "/jquery-3.7.js"), OK)],
    ],
)
def test_a_short_name_that_is_not_made_stays(pairs: list[tuple[Request, Answer]]) -> None:
    assert untouched(*pairs)


# Wholes


def test_a_transcript_shorter_than_the_workload_and_hangs_do_no_harm() -> None:
    workload, transcript = run((Request("GET", f"/{ID}"), Answer(0, fault="timeout")), (Request("GET", "/"), OK))
    assert infer_bindings(workload, replace(transcript, answers=transcript.answers[:1])) == workload


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["GET", "POST"]),
            st.lists(st.sampled_from(["items", "7", ID, "a b", "${x}", TOKEN, "é"]), max_size=4),
            st.sampled_from([{"id": 7}, {"id": ID}, [TOKEN, {"t": ID}], "text", None]),
        ),
        max_size=6,
    )
)
def test_bound_requests_replay_the_recording_exactly(case: list[tuple[str, list[str], Any]]) -> None:
    workload, transcript = run(
        *((Request(method, "/" + "/".join(parts), json={"v": parts}), data(made)) for method, parts, made in case)
    )
    result = infer_bindings(workload, transcript)
    variables: dict[str, str] = {}
    for step, sent, answer in zip(result.steps, transcript.sent, transcript.answers, strict=True):
        assert isinstance(step, Request) and sent is not None
        rendered = render(step, variables)
        assert (rendered.target, rendered.body) == (sent.target, sent.body)
        for name, save in step.save.items():
            value = extract(save, answer, {})
            assert value is not None
            variables[name] = value


def test_a_workload_in_a_file_keeps_its_path() -> None:
    workload, transcript = run((Request("GET", "/"), OK))
    assert infer_bindings(replace(workload, path=Path("w.json")), transcript).path == Path("w.json")
