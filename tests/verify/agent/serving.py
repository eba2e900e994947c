"""Real servers with the agent in them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from fungible.services.place import free_port
from fungible.verify.blame.agent import AgentServer, Change, ObjectPath

APP = Path(__file__).parent / "shop_app"


def path_of(module: str, *names: str) -> ObjectPath:
    """The path of `module.name.name`."""
    return ObjectPath.of([["m", module], *(["a", name] for name in names)])


@dataclass
class Running:
    """A server process, its agent and its folder."""

    agent: AgentServer
    port: int
    root: Path
    process: subprocess.Popen[bytes]

    async def get(self, path: str) -> str:
        """The body of GET `path`."""

        def ask() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=20) as answer:
                return answer.read().decode()

        return await asyncio.to_thread(ask)

    async def missing(self, path: str) -> None:
        """Ask for a path that the app does not have: all that is lazy is then there."""
        with contextlib.suppress(urllib.error.HTTPError):
            await self.get(path)

    async def listening(self) -> None:
        """Wait until it answers connections."""
        async with asyncio.timeout(30):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    assert self.process.poll() is None, "the server ended"
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    return

    async def change(self, since: str, text: str, *, born: str | None = None) -> Change:
        """The change of that name since the snapshot."""
        changes = await self.agent.diff(since, born=born)
        main = self.agent.greetings[0].main
        found = [change for change in changes if change.text(main) == text]
        assert found, [(change.text(main), change.what) for change in changes]
        return found[0]


def line_of(file: Path, mark: str) -> int:
    """The line that ends in the comment `# mark`."""
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if f"# {mark}" in [part.strip().join(("# ", "")) for part in line.split("#")[1:]]:
            return number
    raise AssertionError(mark)


@contextlib.asynccontextmanager
async def serving(
    tmp_path: Path, command: list[str], root: Path, *, processes: int = 1, lines: bool = True, python_path: str = ""
) -> AsyncIterator[Running]:
    """Run `command` (with `{port}`) in `root` and wait until it listens and `processes` have greeted."""
    port = free_port(None, set())  # below the ephemeral range, where a client's connection could take it
    async with AgentServer(tmp_path / "agent.sock") as agent:
        environment = {
            **os.environ,
            **agent.environment(str(root), python_path, lines=lines),
            "FUNGIBLE_AGENT_DEBUG": "1",
        }
        process = subprocess.Popen(
            [part.format(port=port) for part in command], cwd=root, env=environment, start_new_session=True
        )
        try:
            await agent.connected(processes, 30)
            running = Running(agent, port, root, process)
            await running.listening()
            yield running
        finally:
            process.terminate()
            try:
                await asyncio.to_thread(process.wait, 10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def gunicorn(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gunicorn", "-b", "127.0.0.1:{port}", "--log-level", "error", *arguments]
