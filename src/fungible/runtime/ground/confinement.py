"""From a release and a process to the sandbox's spec: what it sees, what it may write, what it is given."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fungible.sandbox.spec import Mount, Spec

_SIMPLE = re.compile(r"[A-Za-z0-9_./,:=@%+\-\s\"'$(){}]*\Z")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
# fmt: off
_SHELL_WORDS = frozenset((
    "!", ".", ":", "[", "[[", "alias", "bg", "break", "builtin", "case", "cd", "command", "continue", "coproc",
    "do", "done", "elif", "else", "esac", "eval", "exec", "exit", "export", "fc", "fg", "fi", "for", "function",
    "getopts", "hash", "if", "in", "jobs", "let", "local", "read", "readonly", "return", "select", "set",
    "shift", "shopt", "source", "test", "then", "time", "times", "trap", "type", "ulimit", "umask", "unalias",
    "unset", "until", "wait", "while", "{", "}",
))
# fmt: on
"""Reserved words and builtins (POSIX.1-2024, Shell Command Language): `exec` before them fails or changes them."""
_HIDDEN = ("/tmp", "/var/tmp", "/run")


@dataclass(frozen=True)
class Confinement:
    """How the processes of one release are kept apart.

    `content` is the folder with the sealed release, `folder` the path at which the app sees it. `hidden` are
    folders that no process may read (our own state); `attached` are folders that shine through. `outbound` is
    `free` or `refused`, with its exceptions (see `sandbox.outbound.Policy`). With `read_only` there is no throw-away
    layer over the content: what writes there fails.
    """

    level: str
    layer: str
    content: Path
    folder: Path
    hidden: tuple[Path, ...]
    attached: tuple[Mount, ...]
    outbound: str = "free"
    reachable: tuple[str, ...] = ()
    unreachable: tuple[str, ...] = ()
    read_only: bool = False

    def spec(
        self,
        *,
        argv: tuple[str, ...],
        environment: Mapping[str, str],
        private: Path,
        host_name: str,
        grace: float,
        patience: float | None = None,
        limits: Mapping[str, int] | None = None,
        mounts: tuple[Mount, ...] = (),
        watch_databases: bool = True,
        keep_stdin: bool = False,
        content_writable: bool = False,
        wipe: bool = True,
    ) -> Spec:
        """The spec of one process in this confinement.

        With `content_writable` the release's content itself is written to, as the build stage does, in place of
        a throw-away layer over it.
        """
        level = self.level
        layered = not (content_writable or self.read_only)
        if not layered:
            level = "readonly" if level == "copy" else level
            # Without mounts the content is seen, and may be written, where it is: never the app's own folder.
            mounts = (Mount(str(self.content), self._build_folder(level), writable=content_writable), *mounts)
        return Spec(
            level=level,
            argv=argv,
            environment=dict(environment),
            private=str(private),
            source=str(self.content) if layered else None,
            target=str(self.folder) if layered else None,
            cwd=None if layered else self._build_folder(level),
            hidden=tuple(str(folder) for folder in self.hidden),
            kept=needed_paths(environment, argv, str(self.folder)),
            mounts=mounts + self.attached,
            host_name=host_name,
            grace=grace,
            patience=patience,
            limits=dict(limits or {}),
            layer=self.layer,
            watch_databases=watch_databases,
            keep_stdin=keep_stdin,
            wipe=wipe,
            outbound=self.outbound,
            reachable=self.reachable,
            unreachable=self.unreachable,
        )

    def _build_folder(self, level: str) -> str:
        return str(self.folder if level == "full" else self.content)


def shell_command(line: str) -> tuple[str, ...]:
    """The command line as `sh -c` runs it, with `exec` before it where it is one simple command.

    Without `exec` the shell stays as a parent and `LISTEN_PID` and signals to the leader miss the server.
    """
    return ("sh", "-c", f"exec {line}" if is_simple_command(line) else line)


def is_simple_command(line: str) -> bool:
    """Whether the shell would run `line` as a single command without assignments, redirections aside."""
    if not _SIMPLE.match(line) or "$(" in line or "\n" in line:
        return False
    try:
        words = shlex.split(line)
    except ValueError:
        return False
    if not words or _ASSIGNMENT.match(words[0]):
        return False
    return words[0] not in _SHELL_WORDS and not words[0].startswith(("(", "{", "$"))


def needed_paths(environment: Mapping[str, str], argv: Iterable[str], folder: str) -> tuple[str, ...]:
    """Paths that a process needs from under a hidden folder: its programs, and what its settings name.

    PATH entries bring their environment along (`bin`'s parent, and where its interpreter really lives); config
    vars and the command bring the absolute paths in them. Only what exists, nothing as broad as a hidden folder
    itself.
    """
    candidates: list[str] = []
    for entry in environment.get("PATH", "").split(os.pathsep):
        if not os.path.isabs(entry):
            continue
        parent = os.path.dirname(entry.rstrip("/"))
        candidates.append(parent if os.path.basename(entry.rstrip("/")) in ("bin", "Scripts", ".bin") else entry)
        for interpreter in ("python", "python3", "node"):
            program = os.path.join(entry, interpreter)
            if os.path.islink(program):
                home = os.path.dirname(os.path.dirname(os.path.realpath(program)))
                candidates.append(home)
    for name in ("PYTHONPATH", "NODE_PATH", "VIRTUAL_ENV", "PYTHONHOME", "GEM_PATH", "PERL5LIB"):
        candidates += [entry for entry in environment.get(name, "").split(os.pathsep) if os.path.isabs(entry)]
    skipped = ("TMPDIR", "HOME", "PWD", "OLDPWD", "XDG_RUNTIME_DIR", "FUNGIBLE_SCRATCH", "PATH", "TEMP", "TMP")
    for name, value in environment.items():
        if name not in skipped:
            candidates += _absolute_paths(value)
    for word in argv:
        candidates += _absolute_paths(word)
    needed: dict[str, None] = {}
    for candidate in candidates:
        for path in (candidate.rstrip("/"), os.path.realpath(candidate)):
            if _is_hidden(path) and path not in _HIDDEN and path != folder and os.path.exists(path):
                needed[path] = None
    return tuple(needed)


def _is_hidden(path: str) -> bool:
    return any(path.startswith(f"{folder}/") for folder in _HIDDEN)


def _absolute_paths(text: str) -> list[str]:
    found = re.findall(r"(?:^|[\s=:,'\"(\[])(/+[^\s:,'\"()\[\]]+)", text)
    return ["/" + path.lstrip("/") for path in found]
