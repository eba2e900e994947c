"""A web process that tells what it is and what it can do; for /usr/bin/python3."""

import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def attempt(action):
    """What comes of an action: `done`, or the name of the error."""
    try:
        action()
    except OSError as error:
        return type(error).__name__ if error.errno is None else os.strerror(error.errno)
    return "done"


def write(path, size=1):
    """Write a file of so many bytes."""
    with open(path, "wb") as file:
        file.write(b"x" * size)


TRIES = {
    "root": lambda: write("/x"),
    "code": lambda: write("x"),
    "settings": lambda: write("/etc/shop/x"),
    "scratch": lambda: write(os.path.join(os.environ["FUNGIBLE_SCRATCH"], "x")),
    "too much": lambda: write(os.path.join(os.environ["TMPDIR"], "x"), 2 << 20),
    "secrets": lambda: open("/etc/shop/secrets.env").close(),
}


class Handler(BaseHTTPRequestHandler):
    """`/healthz`, `/tries?PID` (of another process), and anything else: who answers."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        said = {"name": os.environ["FUNGIBLE_PROCESS"], "pid": os.getpid(), "uid": os.getuid()}
        if self.path.startswith("/tries"):
            other = int(self.path.partition("?")[2])
            tries = {**TRIES, "others": lambda: os.kill(other, 0)}
            said["tries"] = {name: attempt(action) for name, action in tries.items()}
            said["environment"] = dict(os.environ)
            said["temporary"] = sorted(os.listdir("/tmp") + os.listdir("/dev/shm"))
            write("/tmp/mine")
            write("/dev/shm/mine")
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing."""


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
server.daemon_threads = True
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever(poll_interval=0.01)
sys.exit(0)
