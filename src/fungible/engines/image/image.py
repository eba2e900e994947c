"""From a build to an image: what of this machine it needs, in layers, as an archive or in an engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fungible.app.load import DOTENV
from fungible.app.model import App
from fungible.app.problem import Problem
from fungible.app.procfile import RELEASE
from fungible.app.wording import plain
from fungible.build.tools import programs_of
from fungible.engines.description import PORT, USER, Description
from fungible.engines.image.archive import Image
from fungible.engines.image.closure import Host, file_at, interpreter, libraries, program, system
from fungible.engines.image.content import Entry, File, Folder, Layer, Link, layer
from fungible.engines.image.machine import architecture
from fungible.runtime.ground.confinement import shell_command

HOME = "/fungible"
_ENTRY = Path(__file__).with_name("entry.py")
ENTRYPOINT = (f"{HOME}/python", "-I", "-S", f"{HOME}/{_ENTRY.name}")
_PASSWD = f"root:x:0:0:root:/:/usr/sbin/nologin\napp:x:{USER}:{USER}:app:/tmp:/usr/sbin/nologin\n"
_GROUP = f"root:x:0:\napp:x:{USER}:\n"
_NSSWITCH = "passwd: files\ngroup: files\nhosts: files dns\n"
OWN = "/tmp/"
"""What every container has of its own: what lies there in an image is hidden."""
_NOT_SHIPPED = frozenset({DOTENV, ".fungible/build.json"})


@dataclass(frozen=True)
class Wanted:
    """What an image is made of: the `app`, its formation, the folder with its build's files, folders of the app's
    that are seen where they are (`bound`), the PATH of its processes, and more paths that belong in."""

    app: App
    description: Description
    content: Path
    bound: Sequence[str]
    search: str
    include: Sequence[Path] = ()


def layers_of(wanted: Wanted) -> tuple[Layer, ...]:
    """The layers, lowest first: the system, the environment, the app. Raises Problem for what is not
    there, and for what would be hidden by a container's own /tmp."""
    host = Host(wanted.search, skipped=(wanted.app.folder,))
    lowest = layer("system", _with_libraries(host, _system(host)))
    environment = layer("environment", _with_libraries(host, _environment(host, wanted)), [lowest])
    app = layer("app", _with_libraries(host, _app(wanted)), [lowest, environment])
    for each in (*environment.entries, *app.entries):
        if isinstance(each, File) and each.path.startswith(OWN):
            raise Problem(f"{plain(each.path)}: every container has a {OWN[:-1]} of its own; keep this elsewhere")
    return lowest, environment, app


def image_of(wanted: Wanted, repository: str, reference: str | None, digest: str) -> Image:
    """The image of a build with this `digest`. Raises Problem for what cannot be in one."""
    return Image(
        repository=repository,
        reference=reference,
        layers=layers_of(wanted),
        architecture=architecture(),
        entrypoint=ENTRYPOINT,
        command=("web",),
        environment={"PATH": _path(wanted.search), "LANG": "C.UTF-8", **wanted.description.given, "TMPDIR": "/tmp"},
        folder=str(wanted.app.folder),
        user=f"{USER}:{USER}",
        labels={"org.opencontainers.image.title": wanted.app.name, "fungible.build": digest},
    )


def formation_file(description: Description) -> dict[str, Any]:
    """What the entry point reads: each type's command, and how it stops; the release command is one of them."""
    types: dict[str, Any] = {
        each.name: {
            "argv": shell_command(each.command),
            "stop_signal": each.stop_signal,
            "lame_duck": each.lame_duck,
            "port": each.port,
        }
        for each in description.workloads
    }
    if description.release_command is not None:
        argv = shell_command(description.release_command)
        types[RELEASE] = {"argv": argv, "stop_signal": "TERM", "lame_duck": 0, "port": PORT}
    return {"types": types}


def _system(host: Host) -> Iterator[Entry]:
    yield from system(host)
    yield Folder("/tmp", shared=True)
    yield Folder("/proc")
    yield Folder("/run")
    for path, text in (("/etc/passwd", _PASSWD), ("/etc/group", _GROUP), ("/etc/nsswitch.conf", _NSSWITCH)):
        yield File(path, content=text.encode())


def _environment(host: Host, wanted: Wanted) -> Iterator[Entry]:
    description = wanted.description
    commands = [each.command for each in description.workloads]
    commands += [description.release_command] if description.release_command else []
    inside = f"{wanted.app.folder}{os.sep}"
    python = os.path.realpath(_python(wanted.search))
    yield Link(f"{HOME}/python", python)
    yield from interpreter(host, python, packages=False)
    for path in programs_of(commands, wanted.search).values():
        if not path.startswith(inside):
            yield from program(host, path)
    for each in wanted.include:
        path = os.path.abspath(each)
        yield from program(host, path) if each.is_file() else host.entries(path)


def _app(wanted: Wanted) -> Iterator[Entry]:
    here = Host(wanted.search)
    yield Folder(str(wanted.app.folder))
    content = wanted.content.resolve()
    for entry in here.entries(str(content)):
        inside = os.path.relpath(entry.path, content)
        if inside.startswith(os.pardir):  # what a link leads to stays where it is
            yield entry
        elif inside not in _NOT_SHIPPED:
            yield replace(entry, path=f"{wanted.app.folder}/{inside}")
    for each in wanted.bound:
        yield from here.entries(f"{wanted.app.folder}/{each}")
        if os.path.isfile(f"{wanted.app.folder}/{each}/pyvenv.cfg"):
            yield from program(here, f"{wanted.app.folder}/{each}/bin/python")
    yield file_at(str(_ENTRY), f"{HOME}/{_ENTRY.name}")
    text = json.dumps(formation_file(wanted.description), indent=1, sort_keys=True)
    yield File(f"{HOME}/formation.json", content=text.encode())


def _with_libraries(host: Host, entries: Iterable[Entry]) -> Iterator[Entry]:
    code = []
    for entry in entries:
        if isinstance(entry, File) and entry.source is not None:
            code.append(str(entry.source))
        yield entry
    yield from libraries(host, code)


def _python(search: str) -> str:
    """The interpreter that the entry point runs under: the app's own, or ours where it has none."""
    found = shutil.which("python", path=search) or shutil.which("python3", path=search) or sys.executable
    # What is on the PATH may be a script that chooses one of several (pyenv).
    done = subprocess.run([found, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else os.path.realpath(sys.executable)


def _path(search: str) -> str:
    return os.pathsep.join(dict.fromkeys(each for each in search.split(os.pathsep) if os.path.isabs(each)))
