"""Landlock: a process gives up writing outside of named folders, without any privilege (landlock(7))."""

from __future__ import annotations

import ctypes
import os
import struct

from . import linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_WRITE_FILE = 1 << 1
_REMOVE_AND_MAKE = sum(1 << bit for bit in range(4, 13))
_REFER = 1 << 13  # ABI 2
_TRUNCATE = 1 << 14  # ABI 3
_IOCTL_DEV = 1 << 15  # ABI 5, not handled: terminals need it
_SCOPE_ABSTRACT_SOCKETS = 1 << 0  # ABI 6
_SCOPE_SIGNALS = 1 << 1
_FILE_RIGHTS = _WRITE_FILE | _TRUNCATE


def version() -> int:
    """The kernel's Landlock ABI, 0 where there is none."""
    if not linux.available():
        return 0
    result = linux.libc().syscall(
        ctypes.c_long(linux.SYS_LANDLOCK_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint32(1)
    )
    return max(0, int(result))


def can_scope_sockets() -> bool:
    """Whether abstract Unix sockets made outside can be put out of reach (Linux 6.12)."""
    return version() >= 6


def restrict(writable: Iterable[str] | None, scope: bool = True) -> None:
    """Restrict the calling process and its future children, for ever.

    `writable` lists files and folders below which writing stays allowed; None leaves the filesystem alone (then
    only `scope` acts: no abstract socket and no signal reaches processes outside). Paths that do not exist are
    passed over. Needs no_new_privs, which it sets. Does nothing where the kernel has no Landlock. Not covered by
    Landlock: chmod, chown, utime. Raises OSError.
    """
    abi = version()
    if abi == 0:
        return
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    handled = 0
    if writable is not None:
        handled = _WRITE_FILE | _REMOVE_AND_MAKE
        handled |= _REFER if abi >= 2 else 0
        handled |= _TRUNCATE if abi >= 3 else 0
    scoped = (_SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS) if scope and abi >= 6 else 0
    if not handled and not scoped:
        return
    attributes = struct.pack("=QQQ", handled, 0, scoped)
    if abi < 4:
        attributes = attributes[:8]
    elif abi < 6:
        attributes = attributes[:16]
    libc = linux.libc()
    ruleset = libc.syscall(
        ctypes.c_long(linux.SYS_LANDLOCK_CREATE_RULESET),
        ctypes.c_char_p(attributes),
        ctypes.c_size_t(len(attributes)),
        ctypes.c_uint32(0),
    )
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    try:
        for path in writable or ():
            _allow(int(ruleset), path, handled)
        if libc.syscall(ctypes.c_long(linux.SYS_LANDLOCK_RESTRICT_SELF), ctypes.c_int(ruleset), ctypes.c_uint32(0)):
            raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, handled: int) -> None:
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rights = handled if os.path.isdir(path) else handled & _FILE_RIGHTS
        rule = struct.pack("=Qi", rights, beneath)
        if linux.libc().syscall(
            ctypes.c_long(linux.SYS_LANDLOCK_ADD_RULE),
            ctypes.c_int(ruleset),
            ctypes.c_int(1),  # LANDLOCK_RULE_PATH_BENEATH
            ctypes.c_char_p(rule),
            ctypes.c_uint32(0),
        ):
            raise OSError(ctypes.get_errno(), "landlock_add_rule", path)
    finally:
        os.close(beneath)
