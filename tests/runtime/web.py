"""The smallest web server that is one: what it says is what `load` expects."""

from __future__ import annotations

_SERVER = r"""
import os, socket, threading
@before@
ME = @me@
def serve(connection):
    connection.settimeout(60)
    try:
        with connection, connection.makefile("rb") as lines:
            while first := lines.readline():
                method, path, _ = first.decode().split(" ", 2)
                size = 0
                while (line := lines.readline()) not in (b"\r\n", b""):
                    name, _, value = line.decode().partition(":")
                    size = int(value) if name.lower() == "content-length" else size
                lines.read(size)
                body = @at@.get(path, lambda: f"{ME} {method} {path}")().encode()
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    except OSError:
        pass
with socket.create_server(@address@, backlog=100) as server:
    while True:
        threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""


def small(me: str, address: str, at: str = "{}", before: str = "") -> str:
    """The server's source: `me` is what it calls itself, `address` where it listens, `at` the functions that answer
    at certain paths, by path; each a Python expression. `before` runs first."""
    source = _SERVER
    for name, code in {"me": me, "address": address, "at": at, "before": before}.items():
        source = source.replace(f"@{name}@", code)
    return source


SMALL = small('os.environ["FUNGIBLE_INSTANCE"]', '("127.0.0.1", int(os.environ["PORT"]))')
