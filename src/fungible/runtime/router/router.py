"""The router of a formation: which processes may be chosen, which drain, and what became of each request."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import itertools
import os
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fungible.app.problem import Problem
from fungible.runtime.events import Event
from fungible.runtime.router import admin, binary, process
from fungible.runtime.router.access_log import Requests
from fungible.runtime.router.answers import NO_UPSTREAM, answers_map
from fungible.runtime.router.configuration import (
    ANSWERS,
    BACKEND,
    CAUSE,
    FRONTEND,
    STREAMS,
    Descriptors,
    configuration,
    server_words,
)
from fungible.runtime.router.haproxy import Haproxy, write_private
from fungible.runtime.router.listener import url_of
from fungible.runtime.router.model import RouterSettings, Upstream

_POLL = 0.02
_REMEMBERED = 4096


@dataclasses.dataclass
class _Server:
    """A process as HAProxy knows it: under a `name` never used twice."""

    name: str
    upstream: Upstream
    draining: bool = False

    @property
    def path(self) -> str:
        return f"{BACKEND}/{self.name}"


class Router:
    """Gives each request to a ready process, in turn, and drains those that leave.

    Start, use and stop it on one event loop, run by the main thread (HAProxy dies with the thread that starts
    it). `settings`: limits. `folder`: a private folder with a short path, made if need be (0700). `publish`
    gets `router.started`, `router.died`, `router.restarted`, and `report` the requests that ended, some at a time.
    What is wished is kept here; an HAProxy that dies is replaced by one that is configured so. Every method may
    be called at any time between `start` and `stop`, for an unknown instance too.
    """

    def __init__(
        self,
        *,
        settings: RouterSettings,
        folder: Path,
        publish: Callable[[Event], None],
        report: Callable[[Requests], None],
        haproxy: binary.Binary | None = None,
        spawn: process.Spawn = process.spawn,
    ) -> None:
        if settings.certificate:
            settings = dataclasses.replace(settings, certificate=os.path.abspath(settings.certificate))
        self._settings = settings
        self._folder = folder
        self._publish = publish
        self._report = report
        self._binary = haproxy
        self._spawn = spawn
        self._cause = "starting"
        self._servers: dict[str, _Server] = {}
        self._numbers = itertools.count(1)
        self._known: collections.OrderedDict[str, Upstream] = collections.OrderedDict()
        self._requests: collections.Counter[str] = collections.Counter()
        self._running: Haproxy | None = None
        self._stopped = False
        self._asking = asyncio.Lock()
        self._question: asyncio.Task[dict[str, admin.Load]] | None = None
        self.url = ""

    async def start(self, host: str, port: int) -> str:
        """Listen on `host` and `port` (0: a free one); returns the URL.

        Raises `Problem` where there is no HAProxy, the port is not free, or the certificate cannot be read.
        """
        found = self._binary if self._binary else await asyncio.to_thread(binary.find)
        if self._settings.certificate:
            check_certificate(Path(self._settings.certificate))
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        write_private(self._folder / ANSWERS, answers_map())
        self._running = haproxy = Haproxy(
            found,
            self._folder,
            configure=self._configure,
            take=self._take,
            publish=self._publish,
            spawn=self._spawn,
        )
        try:
            listener = await haproxy.start(host, port)
        except BaseException:
            await self.stop(0)
            raise
        self.url = url_of(listener, "https" if self._settings.certificate else "http")
        version = ".".join(map(str, found.version))
        self._publish(Event("router.started", data={"url": self.url, "pid": self.pid, "haproxy": version}))
        return self.url

    @property
    def pid(self) -> int | None:
        """The process id of the HAProxy that runs now."""
        return self._running.pid if self._running else None

    async def add(self, upstream: Upstream) -> None:
        """Choose `upstream` from now on. Raises `Problem` for an address that is none."""
        haproxy = self._haproxy
        words = server_words(upstream, haproxy.binary.version)
        async with haproxy.lock:
            if upstream.instance in self._servers:
                return
            server = _Server(f"p{next(self._numbers)}", upstream)
            self._servers[upstream.instance] = server
            self._remember(server)
            reply = await haproxy.tell(f"add server {server.path} {words}", f"enable server {server.path}")
            if reply is not None and "registered" not in reply:
                del self._servers[upstream.instance]
                said = reply.strip()
                raise Problem(f"the router does not take {upstream.name} at {upstream.address}: {said}")
        await haproxy.serving()

    async def drain(self, instance: str) -> None:
        """Do not choose `instance` any more; what it has goes on."""
        haproxy = self._haproxy
        async with haproxy.lock:
            server = self._servers.get(instance)
            if server is None or server.draining:
                return
            server.draining = True
            await haproxy.tell(f"set server {server.path} state drain")
        await haproxy.serving()

    async def wait_idle(self, instance: str, timeout: float) -> bool:
        """Wait until `instance` has no request in flight, at most `timeout` seconds; say whether it has none.

        WebSockets and server-sent events do not count: they are for the process to close when it is told to
        stop, then for `close_streams`. One that drains and has none keeps no idle connection of ours either.
        """
        deadline = time.monotonic() + timeout
        pause = _POLL / 2
        while (await self.in_flight()).get(instance, 0):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 1.5, 0.2)
        haproxy = self._haproxy
        async with haproxy.lock:
            server = self._servers.get(instance)
            if server is not None and server.draining:
                # In this state HAProxy closes the connections that it kept for later requests, and cuts nothing that
                # goes on: a server that is told to stop may wait for the end of idle ones, too.
                await haproxy.tell(f"set server {server.path} state maint")
        return True

    async def close_streams(self, instance: str) -> None:
        """Close every connection that `instance` still has; for streams that it did not close itself."""
        if server := self._servers.get(instance):
            await self._haproxy.tell(f"shutdown sessions server {server.path}")

    async def remove(self, instance: str) -> None:
        """Forget `instance`, whether it lives or not; requests that it still has are given half a second."""
        haproxy = self._haproxy
        async with haproxy.lock:
            server = self._servers.pop(instance, None)
            if server is None:
                return
            await haproxy.tell(f"set server {server.path} state maint")
        # A process that died has closed its connections; HAProxy is let to notice by itself, so that what may be
        # sent elsewhere is. Only then are connections cut.
        for _ in range(25):
            load = (await self._loads()).get(server.name)
            if load is None or not load.in_flight:
                break
            await asyncio.sleep(_POLL)
        for attempt in range(100):  # HAProxy deletes only what has no connection left
            reply = await haproxy.tell(f"shutdown sessions server {server.path}", f"del server {server.path}")
            if reply is None or "still has connections" not in reply:
                return
            await asyncio.sleep(min(_POLL * (attempt + 1), 0.25))

    async def in_flight(self) -> Mapping[str, int]:
        """Instance -> requests that it has now, without WebSockets and server-sent events."""
        loads = await self._loads()
        idle = admin.Load(0)
        return {key: loads.get(server.name, idle).in_flight for key, server in self._servers.items()}

    async def requests(self) -> Mapping[str, int]:
        """Instance -> requests that ended with it, as the access log counted them."""
        return {instance: self._requests[instance] for instance in self._servers}

    async def queued(self) -> int:
        """Requests that wait for a process now."""
        stat = await self._haproxy.tell(f"show stat {BACKEND} 6 -1")
        return admin.read_queue(stat or "")

    async def dropped(self) -> int:
        """Log lines that this HAProxy threw away because they were not read in time."""
        info = await self._haproxy.tell("show info") or ""
        return sum(int(line.split(":")[1]) for line in info.splitlines() if line.startswith("DroppedLogs:"))

    async def set_cause(self, cause: str) -> None:
        """Why there is no process to choose, for as long as there is none: one of `NO_UPSTREAM`."""
        if cause not in NO_UPSTREAM:
            raise ValueError(f"{cause!r} is none of {', '.join(NO_UPSTREAM)}")
        self._cause = cause
        if self._running:
            async with self._running.lock:
                await self._running.tell(f"set map {CAUSE} cause {self._cause}")

    async def stop(self, timeout: float = 5.0) -> None:
        """Accept nothing more, wait at most `timeout` seconds for what is in flight, then end HAProxy."""
        if self._stopped or self._running is None:
            return
        self._stopped = True
        haproxy = self._running
        try:
            async with haproxy.lock:
                await haproxy.tell(f"shutdown frontend {FRONTEND}")
            await haproxy.release()
            deadline = time.monotonic() + timeout
            while time.monotonic() < deadline and any((await self.in_flight()).values()):
                await asyncio.sleep(_POLL)
        finally:
            await haproxy.stop()
            for name in (ANSWERS, CAUSE):
                with contextlib.suppress(OSError):
                    (self._folder / name).unlink()

    @property
    def _haproxy(self) -> Haproxy:
        if self._running is None:
            raise RuntimeError("the router is not started")
        return self._running

    def _configure(self, given: Descriptors) -> str:
        """The configuration as wished now, and the map beside it."""
        write_private(self._folder / CAUSE, f"cause {self._cause}\n")
        ready = [(s.name, s.upstream) for s in self._servers.values() if not s.draining]
        connections = connections_allowed(self._settings.max_connections)
        version = self._haproxy.binary.version
        threads = threads_allowed()
        return configuration(self._settings, given, ready, version=version, connections=connections, threads=threads)

    async def _loads(self) -> dict[str, admin.Load]:
        """Server name -> load; empty while HAProxy is replaced, as what was in flight went with it.

        In a roll of many, many ask at once: they share a question, which is put when all of them have asked.
        """
        if self._question is None:
            self._question = asyncio.ensure_future(self._ask_loads())
        return await asyncio.shield(self._question)

    async def _ask_loads(self) -> dict[str, admin.Load]:
        async with self._asking:
            self._question = None
            reply = await self._haproxy.tell(f"show stat {BACKEND} 4 -1", f"show table {STREAMS}")
        if reply is None:
            return {}
        stat, _, table = reply.partition("# table:")
        return admin.read_loads(stat, table)

    def _remember(self, server: _Server) -> None:
        """Keep whose name it was: a log line may come after the server has gone."""
        self._known[server.name] = server.upstream
        while len(self._known) > _REMEMBERED:
            self._requests.pop(self._known.popitem(last=False)[1].instance, None)

    def _take(self, lines: Sequence[bytes]) -> None:
        requests = Requests(lines, self._known, time.time())
        for outcome, count in requests.outcomes:
            if outcome.upstream:
                self._requests[outcome.upstream.instance] += count
        if requests:
            self._report(requests)


def connections_allowed(most: int) -> int:
    """Client connections that the limit of open files allows (two descriptors each), at most `most`."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return most if hard == resource.RLIM_INFINITY else max(10, min(most, (hard - 200) // 2))


def threads_allowed() -> int:
    """Threads that serve: two, where there are two cores, so that what comes at once does not wait for the rest."""
    return min(2, os.cpu_count() or 1)


def check_certificate(path: Path) -> None:
    """Raise `Problem` where `path` is no readable PEM file with a certificate and its private key."""
    try:
        pem = path.read_text("ascii", "replace")
    except OSError as error:
        raise Problem(f"router.certificate: {path}: {error.strerror}") from None
    if "-----BEGIN CERTIFICATE-----" not in pem or "PRIVATE KEY-----" not in pem:
        raise Problem(
            f"router.certificate: {path}: holds no certificate with its private key; put both, as PEM, in this file"
        )
