"""What a process may see and do: nothing that another process of the formation would find.

What systemd cannot keep apart is said in docs/outgrow-systemd.md: loopback ports, and a private /tmp without a size.
"""

from __future__ import annotations

from fungible.engines.systemd.unit import Section

SCRATCH = "/run/scratch"
"""A tmpfs that each process has for itself. Not /tmp: with `DynamicUser` systemd lays a private folder of the disk
there, whatever a unit says of /tmp (seen with 252)."""
_SHARED_MEMORY = 64 << 20

_FOLDERS = {"TMPDIR": SCRATCH, "HOME": f"{SCRATCH}/home", "FUNGIBLE_SCRATCH": f"{SCRATCH}/scratch"} | {
    "XDG_RUNTIME_DIR": f"{SCRATCH}/run"
}

CONFINED: Section = (
    ("#", "Share nothing: a user that exists while the process does, and a disk that can only be read."),
    ("DynamicUser", "yes"),
    ("ProtectSystem", "strict"),
    ("ProtectHome", "yes"),
    ("PrivateTmp", "yes"),
    ("PrivateDevices", "yes"),
    ("PrivateIPC", "yes"),
    ("ProtectProc", "invisible"),
    ("ProtectHostname", "yes"),
    ("ProtectClock", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectControlGroups", "yes"),
    ("NoNewPrivileges", "yes"),
    ("CapabilityBoundingSet", ""),
    ("AmbientCapabilities", ""),
    ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX AF_NETLINK"),
    ("RestrictNamespaces", "yes"),
    ("RestrictRealtime", "yes"),
    ("RestrictSUIDSGID", "yes"),
    ("LockPersonality", "yes"),
    ("SystemCallArchitectures", "native"),
    ("SystemCallFilter", "@system-service"),
    ("SystemCallErrorNumber", "EPERM"),
    ("UMask", "0077"),
)


def folders(scratch: int) -> Section:
    """The places where a process may write, gone when it ends."""
    sizes = {SCRATCH: scratch, "/dev/shm": _SHARED_MEMORY}
    mounts = " ".join(f"{path}:size={size},mode=1777,nosuid,nodev" for path, size in sizes.items())
    return (
        ("#", "Its own memory to write to, of a bounded size; it counts for MemoryMax."),
        ("TemporaryFileSystem", mounts),
        *(("Environment", f"{name}={path}") for name, path in _FOLDERS.items()),
    )


def made_folders() -> str:
    """The shell command that makes them: systemd mounts the file system, and what is in it is the process' own."""
    return f"mkdir -m 700 {' '.join(path for path in _FOLDERS.values() if path != SCRATCH)}"
