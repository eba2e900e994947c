"""A PATH without packagers: what would compile is answered by a word, and who asks for it is written down."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fungible.build.tools import PACKAGERS
from fungible.sandbox.spec import Mount

_RUNTIMES = frozenset({"node", "npm", "npx", "yarn", "pnpm", "bun", "bunx", "deno"})
_STUB = """#!/bin/sh
echo "{name}" >> "{calls}/calls"
echo "fungible: {name} is a packager, and the run stage has none" >&2
exit 127
"""


@dataclass(frozen=True)
class PackagersOff:
    """The `path` to give a process, the `mounts` that it needs, and the file of what was `called`."""

    path: str
    mounts: tuple[Mount, ...]
    called: Path

    def first_called(self) -> str | None:
        """The first packager that was asked for, if one was."""
        try:
            lines = self.called.read_text().splitlines()
        except OSError:
            return None
        return lines[0] if lines else None


def packagers_off(folder: Path, command: str, environment: Mapping[str, str], app: Path, level: str) -> PackagersOff:
    """Take the packagers off the PATH of a process that runs `command`; `folder` is made, and holds what it takes.

    What the command itself names stays, and with it the rest of JavaScript's run-time programs. At level full the
    programs cannot be run by their own paths either, those inside the `app` aside.
    """
    stubs, calls = folder / "bin", folder / "calls"
    stubs.mkdir(parents=True)
    calls.mkdir()
    words = {os.path.basename(word) for word in command.replace(";", " ").replace("&", " ").split()}
    spared = words | (_RUNTIMES if words & _RUNTIMES else frozenset())
    masked: dict[str, Mount] = {}
    for name in PACKAGERS:
        if name in spared:
            continue
        stub = stubs / name
        stub.write_text(_STUB.format(name=name, calls=calls))
        stub.chmod(0o755)
        real = os.path.realpath(shutil.which(name, path=environment.get("PATH")) or "")
        outside = not real.startswith(str(app) + os.sep) and not real.startswith(("/tmp/", "/run/", "/var/tmp/"))
        if level == "full" and os.path.isfile(real) and outside:
            masked[real] = Mount(str(stub), real)
    mounts = (Mount(str(stubs), str(stubs)), Mount(str(calls), str(calls), writable=True), *masked.values())
    return PackagersOff(f"{stubs}{os.pathsep}{environment.get('PATH', os.defpath)}", mounts, calls / "calls")
