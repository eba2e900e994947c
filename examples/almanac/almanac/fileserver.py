"""A file server on loopback for data sets to try almanac with.

`python -m almanac.fileserver [--port N] [--folder DIR] [--delay SECONDS] [COMMAND ...]` serves until it is
stopped; with a COMMAND, as long as that runs, and ends with its exit code. The first line printed is the URL.
"""

import argparse
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

DEMO_DATA = Path(__file__).parent / "demo_data"


class _Server(ThreadingHTTPServer):
    allow_reuse_port = True  # several may run at once, as long as they serve the same folder


class _Files(SimpleHTTPRequestHandler):
    def __init__(self, *args, delay: float, **keywords) -> None:
        self.delay = delay
        super().__init__(*args, **keywords)

    def copyfile(self, source, outputfile) -> None:
        """Send the headers and half of the body at once, and the rest after the delay."""
        body = source.read()
        outputfile.write(body[: len(body) // 2])
        outputfile.flush()
        time.sleep(self.delay)
        outputfile.write(body[len(body) // 2 :])

    def log_message(self, *_args) -> None:
        pass


def serve(folder: Path, port: int = 0, delay: float = 0.0) -> _Server:
    """Serve `folder` on a loopback port (0 picks one) from a thread of its own, until `shutdown` is called."""
    server = _Server(("127.0.0.1", port), partial(_Files, directory=str(folder), delay=delay))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m almanac.fileserver")
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--folder", type=Path, default=DEMO_DATA)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds in the middle of each file")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    options = parser.parse_args()
    server = serve(options.folder, options.port, options.delay)
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    if options.command:
        return subprocess.run(options.command, check=False).returncode
    with suppress(KeyboardInterrupt):
        threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
