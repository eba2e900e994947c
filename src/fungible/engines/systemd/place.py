"""Where the parts of a formation are on the machine, and at which ports its processes listen."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from fungible.app.problem import Problem
from fungible.app.wording import shown
from fungible.engines.description import Description, Workload

UNITS = "etc/systemd/system"
_RELEASES = "/opt"
_LONGEST_USER = 31 - len("-1000")
_FIRST_EPHEMERAL = 32768  # net.ipv4.ip_local_port_range
_LOWEST, _BLOCKS, _BLOCK = 20000, 100, 100
_SAFE = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Place:
    """A formation on a machine: its `name`, its `release`, and `bases`: a process of the type listens at the base
    plus its number."""

    name: str
    release: str
    bases: Mapping[str, int]

    @property
    def settings(self) -> str:
        """The folder of config vars, the router's files and the script that looks at ports."""
        return f"/etc/{self.name}"

    @property
    def code(self) -> str:
        """The folder of the release."""
        return f"{_RELEASES}/{self.name}/{self.release}"

    def unit_of(self, workload: Workload) -> str:
        """The name of this type's unit without its ending; a template's ends with `@`."""
        return f"{self.name}-{workload.name}" + ("" if workload.singleton else "@")

    def instances(self, workload: Workload) -> list[str]:
        """The units of this type's processes."""
        if workload.singleton:
            return [f"{self.unit_of(workload)}.service"] * workload.processes
        return [f"{self.unit_of(workload)}{number}.service" for number in range(1, workload.processes + 1)]

    def user(self, part: str) -> str:
        """The name of a transient user, short enough for a number behind it. Of two parts none has the same: where
        a name has to be changed to be one, a digest tells what it was."""
        wanted = f"{self.name}-{part}"
        name = re.sub(r"[^a-z0-9-]", "-", wanted.lower())
        if not name[0].isalpha():
            name = f"u{name}"
        if name == wanted and len(name) <= _LONGEST_USER:
            return name
        digest = hashlib.sha256(wanted.encode()).hexdigest()[:8]
        return f"{name[: _LONGEST_USER - 9].rstrip('-')}-{digest}"


def place(description: Description, first_port: int | None) -> Place:
    """The places of a formation, its processes at ports from `first_port` on (None: by its name).

    Raises Problem where ports reach those that the kernel gives to clients, and for a type whose unit is another's.
    """
    if not _SAFE.fullmatch(description.release):
        raise Problem(f"{shown(description.release)} cannot be the name of a folder")
    bases: dict[str, int] = {}
    following = _first_port(description.name) if first_port is None else first_port
    for each in description.workloads:
        if each.port is not None:
            bases[each.name] = following
            if (last := following + max(each.processes, 1)) >= _FIRST_EPHEMERAL:
                raise Problem(f"{each.name}: port {last} is one that the kernel gives to clients; choose lower ones")
            following += _BLOCK * (1 + each.processes // _BLOCK)
    for each in description.workloads:
        if each.name == "router" and each.singleton:
            raise Problem('Procfile: "router" is the name of a unit of its own; rename the type.')
    return Place(description.name, description.release, bases)


def _first_port(name: str) -> int:
    return _LOWEST + _BLOCK * (int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) % _BLOCKS)
