"""The router of a formation: HAProxy, configured, watched and driven from the supervisor's event loop."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import itertools
import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from fungible.app.problem import Exit, Problem
from fungible.runtime.events import Event
from fungible.runtime.router import admin, binary, process
from fungible.runtime.router.access_log import LogPipe, parse
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
from fungible.runtime.router.listener import listen, listen_at_path, url_of
from fungible.runtime.router.model import RouterSettings, Upstream

_POLL = 0.02
_BOOT = 10.0
_REMEMBERED = 4096
_STEADY = 10.0  # an HAProxy that lived this long (seconds) is replaced without a pause when it dies


@dataclasses.dataclass
class _Server:
    """A process as HAProxy knows it: under a `name` never used twice."""

    name: str
    upstream: Upstream
    draining: bool = False


class Router:
    """Gives each request to a ready process, in turn, and drains those that leave.

    Start, use and stop it on one event loop, run by the main thread (HAProxy dies with the thread that starts
    it). `settings`: limits. `folder`: a private folder with a short path, made if need be (0700). `publish`
    gets `router.started`, `router.request`, `router.died`, `router.restarted`.
    What is wished is kept here; an HAProxy that dies is replaced by one that is configured so. Every method may
    be called at any time between `start` and `stop`, for an unknown instance too.
    """

    def __init__(
        self,
        *,
        settings: RouterSettings,
        folder: Path,
        publish: Callable[[Event], None],
        haproxy: binary.Binary | None = None,
        spawn: process.Spawn = process.spawn,
    ) -> None:
        if settings.certificate:
            settings = dataclasses.replace(settings, certificate=os.path.abspath(settings.certificate))
        self._settings = settings
        self._folder = folder
        self._publish = publish
        self._binary = haproxy
        self._spawn = spawn
        self._cause = "starting"
        self._servers: dict[str, _Server] = {}
        self._numbers = itertools.count(1)
        self._known: collections.OrderedDict[str, Upstream] = collections.OrderedDict()
        self._requests: collections.Counter[str] = collections.Counter()
        self._lock = asyncio.Lock()
        self._up = asyncio.Event()
        self._stopping = False
        self._listener: socket.socket | None = None
        self._admin: socket.socket | None = None
        self._log: LogPipe | None = None
        self._running: process.Watched | None = None
        self._watch: asyncio.Task[None] | None = None
        self.url = ""

    async def start(self, host: str, port: int) -> str:
        """Listen on `host` and `port` (0: a free one); returns the URL.

        Raises `Problem` where there is no HAProxy, the port is not free, or the certificate cannot be read.
        """
        if self._binary is None:
            self._binary = await asyncio.to_thread(binary.find)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        self._check_certificate()
        try:
            self._listener = listen(host, port)
            self._admin = listen_at_path(self._folder / "router.sock")
            self._log = LogPipe(self._take)
            self._log.open()
            self._write(ANSWERS, answers_map())
            await self._boot()
        except BaseException:
            await self.stop(0)
            raise
        self.url = url_of(self._listener, "https" if self._settings.certificate else "http")
        self._watch = asyncio.create_task(self._keep_alive(), name="router")
        version = ".".join(map(str, self._binary.version))
        self._publish(Event("router.started", data={"url": self.url, "pid": self.pid, "haproxy": version}))
        return self.url

    @property
    def pid(self) -> int | None:
        """The process id of the HAProxy that runs now."""
        return self._running.pid if self._running and not self._running.ended.is_set() else None

    async def add(self, upstream: Upstream) -> None:
        """Choose `upstream` from now on. Raises `Problem` for an address that is none."""
        words = server_words(upstream, self._version)
        async with self._lock:
            if upstream.instance in self._servers:
                return
            server = _Server(f"p{next(self._numbers)}", upstream)
            self._servers[upstream.instance] = server
            self._remember(server)
            name = f"{BACKEND}/{server.name}"
            reply = await self._tell(f"add server {name} {words}", f"enable server {name}")
        if reply is not None and "registered" not in reply:
            self._servers.pop(upstream.instance, None)
            raise Problem(f"the router does not take {upstream.name} at {upstream.address}: {reply.strip()}")
        if reply is None:
            await self._returned()

    async def drain(self, instance: str) -> None:
        """Do not choose `instance` any more; what it has goes on."""
        async with self._lock:
            server = self._servers.get(instance)
            if server is None or server.draining:
                return
            server.draining = True
            reply = await self._tell(f"set server {BACKEND}/{server.name} state drain")
        if reply is None:
            await self._returned()

    async def wait_idle(self, instance: str, timeout: float) -> bool:
        """Wait until `instance` has no request in flight, at most `timeout` seconds; say whether it has none.

        WebSockets and server-sent events do not count: they are for the process to close when it is told to
        stop, then for `close_streams`.
        """
        deadline = time.monotonic() + timeout
        pause = _POLL / 2
        while (await self.in_flight()).get(instance, 0):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 1.5, 0.2)
        return True

    async def close_streams(self, instance: str) -> None:
        """Close every connection that `instance` still has; for streams that it did not close itself."""
        async with self._lock:
            if server := self._servers.get(instance):
                await self._tell(f"shutdown sessions server {BACKEND}/{server.name}")

    async def remove(self, instance: str) -> None:
        """Forget `instance`, whether it lives or not; requests that it still has are given half a second."""
        async with self._lock:
            server = self._servers.pop(instance, None)
            if server is None:
                return
            await self._tell(f"set server {BACKEND}/{server.name} state maint")
        name = server.name
        # A process that died has closed its connections; HAProxy is let to notice by itself, so that what may be
        # sent elsewhere is. Only then are connections cut.
        for _ in range(25):
            loads = await self._loads()
            if name not in loads or not loads[name].in_flight:
                break
            await asyncio.sleep(_POLL)
        for attempt in range(100):
            commands = [f"shutdown sessions server {BACKEND}/{name}", f"del server {BACKEND}/{name}"]
            reply = await self._tell(*commands)
            if reply is None or "still has connections" not in reply:
                return
            await asyncio.sleep(min(_POLL * (attempt + 1), 0.25))

    async def in_flight(self) -> Mapping[str, int]:
        """Instance -> requests that it has now, without WebSockets and server-sent events."""
        loads = await self._loads()
        idle = admin.Load(0)
        return {key: loads.get(server.name, idle).in_flight for key, server in self._servers.items()}

    async def requests(self) -> Mapping[str, int]:
        """Instance -> requests answered by it, as the access log counted them."""
        return {instance: self._requests[instance] for instance in self._servers}

    async def dropped(self) -> int:
        """Log lines that this HAProxy threw away because they were not read in time."""
        info = await self._tell("show info") or ""
        return sum(int(line.split(":")[1]) for line in info.splitlines() if line.startswith("DroppedLogs:"))

    async def set_cause(self, cause: str) -> None:
        """Why there is no process to choose, for as long as there is none: one of `NO_UPSTREAM`."""
        if cause not in NO_UPSTREAM:
            raise ValueError(f"{cause!r} is none of {', '.join(NO_UPSTREAM)}")
        async with self._lock:
            self._cause = cause
            self._write_cause()
            await self._tell(f"set map {CAUSE} cause {cause}")

    async def stop(self, timeout: float = 5.0) -> None:
        """Accept nothing more, wait at most `timeout` seconds for what is in flight, then end HAProxy."""
        if self._stopping:
            return
        self._stopping = True
        if self._watch:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self._running and not self._running.ended.is_set():
            async with self._lock:
                await self._tell(f"shutdown frontend {FRONTEND}")
            if self._listener:
                self._listener.close()
            deadline = time.monotonic() + timeout
            while time.monotonic() < deadline and any((await self.in_flight()).values()):
                await asyncio.sleep(_POLL)
            await self._running.stop(2.0)
        for held in (self._listener, self._admin, self._log):
            if held:
                held.close()
        for name in ("router.sock", "router.cfg", ANSWERS, CAUSE):
            (self._folder / name).unlink(missing_ok=True)

    # HAProxy's life

    async def _boot(self) -> None:
        """Start an HAProxy that is configured as wished; returns when it serves."""
        if self._binary is None or self._listener is None or self._admin is None or self._log is None:
            raise RuntimeError("start() comes first")
        self._write_cause()
        given = Descriptors(
            listen=self._listener.fileno(),
            admin=self._admin.fileno(),
            log=self._log.write_end,
            ipv6=self._listener.family == socket.AF_INET6,
        )
        ready = [(s.name, s.upstream) for s in self._servers.values() if not s.draining]
        text = configuration(self._settings, given, ready, version=self._version, connections=self._connections())
        self._write("router.cfg", text)
        environment = {"PATH": os.environ.get("PATH", os.defpath), **self._binary.environment}
        command = [self._binary.path, "-db", "-C", str(self._folder), "-f", "router.cfg"]
        running = process.Watched(self._spawn(command, environment, (given.listen, given.admin, given.log)))
        self._running = running
        # The socket is already bound: the question waits in its queue until HAProxy takes it.
        asked = asyncio.create_task(admin.ask(self._socket, "show version", timeout=_BOOT))
        ended = asyncio.create_task(running.ended.wait())
        try:
            await asyncio.wait((asked, ended), return_when=asyncio.FIRST_COMPLETED)
            if running.ended.is_set() or asked.exception():
                await running.stop(0)
                raise Problem(f"the router did not start: {_alert(running)}", Exit.NOT_ALLOWED)
        except asyncio.CancelledError:
            running.signal(signal.SIGKILL)
            raise
        finally:
            for task in (asked, ended):
                task.cancel()
            await asyncio.gather(asked, ended, return_exceptions=True)
        self._up.set()

    async def _keep_alive(self) -> None:
        """Replace each HAProxy that dies: at once, and with growing pauses if its successors die young too."""
        deaths = 0
        while self._running:
            running, born = self._running, time.monotonic()
            await running.ended.wait()
            self._up.clear()
            if self._stopping:
                return
            died = time.monotonic()
            deaths = deaths + 1 if died - born < _STEADY else 1
            said = _alert(running)
            self._publish(
                Event("router.died", data={"pid": running.pid, "exit_code": running.exit_code, "said": said})
            )
            while not self._up.is_set():
                await asyncio.sleep(0 if deaths == 1 else min(5.0, 0.05 * 2 ** min(deaths, 10)))
                try:
                    async with self._lock:
                        await self._boot()
                except (Problem, OSError) as error:
                    deaths += 1
                    self._publish(Event("router.died", data={"pid": None, "exit_code": None, "said": str(error)}))
            after = round((time.monotonic() - died) * 1000)
            self._publish(Event("router.restarted", data={"pid": self.pid, "after_ms": after}))

    async def _tell(self, *commands: str) -> str | None:
        """Say `commands` to the HAProxy that runs; None where it died, as its successor is configured anew."""
        if not self._up.is_set():
            return None
        try:
            return await admin.ask(self._socket, *commands)
        except admin.GoneError:
            self._up.clear()
            if self._running:  # one that hangs is replaced as well
                self._running.signal(signal.SIGKILL)
            return None

    async def _returned(self) -> None:
        """Wait until an HAProxy serves again (or the router stops)."""
        while not self._stopping and not self._up.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await self._up.wait()

    async def _loads(self) -> dict[str, admin.Load]:
        """Server name -> load; empty while HAProxy is replaced, as what was in flight went with it."""
        stat = await self._tell(f"show stat {BACKEND} 4 -1")
        table = await self._tell(f"show table {STREAMS}")
        return {} if stat is None or table is None else admin.read_loads(stat, table)

    # Edges

    @property
    def _version(self) -> tuple[int, int, int]:
        return self._binary.version if self._binary else (2, 8, 0)

    @property
    def _socket(self) -> str:
        return str(self._folder / "router.sock")

    def _connections(self) -> int:
        """Client connections that the limit of open files allows (two descriptors each)."""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        most = self._settings.max_connections
        return most if hard == resource.RLIM_INFINITY else max(10, min(most, (hard - 200) // 2))

    def _check_certificate(self) -> None:
        if not self._settings.certificate:
            return
        try:
            pem = Path(self._settings.certificate).read_text("ascii", "replace")
        except OSError as error:
            raise Problem(f"router.certificate: {self._settings.certificate}: {error.strerror}") from None
        if "-----BEGIN CERTIFICATE-----" not in pem or "PRIVATE KEY-----" not in pem:
            raise Problem(
                f"router.certificate: {self._settings.certificate}: holds no certificate with its private key; "
                "put both, as PEM, in this one file"
            )

    def _write(self, name: str, text: str) -> Path:
        path = self._folder / name
        path.unlink(missing_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        return path

    def _write_cause(self) -> None:
        self._write(CAUSE, f"cause {self._cause}\n")

    def _remember(self, server: _Server) -> None:
        """Keep whose name it was: a log line may come after the server has gone."""
        self._known[server.name] = server.upstream
        while len(self._known) > _REMEMBERED:
            self._requests.pop(self._known.popitem(last=False)[1].instance, None)

    def _take(self, line: bytes) -> None:
        event = parse(line, self._known)
        if event is not None:
            if event.instance:
                self._requests[event.instance] += 1
            self._publish(event)


def _alert(running: process.Watched) -> str:
    """What HAProxy complained of last, in one line."""
    alerts = [line.partition(" : ")[2] or line for line in running.said if "[ALERT]" in line]
    return "; ".join(alerts[:2]) or f"exit code {running.exit_code}"
