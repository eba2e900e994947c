"""The fork server: enter the sandbox, import the app once, then fork a process for every order.

Two processes: the one that was started holds the namespaces together and stays outside; its child is PID 1 of a
PID namespace, imports, and forks. Every slot is PID 1 of a PID namespace of its own: when it ends, so does
everything that it started. (A PID 1 does not hear signals from inside that it has no handler for: an app that kills
itself with SIGKILL lives on here; a boot shows that.)
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import signal
import socket
import sys
import traceback
import types
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from . import deferral, ending, keeper, loading, newborn, packages, safety
from .heritage import Heritage, Randomness
from .order import Boot, decode, hear, tell
from .origins import Origins

if TYPE_CHECKING:
    from fungible.sandbox import launch, linux, view
    from fungible.sandbox.spec import Spec
else:
    from fungible_sandbox import launch, linux, view
    from fungible_sandbox.spec import Spec

_NAMES_AT_ONCE = 500
_RARELY = (1_000_000, 10, 10)
"""Thresholds of the garbage collector while the app is imported: what an import makes stays, and looking at it over
and over is a fifth of the import's time. `collect` comes before the first fork."""


def main(control_at: int) -> int:
    """Serve orders from the socket `control_at` until it ends."""
    control = socket.socket(fileno=control_at)
    os.set_inheritable(control_at, False)
    message, descriptors = hear(control)
    if not message:
        return 0
    boot = decode(Boot, descriptors[0])
    spec = newborn.read_spec(boot.spec)
    try:
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.geteuid() != 0:
            view.enter_user_namespace()
        linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWPID)
        linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)
        if spec.layer == "memory":  # where children find it as well: in the namespace that they start from
            linux.mount("tmpfs", spec.private, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=700")
            spec = replace(spec, layer="disk")
        outside = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        launch.prepare_folders(spec)
        ours, theirs = socket.socketpair()
        child = os.fork()
    except OSError as error:
        _tell_failure(control, "isolate", error)
        return 1
    if child == 0:
        ours.close()
        _import_and_serve(boot, spec, control, outside, theirs)
    theirs.close()
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGKILL))
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    keeper.keep(spec, control, ours, child)
    return 0


def _tell_failure(control: socket.socket, stage: str, error: OSError) -> None:
    tell(control, "failed", stage=stage, error=error.strerror or str(error), path=str(error.filename or ""))


