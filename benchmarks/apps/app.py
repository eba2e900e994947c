"""The app that is measured, as WSGI and as ASGI, without a framework, so that what is around it shows.

| path | does |
|---|---|
| `/` | answers at once |
| `/wait?ms=N` | waits N milliseconds, as for a store, without using the processor |
| `/compute?ms=N` | uses N milliseconds of processor time |
| `/work?id=K&ms=N` | notes in the ledger that K started, waits, notes that it finished, answers |
| `/where` | the port or socket that this process was told to listen on |
| `/boot` | an id of this start, and `MARK` |
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from urllib.parse import parse_qs

MARK = "mark-0"
BOOT = uuid.uuid4().hex
LEDGER = os.environ.get("LEDGER")
_ledger = os.open(f"{LEDGER}/ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644) if LEDGER else None

time.sleep(float(os.environ.get("IMPORT_SECONDS", "0")))


def note(what: str, query: dict[str, list[str]]) -> None:
    """One line in the ledger: a single write, so that it is there in full or not at all, whatever dies next."""
    if _ledger is not None:
        os.write(_ledger, f"{what} {query['id'][0]}\n".encode())


def milliseconds(query: dict[str, list[str]]) -> float:
    return float(query.get("ms", ["0"])[0]) / 1000


def compute(seconds: float) -> None:
    """Use this much processor time: what another process takes away does not count."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        sum(range(500))


def answer(path: str, query: dict[str, list[str]]) -> bytes:
    """What is answered without waiting."""
    if path == "/compute":
        compute(milliseconds(query))
    elif path == "/where":
        return (os.environ.get("FUNGIBLE_SOCKET") or os.environ.get("PORT", "")).encode()
    elif path == "/boot":
        return f"{BOOT} {MARK}".encode()
    return f"ok {query['id'][0]}".encode() if "id" in query else b"hello\n"


def wsgi(environ, start_response):  # type: ignore[no-untyped-def]
    """PEP 3333."""
    path, text = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
    query = parse_qs(text) if text else {}
    if environ.get("CONTENT_LENGTH"):
        environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    if path == "/work":
        note("started", query)
    if path in ("/wait", "/work"):
        time.sleep(milliseconds(query))
    if path == "/work":
        note("finished", query)
    body = answer(path, query)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


async def asgi(scope, receive, send):  # type: ignore[no-untyped-def]
    """ASGI 3."""
    if scope["type"] != "http":
        while scope["type"] == "lifespan":
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
        return
    path, text = scope["path"], scope["query_string"]
    query = parse_qs(text.decode()) if text else {}
    if scope["method"] == "POST":
        while (await receive()).get("more_body"):
            pass
    if path == "/work":
        note("started", query)
    if path in ("/wait", "/work"):
        await asyncio.sleep(milliseconds(query))
    if path == "/work":
        note("finished", query)
    body = answer(path, query)
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
