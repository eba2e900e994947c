"""A store that we do not know, put back by the user's own commands (`[tool.fungible.verify.stores.NAME]`)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fungible.app.problem import Exit, Problem
from fungible.services import place
from fungible.services.store import Dump, Row, Snapshot, Store

_LARGEST_DUMP = 64 * 1024 * 1024


class CommandStore(Store):
    """A store with commands `snapshot`, `restore` and `dump`, each a line for bash.

    They run in `app_folder` with `environment` and `FUNGIBLE_SNAPSHOT`, a path of their own below `folder`
    that `snapshot` may make a file or folder of and `restore` gets again. What `dump` prints is a JSON object
    `{"table t": [{...}]}`, or else any text, which is compared line by line. None of them may take longer than
    `timeout` seconds. Without a dump command the content is not compared.
    """

    kind = "command"

    def __init__(
        self,
        name: str,
        *,
        snapshot: str,
        restore: str,
        dump: str | None,
        folder: Path,
        app_folder: Path,
        environment: Mapping[str, str],
        timeout: float = 60.0,
    ) -> None:
        self.name = name
        self.commands = {"snapshot": snapshot, "restore": restore, "dump": dump}
        self.folder = folder
        self.app_folder = app_folder
        self.environment = environment
        self.timeout = timeout

    @property
    def url(self) -> str:
        return self.environment.get(self.name, "")

    async def start(self) -> None:
        place.private_folder(self.folder)

    async def stop(self) -> None:
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    async def snapshot(self) -> Snapshot:
        kept = self.folder / secrets.token_hex(8)
        await self._run("snapshot", kept)
        return Snapshot(self.name, kept)

    async def restore(self, snapshot: Snapshot) -> None:
        if snapshot.store != self.name or not isinstance(snapshot.content, Path):
            raise Problem(f"{self.name}: this snapshot is of another store", Exit.NOT_ALLOWED)
        await self._run("restore", snapshot.content)

    async def dump(self) -> Dump:
        if self.commands["dump"] is None:
            return {}
        return read_dump(self.name, await self._run("dump", self.folder / "dump"))

    async def _run(self, verb: str, kept: Path) -> bytes:
        where = f"verify.stores.{self.name}.{verb}"
        with tempfile.TemporaryFile(dir=self.folder) as output, tempfile.TemporaryFile(dir=self.folder) as errors:
            process = await asyncio.create_subprocess_exec(
                "bash",
                "-c",
                self.commands[verb] or "",
                cwd=self.app_folder,
                env={**self.environment, "FUNGIBLE_SNAPSHOT": str(kept)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
            try:
                async with asyncio.timeout(self.timeout):
                    code = await process.wait()
            except BaseException as error:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
                if isinstance(error, TimeoutError):
                    raise Problem(
                        f"{where}: the command took longer than {self.timeout:g} s", Exit.NOT_ALLOWED
                    ) from None
                raise
            if code:
                errors.seek(max(0, errors.seek(0, os.SEEK_END) - 4096))
                said = errors.read().decode("utf-8", "replace").strip().splitlines() or ["nothing"]
                raise Problem(f"{where}: the command ended with {code} and said: {said[-1][:300]}")
            if output.seek(0, os.SEEK_END) > _LARGEST_DUMP:
                raise Problem(f"{where}: the command printed more than 64 MiB; print less, or digests")
            output.seek(0)
            return output.read()


def read_dump(name: str, printed: bytes) -> Dump:
    """What a dump command printed: a JSON object of lists of objects, else lines of text."""
    text = printed.decode("utf-8", "replace")
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(text)
        if isinstance(found, dict):
            return {str(key): _as_rows(rows) for key, rows in found.items()}
    return {f"dump {name}": [{"line": line} for line in text.splitlines()]}


def _as_rows(found: Any) -> Sequence[Row]:
    rows = found if isinstance(found, list) else [found]
    return [row if isinstance(row, dict) else {"value": row} for row in rows]
