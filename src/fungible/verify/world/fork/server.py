"""The supervisor's side of a fork server: start it, order slots from it, hear how they are."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fungible.runtime.ground.confinement import Confinement, needed_paths
from fungible.sandbox.launch import wipe
from fungible.sandbox.spec import Mount, Spec
from fungible.verify.world.fork.agent.order import Boot, Newborn, encode
from fungible.verify.world.fork.command import AppCallable
from fungible.verify.world.fork.interpreter import find_interpreter, find_program
from fungible.verify.world.fork.output import Output
from fungible.verify.world.fork.slot import ForkSlot
from fungible.verify.world.fork.unforkable import Unforkable
from fungible.verify.world.slot import BootFailure, Site

_AGENT = Path(__file__).parent / "agent"
_SANDBOX = Path(sys.modules[Spec.__module__].__file__ or "").parent
_TOO_OLD = 97
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
_OWN = re.compile(r"(HOME|TMPDIR|TEMP|TMP|PWD|OLDPWD|HOSTNAME|PORT|XDG_RUNTIME_DIR|PYTHONHASHSEED|FUNGIBLE_\w+)\Z")
_MESSAGE_AT_MOST = 262144
_CLOSE_TIME = 10.0  # seconds


@dataclass(frozen=True)
class Ground:
    """What all slots of an app have in common. `sockets` is a folder with a short path; times are
    seconds; `note` hears of connections (see `sandbox.spawn.Message`, `outbound`)."""

    confine: Callable[[Site], Confinement]
    sockets: Path
    limits: Mapping[str, int]
    boot_timeout: float
    stop_timeout: float
    note: Callable[[Mapping[str, Any]], None]


class ForkServer:
    """A process that has imported the app at `site`, or the packages for it. Made by `boot_server`. `loaded` names
    the modules that its import loaded and that are not the app's own."""

    def __init__(self, ground: Ground, site: Site, agent: subprocess.Popen[bytes], control: socket.socket) -> None:
        self.site = site
        self.kind = ""
        self.loaded: list[str] = []
        self._ground = ground
        self._agent = agent
        self._control = control
        self._slots: dict[int, ForkSlot] = {}
        self._last = 0
        self._wiping = ThreadPoolExecutor(1, "wipe")
        loop = asyncio.get_running_loop()
        self._told: asyncio.Future[dict[str, Any]] = loop.create_future()
        self._ended = asyncio.Event()
        self.output: Output
        loop.add_reader(control.fileno(), self._hear)

    async def imported(self) -> None:
        """Wait until the app is imported. Raises Unforkable, or BootFailure with what the import said."""
        try:
            message = await asyncio.wait_for(asyncio.shield(self._told), self._ground.boot_timeout)
        except TimeoutError:
            await self.close()
            raise BootFailure(
                f"the import did not end in {self._ground.boot_timeout:g} s", self.output.text()
            ) from None
        except BaseException:
            await self.close()
            raise
        if message["kind"] == "ready":
            self.kind = message["app"]
            return
        await self.close()
        if message["kind"] == "unforkable":
            raise Unforkable("; ".join(message["reasons"]))
        if message["kind"] == "gone":
            if self._agent.returncode == _TOO_OLD:
                raise Unforkable("its Python is older than 3.9")
            raise BootFailure("the process ended while it imported the app", self.output.text())
        where = f" ({message['path']})" if message.get("path") else ""
        said = "the import failed" if message["stage"] == "import" else "the sandbox could not be made"
        raise BootFailure(f"{said}: {message['error']}{where}", self.output.text())

    async def bear(self, site: Site) -> ForkSlot:
        """A slot forked from the import. Raises Unforkable where the site's environment does not fit the import's,
        BootFailure where the slot does not come to listen."""
        if self._ended.is_set():
            raise BootFailure("the fork server has ended", self.output.text())
        self._check(site)
        fresh = not site.private.exists()
        site.private.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._last += 1
        number = self._last
        path = self._ground.sockets / f"{os.getpid():x}-{id(self) & 0xFFFFFF:x}-{number:x}"
        slot = ForkSlot(
            path,
            self._ground.stop_timeout,
            lambda sent: self._signal(number, sent),
            lambda: self._drop(site, number),
        )
        self._slots[number] = slot
        slot.gone.add_done_callback(lambda _: self._slots.pop(number))
        order = os.memfd_create("order")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(str(path))
            path.chmod(0o600)
            listener.listen(128)
            os.write(order, encode(self._newborn(number, site, fresh)))
            descriptors = [order, theirs.fileno(), listener.fileno(), slot.output.write_end]
            self._send({"kind": "newborn", "id": number}, descriptors)
        except OSError:
            slot.ended(None)
            raise
        finally:
            os.close(order)
            theirs.close()
            listener.close()
            slot.output.given()
        failure = await slot.listens(ours, self._ground.boot_timeout)
        if failure is not None:
            raise BootFailure(failure, self.output.text() + slot.output.text())
        return slot

    async def close(self) -> None:
        """End it and every slot that is left; wipes what the import wrote."""
        if not self._ended.is_set():
            self._agent.terminate()  # it kills its PID namespace, and ends when that is empty
            try:
                await asyncio.wait_for(self._ended.wait(), _CLOSE_TIME)
            except TimeoutError:
                self._agent.kill()
                await self._ended.wait()
        await asyncio.gather(*(slot.gone for slot in list(self._slots.values())))
        loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.output.ended.wait(), 1.0)
        self.output.close()
        await loop.run_in_executor(None, lambda: self._wiping.shutdown(cancel_futures=True))
        await loop.run_in_executor(None, wipe, str(self.site.private))

    def _check(self, site: Site) -> None:
        """What the import read from its environment it may have kept: only what is a slot's own may differ."""
        given, wanted = (_without_own(each) for each in (self.site, site))
        names = sorted(name for name in given.keys() | wanted.keys() if given.get(name) != wanted.get(name))
        if names:
            shown = ", ".join(names[:3])
            raise Unforkable(f"its environment differs from the one that the app was imported with ({shown})")

    def _newborn(self, number: int, site: Site, fresh: bool) -> Newborn:
        own = str(self.site.private / "own")
        spec = make_spec(self._ground, site, self.site.folder, (Mount(str(site.private / "own"), own, True),))
        spec = replace(spec, below=(str(self.site.private / "layer" / "upper"),))
        alias = str(site.folder) if site.folder != self.site.folder else None
        return Newborn(number, spec.fields(), own, alias, fresh)

    def _send(self, message: dict[str, Any], descriptors: list[int]) -> None:
        socket.send_fds(self._control, [json.dumps(message).encode()], descriptors)

    def _signal(self, number: int, sent: int) -> None:
        with contextlib.suppress(OSError):
            self._send({"kind": "signal", "id": number, "signal": sent}, [])

    def _hear(self) -> None:
        try:
            data = self._control.recv(_MESSAGE_AT_MOST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._control.close()
            self._finishing = asyncio.ensure_future(self._finish())
            return
        message = json.loads(data.decode("utf-8", "surrogateescape"))
        kind = message.pop("kind")
        if kind == "outbound":
            self._ground.note(message)
        elif kind == "loaded":
            self.loaded += message["names"]
        elif kind != "exited":
            self._tell({"kind": kind, **message})
        elif message["id"] in self._slots:
            self._slots[message["id"]].ended(message["status"])

    def _drop(self, site: Site, number: int) -> None:
        """Put an ended slot's folder away and wipe it behind the next one's back: to delete takes longer than to
        fork. `close` waits for it."""
        if not site.wipe:
            return
        away = self.site.private / f"ended-{number}"
        try:
            site.private.rename(away)
        except OSError:  # another filesystem
            wipe(str(site.private))
        else:
            self._wiping.submit(wipe, str(away))

    async def _finish(self) -> None:
        """The agent has closed its end: wait until all of it has ended."""
        await asyncio.get_running_loop().run_in_executor(None, self._agent.wait)
        for slot in list(self._slots.values()):
            slot.ended(-signal.SIGKILL)
        self._tell({"kind": "gone"})
        self._ended.set()

    def _tell(self, message: dict[str, Any]) -> None:
        if not self._told.done():
            self._told.set_result(message)


def boot_server(ground: Ground, app: AppCallable, site: Site, packages: Sequence[str] | None = None) -> ForkServer:
    """Start a fork server whose import runs in a sandbox at `site`; `imported` says when it is up. With `packages`
    it loads these modules only, and each of its slots imports the app.

    To be called in the main thread, with a running event loop: the parent-death signal follows the thread that
    spawned. Raises Unforkable where the app's interpreter is not found, OSError where it does not start.
    """
    environment = {**environment_of(site), **app.environment}
    only_at_import = [name for name in _ONE_THREAD if name not in environment]
    interpreter = find_interpreter(app, environment, str(site.folder))
    if app.finder == "program":
        script = find_program(app, environment, str(site.folder))
        app = replace(app, finder="script", module=script, argv=(script, *app.argv[1:]))
    site.private.mkdir(mode=0o700, parents=True)
    home = needed_paths({"PATH": os.path.dirname(interpreter[0])}, interpreter, str(site.folder))
    spec = make_spec(ground, site, site.folder, (), (*interpreter, *app.argv, *app.path))
    spec = replace(spec, kept=tuple(dict.fromkeys((*spec.kept, *home))))
    boot = Boot(replace(spec, environment={}).fields(), app.kind, app.module, app.attribute, app.factory, app.finder,
                list(app.path), app.chdir, list(app.argv), only_at_import,
                None if packages is None else list(packages))  # fmt: skip
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    output = Output()
    order = os.memfd_create("order")
    try:
        os.write(order, encode(boot))
        socket.send_fds(ours, [b'{"kind": "boot"}'], [order])
        agent = subprocess.Popen(
            [*interpreter, "-S", str(_AGENT), str(theirs.fileno()), str(_SANDBOX)],
            stdin=subprocess.DEVNULL,
            stdout=output.write_end,
            stderr=output.write_end,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
            cwd="/",
            env={**environment, **dict.fromkeys(only_at_import, "1")},
        )
    except BaseException:
        ours.close()
        output.close()
        raise
    finally:
        os.close(order)
        theirs.close()
        output.given()
    server = ForkServer(ground, site, agent, ours)
    server.output = output
    return server


def make_spec(
    ground: Ground, site: Site, folder: Path, mounts: tuple[Mount, ...], argv: tuple[str, ...] = ()
) -> Spec:
    """The sandbox of a process at `site` that sees the app's folder at `folder`."""
    confinement = ground.confine(replace(site, folder=folder))
    return confinement.spec(
        argv=argv,
        environment=environment_of(site),
        private=site.private,
        host_name=site.host_name,
        grace=0.0,
        limits=ground.limits,
        mounts=mounts,
        watch_databases=False,
    )


def environment_of(site: Site) -> dict[str, str]:
    """The site's environment with a PORT where it has none: apps read it at import, nothing listens there."""
    defaults = {"PORT": str(site.port or 20000 + site.number % 10000)}
    return {**defaults, **site.environment, "PYTHONHASHSEED": str(site.hash_seed)}


def _without_own(site: Site) -> dict[str, str]:
    """The environment without what is a slot's own: by its name, or by the paths and the host name in it."""
    own = {str(site.private): "<private>", str(site.folder): "<folder>", site.host_name: "<host>"}
    ways = re.compile("|".join(re.escape(text) for text in sorted(own, key=len, reverse=True)))
    return {
        name: ways.sub(lambda match: own[match[0]], value)
        for name, value in site.environment.items()
        if not _OWN.match(name)
    }
