"""Ready means that a complete HTTP answer came, not that the port accepts."""

from __future__ import annotations

import asyncio
import contextlib

import httpx

_FIRST_LOOK = 0.02
_SLOWEST_LOOK = 0.25


async def wait_until_answers(address: str, path: str | None, timeout: float) -> bool:
    """Ask until a complete answer comes; False when `timeout` seconds have passed without one.

    `address` is `127.0.0.1:PORT` or `unix@PATH`. With a `path` only 2xx and 3xx count; without, any complete
    answer to GET /, whatever its status.
    """
    uds = address.removeprefix("unix@") if address.startswith("unix@") else None
    transport = httpx.AsyncHTTPTransport(uds=uds)
    base = "http://localhost" if uds else f"http://{address}"
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    pause = _FIRST_LOOK
    async with httpx.AsyncClient(transport=transport, base_url=base, trust_env=False) as client:
        while loop.time() < end:
            with contextlib.suppress(httpx.HTTPError, httpx.InvalidURL, OSError):
                answer = await client.get(path or "/", timeout=max(0.1, end - loop.time()))
                if path is None or answer.status_code < 400:
                    return True
            await asyncio.sleep(min(pause, max(0.0, end - loop.time())))
            pause = min(_SLOWEST_LOOK, pause * 1.5)
    return False
