"""What of this machine the processes of an app need: programs, interpreters with their packages, libraries.

An image of these runs what was verified here, not what a base image of a similar name holds. Found are the programs
on the PATH that the commands name, with the environment (virtualenv) and the interpreter that each belongs to, and
the shared libraries of everything that is machine code, as the dynamic loader finds them (`ldd`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from fungible.app.problem import Exit, Problem
from fungible.engines.image.content import Entry, File, Link

_SKIPPED = frozenset({".git", ".hg", ".svn", ".mypy_cache", ".pytest_cache", ".ruff_cache"})
_NOT_RUN = frozenset({"idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "site-packages"})
"""Folders of a standard library that no app of this kind imports; packages of its own are taken where it is used
itself, without an environment around it."""
_TESTS = frozenset({"test", "tests"})
_SCREEN = re.compile(r"_tkinter\.")
_SYSTEM = (
    *("/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/openssl.cnf", "/usr/lib/ssl/openssl.cnf", "/etc/mime.types"),
    *("/usr/share/zoneinfo", "/usr/lib/locale/C.utf8", "/usr/share/mime/globs2"),
)
_LIBRARIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64")
_SHELL = ("/bin/sh", "/usr/bin/env")
_LIBRARY = re.compile(r"(?:=>\s*)?(/\S+) \(0x[0-9a-f]+\)")
_AT_ONCE = 200
_ASK = """
import json, site, sys, sysconfig
paths = sysconfig.get_paths()
print(json.dumps({"executable": sys.executable, "prefix": sys.prefix, "base": sys.base_prefix,
    "stdlib": [paths["stdlib"], paths["platstdlib"], sysconfig.get_path("stdlib", vars={"base": sys.base_prefix})],
    "packages": [paths["purelib"], paths["platlib"], *site.getsitepackages()]}))
"""


class Host:
    """The files of this machine as an image has them: each at its own path, links as links; without the folders
    `skipped`. `search` is the PATH of the app's processes."""

    def __init__(self, search: str, skipped: Sequence[Path] = ()) -> None:
        self.search = search
        self._skipped = tuple(os.path.realpath(each) for each in skipped)

    def entries(self, path: str) -> Iterator[Entry]:
        """A file, or a folder with all that is in it, and the links on the way there."""
        real, links = self._way(path)
        yield from links
        if os.path.isdir(real):
            yield from self._tree(real)
        elif os.path.isfile(real):
            yield file_at(real)

    def threads(self) -> Iterator[Entry]:
        """What the C library loads by itself when a thread ends; `ldd` does not tell it."""
        for folder in _LIBRARIES:
            for each in sorted(Path(folder).glob("libgcc_s.so.1")):
                yield from self.entries(str(each))

    def _tree(self, folder: str) -> Iterator[Entry]:
        for inside, folders, files in os.walk(folder):
            folders[:] = sorted(each for each in folders if not self._passed(inside, each))
            for name in (*folders, *sorted(files)):
                path = os.path.join(inside, name)
                if os.path.islink(path):
                    yield from self._link(path)
                elif name not in folders and os.path.isfile(path):
                    yield file_at(path)

    def _link(self, path: str) -> Iterator[Entry]:
        yield Link(path, os.readlink(path))
        real = os.path.realpath(path)
        if os.path.isfile(real):
            yield file_at(real)
            yield from self._way(path)[1]

    def _passed(self, inside: str, name: str) -> bool:
        path = os.path.join(inside, name)
        return name in _SKIPPED or (os.path.realpath(path) in self._skipped and not os.path.islink(path))

    def _way(self, path: str) -> tuple[str, list[Link]]:
        """Where a path really is, and the links that lead there."""
        links: list[Link] = []
        done, ahead = "/", [part for part in path.split("/") if part]
        while ahead:
            here = os.path.normpath(os.path.join(done, ahead.pop(0)))
            if os.path.islink(here) and len(links) < 40:
                target = os.readlink(here)
                links.append(Link(here, target))
                ahead = [*(part for part in os.path.join(done, target).split("/") if part), *ahead]
                done = "/"
            else:
                done = here
        return done, links


def file_at(path: str, at: str | None = None) -> File:
    """A file of this machine, in the image at the same path, or `at` another. Raises OSError."""
    status = os.stat(path)
    return File(at or path, Path(path), executable=bool(status.st_mode & 0o111), modified=int(status.st_mtime))


