"""Send one request to one slot and take whatever comes as an answer: a hang and a cut stream are answers too."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping

import h11

from fungible.verify.transcript import Answer, Sent
from fungible.verify.workload.steps import Rendered

LONGEST_BODY = 64 * 1024 * 1024
DEFAULT_TIMEOUT = 30.0


def as_sent(rendered: Rendered, host: str, cookie: str | None) -> Sent:
    """The request with the headers that really go out."""
    headers = [(name.lower(), value) for name, value in rendered.headers]
    named = {name for name, _ in headers}
    if "host" not in named:
        headers.insert(0, ("host", host))
    if cookie is not None:
        headers = _with_cookies(headers, cookie)
    if "user-agent" not in named:
        headers.append(("user-agent", "fungible"))
    if "accept" not in named:
        headers.append(("accept", "*/*"))
    if rendered.body or rendered.method in ("POST", "PUT", "PATCH"):
        headers.append(("content-length", str(len(rendered.body))))
    headers.append(("connection", "close"))
    return Sent(rendered.method, rendered.target, tuple(headers), rendered.body)


def _with_cookies(headers: list[tuple[str, str]], jar: str) -> list[tuple[str, str]]:
    """The jar's cookies, and those that the workload wrote itself; for one name the written one."""
    written = [pair.strip() for name, value in headers if name == "cookie" for pair in value.split(";")]
    names = {pair.partition("=")[0] for pair in written}
    kept = [pair for pair in jar.split("; ") if pair.partition("=")[0] not in names]
    return [*(pair for pair in headers if pair[0] != "cookie"), ("cookie", "; ".join([*kept, *written]))]


async def send(address: str, sent: Sent, timeout: float) -> Answer:
    """Send it to `127.0.0.1:PORT` or `unix@PATH` on a connection of its own; never raises for what comes back."""
    begin = time.monotonic()
    partial = _Partial()
    try:
        async with asyncio.timeout(timeout):
            await _exchange(address, sent, partial)
        fault = None
    except TimeoutError:
        fault = "timeout"
    except (ConnectionRefusedError, FileNotFoundError):
        fault = "refused"
    except (h11.RemoteProtocolError, EOFError):
        fault = "cut" if partial.status else "reset"
    except OSError:
        fault = "cut" if partial.status else "reset"
    return Answer(
        partial.status, tuple(partial.headers), bytes(partial.body), fault, round(time.monotonic() - begin, 4)
    )


class _Partial:
    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.body = bytearray()


async def _exchange(address: str, sent: Sent, partial: _Partial) -> None:
    if address.startswith("unix@"):
        reader, writer = await asyncio.open_unix_connection(address.removeprefix("unix@"))
    else:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
    try:
        connection = h11.Connection(h11.CLIENT)
        head = h11.Request(
            method=sent.method,
            target=sent.target,
            headers=[(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in sent.headers],
        )
        writer.write(connection.send(head) or b"")
        if sent.body:
            writer.write(connection.send(h11.Data(data=sent.body)) or b"")
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        with contextlib.suppress(ConnectionError):  # a server may answer and close before it has read a large body
            await writer.drain()
        await _read(connection, reader, partial)
    finally:
        writer.close()


async def _read(connection: h11.Connection, reader: asyncio.StreamReader, partial: _Partial) -> None:
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Response):
            partial.status = event.status_code
            partial.headers = [
                (n.decode("latin-1").lower(), v.decode("latin-1")) for n, v in event.headers.raw_items()
            ]
        elif isinstance(event, h11.Data):
            partial.body += event.data
            if len(partial.body) > LONGEST_BODY:
                raise EOFError
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            return


def host_header(workload_host: str | None, variables: Mapping[str, str]) -> str:
    """The Host header of a request: the workload's, else the same name in every world."""
    return workload_host or variables.get("host", "localhost")


async def knock(address: str, timeout: float) -> bool:
    """Connect, say nothing, and wait until the server hangs up: then it is in its loop, and the app saw nothing."""
    try:
        async with asyncio.timeout(timeout):
            if address.startswith("unix@"):
                reader, writer = await asyncio.open_unix_connection(address.removeprefix("unix@"))
            else:
                host, _, port = address.rpartition(":")
                reader, writer = await asyncio.open_connection(host, int(port))
            try:
                writer.write_eof()
                await reader.read(1)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    return True
