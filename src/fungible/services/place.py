"""Where an embedded service keeps its things: private folders, secrets, short socket paths, a port, a lock."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import os
import random
import secrets
import shutil
import signal
import socket
import stat
from pathlib import Path

from fungible.app.problem import Exit, Problem

# sun_path holds 108 bytes with its closing zero (unix(7)); PostgreSQL's name is the longest.
_LONGEST_SOCKET_FOLDER = 107 - len("/pg/.s.PGSQL.65535")
_PORTS = range(20_000, 32_000)  # below the ephemeral range (32768..60999), where clients take theirs


def private_folder(path: Path) -> Path:
    """Make `path` with mode 0700, or check that it is ours.

    Raises `Problem` where it is no folder of ours or cannot be made.
    """
    try:
        while True:
            # pathlib says so, too, where another's folder was there and has been removed since.
            with contextlib.suppress(FileExistsError):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # another removed it just now
                status = path.lstat()
                break
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise Problem(f"{path} is not a folder of this user; remove it or choose another", Exit.NOT_ALLOWED)
        if stat.S_IMODE(status.st_mode) != 0o700:
            path.chmod(0o700)
    except OSError as error:
        raise Problem(f"cannot make the folder {path}: {error.strerror}", Exit.NOT_ALLOWED) from None
    return path


def write_private(path: Path, content: str) -> None:
    """Write a file that only its owner can read, in one step."""
    write_whole(path, content, 0o600)


def write_whole(path: Path, content: str, mode: int = 0o666) -> None:
    """Write a file in one step: it is there whole, or as it was. `mode` is that of the file, less the umask.
    Raises OSError."""
    draft = path.with_name(f"{path.name[:200]}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def secret(path: Path) -> str:
    """The password kept in `path`; made on first use. Safe in a URL without quoting."""
    with contextlib.suppress(FileNotFoundError):
        kept = path.read_text(encoding="utf-8").strip()
        if kept:
            return kept
    made = secrets.token_hex(24)
    write_private(path, made + "\n")
    return made


def runtime_folder() -> Path:
    """The user's folder for sockets: `$XDG_RUNTIME_DIR/fungible`, or one of ours in /tmp."""
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    if given.startswith("/") and len(os.fsencode(given)) < 50 and os.access(given, os.W_OK | os.X_OK):
        return private_folder(Path(given) / "fungible")
    return private_folder(Path(f"/tmp/fungible-{os.geteuid()}"))


def socket_folder(folder: Path) -> Path:
    """A private folder for the sockets of the service in `folder`: itself, unless its path is too long."""
    if len(os.fsencode(folder)) <= _LONGEST_SOCKET_FOLDER:
        return private_folder(folder)
    # Named after the folder, so that a start after a crash reuses it instead of leaving another behind.
    name = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:12]
    return private_folder(runtime_folder() / name)


def remove_socket_folder(folder: Path) -> None:
    """Undo `socket_folder`, where that was not `folder` itself."""
    short = socket_folder(folder)
    if short != folder:
        shutil.rmtree(short, ignore_errors=True)


def free_port(preferred: int | None, avoid: set[int]) -> int:
    """A loopback TCP port that nobody listens on: `preferred` if it is free, else one by chance.

    Between this answer and the server's bind another process may take it: callers try again with the port
    in `avoid`. Raises `Problem` where none is free.
    """
    candidates = [preferred] if preferred is not None and preferred not in avoid else []
    candidates += random.sample(_PORTS, 200)
    for port in candidates:
        if port in avoid:
            continue
        with socket.socket() as probe:
            # A server sets this too: a port in TIME_WAIT is free for it.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise Problem("no loopback port between 20000 and 32000 is free", Exit.NOT_ALLOWED)


async def lock(folder: Path, what: str, patience: float) -> int:
    """Take the folder's lock; returns its descriptor, which a server inherits and so holds while it lives.

    Waits up to `patience` seconds, in which the server of a supervisor that was killed ends. Raises `Problem`
    if it is held longer; `what` names the service in it.
    """
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = asyncio.get_running_loop().time() + patience
        while not _is_taken(descriptor, folder, what):
            if asyncio.get_running_loop().time() > deadline:
                raise Problem(
                    f"{what}: its data in {folder} is in use by another running formation; stop that one first",
                    Exit.NOT_ALLOWED,
                )
            await asyncio.sleep(0.05)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _is_taken(descriptor: int, folder: Path, what: str) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise Problem(f"{what}: cannot lock {folder}: {error.strerror}", Exit.NOT_ALLOWED) from None
        return False
    return True


def end_holders(folder: Path) -> None:
    """KILL every process that holds the folder's lock: what is left of a server that ended, where nobody else may
    have begun to use the folder."""
    wanted = (folder / "lock").stat()
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):  # it has gone, or is another user's
            held = (os.stat(entry) for entry in (process / "fd").iterdir())
            if any((each.st_dev, each.st_ino) == (wanted.st_dev, wanted.st_ino) for each in held):
                os.kill(int(process.name), signal.SIGKILL)