def system(host: Host) -> Iterator[Entry]:
    """What every process expects: a shell, certificates, time zones, a locale, users."""
    for path in (*_SHELL, *_SYSTEM):
        if os.path.exists(path):
            yield from host.entries(path)
    yield from host.threads()


def program(host: Host, path: str) -> Iterator[Entry]:
    """A program with what it cannot do without: the environment it is installed in, its interpreter."""
    yield from host.entries(path)
    home = os.path.dirname(os.path.dirname(path))
    if os.path.isfile(os.path.join(home, "pyvenv.cfg")):
        yield from environment(host, home)
    elif os.path.basename(os.path.realpath(path)).startswith("python"):
        yield from interpreter(host, path, packages=True)
    if (package := _package_of(os.path.realpath(path))) is not None:
        yield from host.entries(package)
    for each in _interpreters_of(path, host.search):
        yield from program(host, each) if each != path else ()


def environment(host: Host, home: str) -> Iterator[Entry]:
    """A virtualenv: all that is in it, folders that its packages are installed from, and its interpreter."""
    yield from host.entries(home)
    for packages in sorted(Path(home).glob("lib/python3*/site-packages")):
        for path in sorted(packages.glob("*.pth")):
            for line in path.read_text(errors="replace").splitlines():
                if os.path.isabs(line.strip()) and os.path.isdir(line.strip()):
                    yield from host.entries(line.strip())
    yield from interpreter(host, os.path.join(home, "bin", "python"), packages=False)


def interpreter(host: Host, path: str, *, packages: bool) -> Iterator[Entry]:
    """A Python: the program and its standard library, and with `packages` those that are installed in it.

    Raises Problem for one that does not run.
    """
    try:
        done = subprocess.run([path, "-I", "-c", _ASK], capture_output=True, text=True, timeout=60, check=True)
        said = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise Problem(f"{path}: this Python does not say where its library is ({error})", Exit.NOT_ALLOWED) from None
    yield from host.entries(path)
    for folder in dict.fromkeys(said["stdlib"]):
        yield from (each for each in host.entries(folder) if not _left_out(each.path, folder))
    for folder in dict.fromkeys(said["packages"]) if packages else ():
        if os.path.isdir(folder):
            yield from host.entries(folder)


def libraries(host: Host, paths: Iterable[str], without: Collection[str] = ()) -> Iterator[Entry]:
    """The shared libraries that these files of machine code load when they start, and the loader itself; `without`
    are names of those that they bring along.

    Raises Problem where there is no `ldd` to ask.
    """
    code = [path for path in dict.fromkeys(paths) if _is_machine_code(path)]
    found: set[str] = set()
    for start in range(0, len(code), _AT_ONCE):
        try:
            done = subprocess.run(
                ["ldd", *code[start : start + _AT_ONCE]], capture_output=True, text=True, env={"PATH": os.defpath}
            )
        except OSError as error:
            raise Problem(f"ldd cannot be run ({error.strerror}); install it (libc-bin)", Exit.NOT_ALLOWED) from None
        found.update(match[1] for match in _LIBRARY.finditer(done.stdout))
    found = {path for path in found if os.path.basename(path) not in without}
    for path in sorted(found):
        yield from host.entries(path)


def _package_of(path: str) -> str | None:
    """The folder of the npm package that a program is part of (`npm` itself is one)."""
    found = re.match(r"(.*/node_modules/(?:@[^/]+/)?[^/]+)/", path)
    return found[1] if found else None


def _interpreters_of(path: str, search: str) -> tuple[str, ...]:
    """The programs that a script's first line names, found on the PATH where `env` finds them there."""
    with open(path, "rb") as file:
        first = file.readline(300)
    if not first.startswith(b"#!"):
        return ()
    words = first[2:].decode(errors="replace").split()
    if words and os.path.basename(words[0]) == "env":
        names = [each for each in words[1:] if not each.startswith("-") and "=" not in each]
        words = [shutil.which(each, path=search) or "" for each in names[:1]]
    return tuple(each for each in words[:1] if os.path.isabs(each) and os.path.exists(each))


def _is_machine_code(path: str) -> bool:
    name = os.path.basename(path)
    if not (os.access(path, os.X_OK) or name.endswith(".so") or ".so." in name):
        return False
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def _left_out(path: str, library: str) -> bool:
    parts = os.path.relpath(path, os.path.realpath(library)).split(os.sep)
    unwanted = parts[0] in _NOT_RUN or parts[0].startswith("config-") or bool(_SCREEN.match(parts[-1]))
    return unwanted or not _TESTS.isdisjoint(parts)
