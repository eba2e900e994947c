"""HTTP/1.1 as bytes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.verify.world.fork.agent import http1

pytestmark = pytest.mark.pure


def head(*lines: str) -> http1.Head:
    return http1.parse_head("\r\n".join((*lines, "", "")).encode("latin-1"))


def test_a_request() -> None:
    got = head("POST /a%20b?c=d HTTP/1.1", "Host: x", "X-Y:  z ", "Content-Length: 5", "Expect: 100-continue")
    assert (got.method, got.path, got.query, got.length) == (b"POST", b"/a%20b", b"c=d", 5)
    assert got.header(b"x-y") == b"z"
    assert got.keep_alive
    assert got.expects_continue
    assert head("GET http://x:1/p?q HTTP/1.1", "Host: x").path == b"/p"
    assert head("GET http://x?q HTTP/1.1", "Host: x").path == b"/"
    assert not head("GET / HTTP/1.0").keep_alive
    assert head("GET / HTTP/1.0", "Connection: keep-alive").keep_alive
    assert not head("GET / HTTP/1.1", "Host: x", "Connection: Close").keep_alive


@pytest.mark.parametrize(
    "lines",
    [
        ("GET /",),
        ("GET  / HTTP/1.1", "Host: x"),
        ("GET / HTTP/2.0", "Host: x"),
        ("GET / HTTP/1.1",),
        ("G(T / HTTP/1.1", "Host: x"),
        ("GET /\x7f HTTP/1.1", "Host: x"),
        ("GET / HTTP/1.1", "Host: x", "no colon"),
        ("GET / HTTP/1.1", "Host: x", " folded: x"),
        ("GET / HTTP/1.1", "Host : x"),
        ("POST / HTTP/1.1", "Host: x", "Content-Length: 1", "Content-Length: 2"),
        ("POST / HTTP/1.1", "Host: x", "Content-Length: +1"),
        ("POST / HTTP/1.1", "Host: x", "Content-Length: 1", "Transfer-Encoding: chunked"),
        ("POST / HTTP/1.1", "Host: x", "Transfer-Encoding: gzip, chunked"),
    ],
)
def test_what_is_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(http1.BadRequest):
        head(*lines)


def test_a_head_without_end_is_refused() -> None:
    assert http1.end_of_head(b"GET / HTTP/1.1\r\n") == -1
    with pytest.raises(http1.BadRequest):
        http1.end_of_head(b"x" * (http1.HEAD_AT_MOST + 1))


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(places)] or [data]


@given(st.lists(st.binary(min_size=1)), st.binary(), st.lists(st.integers(0, 10_000)), st.booleans())
def test_a_body_comes_back_however_it_is_cut(
    chunks: list[bytes], after: bytes, cuts: list[int], trailer: bool
) -> None:
    request = head("POST / HTTP/1.1", "Host: x", "Transfer-Encoding: chunked")
    end = b"0;x=y\r\nTrailer: z\r\n\r\n" if trailer else b"0\r\n\r\n"
    sent = b"".join(http1.chunk(each) for each in chunks) + end + after
    decoder = http1.BodyDecoder(request)
    assert b"".join(decoder.feed(piece) for piece in pieces(sent, cuts)) == b"".join(chunks)
    assert decoder.finished
    assert decoder.unused == after


@given(st.binary(), st.binary(), st.lists(st.integers(0, 10_000)))
def test_a_body_of_known_length(body: bytes, after: bytes, cuts: list[int]) -> None:
    decoder = http1.BodyDecoder(head("POST / HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"))
    assert b"".join(decoder.feed(piece) for piece in pieces(body + after, cuts)) == body
    assert decoder.finished
    assert decoder.unused == after


@given(st.binary(), st.lists(st.integers(0, 1000)))
def test_any_chunks_are_read_or_refused(data: bytes, cuts: list[int]) -> None:
    decoder = http1.BodyDecoder(head("POST / HTTP/1.1", "Host: x", "Transfer-Encoding: chunked"))
    try:
        for piece in pieces(data, cuts):
            decoder.feed(piece)
    except http1.BadRequest:
        return


def test_framing_of_answers() -> None:
    get = head("GET / HTTP/1.1", "Host: x")
    old = head("GET / HTTP/1.0")
    assert http1.frame(get, "200 OK", [(b"Content-Length", b"1")], True).chunked is False
    assert http1.frame(get, "200 OK", [], True).chunked
    assert not http1.frame(get, "204 No Content", [], True).has_body
    assert http1.frame(old, "200 OK", [], True).closes
    assert not http1.frame(head("HEAD / HTTP/1.1", "Host: x"), "200 OK", [], True).has_body
    with pytest.raises(ValueError, match="line break"):
        http1.frame(get, "200 OK", [(b"X", b"a\r\nb: c")], True)
