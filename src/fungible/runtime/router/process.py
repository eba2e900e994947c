"""One HAProxy process: started, watched for its end, and never left behind."""

from __future__ import annotations

import asyncio
import collections
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)

Spawn = Callable[[Sequence[str], Mapping[str, str], Sequence[int]], "subprocess.Popen[bytes]"]


def spawn(command: Sequence[str], environment: Mapping[str, str], inherit: Sequence[int]) -> subprocess.Popen[bytes]:
    """Start `command` with the descriptors `inherit`; the kernel kills it when the calling thread ends.

    Call it from the main thread: the parent-death signal (prctl(2), PR_SET_PDEATHSIG) follows the thread that
    forked, not the process.
    """
    parent = os.getpid()

    def die_with_parent() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)

    return subprocess.Popen(
        command,
        env=dict(environment),
        pass_fds=tuple(inherit),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,  # a Ctrl-C at the terminal is for the supervisor, which then drains
        preexec_fn=die_with_parent,
    )


class Watched:
    """A running process whose end is an event: `ended` is set, and `said` keeps its last lines on stderr."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.pid = process.pid
        self.ended = asyncio.Event()
        self.said: collections.deque[str] = collections.deque(maxlen=50)
        self._loop = asyncio.get_running_loop()
        self._pidfd = os.pidfd_open(process.pid)
        self._loop.add_reader(self._pidfd, self._end)
        self._stderr = process.stderr.fileno() if process.stderr else None
        if self._stderr is not None:
            os.set_blocking(self._stderr, False)
            self._loop.add_reader(self._stderr, self._listen)

    @property
    def exit_code(self) -> int | None:
        """Its exit code, -N for a signal, None while it runs."""
        return self.process.returncode

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens where the process has ended."""
        if not self.ended.is_set():
            try:
                signal.pidfd_send_signal(self._pidfd, number)
            except ProcessLookupError:
                return

    async def stop(self, grace: float) -> None:
        """TERM, and KILL after `grace` seconds; returns when it has ended."""
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace):
                await self.ended.wait()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self.ended.wait()

    def _listen(self) -> None:
        if self._stderr is None:
            return
        try:
            chunk = os.read(self._stderr, 65536)
        except BlockingIOError:
            return
        self.said.extend(chunk.decode("utf-8", "replace").splitlines())
        if not chunk:
            self._loop.remove_reader(self._stderr)
            self._stderr = None

    def _end(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self.process.wait()
        if self._stderr is not None:
            self._listen()
        if self._stderr is not None:
            self._loop.remove_reader(self._stderr)
            self._stderr = None
        if self.process.stderr:
            self.process.stderr.close()
        os.close(self._pidfd)
        self.ended.set()
