"""The launcher: from a spec to a running command, and after it the folder is as clean as before.

Processes at level full: launcher (outside, wipes at the end) -> init (PID 1 of the namespace) -> command. At the
other levels the launcher is the init.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import select
import shutil
import signal
import socket
import stat
from types import SimpleNamespace

from . import landlock, linux, view
from .init import supervise, tell
from .layer import CopyLayer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Optional, Tuple

    from . import outbound
    from .init import Layer
    from .spec import Spec

_COPY_LEVELS_WRITE = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/pts", "/dev/ptmx", "/dev/shm")
_LEAST_ID, _IDS = 1000, 31_000
"""Process ids that commands get: below the kernel's least upper bound, 32,768."""


def main(spec_at: int, control_at: int) -> int:
    """Run the spec in file `spec_at`, talking over the socket `control_at`; returns our exit code."""
    with os.fdopen(spec_at, "rb") as file:
        spec = _read_spec(file.read())
    control = socket.socket(fileno=control_at)
    os.set_inheritable(control_at, False)
    stage = "prepare"
    try:
        _enter_control_groups(spec)
        prepare_folders(spec)
        if spec.level == "full":
            status = _run_full(spec, control)
        else:
            stage = "launch"
            status = _run_plain(spec, control)
    except OSError as error:
        tell(control, "failed", stage=stage, error=error.strerror or str(error), path=error.filename or "")
        status = 1
    finally:
        if spec.wipe:
            wipe(spec.private)
    return status


def _read_spec(data: bytes) -> Spec:
    """What `Spec.to_json` wrote, with the same attributes; the class itself needs `dataclasses`, which takes longer
    to load than all of the launcher."""
    fields = json.loads(data.decode("utf-8", "surrogateescape"))
    fields["mounts"] = [SimpleNamespace(**mount) for mount in fields["mounts"]]
    spec: Any = SimpleNamespace(**fields)
    return spec  # type: ignore[no-any-return]


def _enter_control_groups(spec: Spec) -> None:
    """Before anything is forked: what is forked is born in the group of its parent (cgroups(7))."""
    for folder in spec.control_groups:
        path = os.path.join(folder, "cgroup.procs")
        try:
            with open(path, "w") as file:
                file.write("0")
        except OSError as error:
            error.filename = path  # a write does not say where
            raise


def prepare_folders(spec: Spec) -> None:
    """Make the private folder's parts: what the process may write, its layer, its hosts file."""
    os.umask(0o022)
    for name in ("own/tmp", "own/home", "own/scratch", "own/run"):
        os.makedirs(os.path.join(spec.private, name), mode=0o700, exist_ok=True)
    if spec.level == "full":
        for name in ("layer/upper", "layer/work", "layer/tmp", "layer/var-tmp"):
            os.makedirs(os.path.join(spec.private, name), exist_ok=True)
        if spec.source and spec.layer == "disk":
            shutil.copystat(spec.source, os.path.join(spec.private, "layer/upper"))
    if spec.host_name:
        with open(os.path.join(spec.private, "hosts"), "w") as file:
            file.write(f"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {spec.host_name}\n")


def _run_full(spec: Spec, control: socket.socket) -> int:
    if os.geteuid() != 0:
        view.enter_user_namespace()
    linux.unshare(linux.CLONE_NEWPID)
    init = os.fork()
    if init == 0:
        _as_init(spec, control)
    _silence()
    _, status = os.waitpid(init, 0)
    return 0 if status == 0 else 1


def _as_init(spec: Spec, control: socket.socket) -> None:
    """In the child that is PID 1: arrange the view, start the command, stay until the group is empty."""
    code = 1
    try:
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        _number_apart(spec)
        layer = view.build(spec, compare=True)
        leader, guard = _start(spec, control, writable=None)
        _silence()
        supervise(leader, control, spec, True, layer, guard)
        code = 0
    except OSError as error:
        tell(control, "failed", stage="isolate", error=error.strerror or str(error), path=error.filename or "")
    finally:
        os._exit(code)


def _number_apart(spec: Spec) -> None:
    """Have processes of other host names get other process ids: in namespaces of their own all would be number 2, and
    what they name after their own id in a shared store (metrics, locks, rows) would be one."""
    if spec.host_name:
        first = _LEAST_ID + int.from_bytes(spec.host_name.encode(), "big") % _IDS
        with contextlib.suppress(OSError):  # an ordinary user before Linux 5.9, or /proc is read-only
            linux.set_last_pid(first)


def _run_plain(spec: Spec, control: socket.socket) -> int:
    layer: Layer = None
    cwd = spec.cwd or spec.source
    writable: Optional[List[str]] = None
    if spec.level == "copy" and spec.source:
        copy = os.path.join(spec.private, "app")
        if not os.path.isdir(copy):
            shutil.copytree(spec.source, copy, symlinks=True, copy_function=_copy_writable)
            _link_mounts(spec, copy)
        layer = CopyLayer(spec.source, copy)
        cwd = os.path.join(copy, os.path.relpath(cwd or spec.source, spec.source))
    if spec.level in ("copy", "readonly"):
        shared = [mount.target for mount in spec.mounts if mount.writable]
        writable = [os.path.join(spec.private, "own"), os.path.join(spec.private, "app"), *shared]
        writable += _COPY_LEVELS_WRITE
    if linux.available():
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    os.chdir(cwd or "/")
    leader, guard = _start(spec, control, writable=writable)
    _silence()
    supervise(leader, control, spec, False, layer, guard)
    return 0


