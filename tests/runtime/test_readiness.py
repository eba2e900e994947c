"""Ready is a complete answer, nothing less: against servers that give everything else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from fungible.runtime.process.readiness import wait_until_answers

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ANSWERS = {
    "complete": (OK, None, True),
    "until the end": (b"HTTP/1.0 200 OK\r\n\r\nok", None, True),
    "chunked": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", None, True),
    "an error is an answer": (b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", None, True),
    "but not to a ready path": (b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", "/healthz", False),
    "a redirect will do": (b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", "/healthz", True),
    "not found will not": (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "/healthz", False),
    "closed at once": (b"", None, False),
    "cut in its head": (b"HTTP/1.1 200 OK\r\nContent-Le", None, False),
    "cut in its body": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", None, False),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n", None, False),
}


async def served(
    answer: Callable[[int], bytes | None], ask: Callable[[str], Awaitable[bool]], unix: Path | None = None
) -> tuple[bool, list[bytes]]:
    """What `ask` says of a server that gives the n-th connection `answer(n)`, None for silence; and what it heard."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(heard)
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        said = answer(number)
        if said is None:
            await reader.read()
        writer.write(said or b"")
        writer.close()

    if unix is not None:
        server, address = await asyncio.start_unix_server(serve, unix), f"unix@{unix}"
    else:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        return await ask(address), heard
    finally:
        server.close()


@pytest.mark.parametrize("case", ANSWERS)
@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
def test_only_a_complete_answer_counts(case: str, unix: bool, tmp_path: Path) -> None:
    answer, path, ready = ANSWERS[case]
    found, heard = asyncio.run(
        served(
            lambda _: answer,
            lambda address: wait_until_answers(address, path, 20.0 if ready else 0.2),
            tmp_path / "s" if unix else None,
        )
    )
    assert found is ready
    assert heard[0].startswith(f"GET {path or '/'} HTTP/1.1\r\n".encode())


def test_what_does_not_count_is_heard() -> None:
    heard: list[str] = []
    answer = b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n"
    found, _ = asyncio.run(
        served(
            lambda number: (answer % 503, answer % 400, OK)[number],
            lambda address: wait_until_answers(address, "/healthz", 30.0, refused=heard.append),
        )
    )
    assert found
    assert heard == [
        "GET /healthz is answered 503, and only 2xx and 3xx are ready",
        "GET /healthz is answered 400 (asked of Host localhost), and only 2xx and 3xx are ready",
    ]


def test_it_asks_again_until_one_comes() -> None:
    found, heard = asyncio.run(
        served(lambda number: OK if number == 3 else b"", lambda address: wait_until_answers(address, None, 30.0))
    )
    assert found
    assert len(heard) == 4


def test_silence_and_refusal_end_with_the_time() -> None:
    assert asyncio.run(served(lambda _: None, lambda address: wait_until_answers(address, None, 0.2)))[0] is False
    assert asyncio.run(wait_until_answers("127.0.0.1:1", None, 0.1)) is False
    assert asyncio.run(wait_until_answers("unix@/nowhere", None, 0.1)) is False
