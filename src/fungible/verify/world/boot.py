"""Slots by real boots: the type's command, run as the run stage runs it."""

from __future__ import annotations

import asyncio
import re
import shlex
import signal
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from fungible.app.model import ProcessType
from fungible.runtime.events import Event
from fungible.runtime.ground.confinement import Confinement
from fungible.runtime.ground.release import Release
from fungible.runtime.process.boot import elsewhere
from fungible.runtime.process.listeners import is_listening, serving
from fungible.runtime.process.port import Ports
from fungible.runtime.process.process import Place, Process, new_instance
from fungible.runtime.process.state import State
from fungible.verify.world.slot import BootFailure, Ended, Site, Slot

_LAST_LINES = 40
_LOOK_EVERY = 0.02
_ELSEWHERE_LOOK, _ELSEWHERE_LOOKS = 2.0, 5
"""Seconds between looks at where a process listens that is not up, and how many of them must find it elsewhere."""


async def listens(process: Process, address: str, strayed: list[str] | None = None) -> bool:
    """A slot is up when its own group listens there; no request is sent to find out.

    Whoever listens elsewhere alone for some seconds is not waited for; `strayed` is told where that is.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + process.type.boot_timeout
    path = address.removeprefix("unix@") if address.startswith("unix@") else None
    look, since = loop.time() + _ELSEWHERE_LOOK, 0
    while loop.time() < end:
        pid = process.facts.pid
        if pid is not None and is_listening(pid, process.place.port, path):
            return True
        if loop.time() >= look:
            look = loop.time() + _ELSEWHERE_LOOK
            found = await asyncio.to_thread(elsewhere, pid, process.place)
            since = since + 1 if found else 0
            if found and since >= _ELSEWHERE_LOOKS:
                if strayed is not None:
                    strayed += found
                return False
        await asyncio.sleep(_LOOK_EVERY)
    return False


class BootedSlot:
    """A slot whose process was booted."""

    def __init__(self, process: Process, output: deque[str], ports: Ports) -> None:
        assert process.place.address is not None
        self.process = process
        self.address = process.place.address
        self._output = output
        self._ports = ports

    @property
    def pid(self) -> int:
        """The host's pid of the command."""
        return self.process.facts.pid or 0

    def servers(self) -> int:
        """See `Slot.servers`."""
        return len(self.serving())

    def serving(self) -> frozenset[int]:
        """See `Slot.serving`."""
        path = str(self.process.place.socket) if self.process.place.socket else None
        return serving(self.pid, self.process.place.port, path)

    def one_at_a_time(self) -> bool:
        """See `Slot.one_at_a_time`; of a server that is not ours nothing is known."""
        return False

    async def end(self, number: int) -> Ended:
        """See `Slot.end`."""
        self.process.retired = True
        if number == signal.SIGKILL:
            self.process.kill()
            await self.process.gone.wait()
        else:
            await self.process.stop()
        if self.process.place.port is not None:
            self._ports.give_back(self.process.place.port)
        facts = self.process.facts
        return Ended(facts.status, tuple(facts.wrote), "\n".join(self._output))


class BootBirth:
    """Boots `type` for every slot; `heard` gets the events of all their processes."""

    def __init__(
        self,
        type: ProcessType,
        ports: Ports,
        confine: Callable[[Site], Confinement],
        *,
        stop_timeout: float = 5.0,
        heard: Callable[[Event], None] = lambda _: None,
    ) -> None:
        self._heard = heard
        self._type = replace(
            type, command=one_server(type.command), stop_timeout=min(type.stop_timeout, stop_timeout)
        )
        self._ports = ports
        self._confine = confine
        self.boots = 0

    async def bear(self, site: Site) -> Slot:
        """See `Birth.bear`."""
        self.boots += 1
        output: deque[str] = deque(maxlen=_LAST_LINES)
        strayed: list[str] = []
        moved = asyncio.Event()

        def heard(event: Event) -> None:
            if event.kind == "log.line":
                output.append(str(event.data["text"])[:500])
            elif event.kind == "process.failed":
                output.append(f"sandbox: {event.data['error']} {event.data.get('path', '')}")
            self._heard(event)

        unix = self._type.listen == "unix"
        place = Place(
            private=site.private,
            port=None if unix else site.port or self._ports.take(),
            socket_folder=site.private.parent / f"s{site.number}" if unix else None,
        )
        process = Process(
            self._type,
            1,
            Release("verify", self._confine(site), {}, (), site.environment, {}),
            place,
            instance=new_instance(),
            publish=heard,
            changed=lambda _: moved.set(),
            is_ready=lambda process, address: listens(process, address, strayed),
            host_name=site.host_name,
            wipe=site.wipe,
        )
        process.start()
        try:
            while process.state is State.STARTING:
                moved.clear()
                await moved.wait()
            if process.state is not State.READY:
                await process.gone.wait()
                raise BootFailure(_why(process, strayed), "\n".join(output))
        except BaseException:
            process.kill()
            raise
        finally:
            if not site.port and place.port is not None and process.state is not State.READY:
                self._ports.give_back(place.port)
        return BootedSlot(process, output, self._ports)


def _why(process: Process, strayed: list[str]) -> str:
    facts = process.facts
    if strayed:
        return f"listens on {' and '.join(strayed)} instead of $PORT"
    if facts.cause == "boot-timeout":
        return f"did not listen within {process.type.boot_timeout:g} s"
    status = facts.status
    if status is None:
        return "could not be started"
    return f"was killed by signal {-status}" if status < 0 else f"exited with {status} before it listened"


def one_server(command: str) -> str:
    """The command with its own servers set to one, where the server is known; else as it is.

    gunicorn gets `-w 1` even if nothing is said, because its configuration file may say more.
    """
    try:
        words = shlex.split(command)
    except ValueError:
        return command
    names = [word.rsplit("/", 1)[-1] for word in words]
    server = next((name for name in names if name in _WORKER_OPTIONS), None)
    if server is None:
        return command
    for option in _WORKER_OPTIONS[server]:
        long = option.startswith("--")
        between = r"(?:\s*=\s*|\s+)" if long else r"\s*=?\s*"
        pattern = rf"(?<!\S){re.escape(option)}{between}\d+(?!\S)"
        changed, count = re.subn(pattern, f"{option} 1", command)
        if count:
            return changed
    if server == "gunicorn":
        return re.sub(r"(?<!\S)((?:\S*/)?gunicorn)(?!\S)", r"\1 -w 1", command, count=1)
    return command


_WORKER_OPTIONS = {
    "gunicorn": ("--workers", "-w"),
    "uvicorn": ("--workers",),
    "hypercorn": ("--workers", "-w"),
    "granian": ("--workers",),
    "uwsgi": ("--processes", "--workers", "-p"),
    "daphne": (),
}
