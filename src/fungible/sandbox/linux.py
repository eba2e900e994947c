"""The system calls that Python 3.9 does not offer, through ctypes.

Numbers and structures: Linux UAPI headers (sched.h, mount.h, prctl.h, capability.h, landlock.h). The numbers of
mount_setattr and Landlock are the same on every architecture (they are newer than the unified table).
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

TYPE_CHECKING = False  # not from `typing`, which a launcher would wait for (so in all that it loads)
if TYPE_CHECKING:
    from typing import FrozenSet, Optional, Tuple

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18

AT_RECURSIVE = 0x8000
AT_FDCWD = -100
MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NODEV = 0x4
SYS_MOUNT_SETATTR = 442
SYS_LANDLOCK_CREATE_RULESET = 444
SYS_LANDLOCK_ADD_RULE = 445
SYS_LANDLOCK_RESTRICT_SELF = 446

PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

_CAPABILITY_VERSION_3 = 0x20080522

# What a process as root keeps: what servers need to drop privileges and to own their files. Not kept, above all:
# SYS_ADMIN (mounts), SYS_PTRACE, SYS_MODULE, SYS_RAWIO, MKNOD (the raw disk), DAC_READ_SEARCH (open by handle).
# In order: CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT
# AUDIT_WRITE SETFCAP.
KEPT_CAPABILITIES = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 29, 31})

_libc: Optional[ctypes.CDLL] = None


def libc() -> ctypes.CDLL:
    """The C library, opened once."""
    global _libc
    if _libc is None:
        _libc = ctypes.CDLL(None, use_errno=True)
        _libc.mount.argtypes = [
            ctypes.c_char_p,
            ctypes.c_char_p,
            ctypes.c_char_p,
            ctypes.c_ulong,
            ctypes.c_char_p,
        ]
        _libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
        _libc.syscall.restype = ctypes.c_long
    return _libc


def available() -> bool:
    """Whether this is Linux; elsewhere none of the calls below exist."""
    return sys.platform.startswith("linux")


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def unshare(flags: int) -> None:
    """unshare(2). The caller must be single-threaded for NEWUSER and NEWPID. Raises OSError."""
    _check(libc().unshare(flags), "unshare")


def enter_namespace(descriptor: int, kind: int) -> None:
    """setns(2): the namespace of `kind` (CLONE_NEW...) that `descriptor` refers to. Raises OSError."""
    _check(libc().setns(descriptor, kind), "setns")


def mount(source: Optional[str], target: str, kind: Optional[str], flags: int = 0, options: str = "") -> None:
    """mount(2). Raises OSError whose filename is `target`."""

    def encoded(text: Optional[str]) -> Optional[bytes]:
        return None if text is None else os.fsencode(text)

    result = libc().mount(encoded(source), encoded(target), encoded(kind), flags, encoded(options) or None)
    _check(result, target)


def set_mount_attributes(target: str, add: int = 0, clear: int = 0, recursive: bool = False) -> None:
    """mount_setattr(2), Linux 5.12. Raises OSError."""
    attributes = struct.pack("=QQQQ", add, clear, 0, 0)
    result = libc().syscall(
        ctypes.c_long(SYS_MOUNT_SETATTR),
        ctypes.c_int(AT_FDCWD),
        ctypes.c_char_p(os.fsencode(target)),
        ctypes.c_uint(AT_RECURSIVE if recursive else 0),
        ctypes.c_char_p(attributes),
        ctypes.c_size_t(len(attributes)),
    )
    _check(result, target)


def set_host_name(name: str) -> None:
    """sethostname(2), in the caller's UTS namespace."""
    encoded = name.encode()
    _check(libc().sethostname(encoded, len(encoded)), "sethostname")


def set_last_pid(number: int) -> None:
    """The next process of the caller's PID namespace gets the id after this one (proc_sys_kernel(5), ns_last_pid).
    Raises OSError."""
    with open("/proc/sys/kernel/ns_last_pid", "w") as file:
        file.write(str(number))


def prctl(option: int, value: int = 0) -> int:
    """prctl(2) with one argument. Raises OSError."""
    return _check(libc().prctl(option, value, 0, 0, 0), "prctl")


def drop_capabilities(kept: FrozenSet[int] = KEPT_CAPABILITIES) -> None:
    """Keep at most `kept`, now and after any exec (capabilities(7), bounding set)."""
    libc()
    keep = [0, 0]
    for number in kept:
        keep[number // 32] |= 1 << (number % 32)
    for number in range(64):
        if number not in kept:
            try:
                prctl(PR_CAPBSET_DROP, number)
            except OSError:
                continue  # EINVAL: the kernel has fewer; EPERM: nothing to drop
    words = _capabilities()
    low = (words[0] & keep[0], words[1] & keep[0], 0)
    high = (words[3] & keep[1], words[4] & keep[1], 0)
    _set_capabilities((*low, *high))


def keep_override() -> None:
    """What is executed next may open files of its own user whatever their modes are (CAP_DAC_OVERRIDE as an ambient
    capability, capabilities(7)).

    For who is in a user namespace that maps nobody else: it could change these modes itself. Files of other users are
    as they are without it. Raises OSError.
    """
    words = _capabilities()
    bit = 1 << CAP_DAC_OVERRIDE
    _set_capabilities((words[0], words[1], words[2] | bit, *words[3:]))
    _check(libc().prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0), "prctl")


def _capabilities() -> Tuple[int, ...]:
    """Effective, permitted and inheritable ones: the low words, then the high ones."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    current = ctypes.create_string_buffer(24)
    _check(libc().capget(ctypes.create_string_buffer(header, len(header)), current), "capget")
    return struct.unpack("=6I", current.raw)


def _set_capabilities(words: Tuple[int, ...]) -> None:
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    data = ctypes.create_string_buffer(struct.pack("=6I", *words), 24)
    _check(libc().capset(ctypes.create_string_buffer(header, len(header)), data), "capset")
