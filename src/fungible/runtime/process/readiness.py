"""Ready means that a complete HTTP answer came, not that the port accepts."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from fungible.app.wording import plain

_SOONEST_LOOK, _LATEST_LOOK = 0.02, 0.1
_HOST = "localhost"
_SHARE = 20
"""Between two looks passes one part in so many of the time that the process has taken already, within these seconds:
what boots quickly is noticed quickly."""


def _ignore(refusal: str) -> None:
    pass


async def wait_until_answers(
    address: str,
    path: str | None,
    timeout: float,
    is_own: Callable[[], bool] = lambda: True,
    refused: Callable[[str], None] = _ignore,
) -> bool:
    """Ask until a complete answer comes; False when `timeout` seconds have passed without one.

    `is_own` tells, once one came, whether it was given by whom it should be. `refused` hears of each
    answer that does not count, in a few words.

    `address` is `127.0.0.1:PORT` or `unix@PATH`. With a `path` only 2xx and 3xx count; without, any complete
    answer to GET /, whatever its status.
    """
    import h11  # a one-off process asks nobody: it need not wait for this

    begin = time.monotonic()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            while True:
                with contextlib.suppress(OSError, h11.RemoteProtocolError, asyncio.IncompleteReadError):
                    status = await _ask(address, path or "/")
                    if path is not None and not 200 <= status < 400:
                        refused(_refusal(path, status))
                    elif await asyncio.to_thread(is_own):
                        return True
                taken = time.monotonic() - begin
                await asyncio.sleep(min(_LATEST_LOOK, max(_SOONEST_LOOK, taken / _SHARE)))
    return False


def _refusal(path: str, status: int) -> str:
    asked = f" (asked of Host {_HOST})" if status == 400 else ""  # as Django answers for a host that it does not know
    return f"GET {plain(path)} is answered {status}{asked}, and only 2xx and 3xx are ready"


async def _ask(address: str, path: str) -> int:
    """The status of a complete answer (RFC 9112, 8). Raises OSError and RemoteProtocolError where none comes."""
    import h11

    if address.startswith("unix@"):
        reader, writer = await asyncio.open_unix_connection(address.removeprefix("unix@"))
    else:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
    try:
        wire = h11.Connection(h11.CLIENT)
        headers = [("Host", _HOST), ("User-Agent", "fungible"), ("Accept", "*/*"), ("Connection", "close")]
        writer.write(wire.send(h11.Request(method="GET", target=path, headers=headers)) or b"")
        writer.write(wire.send(h11.EndOfMessage()) or b"")
        status = 0
        while True:
            event = wire.next_event()
            if event is h11.NEED_DATA:
                wire.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.EndOfMessage):
                return status
            elif isinstance(event, h11.ConnectionClosed):
                raise h11.RemoteProtocolError("closed before it answered")
    finally:
        writer.close()
