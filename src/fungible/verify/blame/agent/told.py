"""What the agents of an app's processes tell of them, and are told, as plain data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fungible.verify.blame.agent.naming import ObjectPath

Roots = Literal["app", "all"]
_CALLABLE = re.compile(r"([A-Za-z_][\w.]*):[A-Za-z_][\w.]*(?:\(.*\))?$")


@dataclass(frozen=True)
class Greeting:
    """A process of the app that connected. `pid` is its own view, `host_pid` the kernel's for the host."""

    pid: int
    parent: int
    host_pid: int
    argv: tuple[str, ...]
    python: str
    root: str

    @property
    def main(self) -> str:
        """The name by which people know the module `__main__`: that of the script."""
        script = next((part for part in self.argv[1:] if part.endswith(".py")), "")
        return Path(script).stem or "__main__"

    @property
    def programs(self) -> frozenset[str]:
        """The packages that the command line names: that of the callable which a server is given
        (`shop.wsgi:app`), or of a console script or a module that is run, where its name tells."""
        named = [found[1] for part in self.argv if (found := _CALLABLE.match(part))]
        words = named or [Path(part).stem for part in self.argv[1:] if not part.startswith("-")]
        return frozenset(word.partition(".")[0].replace("-", "_") for word in words)


@dataclass(frozen=True)
class Snapshot:
    """What a snapshot walked: `objects` in `seconds`; `truncated` when a bound was met first."""

    pid: int
    objects: int
    seconds: float
    truncated: bool


@dataclass(frozen=True)
class Change:
    """An object whose shallow content changed since a snapshot.

    `path` names the object to put back (for an attribute the attribute itself); `parts` the changed places within it,
    such as the keys of a dict. `kind` is one of attribute, dict, list, set, deque, bytes, closure, default,
    lru_cache, thread-local, context variable, counter, generator, environment, import, sqlite connection, order,
    opaque. `what` is short text (`+['abc']`, `0 -> 1`). `in_app`: the path starts in a module of the app. `made`:
    what is there now is an object with attributes, which may have been made only now and hold more than that.
    `holds`: how many steps from what is there now the nearest container is, not empty, that was made since (since
    `born`, see `AgentServer.diff`).
    """

    pid: int
    path: ObjectPath
    kind: str
    what: str
    type: str
    parts: tuple[ObjectPath, ...]
    restorable: bool
    in_app: bool
    made: bool = False
    holds: int | None = None

    def text(self, main: str = "__main__") -> str:
        """The path for the report: the changed place itself if there is only one."""
        return (self.parts[0] if len(self.parts) == 1 else self.path).text(main)


@dataclass(frozen=True)
class Restored:
    """What `restore` could do. `suspects` could not be put back, each with the reason."""

    restored: tuple[ObjectPath, ...]
    suspects: tuple[tuple[ObjectPath, str], ...]
    unknown: tuple[ObjectPath, ...]


@dataclass(frozen=True)
class Write:
    """A change of a watched object, seen by the line tracer; places are `(absolute file, line)`. `written_at` is
    the innermost line outside the standard library, `called_from` the nearest line of the app. Where no such line is
    on the way, `through` is the nearest of the package that the path begins in."""

    pid: int
    path: ObjectPath
    written_at: tuple[str, int] | None
    called_from: tuple[str, int] | None
    function: str
    what: str
    through: tuple[str, int] | None = None


@dataclass(frozen=True)
class Place:
    """Where an object is made: `(absolute file, line)`."""

    path: ObjectPath
    file: str
    line: int


@dataclass(frozen=True)
class FileEvent:
    """A file opened for writing, renamed, removed, or a database connected to; places as in `Write`.

    `event` is the audit event of CPython (`open`, `os.rename`, `sqlite3.connect`, `tempfile.mkstemp`, ...); `size` is
    that of the file when it is asked for, in bytes, None where there is none. Where none of the app's lines is on the
    way, `through` is what called the code that wrote."""

    pid: int
    path: str
    event: str
    written_at: tuple[str, int] | None
    called_from: tuple[str, int] | None
    size: int | None = None
    through: tuple[str, int] | None = None


@dataclass(frozen=True)
class Chance:
    """Randomness while a process boots: the draws of the lines in `shared` (`Draw.key`; None: of every line) are the
    same in all processes that boot with the same `seed`."""

    seed: str
    shared: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Hashing:
    """What `hash` gives for text: the lines in `shared` (`Draw.key`; None: all) get what no hash seed changes."""

    shared: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Draw:
    """A line that drew randomness while the process booted, or asked `hash` for the number of a text; places as in
    `Write`. `name` is what a draw makes, as the source names it. The `key` is the same in every process."""

    key: str
    written_at: tuple[str, int] | None
    called_from: tuple[str, int] | None
    name: str | None


@dataclass(frozen=True)
class Atom:
    """A leaf value of a process after boot, known by a salted digest alone."""

    pid: int
    path: ObjectPath
    digest: str
