"""What the router meets in a cluster, in a network of its own: a name service, processes at addresses of theirs, and
HAProxy as the exported pod runs it. Prints what clients saw, as JSON. `cluster.py HAPROXY FOLDER`."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = b"\x0dweb-processes\x04shop\x03svc\x07cluster\x05local\x00"
_A, _NO_SUCH_NAME = 1, 3


class Names:
    """The name service of the cluster: the ready pods by the headless Service's name, and no other name."""

    def __init__(self) -> None:
        self.ready: tuple[str, ...] = ()
        self.asked = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            query, client = self._socket.recvfrom(4096)
            end = query.index(b"\x00", 12) + 1
            name, (kind,) = query[12:end], struct.unpack(">H", query[end : end + 2])
            known = name.lower() == NAME
            self.asked += known
            addresses = self.ready if known and kind == _A else ()
            head = query[:2] + struct.pack(
                ">HHHHH", 0x8180 | (0 if known else _NO_SUCH_NAME), 1, len(addresses), 0, 0
            )
            answers = [b"\xc0\x0c" + struct.pack(">HHIH", _A, 1, 5, 4) + socket.inet_aton(each) for each in addresses]
            self._socket.sendto(head + query[12 : end + 4] + b"".join(answers), client)


class Process(ThreadingHTTPServer):
    """A web process at an address of its own; it tells that address."""

    daemon_threads = True

    def __init__(self, address: str) -> None:
        super().__init__((address, 8000), Answer)
        self.connections: list[socket.socket] = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def get_request(self) -> tuple[socket.socket, object]:
        """Accepts, and remembers."""
        connection, client = super().get_request()
        self.connections.append(connection)
        return connection, client

    def die(self) -> None:
        """What is left when the kernel has closed the connections of a killed process."""
        self.shutdown()
        self.server_close()
        for each in self.connections:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class Answer(BaseHTTPRequestHandler):
    """Its own address, and what was said of the client."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        ids = self.headers.get_all("X-Request-Id")
        told = {"at": self.server.server_address[0], "proto": self.headers.get("X-Forwarded-Proto"), "ids": ids}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def main(haproxy: str, folder: str) -> None:
    """Two pods; then another set, while clients ask; then one that dies while it is still named."""
    names, processes = Names(), {f"127.0.0.{number}": Process(f"127.0.0.{number}") for number in (2, 3, 4)}
    command = [haproxy, "-db", "-C", folder, "-f", f"{folder}/haproxy.cfg"]
    environment = {**os.environ, "NAMESPACE": "shop", "CLUSTER_DOMAIN": "cluster.local"}
    running = subprocess.Popen(command, env=environment)
    page = refused()
    names.ready = ("127.0.0.2", "127.0.0.3")
    client = Client()
    client.wait_until(lambda seen: len(set(seen[-4:])) == 2)
    first = client.ask(8)
    names.ready = ("127.0.0.3", "127.0.0.4")
    client.wait_until(lambda seen: set(seen[-8:]) == set(names.ready))
    second = client.ask(8)
    processes["127.0.0.4"].die()
    third = client.ask(40)
    forged = sorted(client.ids & {FORGED})
    document = {
        "page": page,
        "forged": forged,
        "most ids": client.most_ids,
        "first": first,
        "second": second,
        "third": third,
        "lost": client.lost,
        "proto": sorted(client.protos),
    }
    print(json.dumps({**document, "connections": client.connections}))
    running.kill()


FORGED = "forged-by-the-client"


def refused() -> list[str]:
    """Status and type of what a browser is answered while no pod is named."""
    until = time.monotonic() + 60
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=20)
        try:
            connection.request("GET", "/", headers={"Accept": "text/html"})
            answer = connection.getresponse()
            return [str(answer.status), str(answer.headers["Content-Type"]), answer.read().decode()[:15]]
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        finally:
            connection.close()


class Client:
    """One connection to the router that is kept open."""

    def __init__(self) -> None:
        self.lost: list[str] = []
        self.protos: set[str] = set()
        self.ids: set[str] = set()
        self.most_ids = 0
        self.connections = 0
        self._began = False
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, number: int) -> list[str]:
        """Who answered, in their order."""
        return [at for at in (self._ask() for _ in range(number)) if at is not None]

    def wait_until(self, enough) -> None:  # type: ignore[no-untyped-def]
        """Ask until who answered is `enough`; only from the first answer on is a lost one counted."""
        seen: list[str] = []
        until = time.monotonic() + 60
        while not (seen and enough(seen)):
            if time.monotonic() > until:
                raise TimeoutError(f"{seen[-20:]} {self.lost}")
            seen += self.ask(1)
            time.sleep(0.02)

    def _ask(self) -> str | None:
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=20)
                self._connection.connect()
                self.connections += self._began
            self._connection.request("GET", "/", headers={"X-Forwarded-Proto": "https", "X-Request-Id": FORGED})
            answer = self._connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise OSError(f"{answer.status} {body!r}")
        except (OSError, http.client.HTTPException) as error:
            self._connection = None
            if self._began:
                self.lost.append(repr(error))
            return None
        if not self._began:
            self.connections += 1
        self._began = True
        told = json.loads(body)
        self.protos.add(told["proto"])
        self.ids.update(told["ids"])
        self.most_ids = max(self.most_ids, len(told["ids"]))
        at: str = told["at"]
        return at


if __name__ == "__main__":
    main(*sys.argv[1:])
