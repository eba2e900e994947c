"""From a fork of the import to a process that serves as if it had been booted: its own sandbox, then its own HTTP."""

from __future__ import annotations

import atexit
import os
import resource
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from . import asgi, deferral, loading, wsgi
from .heritage import Heritage, Randomness
from .order import Boot, Newborn, decode, tell

if TYPE_CHECKING:
    from fungible.sandbox import landlock, launch, linux, view
    from fungible.sandbox.layer import OverlayLayer
    from fungible.sandbox.spec import Spec
else:
    from fungible_sandbox import landlock, launch, linux, view
    from fungible_sandbox.spec import Spec


@dataclass(frozen=True)
class Imported:
    """What every child starts from: the import of `boot`, or the packages for it where `application` is None.
    `outside` is the mount namespace to build views in, `folder` the current folder; `environment` what the import was
    given."""

    boot: Boot
    application: Any
    kind: str
    outside: int
    folder: str
    environment: dict[str, str]
    heritage: Heritage
    randomness: Randomness


def live(imported: Imported, order_at: int, channel_at: int, listener_at: int, output_at: int) -> NoReturn:
    """In the child: become the slot, serve, end. Says `ready` with the layer's folder, or `failed`."""
    status = 1
    try:
        for descriptor in (1, 2):
            os.dup2(output_at, descriptor)
        os.close(output_at)
        with socket.socket(fileno=channel_at) as channel:
            order = decode(Newborn, order_at)
            spec = read_spec(order.spec)
            layer = _enter(imported, order, spec, channel)
            if layer is not None:
                listener = socket.socket(fileno=listener_at)
                if imported.application is None:
                    _import_and_serve(imported, listener, channel, layer)
                status = _serve(imported.application, imported.kind, listener, channel, layer)
    except SystemExit as error:
        status = _status_of(error)
    except BaseException:
        traceback.print_exc()
    finally:
        flush()
        os._exit(status)


def _enter(imported: Imported, order: Newborn, spec: Spec, channel: socket.socket) -> OverlayLayer | None:
    try:
        os.setsid()
        linux.enter_namespace(imported.outside, linux.CLONE_NEWNS)
        os.close(imported.outside)
        launch.prepare_folders(spec)
        if order.fresh:
            imported.heritage.fill_own(os.path.join(spec.private, "own"))
        layer = view.build(spec)
        if order.alias and spec.target and order.alias != spec.target:
            os.makedirs(order.alias, exist_ok=True)
            linux.mount(spec.target, order.alias, None, linux.MS_BIND | linux.MS_REC)
        if order.fresh:
            imported.heritage.fill_places()
        os.chdir(imported.folder)
        imported.heritage.reopen()
        for name, value in spec.limits.items():
            resource.setrlimit(getattr(resource, name), (value, value))
        landlock.restrict(None, scope=True)
        linux.drop_capabilities(linux.KEPT_CAPABILITIES if os.geteuid() == 0 else frozenset())
    except OSError as error:
        tell(channel, "failed", stage="isolate", error=error.strerror or str(error), path=str(error.filename or ""))
        return None
    _set_environment(imported, spec.environment)
    imported.randomness.renew()
    imported.heritage.resume()
    return layer


def _set_environment(imported: Imported, given: dict[str, str]) -> None:
    """The slot's environment, and on top of it what the import changed in its own."""
    now = dict(os.environ)
    changed = {name: value for name, value in now.items() if imported.environment.get(name) != value}
    deleted = [name for name in imported.environment if name not in now]
    wanted = {**given, **changed}
    for name in deleted:
        if name not in imported.boot.only_at_import:
            wanted.pop(name, None)
    for name in now:
        if name not in wanted:
            del os.environ[name]
    os.environ.update(wanted)


def import_app(boot: Boot, then: deferral.Then, refuse: Callable[..., NoReturn]) -> NoReturn:
    """`then` gets the app and its kind, in the middle of the program's own frames where that is run; `refuse` is told
    why it cannot be had. Raises what the import raises, NotFound, and `deferral.Unknown`."""
    if boot.finder in ("script", "module"):
        deferral.run(boot.finder, boot.module, boot.path, then, refuse)
    sys.path[:0] = boot.path
    then(*loading.load(boot))


def _import_and_serve(
    imported: Imported, listener: socket.socket, channel: socket.socket, layer: OverlayLayer
) -> NoReturn:
    """Where the packages alone are loaded: what a boot does after them."""

    def then(application: Any, kind: str) -> NoReturn:
        status = 1
        try:
            kind = loading.kind_of(application) if kind == "auto" else kind
            status = _serve(application, kind, listener, channel, layer)
        except BaseException:
            traceback.print_exc()
        finally:
            flush()
            os._exit(status)

    def refuse(*reasons: str) -> NoReturn:
        tell(channel, "failed", stage="import", error="; ".join(reasons), path="")
        flush()
        os._exit(1)

    try:
        import_app(imported.boot, then, refuse)
    except BaseException as error:
        traceback.print_exc()
        refuse(f"{type(error).__name__}: {error}"[:300])


def _serve(application: Any, kind: str, listener: socket.socket, channel: socket.socket, layer: OverlayLayer) -> int:
    def ready() -> None:
        tell(channel, "ready", layer.descriptor, app=kind, shared=sorted(layer.shared))
        os.close(layer.descriptor)
        channel.close()

    status = 0
    try:
        if kind == "asgi":
            asgi.serve(application, listener, ready)
        else:
            wsgi.serve(application, listener, ready)
    except asgi.StartupFailure as error:
        flush()
        tell(channel, "failed", stage="start", error=str(error), path="")
        return 3
    except SystemExit as error:
        status = _status_of(error)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _finish()
    return status


def _finish() -> None:
    """What an interpreter does at its end, short of taking itself apart (Py_FinalizeEx)."""
    shutdown: Any = getattr(threading, "_shutdown", None)
    if shutdown is not None:
        shutdown()
    run: Any = getattr(atexit, "_run_exitfuncs", None)
    if run is not None:
        try:
            run()
        except BaseException:
            traceback.print_exc()


def flush() -> None:
    """Write out what standard output and error hold back."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            continue


def _status_of(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    sys.stderr.write(f"{error.code}\n")
    return 1


def read_spec(fields: dict[str, Any]) -> Spec:
    """The sandbox's spec from the data of an order."""
    return Spec.from_fields(fields)
