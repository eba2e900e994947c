"""Files and lines: what is the standard library, what is installed, what is the app's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import FrameType

Place = tuple[str, int]

_STANDARD = tuple(
    {os.path.dirname(os.path.abspath(os.__file__)) + "/", os.path.dirname(os.path.realpath(os.__file__)) + "/"}
)
FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""What PYTHONPATH named to bring us here."""
_OURS = FOLDER + "/"
_FUNGIBLE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(FOLDER)))) + "/"
"""The package that has us, where it is not installed but worked on."""

root = ""
"""The app's folder, ending in a slash."""
_start = ""
_known: dict[str, int] = {}

SKIPPED, FOREIGN, OWN = 0, 1, 2


def begin(folder: str) -> None:
    """Set the app's folder (the working folder if empty)."""
    global root, _start
    _start = os.getcwd()
    root = os.path.abspath(folder or _start).rstrip("/") + "/"


def kind_of(file: str) -> int:
    """SKIPPED for the standard library, generated code and ourselves; FOREIGN for what is installed, and for the
    script that starts it; OWN for the app, also where its code is not in its folder."""
    known = _known.get(file)
    if known is None:
        if len(_known) > 50_000:
            _known.clear()
        known = _known[file] = _kind_of(absolute(file))
    return known


def _kind_of(file: str) -> int:
    if file.startswith(("<", _OURS)):
        return SKIPPED
    installed = "/site-packages/" in file or "/dist-packages/" in file
    if not installed and file.startswith(_STANDARD):
        return SKIPPED
    if installed or file.startswith(_FUNGIBLE):
        return FOREIGN
    inside = file.startswith(root) or os.path.realpath(file).startswith(os.path.realpath(root) + "/")
    if not inside and not file.endswith(".py"):
        return FOREIGN
    # A virtual environment in the app's folder is not the app: its scripts only start it.
    folder = os.path.dirname(file)
    return FOREIGN if os.path.exists(os.path.join(os.path.dirname(folder), "pyvenv.cfg")) else OWN


def absolute(file: str) -> str:
    """`file` as an absolute path, relative ones from where the process started."""
    return file if file.startswith(("/", "<")) else os.path.join(_start, file)


def of_frame(frame: FrameType | None, line: int | None = None) -> tuple[Place | None, Place | None, str]:
    """The innermost place outside the standard library from `frame` outwards, the nearest place in the app, and
    the name of the function of the first. `line` stands for the frame's own line, if given."""
    written: Place | None = None
    called: Place | None = None
    function = ""
    while frame is not None:
        code = frame.f_code
        kind = kind_of(code.co_filename)
        if kind != SKIPPED:
            place = (
                absolute(code.co_filename),
                line if line is not None else (frame.f_lineno or code.co_firstlineno),
            )
            if written is None:
                written, function = place, code.co_name
            if kind == OWN:
                called = place
                break
        line = None
        frame = frame.f_back
    return written, called, function


def through(frame: FrameType | None, written: Place | None) -> Place | None:
    """For where no line of the app is on the way: the nearest caller of `written` in another file."""
    if written is None:
        return None
    return _nearest(frame, lambda file: kind_of(file) == FOREIGN and file != written[0])


def within(frame: FrameType | None, home: str) -> Place | None:
    """The nearest place in a folder, or in a file."""
    return _nearest(frame, lambda file: file.startswith(home))


def _nearest(frame: FrameType | None, is_wanted: Callable[[str], bool]) -> Place | None:
    while frame is not None:
        file = absolute(frame.f_code.co_filename)
        if is_wanted(file):
            return file, frame.f_lineno or frame.f_code.co_firstlineno
        frame = frame.f_back
    return None


def key_of(written: Place, called: Place | None) -> str:
    """What names these two places alike in every process, wherever its app's folder is."""
    return ", ".join(f"{_relative(file)}:{line}" for file, line in (written, called or written))


def _relative(file: str) -> str:
    return file[len(root) :] if file.startswith(root) else file


def is_app_file(file: object) -> bool:
    """Whether a module of this `__file__` is the app's own."""
    return type(file) is str and kind_of(file) == OWN
