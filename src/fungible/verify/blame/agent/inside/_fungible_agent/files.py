"""Files that the process writes, and databases that it opens, from CPython's audit events."""

from __future__ import annotations

import os
import stat
import sys
from typing import Any

from . import places

_LIMIT = 5_000
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PATHS = {
    "os.rename": (0, 1), "os.remove": (0,), "os.mkdir": (0,), "os.rmdir": (0,), "os.truncate": (0,), "os.link": (1,),
    "os.symlink": (1,), "shutil.copyfile": (1,), "shutil.copytree": (1,), "shutil.move": (1,), "shutil.rmtree": (0,),
    "shutil.make_archive": (0,), "shutil.unpack_archive": (1,), "sqlite3.connect": (0,), "tempfile.mkstemp": (0,),
    "tempfile.mkdtemp": (0,), "os.mkfifo": (0,), "os.mknod": (0,),
}  # fmt: skip
_QUIET = ("/dev/null", "/dev/tty", "/dev/stdout", "/dev/stderr")

_seen: dict[tuple[Any, ...], None] = {}


def begin() -> None:
    """Hear of every event from now on; this cannot be undone, so the hook is quick for what is not ours."""
    sys.addaudithook(_hear)
    os.execve = _becomes(os.execve)


def _becomes(execve: Any) -> Any:
    """`os.execve` that inherits; its audit event comes when the environment has been read already."""

    def becomes(path: Any, argv: Any, env: Any) -> Any:
        environment = dict(env)
        _inherit(environment)
        return execve(path, argv, environment)

    becomes.__name__ = becomes.__qualname__ = "execve"
    return becomes


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        path, mode, flags = arguments
        if not (type(flags) is int and flags & _WRITES) and not (type(mode) is str and _writes(mode)):
            return
        _note(event, path)
    elif event == "subprocess.Popen":
        _inherit(arguments[3])
    else:
        positions = _PATHS.get(event)
        if positions is not None:
            for position in positions:
                if position < len(arguments):
                    _note(event, arguments[position])


def _writes(mode: str) -> bool:
    return any(letter in mode for letter in "wax+")


def _note(event: str, path: Any) -> None:
    if type(path) is bytes:
        path = os.fsdecode(path)
    if type(path) is not str or path in _QUIET or len(_seen) >= _LIMIT or "__pycache__" in path:
        return
    frame = sys._getframe(2)
    written, called, _ = places.of_frame(frame)
    if written is None and path.startswith("/proc/"):
        return
    where = path if event == "sqlite3.connect" and (not path or path.startswith((":", "file:"))) else _absolute(path)
    through = places.through(frame, written) if called is None else None
    _seen.setdefault((where, event, written, called, through), None)


def _absolute(path: str) -> str:
    try:
        return os.path.abspath(path)
    except OSError:
        return path


def _inherit(environment: Any) -> None:
    """A launcher that starts or becomes the server passes our variables on, as it passes its own.

    Where it passes no environment of its own making, the C library does.
    """
    if environment is os.environ or type(environment) is dict:
        own = environment.get("PYTHONPATH", "")
        if "PYTHONPATH" in inherited and type(own) is str and not own.startswith(inherited["PYTHONPATH"]):
            environment.update(inherited, PYTHONPATH=inherited["PYTHONPATH"] + (os.pathsep + own if own else ""))


inherited: dict[str, str] = {}
"""The variables that brought us here, PYTHONPATH with our folder alone. Set at the start."""


def _size(path: str) -> int | None:
    try:
        found = os.lstat(path)
    except (OSError, ValueError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def files() -> list[dict[str, Any]]:
    """What was written up to now, without repetition, each with its size now (None for no file)."""
    return [
        {
            "path": path,
            "event": event,
            "written_at": written,
            "called_from": called,
            "through": through,
            "size": _size(path),
        }
        for path, event, written, called, through in list(_seen)
    ]
