"""A small web server for tests, copied into their apps: says who it is, and misbehaves on request.

GET /sleep/S waits, /write/PATH writes, /read/PATH reads, /exit/N ends the process, /env/NAME tells a variable,
/answer/STATUS answers with it, /say/TEXT prints; anything else names the process.
"""

import json
import os
import pathlib
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        word, _, rest = unquote(self.path[1:]).partition("/")
        status = 200
        said = {"process": os.environ.get("FUNGIBLE_PROCESS"), "instance": os.environ.get("FUNGIBLE_INSTANCE")}
        if word == "sleep":
            time.sleep(float(rest))
        elif word == "write":
            path = pathlib.Path(rest)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("written")
        elif word == "read":
            said["text"] = pathlib.Path(rest).read_text() if pathlib.Path(rest).exists() else None
        elif word == "exit":
            threading.Timer(0.05, os._exit, [int(rest)]).start()
        elif word == "env":
            said["value"] = os.environ.get(rest)
        elif word == "answer":
            status = int(rest)
        elif word == "say":
            print(rest, flush=True)
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def log_message(self, *_):
        pass

    def setup(self):
        super().setup()
        if self.connection.family == socket.AF_INET:
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class UnixServer(ThreadingHTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self):
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "localhost", 0

    def get_request(self):
        request, _ = super().get_request()
        return request, ("local", 0)


def main():
    path = os.environ.get("FUNGIBLE_SOCKET")
    where = (path, UnixServer) if path else (("127.0.0.1", int(os.environ["PORT"])), ThreadingHTTPServer)
    server = where[1](where[0], Handler)
    server.daemon_threads = True
    for number, argument in enumerate(sys.argv[1:]):
        print(f"argument {number}: {argument}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
