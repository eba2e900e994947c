"""The smallest web server that is one: what it says is what `load` expects."""

from __future__ import annotations

SMALL = r"""
import os, socket, threading
ME = os.environ["FUNGIBLE_INSTANCE"]
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
                body = f"{ME} {method} {path}".encode()
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    except OSError:
        pass
with socket.create_server(("127.0.0.1", int(os.environ["PORT"])), backlog=100) as server:
    while True:
        threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""
