"""Second names for files, in place of copies; and what is done to whole folders, whatever their modes."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path


def link_or_copy(source: Path, target: Path) -> None:
    """A second name for a file, or a copy of it where its filesystem has no such thing. Raises OSError."""
    with contextlib.suppress(OSError):
        os.link(os.path.realpath(source), target)
        return
    shutil.copyfile(source, target)


def link_tree(source: Path, target: Path) -> None:
    """Make `target` the same as `source` with hard links to its files. Raises OSError.

    Where there can be none (another filesystem, too many links) files are copied.
    """

    def link(one: str, other: str) -> None:
        try:
            os.link(one, other, follow_symlinks=False)
        except OSError:
            shutil.copy2(one, other, follow_symlinks=False)

    shutil.copytree(source, target, symlinks=True, copy_function=link)


def copy_writable(source: Path, target: Path) -> None:
    """Make `target` a copy of `source` that its owner may write to, whatever the modes there. Raises OSError."""

    def copy(one: str, other: str) -> None:
        shutil.copy2(one, other, follow_symlinks=False)
        if not os.path.islink(other):
            os.chmod(other, stat.S_IMODE(os.stat(other).st_mode) | stat.S_IWUSR)

    shutil.copytree(source, target, symlinks=True, copy_function=copy)


def write_protect(folder: Path, *, folders: bool = False) -> None:
    """Take the permission to write away from all files below `folder`, and with `folders` from the folders in it; its
    own stays, so that its owner can move it and take it away. Raises OSError."""
    for inside, names, files in os.walk(folder, topdown=False):
        for name in (*files, *(names if folders else ())):
            path = os.path.join(inside, name)
            mode = os.lstat(path).st_mode
            if not stat.S_ISLNK(mode) and mode & 0o222:
                os.chmod(path, stat.S_IMODE(mode) & ~0o222)


def delete(folder: Path) -> None:
    """Delete a folder, whatever the modes of what is in it."""

    def grant(function: object, path: str, _: object) -> None:
        with contextlib.suppress(OSError):
            os.chmod(os.path.dirname(path), 0o700)
            if os.path.isdir(path) and not os.path.islink(path):
                os.chmod(path, 0o700)
                shutil.rmtree(path, ignore_errors=True)
            else:
                os.unlink(path)

    shutil.rmtree(folder, onerror=grant)
