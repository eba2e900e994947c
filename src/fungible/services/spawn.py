"""How a server of ours becomes a process: injected, so that its life can be tied to the supervisor's."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

_LAUNCHER = Path(__file__).with_name("launcher.py")


class Child(Protocol):
    """A process that was spawned."""

    @property
    def pid(self) -> int:
        """Its process id, in our PID namespace."""

    def signal(self, number: int) -> None:
        """Send a signal to it; does nothing once it has ended."""

    async def wait(self) -> int:
        """Its exit code, or minus the signal that ended it. May be awaited many times, from any loop."""


class Spawn(Protocol):
    """Starts a server as a child that dies with us."""

    async def __call__(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        log: Path,
        death_signal: int = signal.SIGTERM,
        user: tuple[int, int] | None = None,
        keep: Sequence[int] = (),
    ) -> Child:
        """Run `argv` in a session of its own.

        `environment` is the whole environment; `folder` the working folder; `log` a file that stdout and
        stderr are appended to; `death_signal` what it gets when the spawning thread ends; `user` a uid and
        gid to become (None: ours); `keep` descriptors it inherits under their numbers.
        """


class _Process:
    """A `Child` over `subprocess.Popen`; waits on a pidfd, so that no thread and no loop is tied down."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: int) -> None:
        self._process.send_signal(number)  # polls first: never signals a pid that was reaped

    async def wait(self) -> int:
        code = self._process.poll()
        if code is not None:
            return code
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        descriptor = os.pidfd_open(self._process.pid)
        try:
            loop.add_reader(descriptor, ended.set)
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        return self._process.wait()


async def spawn_process(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    log: Path,
    death_signal: int = signal.SIGTERM,
    user: tuple[int, int] | None = None,
    keep: Sequence[int] = (),
) -> Child:
    """The plain `Spawn`: a launcher that asks the kernel for `death_signal`, then becomes `argv`.

    A launcher instead of `preexec_fn`: Python code between fork and exec may hang in a process with threads.
    """
    uid, gid = user if user is not None else (-1, -1)
    launch = [sys.executable, "-I", "-S", str(_LAUNCHER)]
    launch += [str(os.getpid()), str(int(death_signal)), str(uid), str(gid)]
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab") as output:
        process = subprocess.Popen(
            [*launch, *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environment),
            cwd=folder,
            pass_fds=tuple(keep),
            start_new_session=True,
        )
    return _Process(process)