def _import_and_serve(
    boot: Boot, spec: Spec, control: socket.socket, outside: int, channel: socket.socket
) -> NoReturn:
    status = 1
    try:
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        layer = view.build(spec)
        if layer is not None:
            os.close(layer.descriptor)  # what the import wrote shows below the layer of every slot
        os.setsid()
        null = os.open("/dev/null", os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        keeper.submit(spec, channel)
        _Import(boot, spec, control, outside, safety.open_descriptors()).run()
        status = 0
    except OSError as error:
        _tell_failure(control, "isolate", error)
    except BaseException:
        traceback.print_exc()
    finally:
        newborn.flush()
        os._exit(status)


class _Import:
    """The import of the app, and what follows when its callable is found."""

    def __init__(
        self,
        boot: Boot,
        spec: Spec,
        control: socket.socket,
        outside: int,
        known: frozenset[int],
    ) -> None:
        self._boot = boot
        self._own = os.path.join(spec.private, "own")
        self._control = control
        self._outside = outside
        self._known = known
        self._environment = dict(os.environ)
        self._ours = sys.modules["__main__"]  # kept: a module that nobody refers to loses its content
        self._randomness = Randomness()
        self._folder = spec.target or os.getcwd()
        self._origins = Origins(self._folder)
        self._thresholds = gc.get_threshold()

    def run(self) -> None:
        """Import and serve; returns where that failed."""
        boot = self._boot
        sys.argv = list(boot.argv) or [""]
        sys.modules["__main__"] = types.ModuleType("__main__")
        gc.set_threshold(*_RARELY)
        try:
            if boot.chdir is not None:
                os.chdir(boot.chdir)
            importlib.import_module("site").main()
            if boot.packages is not None:
                deferral.prepare()
                packages.load(boot.packages, [self._folder, *(mount["target"] for mount in boot.spec["mounts"])])
                self._serve(None, "")
            newborn.import_app(boot, self._serve, self._refuse)
        except BaseException as error:
            if isinstance(error, (deferral.Unknown, packages.Touched)):
                self._refuse(str(error))
            traceback.print_exc()
            newborn.flush()
            tell(self._control, "failed", stage="import", error=_in_a_line(error), path="")

    def _refuse(self, *reasons: str) -> NoReturn:
        newborn.flush()
        tell(self._control, "unforkable", reasons=list(reasons))
        os._exit(0)

    def _serve(self, application: Any, kind: str) -> NoReturn:
        """Fork for every order. The app's own frames may be below us: nothing is raised through them. Without an
        application every child imports it."""
        status = 1
        try:
            kind = loading.kind_of(application) if kind == "auto" else kind
            loaded = packages.installed(self._folder, self._boot.module) if application is not None else []
            self._randomness.settle()
            heritage = Heritage(self._known)
            heritage.settle(self._own)
            self._origins.settle()
            found = safety.reasons(self._known | heritage.descriptors, self._origins)
            if found:
                self._refuse(*found)
            for name in self._boot.only_at_import:
                os.environ.pop(name, None)
            if gc.get_threshold() == _RARELY:  # else the app has set some itself
                gc.set_threshold(*self._thresholds)
            gc.collect()
            gc.freeze()  # a collection in a child would write to every object's header, and so copy its page
            imported = newborn.Imported(
                self._boot,
                application,
                kind,
                self._outside,
                os.getcwd(),
                self._environment,
                heritage,
                self._randomness,
            )
            for start in range(0, len(loaded), _NAMES_AT_ONCE):
                tell(self._control, "loaded", names=loaded[start : start + _NAMES_AT_ONCE])
            tell(self._control, "ready", app=kind)
            _Server(self._control, imported).serve()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            newborn.flush()
            os._exit(status)


def _in_a_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:300]}" if text else type(error).__name__


class _Server:
    """Forks on order, passes signals on, reaps, until the control socket ends."""

    def __init__(self, control: socket.socket, imported: newborn.Imported) -> None:
        self._control = control
        self._imported = imported
        self._children: dict[int, int] = {}
        self._terminate = ending.own_handler() or ending.end
        self._own_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._wake, self._waker = os.pipe()
        for end in (self._wake, self._waker):
            os.set_blocking(end, False)

    def serve(self) -> None:
        """Until nobody orders any more; then everything in our PID namespace ends with us."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker)
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        poll.register(self._control, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if self._wake in ready:
                os.read(self._wake, 4096)
            self._reap()
            if self._control.fileno() in ready:
                message, descriptors = hear(self._control)
                if not message:
                    return
                if message["kind"] == "newborn":
                    self._bear(int(message["id"]), descriptors)
                elif message["kind"] == "signal":
                    self._signal(int(message["id"]), int(message["signal"]))

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            number = self._children.pop(pid, None)
            if number is not None:
                tell(self._control, "exited", id=number, status=os.waitstatus_to_exitcode(status))

    def _signal(self, number: int, sent: int) -> None:
        for pid, each in self._children.items():
            if each == number:
                os.kill(pid, sent)

    def _bear(self, number: int, descriptors: list[int]) -> None:
        order_at, channel_at, listener_at, output_at = descriptors
        try:
            linux.unshare(linux.CLONE_NEWPID)
            try:
                pid = os.fork()
                if pid == 0:
                    try:
                        self._leave()
                        newborn.live(self._imported, order_at, channel_at, listener_at, output_at)
                    finally:
                        os._exit(1)
                self._children[pid] = number
            finally:
                linux.enter_namespace(self._own_namespace, linux.CLONE_NEWPID)
        except OSError as error:
            with socket.socket(fileno=os.dup(channel_at)) as channel:
                _tell_failure(channel, "fork", error)
            tell(self._control, "exited", id=number, status=1)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _leave(self) -> None:
        """In the child: let go of what is the server's."""
        signal.set_wakeup_fd(-1)
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, self._terminate)  # a PID 1 does not hear what it has no handler for
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._control.close()
        for descriptor in (self._own_namespace, self._wake, self._waker):
            os.close(descriptor)
