"""The first process of a container: runs a process type's command, and asks it to stop as the router needs it.

    entry.py TYPE            the command of the type
    entry.py ready           whether the process here may be chosen: exit 0 or 1
    entry.py COMMAND ...     any other command

It stands in the image beside `formation.json` and runs under the app's own interpreter: plain standard library from
Python 3.9 on. A PID 1 without handlers ignores TERM, so the command is never PID 1 itself; a web process asked to
stop serves on for `lame_duck` seconds, as those who route learn of it meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import sys
import time
import uuid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

FORMATION = os.path.join(os.path.dirname(os.path.abspath(__file__)), "formation.json")
SECRETS = "/run/secrets"
_FORWARDED = ("INT", "HUP", "QUIT", "USR1", "USR2", "WINCH")
_NEVER = float("inf")
_GRACE = 10.0  # seconds that what a command leaves behind may take to end
_LONGEST, _LONGEST_HEAD = 1 << 62, 1 << 18  # bytes
_OURS = ("FUNGIBLE_LAME_DUCK", "FUNGIBLE_READY_PATH")


def main(argv: list[str]) -> int:
    """Run what is asked for; returns the exit code (128+N for a signal)."""
    with open(FORMATION, encoding="utf-8") as file:
        types = json.load(file)["types"]
    if argv == ["ready"]:
        return ready(int(os.environ.get("PORT", "8000")), os.environ.get("FUNGIBLE_READY_PATH") or None)
    if not argv:
        return complain(f"name a process type: {', '.join(types)}")
    declared = types.get(argv[0]) if len(argv) == 1 else None
    if declared is None:
        declared = {"argv": argv, "stop_signal": "TERM", "lame_duck": 0, "port": None}
    return run(argv[0], declared, types)


def run(name: str, declared: dict[str, Any], types: Iterable[str]) -> int:
    """Start the command in a session of its own, and forward signals to its group until nothing of it is left."""
    ours = {getattr(signal, f"SIG{each}") for each in ("CHLD", "TERM", *_FORWARDED)}
    signal.pthread_sigmask(signal.SIG_BLOCK, ours)
    environment = environment_of(name, declared)
    leader = os.fork()
    if leader == 0:
        _become(declared["argv"], environment, ours, types)
    stop = getattr(signal, f"SIG{declared['stop_signal']}")
    lame_duck = float(os.environ.get("FUNGIBLE_LAME_DUCK") or declared["lame_duck"])
    status: int | None = None
    asked, stop_at, kill_at = False, _NEVER, _NEVER
    while True:
        wait = min(stop_at, kill_at) - time.monotonic()
        got = signal.sigtimedwait(ours, min(max(0.0, wait), 3600.0))
        number = got.si_signo if got is not None else None
        if number == signal.SIGTERM and not asked:
            asked, stop_at = True, time.monotonic() + lame_duck
        elif number not in (None, signal.SIGTERM, signal.SIGCHLD):
            _tell(leader, number)
        while True:
            try:
                pid, ended = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return _code(status)
            if pid == 0:
                break
            if pid == leader:
                status = ended
                _tell(leader, signal.SIGTERM)
                kill_at = time.monotonic() + _GRACE
        now = time.monotonic()
        if now >= stop_at:
            _tell(leader, stop)
            stop_at = _NEVER
        if now >= kill_at:
            _kill_all()
            kill_at = now + 1.0


def _become(argv: list[str], environment: dict[str, str], blocked: Any, types: Iterable[str]) -> None:
    """Turn into the command; does not return."""
    os.setsid()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
    try:
        os.execvpe(argv[0], argv, environment)
    except OSError as error:
        known = f" (process types: {', '.join(types)})" if error.errno == errno.ENOENT else ""
        complain(f"{argv[0]}: {error.strerror}{known}")
        os._exit(127 if error.errno == errno.ENOENT else 126)


def _tell(leader: int, number: int) -> None:
    with contextlib.suppress(OSError):  # it has ended
        os.killpg(leader, number)


def _kill_all() -> None:
    if os.getpid() == 1:  # elsewhere this would be everybody's
        with contextlib.suppress(OSError):
            os.kill(-1, signal.SIGKILL)


def _code(status: int | None) -> int:
    """The exit code for a wait status, as a shell says it."""
    if status is None:
        return 0
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def environment_of(name: str, declared: dict[str, Any]) -> dict[str, str]:
    """What the command gets: the container's environment, secrets that are files, folders of its own."""
    environment = {each: value for each, value in os.environ.items() if each not in _OURS}
    for secret, value in secrets_in(SECRETS):
        environment.setdefault(secret, value)
    temporary = environment.setdefault("TMPDIR", "/tmp")
    for variable, folder in (("HOME", "home"), ("FUNGIBLE_SCRATCH", "scratch"), ("XDG_RUNTIME_DIR", "run")):
        environment[variable] = os.path.join(temporary, "own", folder)
        os.makedirs(environment[variable], mode=0o700, exist_ok=True)
    environment["FUNGIBLE_INSTANCE"] = uuid.uuid4().hex
    environment.setdefault("FUNGIBLE_PROCESS", f"{name}.{socket.gethostname()}")
    if declared["port"]:
        environment.setdefault("PORT", str(declared["port"]))
    return environment


