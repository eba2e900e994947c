"""Which Python runs an app: the one its command names, or the one its console script was installed for."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from fungible.verify.world.fork.command import AppCallable
from fungible.verify.world.fork.unforkable import Unforkable

_HEAD = 4096  # bytes of a console script that are looked at


def find_interpreter(app: AppCallable, environment: Mapping[str, str], cwd: str) -> tuple[str, ...]:
    """The argv of the interpreter; its program is an absolute path. Raises Unforkable where there is none."""
    if app.interpreter:
        return (_which(app.interpreter[0], environment, cwd), *app.interpreter[1:])
    script = find_program(app, environment, cwd)
    found = _of_script(Path(script).read_bytes()[:_HEAD])
    if found is None:
        raise Unforkable(f"{script} is not a Python script")
    return (_which(found[0], environment, cwd), *found[1:])


def find_program(app: AppCallable, environment: Mapping[str, str], cwd: str) -> str:
    """The absolute path of a console script. Raises Unforkable where there is none."""
    return _which(app.program, environment, cwd)


def _which(program: str, environment: Mapping[str, str], cwd: str) -> str:
    if os.path.dirname(program):
        path = os.path.normpath(os.path.join(cwd, program))
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    elif found := shutil.which(program, path=environment.get("PATH", os.defpath)):
        return os.path.join(cwd, found)
    raise Unforkable(f"there is no program `{program}` on the PATH of its processes")


def _of_script(head: bytes) -> tuple[str, ...] | None:
    """The interpreter of a `#!` line, also where a long path made pip write `exec` of sh into the second line."""
    lines = head.decode("utf-8", "replace").splitlines()
    if not lines or not lines[0].startswith("#!"):
        return None
    words = lines[0][2:].split()
    if words and os.path.basename(words[0]) == "sh" and len(lines) > 1 and lines[1].startswith("'''exec'"):
        words = shlex.split(lines[1][len("'''exec'") :].split('"$0"')[0])
    if words and os.path.basename(words[0]) == "env":
        words = [word for word in words[1:] if word != "-S"]
    if not words or not os.path.basename(words[0]).startswith(("python", "pypy")):
        return None
    return tuple(words)
