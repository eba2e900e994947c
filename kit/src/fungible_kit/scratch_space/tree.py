"""A tree of files on disk: measured, and wiped for good."""

from __future__ import annotations

import logging
import os
import shutil
import time
from contextlib import suppress
from typing import NamedTuple

log = logging.getLogger("fungible_kit.scratch")


class Usage(NamedTuple):
    """`bytes` is the sum of the sizes of files, `files` counts files and folders; a hard link counts once."""

    bytes: int
    files: int


def measure(folder: str) -> Usage:
    """What is in `folder` now. What vanishes meanwhile is not counted."""
    size = files = 0
    linked = set[tuple[int, int]]()
    todo = [folder]
    while todo:
        with suppress(OSError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    if status.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                        if (status.st_dev, status.st_ino) in linked:
                            continue
                        linked.add((status.st_dev, status.st_ino))
                    files += 1
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                    else:
                        size += status.st_size
    return Usage(size, files)


def wipe(folder: str) -> bool:
    """Remove `folder` and all in it; True when it is gone. Links are removed, never followed.

    Somebody may still be writing into it, and folders may have been made unreadable: both are tried again.
    """
    for attempt in range(5):
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            if not os.path.lexists(folder):
                return True
        except PermissionError:
            _open_up(folder)
        except OSError:
            time.sleep(0.01 * attempt)
        else:
            return True
    log.warning("%s could not be wiped; the next process that uses scratch there tries again", folder)
    return False


def _open_up(folder: str) -> None:
    with suppress(OSError):
        os.chmod(folder, 0o700)
    for path, folders, _ in os.walk(folder):
        for name in folders:
            inner = os.path.join(path, name)
            with suppress(OSError):
                if not os.path.islink(inner):
                    os.chmod(inner, 0o700)
