"""What this machine allows: found by doing it once with `true`, not by asking for versions."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from typing import Dict, List, Optional, Tuple

from . import landlock, linux, outbound
from .spawn import Message, spawn
from .spec import LEVELS, Spec

_APPARMOR = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"


@dataclass(frozen=True)
class Abilities:
    """The isolation levels that work here, and why the others do not.

    `allowed` is strongest first; `layer` is where an overlay's upper folder can live (`disk` or `memory`);
    `reasons` says for each refused level what the machine answered; `scopes_sockets` whether abstract Unix
    sockets are out of reach at the levels down to `readonly`.
    """

    allowed: Tuple[str, ...]
    layer: str
    reasons: Dict[str, str]
    scopes_sockets: bool

    def choose(self, wanted: str) -> str:
        """The level to use for a wish of `auto` or a level's name; raises PermissionError with the reason."""
        if wanted == "auto":
            return self.allowed[0]
        if wanted not in self.allowed:
            raise PermissionError(self.reasons.get(wanted, "not supported on this system"))
        return wanted


NOT_ISOLATED: Dict[str, str] = {
    "full": "loopback ports",
    "copy": "loopback ports, /dev/shm, reading of other files, process ids",
    "readonly": "loopback ports, /dev/shm, reading of other files, process ids, the app's folder as a place to read",
    "scratch": "loopback ports, abstract sockets, /tmp, /dev/shm, the app's folder, all other files, process ids",
    "none": "anything",
}
"""What each level does not keep apart, as it is said at start and in every report."""


def describe(level: str, scopes_sockets: bool) -> str:
    """One line: the level and what it does not isolate."""
    shared = NOT_ISOLATED[level]
    if level in ("full", "copy", "readonly") and not scopes_sockets:
        shared = f"loopback ports, abstract sockets{shared[len('loopback ports') :]}"
    return f"isolation {level} (not isolated: {shared})"


async def probe(folder: str) -> Abilities:
    """Try the levels in `folder`, where processes will have their private folders."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    reasons: Dict[str, str] = {}
    allowed: List[str] = []
    layer = "disk"
    if not linux.available():
        reasons = dict.fromkeys(LEVELS[:3], "only Linux has it")
        return Abilities(("scratch", "none"), layer, reasons, False)
    refused = await _attempt(folder, "full", "disk")
    if refused is not None and await _attempt(folder, "full", "memory") is None:
        refused, layer = None, "memory"
    if refused is None:
        allowed.append("full")
    else:
        reasons["full"] = _why(refused)
    if landlock.version() == 0:
        reasons["copy"] = reasons["readonly"] = "no Landlock: a kernel before Linux 5.13, or a container refuses it"
    # Tried only where it is what `auto` comes to: each trial takes its time at every start.
    elif refused is not None and (answer := await _attempt(folder, "readonly", layer)) is not None:
        reasons["copy"] = reasons["readonly"] = _why(answer)
    else:
        allowed += ["copy", "readonly"]
    return Abilities((*allowed, "scratch", "none"), layer, reasons, landlock.can_scope_sockets())


def _why(refused: str) -> str:
    """The machine's answer, and where that is known, the setting behind it."""
    text = f"the system refused it ({refused})"
    if os.strerror(errno.ENOSPC) in refused:
        return f"{text}; a limit of namespaces is reached, see user.max_user_namespaces"
    with contextlib.suppress(OSError), open(_APPARMOR) as file:
        if file.read().strip() == "1" and os.geteuid() != 0:
            return f"{text}; AppArmor keeps it from ordinary users, see {os.path.basename(_APPARMOR)}"
    return text


async def probe_outbound(folder: str, level: str, layer: str) -> Optional[str]:
    """None where `outbound: refused` works at this level, else why not; tried in `folder`."""
    reason = outbound.available()
    if reason is not None:
        return reason
    os.makedirs(folder, mode=0o700, exist_ok=True)
    refused = await _attempt(folder, level, layer, "refused")
    return None if refused is None else f"the system refused it ({refused})"


async def _attempt(folder: str, level: str, layer: str, outbound: str = "free") -> Optional[str]:
    private = tempfile.mkdtemp(prefix="probe-", dir=folder)
    app = os.path.join(private, "own", "app")
    os.makedirs(app)
    spec = Spec(level=level, argv=("true",), environment={"PATH": os.defpath}, private=private, source=app,
                target=app, host_name="probe", layer=layer, outbound=outbound)  # fmt: skip
    heard: List[Message] = []
    child = spawn(replace(spec), heard.append)
    try:
        await asyncio.shield(child.gone)
    except asyncio.CancelledError:
        child.kill()
        await child.gone
        raise
    finally:
        shutil.rmtree(private, ignore_errors=True)
    failed = next((message for message in heard if message.kind == "failed"), None)
    if failed is not None:
        return ": ".join(str(failed.data[key]) for key in ("path", "error") if failed.data.get(key))
    status = next((message.data["status"] for message in heard if message.kind == "exited"), None)
    return None if status == 0 else f"a trial ended with {status}"


def run_probe(folder: str) -> Abilities:
    """`probe` for callers without an event loop."""
    return asyncio.run(probe(folder))