def _copy_writable(source: str, target: str) -> None:
    """The sealed file is read-only; its copy is the process's own."""
    shutil.copy2(source, target, follow_symlinks=False)
    if not os.path.islink(target):
        os.chmod(target, stat.S_IMODE(os.stat(target).st_mode) | stat.S_IWUSR)


def _link_mounts(spec: Spec, copy: str) -> None:
    """A copy cannot have folders bound into it: those inside the app's folder become symbolic links."""
    for mount in spec.mounts:
        inside = os.path.relpath(mount.target, spec.target or "/")
        if inside == "." or inside.startswith(".."):
            continue
        place = os.path.join(copy, inside)
        if os.path.isdir(place) and not os.path.islink(place):
            shutil.rmtree(place)
        elif os.path.lexists(place):
            os.unlink(place)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.symlink(mount.source, place)


def _start(spec: Spec, control: socket.socket, writable: Optional[List[str]]) -> Tuple[int, Optional[outbound.Guard]]:
    """Fork the command into a session of its own; returns its pid in the caller's namespace, and who answers for
    where it connects to, if anybody is to."""
    if spec.outbound == "refused":
        from . import outbound
    reader, writer = os.pipe()
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid:
        os.close(writer)
        theirs.close()
        guard = _guard(spec, control, ours) if spec.outbound == "refused" else None
        ours.close()
        with os.fdopen(reader, "rb") as file:
            while guard is not None and reader not in select.select([reader, guard.listener], [], [])[0]:
                guard.answer()
            said = file.read()
        if said:
            failure, _, what = said.decode().partition(" ")
            raise OSError(int(failure), os.strerror(int(failure)), what or spec.argv[0])
        return pid, guard
    try:
        os.close(reader)
        ours.close()
        os.setsid()
        tell(control, "started", pid=os.getpid())  # the kernel adds our pid as the supervisor sees it
        for number in range(1, signal.NSIG):
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        if spec.outbound == "refused":
            try:
                outbound.enter(theirs)
                outbound.try_out()
            except OSError as error:
                os.write(writer, f"{error.errno or 1} {error.filename}".encode())
                return os._exit(127)
        theirs.close()
        if not spec.keep_stdin:
            null = os.open("/dev/null", os.O_RDONLY)
            os.dup2(null, 0)
        for name, value in spec.limits.items():
            resource.setrlimit(getattr(resource, name), (value, value))
        _restrict(spec, writable)
        os.execvpe(spec.argv[0], list(spec.argv), spec.environment)
    except OSError as error:
        os.write(writer, str(error.errno or 1).encode())
    except ValueError:  # a limit above the hard one (setrlimit(2))
        os.write(writer, str(errno.EPERM).encode())
    finally:
        os._exit(127)
    raise AssertionError  # not reached: the line above never returns


def _guard(spec: Spec, control: socket.socket, channel: socket.socket) -> Optional[outbound.Guard]:
    """The answering side of `outbound.enter`; None where the child did not get so far, which it says itself."""
    from . import outbound

    def heard(to: outbound.Destination, allowed: bool, program: str) -> None:
        tell(control, "outbound", to=str(to), port=to.port, allowed=allowed, loopback=to.loopback, program=program)

    _, listeners, _, _ = socket.recv_fds(channel, 1, 1)
    if not listeners:
        return None
    os.set_inheritable(listeners[0], False)
    return outbound.Guard(listeners[0], outbound.Policy(spec.reachable, spec.unreachable), heard)


def _restrict(spec: Spec, writable: Optional[List[str]]) -> None:
    if spec.level in ("scratch", "none") or not linux.available():
        return
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    landlock.restrict(writable, scope=True)
    if os.geteuid() == 0:
        linux.drop_capabilities()
    elif spec.level == "full":
        with contextlib.suppress(OSError):  # without it, sealed files cannot be changed in the layer over them
            linux.keep_override()


def _silence() -> None:
    """Let go of the command's output, so that its end is seen when the group ends."""
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def wipe(folder: str) -> None:
    """Delete a process's private folder, whatever modes it left there."""

    def grant(function: Any, path: str, _: Any) -> None:
        with contextlib.suppress(OSError):
            parent = os.path.dirname(path)
            os.chmod(parent, stat.S_IRWXU)
            if os.path.isdir(path) and not os.path.islink(path):
                os.chmod(path, stat.S_IRWXU)
                shutil.rmtree(path, ignore_errors=True)
            else:
                os.unlink(path)

    shutil.rmtree(folder, onerror=grant)
