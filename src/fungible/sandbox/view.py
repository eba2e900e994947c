"""Build what a process at level full sees of the filesystem, in namespaces of its own.

Order matters: everything that is to shine through is opened first (O_PATH, after unshare: a descriptor from the
old mount namespace cannot be bound), then the whole tree turns read-only, folders are hidden, and what was opened
is bound to where it belongs. mount_namespaces(7), overlayfs (kernel documentation), user_namespaces(7).
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat

from . import linux
from .layer import OverlayLayer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Union

    from .spec import Mount, Spec

    AnyMount = Union["_Bind", Mount]

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_HIDDEN_ALWAYS = ("/tmp", "/var/tmp", "/run")
_ON_DISK = {"/tmp": "tmp", "/var/tmp": "var-tmp"}  # below the layer: scratch is on disk, not in memory
_KEPT_ALWAYS = ("/run/postgresql", "/run/mysqld", "/run/systemd/resolve", "/run/nscd", "/run/resolvconf")
_PROC_READ_ONLY = ("sys", "sysrq-trigger", "irq", "bus", "fs", "acpi")
_PROC_EMPTY = ("kcore", "keys", "timer_list", "sched_debug")


def enter_user_namespace() -> None:
    """Become able to mount without being root: a user namespace that maps the caller to itself.

    Raises OSError where the machine refuses it (a default container, AppArmor's limit).
    """
    uid, gid = os.geteuid(), os.getegid()
    linux.unshare(linux.CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        path = f"/proc/self/{name}"
        try:
            with open(path, "w") as file:
                file.write(text)
        except OSError as error:  # AppArmor refuses the writing, and that names no file
            raise OSError(error.errno, error.strerror, path) from None


def in_user_namespace() -> bool:
    """Whether the caller's uids are a mapped part of the machine's (user_namespaces(7))."""
    with open("/proc/self/uid_map") as file:
        return file.read().split()[2] != "4294967295"


def build(spec: Spec, own_processes: bool = True, compare: bool = False) -> Optional[OverlayLayer]:
    """Enter new mount, IPC and UTS namespaces and arrange them as `spec` says.

    `own_processes` says that the caller already is in a PID namespace of its own, so that /proc can show it.
    Returns the layer that collects what is written into the app's folder, None where there is no app's folder. With
    `compare` it keeps the folders below open, and leaves out what only was opened for writing.
    Raises OSError: the path it failed at is its filename.
    """
    linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS)
    linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)
    if spec.source:
        _layer(spec)
    opened = _Opened()
    hidden = [*(path for path in _HIDDEN_ALWAYS if os.path.isdir(path)), *spec.hidden]
    binds = _binds(spec, hidden)
    try:
        for bind in binds:
            opened.open(bind.source)
        for device in _DEVICES:
            opened.open(f"/dev/{device}")
        if spec.layer == "disk":
            for name in _ON_DISK.values():
                opened.open(os.path.join(_layer_folder(spec), name))
        layer_at = opened.open(_layer_folder(spec)) if spec.source else None
        source_at = opened.open(spec.source) if spec.source else None
        below_at = [opened.open(path) for path in spec.below]
        linux.set_mount_attributes("/", add=linux.MOUNT_ATTR_RDONLY | linux.MOUNT_ATTR_NODEV, recursive=True)
        for path in hidden:
            if path in _ON_DISK and spec.layer == "disk":
                own = opened.at(os.path.join(_layer_folder(spec), _ON_DISK[path]))
                linux.mount(own, path, None, linux.MS_BIND)
                linux.set_mount_attributes(path, clear=linux.MOUNT_ATTR_RDONLY)
                os.chmod(path, 0o1777)
            elif os.path.isdir(path):
                mode = "1777" if path in _HIDDEN_ALWAYS else "755"
                linux.mount("tmpfs", path, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, f"mode={mode}")
        _devices(opened)
        inside = spec.target
        for bind in binds:
            if not (inside and _below(bind.target, inside)):
                _bind(opened, bind)
        if inside and source_at and layer_at:
            linux.set_mount_attributes(layer_at, clear=linux.MOUNT_ATTR_RDONLY | linux.MOUNT_ATTR_NODEV)
            os.makedirs(inside, exist_ok=True)
            _overlay([*below_at, source_at], layer_at, inside)
        for bind in binds:
            if inside and _below(bind.target, inside):
                _bind(opened, bind)
        if own_processes:
            _proc(opened)
        _host_name(spec)
        layer = None
        if inside and layer_at:
            shared = [os.path.relpath(bind.target, inside) for bind in binds if _below(bind.target, inside)]
            upper = os.open(f"{layer_at}/upper", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            layer = OverlayLayer(upper, frozenset(shared))
            if compare and source_at:
                below = (os.open(at, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) for at in (*below_at, source_at))
                layer.compare(tuple(below))
        os.chdir(spec.cwd or inside or "/")  # again after mounting: the old one escapes the overlay
        return layer
    finally:
        opened.close()


def _layer(spec: Spec) -> None:
    """Make the layer's folder a mount of its own, so that it can stay writable when all else turns read-only."""
    folder = _layer_folder(spec)
    if spec.layer == "disk":
        linux.mount(folder, folder, None, linux.MS_BIND)
        return
    linux.mount("tmpfs", folder, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=700")
    for name in ("upper", "work"):
        os.mkdir(os.path.join(folder, name))


def _layer_folder(spec: Spec) -> str:
    return os.path.join(spec.private, "layer")


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


class _Bind:
    """A `spec.Mount` that is made here: the launcher does without `dataclasses`."""

    def __init__(self, source: str, target: str, writable: bool = False) -> None:
        self.source = source
        self.target = target
        self.writable = writable


def _binds(spec: Spec, hidden: List[str]) -> List[AnyMount]:
    own = os.path.join(spec.private, "own")
    wanted: Dict[str, AnyMount] = {}
    shown = [own, *(mount.target for mount in spec.mounts)]
    for path in (*_KEPT_ALWAYS, *spec.kept):
        if any(_below(path, folder) for folder in shown):
            continue  # there already; bound once more it would lose being writable
        if any(_below(path, folder) for folder in hidden) and os.path.exists(path):
            wanted[path] = _Bind(path, path)
    if os.path.isdir(own):
        wanted[own] = _Bind(own, own, writable=True)
    for mount in spec.mounts:
        wanted[mount.target] = mount
    hosts = os.path.join(spec.private, "hosts")
    if spec.host_name and os.path.exists(hosts):
        wanted["/etc/hosts"] = _Bind(hosts, "/etc/hosts")
    return sorted(wanted.values(), key=lambda mount: mount.target.count("/"))


class _Opened:
    """O_PATH descriptors of what will be bound, addressed as /proc/self/fd/N."""

    def __init__(self) -> None:
        self._descriptors: Dict[str, int] = {}

    def open(self, path: str) -> str:
        if path not in self._descriptors:
            self._descriptors[path] = os.open(path, os.O_PATH | os.O_CLOEXEC)
        return self.at(path)

    def at(self, path: str) -> str:
        return f"/proc/self/fd/{self._descriptors[path]}"

    def is_folder(self, path: str) -> bool:
        return stat.S_ISDIR(os.fstat(self._descriptors[path]).st_mode)

    def close(self) -> None:
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()


def _bind(opened: _Opened, bind: AnyMount) -> None:
    if not os.path.exists(bind.target):
        if opened.is_folder(bind.source):
            os.makedirs(bind.target, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(bind.target), exist_ok=True)
            with open(bind.target, "x"):
                pass
    linux.mount(opened.at(bind.source), bind.target, None, linux.MS_BIND | linux.MS_REC)
    if bind.writable:
        linux.set_mount_attributes(bind.target, clear=linux.MOUNT_ATTR_RDONLY)
    else:
        linux.set_mount_attributes(bind.target, add=linux.MOUNT_ATTR_RDONLY, recursive=True)


def _overlay(lower: List[str], layer: str, target: str) -> None:
    options = f"lowerdir={':'.join(lower)},upperdir={layer}/upper,workdir={layer}/work"
    if len(lower) > 1:
        options += ",index=off"  # with an index, another mount's upper folder is refused as busy
    if in_user_namespace():
        options += ",userxattr"
    # A throw-away layer need not be on disk before it goes: without `volatile` (Linux 5.10), the end of each process
    # would wait until the whole filesystem under it is written. The mark of an earlier mount would refuse this one.
    shutil.rmtree(f"{layer}/work/work/incompat", ignore_errors=True)
    try:
        linux.mount("overlay", target, "overlay", linux.MS_NODEV, options + ",volatile")
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        linux.mount("overlay", target, "overlay", linux.MS_NODEV, options)


def _devices(opened: _Opened) -> None:
    linux.mount("tmpfs", "/dev", "tmpfs", linux.MS_NOSUID | linux.MS_NOEXEC, "mode=755")
    for device in _DEVICES:
        target = f"/dev/{device}"
        with open(target, "x"):
            pass
        linux.mount(opened.at(target), target, None, linux.MS_BIND)
        linux.set_mount_attributes(target, clear=linux.MOUNT_ATTR_RDONLY | linux.MOUNT_ATTR_NODEV)
    for folder in ("/dev/shm", "/dev/pts", "/dev/mqueue"):
        os.mkdir(folder)
    linux.mount("tmpfs", "/dev/shm", "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=1777")
    flags = linux.MS_NOSUID | linux.MS_NOEXEC
    linux.mount("devpts", "/dev/pts", "devpts", flags, "newinstance,ptmxmode=0666,mode=0620")
    with contextlib.suppress(OSError):  # a kernel without POSIX message queues
        linux.mount("mqueue", "/dev/mqueue", "mqueue", flags | linux.MS_NODEV)
    links = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1",
             "stderr": "/proc/self/fd/2"}  # fmt: skip
    for name, content in links.items():
        os.symlink(content, f"/dev/{name}")


def _proc(opened: _Opened) -> None:
    linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
    for name in _PROC_READ_ONLY:
        path = f"/proc/{name}"
        if os.path.exists(path):
            linux.mount(path, path, None, linux.MS_BIND | linux.MS_REC)
            linux.set_mount_attributes(path, add=linux.MOUNT_ATTR_RDONLY, recursive=True)
    for name in _PROC_EMPTY:
        if os.path.exists(f"/proc/{name}"):
            linux.mount("/dev/null", f"/proc/{name}", None, linux.MS_BIND)


def _host_name(spec: Spec) -> None:
    if spec.host_name:
        linux.set_host_name(spec.host_name)
