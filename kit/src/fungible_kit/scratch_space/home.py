"""The folder of this process in the scratch base: locked while the process lives, removed when nothing is in it.

The lock (flock(2) on the folder itself) is the only sign of life that is asked: the kernel drops it with the process,
however that ends, and it is seen across PID namespaces, where process ids are not. A sibling whose lock is free is
what a killed process left behind, and is wiped.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import secrets
import signal
import tempfile
import threading
from contextlib import suppress
from types import FrameType

from fungible_kit.scratch_space import tree
from fungible_kit.scratch_space.errors import ScratchError

PREFIX = "fungible-scratch-"


class _Home:
    """This process's folder below one base, and how many spaces are in it."""

    def __init__(self, path: str, lock: int) -> None:
        self.path, self.lock, self.spaces = path, lock, 0


_guard = threading.RLock()  # the handler of TERM may come while it is held by the same thread
_homes: dict[str, _Home] = {}
_reaped: set[str] = set()
_prepared = False


def base() -> str:
    """$FUNGIBLE_SCRATCH, else the platform's folder for temporary files. Raises `ScratchError`."""
    named = os.environ.get("FUNGIBLE_SCRATCH", "")
    path = os.path.abspath(named or tempfile.gettempdir())
    try:
        os.makedirs(path, 0o700, exist_ok=True)
    except OSError as error:
        raise ScratchError(
            f"{path} cannot be made ({error.strerror}): set FUNGIBLE_SCRATCH to another folder"
        ) from None
    return path


def take() -> str:
    """A new empty folder of mode 0700, with a name of its own, for one space."""
    below = base()
    with _guard:
        prepare()
        if below not in _reaped:
            reap(below)
            _reaped.add(below)
        home = _homes.get(below) or _moved_in(below)
        home.spaces += 1
        path = os.path.join(home.path, secrets.token_hex(8))
        try:
            os.mkdir(path, 0o700)
        except OSError as error:
            give_back(path)
            raise ScratchError(f"{below} takes no folder ({error.strerror})") from None
        return path


def give_back(path: str) -> bool:
    """Wipe a folder that `take` gave; True when it is gone. With the last one goes the process's own."""
    gone = tree.wipe(path)
    with _guard:
        for below, home in list(_homes.items()):
            if os.path.dirname(path) == home.path:
                home.spaces -= 1
                if home.spaces <= 0:
                    _move_out(below, home)
    return gone


def wipe_all() -> None:
    """Wipe whatever this process has in scratch: at its end, or on TERM."""
    with _guard:
        for below, home in list(_homes.items()):
            _move_out(below, home)


def prepare() -> None:
    """Wipe at exit and on TERM. TERM only where nobody handles it and this is the main thread."""
    global _prepared
    if _prepared:
        return
    if threading.current_thread() is threading.main_thread():
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _terminated)
        _prepared = True
    atexit.unregister(wipe_all)
    atexit.register(wipe_all)


def reap(below: str) -> int:
    """Wipe what processes that are gone left in `below`; how many folders that were.

    Only folders that are ours by name and by owner, no link, and only with their lock in hand.
    """
    count = 0
    with suppress(OSError), os.scandir(below) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and _reap_one(entry.path):
                count += 1
    return count


def _reap_one(path: str) -> bool:
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if os.fstat(lock).st_uid != os.geteuid():
            return False
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return tree.wipe(path)
    except OSError:  # its process lives
        return False
    finally:
        os.close(lock)


def _moved_in(below: str) -> _Home:
    while True:
        path = os.path.join(below, PREFIX + secrets.token_hex(8))
        lock = None
        try:
            os.mkdir(path, 0o700)
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between making and locking, a sibling may have taken it for an orphan.
            if os.path.samestat(os.fstat(lock), os.stat(path, follow_symlinks=False)):
                home = _homes[below] = _Home(path, lock)
                return home
        except (FileExistsError, FileNotFoundError, BlockingIOError):
            pass
        except OSError as error:
            with suppress(OSError):
                os.rmdir(path)
            raise ScratchError(
                f"{below} cannot hold scratch ({error.strerror}): set FUNGIBLE_SCRATCH to a folder on a local disk"
            ) from None
        finally:
            if lock is not None and below not in _homes:
                os.close(lock)


def _move_out(below: str, home: _Home) -> None:
    _homes.pop(below, None)
    try:
        os.rmdir(home.path)
    except OSError:
        tree.wipe(home.path)
    with suppress(OSError):
        os.close(home.lock)


def _terminated(number: int, frame: FrameType | None) -> None:
    wipe_all()
    # Then as if we had not been here: whoever waits for this process sees it end by the signal.
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _forked() -> None:
    """In a forked child: what is there is the parent's."""
    global _guard
    _guard = threading.RLock()
    for home in _homes.values():
        with suppress(OSError):
            os.close(home.lock)
    _homes.clear()
    _reaped.clear()


os.register_at_fork(after_in_child=_forked)
