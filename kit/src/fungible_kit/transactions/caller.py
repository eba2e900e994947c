"""Which line of the app called: the nearest frame that is neither the standard library's nor ours."""

from __future__ import annotations

import os
import sys
from types import FrameType

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_STANDARD = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_INSTALLED = ("/site-packages/", "/dist-packages/")


def app_line() -> str:
    """`shop/views.py:41`: the innermost line of the app on this thread's stack, relative to the current folder.

    Where only installed packages called, the innermost line of theirs; `<unknown>` where nobody is left.
    """
    frame: FrameType | None = sys._getframe(1)
    fallback = None
    while frame is not None:
        path = frame.f_code.co_filename
        # Third-party packages live below the standard library's folder: they are told apart first.
        installed = any(part in path for part in _INSTALLED)
        standard = path.startswith((_STANDARD, "<"))
        if not path.startswith(_OURS) and (installed or not standard):
            if not installed:
                return _written(frame)
            fallback = fallback or frame
        frame = frame.f_back
    return _written(fallback) if fallback is not None else "<unknown>"


def _written(frame: FrameType) -> str:
    path = frame.f_code.co_filename
    here = os.getcwd() + os.sep
    return f"{path.removeprefix(here)}:{frame.f_lineno}"
