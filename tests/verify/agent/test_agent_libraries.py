"""What the agent tells of state that only installed code writes: the line on whose behalf."""

from __future__ import annotations

import asyncio
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

from tests.verify.agent.serving import line_of, path_of, serving

LIBRARY = "lib/site-packages"
WEB = """
import socketserver

{begin}


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.rfile.readline()
        {call}  # calls
        self.wfile.write(b"HTTP/1.0 200 OK\\r\\n\\r\\n")


def serve(port):
    socketserver.ThreadingTCPServer(("127.0.0.1", port), Handler).serve_forever()
"""
"""No line of the app is on the way: every request has a thread of its own."""


def _write(folder: Path, sources: Mapping[str, str]) -> None:
    """An app that starts the module `pins.web`, which is installed beside `sources`."""
    (folder / LIBRARY / "pins").mkdir(parents=True)
    (folder / "server.py").write_text("import sys; from pins import web; web.serve(int(sys.argv[1]))")
    (folder / LIBRARY / "pins/__init__.py").touch()
    for name, source in sources.items():
        (folder / LIBRARY / name).write_text(textwrap.dedent(source))


def test_a_file_that_only_libraries_write_tells_what_called_its_writer(tmp_path: Path) -> None:
    disk, web = tmp_path / LIBRARY / "pins/disk.py", tmp_path / LIBRARY / "pins/web.py"
    save = """
        def save(path):
            with open(path, "w") as file:  # writes
                file.write("kept")
    """
    begin = "from pins import disk"
    _write(tmp_path, {"pins/disk.py": save, "pins/web.py": WEB.format(begin=begin, call='disk.save("kept.txt")')})

    async def run() -> None:
        command = [sys.executable, "server.py", "{port}"]
        async with serving(tmp_path, command, tmp_path, python_path=str(tmp_path / LIBRARY)) as server:
            await server.get("/")
            event = next(one for one in await server.agent.files() if one.path == str(tmp_path / "kept.txt"))
            assert event.written_at == (str(disk), line_of(disk, "writes"))
            assert event.called_from is None
            assert event.through == (str(web), line_of(web, "calls"))

    asyncio.run(run())


def test_what_another_library_keeps_for_an_installed_app_tells_the_line_of_the_app(tmp_path: Path) -> None:
    bucket, web = tmp_path / LIBRARY / "bucket.py", tmp_path / LIBRARY / "pins/web.py"
    takes = """
        class Bucket:
            def __init__(self):
                self.left = 3

            def take(self):
                self.left -= 1  # writes
    """
    begin = "import bucket\n\nLIMIT = bucket.Bucket()"
    _write(tmp_path, {"bucket.py": takes, "pins/web.py": WEB.format(begin=begin, call="LIMIT.take()")})
    left = path_of("pins.web", "LIMIT", "left")

    async def run() -> None:
        command = [sys.executable, "server.py", "{port}"]
        async with serving(tmp_path, command, tmp_path, python_path=str(tmp_path / LIBRARY)) as server:
            await server.agent.snapshot("before")
            await server.agent.trace([left])
            await server.get("/")
            # One that was sent while the server came up may be served late: it writes at the same line.
            told = {(one.written_at, one.called_from, one.through) for one in await server.agent.traced()}
            wrote, called = (str(bucket), line_of(bucket, "writes")), (str(web), line_of(web, "calls"))
            assert told == {(wrote, None, called)}

    asyncio.run(run())
