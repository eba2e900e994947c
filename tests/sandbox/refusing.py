"""Runs a command on a machine that refuses more: `python refusing.py PROFILE COMMAND...`. Standard library alone.

A profile refuses system calls by a seccomp filter and takes capabilities away, as container engines and security
modules do: https://docs.docker.com/engine/security/seccomp/, capabilities(7), user_namespaces(7).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

CALLS = {
    "x86_64": {"mount": 165, "umount2": 166, "pivot_root": 155, "unshare": 272, "setns": 308},
    "aarch64": {"mount": 40, "umount2": 39, "pivot_root": 41, "unshare": 97, "setns": 268},
}
SAME = {"open_tree": 428, "move_mount": 429, "fsopen": 430, "fsmount": 432, "mount_setattr": 442}
LANDLOCK = {"landlock_create_ruleset": 444, "landlock_add_rule": 445, "landlock_restrict_self": 446}
ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
NEWUSER = 0x10000000
# Docker's: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, NET_RAW, SYS_CHROOT,
# MKNOD, AUDIT_WRITE, SETFCAP
CONTAINER_CAPABILITIES = frozenset((0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31))

MOUNTING = (
    "mount",
    "umount2",
    "pivot_root",
    "setns",
    "open_tree",
    "move_mount",
    "fsopen",
    "fsmount",
    "mount_setattr",
)
PROFILES = {
    # The default of container engines: no namespace, no mount; Landlock is let through.
    "container": dict.fromkeys((*MOUNTING, "unshare"), errno.EPERM),
    # The same before they knew Landlock.
    "old-container": dict.fromkeys((*MOUNTING, "unshare"), errno.EPERM) | dict.fromkeys(LANDLOCK, errno.EPERM),
    # A kernel without Landlock.
    "no-landlock": dict.fromkeys((*MOUNTING, "unshare"), errno.EPERM) | dict.fromkeys(LANDLOCK, errno.ENOSYS),
    # Landlock says its version, and refuses all the same.
    "deaf-landlock": dict.fromkeys((*MOUNTING, "unshare"), errno.EPERM) | {"landlock_restrict_self": errno.E2BIG},
    # AppArmor: a user namespace is to be had, and nothing can be done in it.
    "powerless-namespace": {**dict.fromkeys(MOUNTING, errno.EACCES), "unshare": (NEWUSER, errno.EPERM)},
    # user.max_user_namespaces is 0.
    "no-user-namespaces": {"unshare": errno.ENOSPC},
    # Namespaces, but no mounting: some hardened kernels.
    "no-mounts": dict.fromkeys(MOUNTING, errno.EPERM),
}
DROPS = ("container", "old-container", "no-landlock", "deaf-landlock")


class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def refuse(calls: dict[str, int | tuple[int, int]]) -> None:
    """From now on these calls fail with an errno; given flags as well, those that have none of these flags."""
    machine = platform.machine()
    numbers = CALLS[machine] | SAME | LANDLOCK
    load, equal, any_bit, give = 0x20, 0x15, 0x45, 0x06
    allow, fail = 0x7FFF0000, 0x00050000
    code = [(load, 0, 0, 4), (equal, 1, 0, ARCHITECTURE[machine]), (give, 0, 0, allow)]
    for name, how in calls.items():
        code.append((load, 0, 0, 0))
        if isinstance(how, tuple):
            flags, number = how
            code += [(equal, 0, 4, numbers[name]), (load, 0, 0, 16), (any_bit, 0, 1, flags)]
            code += [(give, 0, 0, allow), (give, 0, 0, fail | number)]
        else:
            code += [(equal, 0, 1, numbers[name]), (give, 0, 0, fail | how)]
    code.append((give, 0, 0, allow))
    packed = b"".join(struct.pack("=HBBI", *each) for each in code)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    program = Program(len(code), ctypes.cast(buffer, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong]
    for option, value, pointer in ((38, 1, None), (22, 2, ctypes.addressof(program))):  # no_new_privs, seccomp
        if libc.prctl(option, value, pointer, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


def drop() -> None:
    """Keep a container's capabilities."""
    libc = ctypes.CDLL(None, use_errno=True)
    for number in range(64):
        if number not in CONTAINER_CAPABILITIES:
            libc.prctl(24, number, 0, 0, 0)


if __name__ == "__main__":
    if platform.machine() not in CALLS:
        sys.exit("no table of system calls for this machine")
    profile, command = sys.argv[1], sys.argv[2:]
    if profile in DROPS:
        drop()
    refuse(PROFILES[profile])
    os.execvp(command[0], command)