def secrets_in(folder: str) -> Iterator[tuple[str, str]]:
    """Names and values of the files in a folder, where engines put what is secret; nothing where there is none."""
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = sorted(os.listdir(folder))
    for name in names:
        try:
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                yield name, file.read()
        except (OSError, UnicodeDecodeError):
            complain(f"{folder}/{name} cannot be read as a secret")


def ready(port: int, path: str | None) -> int:
    """0 where a complete answer comes (with a path: one of 2xx or 3xx) at the address that others reach, else 1."""
    own = _own_address()
    try:
        status = _ask(own, port, path or "/")
    except OSError as error:
        if own != "127.0.0.1" and _listens("127.0.0.1", port):
            return _complain_loudly(
                f"the process listens on 127.0.0.1:{port}, which nobody else reaches: let it use 0.0.0.0"
            )
        return complain(f"no answer on port {port}: {error}")
    if path and not 200 <= status < 400:
        return _complain_loudly(f"GET {path} is answered {status}, and only 2xx and 3xx are ready")
    return 0


def _own_address() -> str:
    """This container's address, as its hosts file has it."""
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True


def _ask(host: str, port: int, path: str) -> int:
    """The status of an answer that came whole: its length is told, or else the end of the connection is its end."""
    with socket.create_connection((host, port), timeout=5) as connection:
        wish = f"GET {path} HTTP/1.0\r\nHost: localhost\r\nUser-Agent: fungible\r\nConnection: close\r\n\r\n"
        connection.sendall(wish.encode())
        head, end, body = b"", b"", 0
        length = _LONGEST
        while body < length and (part := connection.recv(65536)):
            if end:
                body += len(part)
                continue
            head, end, rest = (head + part).partition(b"\r\n\r\n")
            if end:
                body, length = len(rest), _length(head)
            elif len(head) > _LONGEST_HEAD:
                raise OSError("the answer's head has no end")
    words = head.split(None, 2)
    if not end or len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise OSError("the answer is not HTTP")
    if _length(head) != _LONGEST and body < length:
        raise OSError("the answer was cut")
    return int(words[1])


def _length(head: bytes) -> int:
    """How long the body is to be; where that is not told, as long as it comes."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return int(value)
    return _LONGEST


def _complain_loudly(sentence: str) -> int:
    """Say it where the container's own log is, too: who deploys sees that, and not what a health check says."""
    with contextlib.suppress(OSError):
        with open("/proc/1/cmdline", encoding="utf-8", errors="replace") as command:
            is_ours = os.path.abspath(__file__) in command.read().split("\0")
        if is_ours:
            with open("/proc/1/fd/2", "w", encoding="utf-8") as log:
                log.write(f"fungible: {sentence}\n")
    return complain(sentence)


def complain(sentence: str) -> int:
    """Say what is wrong; returns the exit code."""
    sys.stderr.write(f"fungible: {sentence}\n")
    sys.stderr.flush()
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
