"""One answer of a process, as a browser would take it in: bounded in bytes and in time."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

import httpx

LARGEST = 32 << 20
"""Bytes of an answer that are read at most."""
PATIENCE = 30.0
"""Seconds that an answer may take."""


class NoAnswerError(Exception):
    """Nothing came, or not in time; the message says what happened."""


@dataclass(frozen=True)
class Fetched:
    """An answer: its media type, where it sends to, and its bytes, decoded from their coding. `cut` where there are
    more of them."""

    status: int
    type: str
    location: str | None
    content: bytes
    charset: str
    cut: bool = False

    @property
    def text(self) -> str:
        """Its bytes as text."""
        try:
            return self.content.decode(self.charset, "replace")
        except LookupError:
            return self.content.decode("utf-8", "replace")


async def fetch(
    client: httpx.AsyncClient, address: str, *, cookie: str | None = None, only: Collection[str] | None = None
) -> Fetched:
    """GET `address`; its bytes are read where its media type is one of `only`, where that is given: a stream of
    events never ends. Raises NoAnswerError."""
    headers = {"Cookie": cookie} if cookie is not None else {}
    content = bytearray()
    try:
        async with asyncio.timeout(PATIENCE), client.stream("GET", address, headers=headers, timeout=None) as answer:
            kind = str(answer.headers.get("content-type", "")).split(";")[0].strip().lower()
            if only is None or kind in only:
                async for chunk in answer.aiter_bytes():
                    content += chunk
                    if len(content) > LARGEST:
                        break
    except (httpx.HTTPError, TimeoutError) as error:
        how = f"none within {PATIENCE:g} s" if isinstance(error, TimeoutError) else type(error).__name__
        raise NoAnswerError(how) from None
    location = answer.headers["location"] if answer.has_redirect_location else None
    charset = answer.charset_encoding or "utf-8"
    return Fetched(answer.status_code, kind, location, bytes(content), charset, len(content) > LARGEST)


def client_of(address: str, host: str = "localhost") -> httpx.AsyncClient:
    """A client for the process at `address`, `127.0.0.1:PORT` or `unix@PATH`, that calls it `host`."""
    headers = {"Host": host, "Accept-Encoding": "gzip, br, zstd"}
    if address.startswith("unix@"):
        transport = httpx.AsyncHTTPTransport(uds=address.removeprefix("unix@"))
        return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers, trust_env=False)
    port = address.rpartition(":")[2]
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False)
