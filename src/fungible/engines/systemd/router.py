"""The router on one machine: the system's HAProxy before the ports of the processes."""

from __future__ import annotations

import math

from fungible.engines.description import Description, Workload
from fungible.engines.routing import CONFIGURATION, fixed_router_files
from fungible.engines.systemd.place import Place
from fungible.engines.systemd.sandbox import CONFINED
from fungible.engines.systemd.unit import unit

FOLDER = "router"
_SPARE = 5
_FIRST_FREE_PORT = 1024


def router_files(description: Description, web: Workload, place: Place, port: int, *, behind: bool) -> dict[str, str]:
    """HAProxy's files by name."""
    base = place.bases[web.name]
    servers = {f"{web.name}.{number}": f"127.0.0.1:{base + number}" for number in range(1, web.processes + 1)}
    return fixed_router_files(description, web, servers, port, behind=behind)


def router_unit(description: Description, place: Place, web: Workload, haproxy: str, port: int) -> str:
    """Its unit. A changed configuration is taken over by a reload, without a lost request."""
    command = f"{haproxy} -W -db -C {place.settings}/{FOLDER} -f {CONFIGURATION}"
    low = (("AmbientCapabilities", "CAP_NET_BIND_SERVICE"), ("CapabilityBoundingSet", "CAP_NET_BIND_SERVICE"))
    sections = {
        "Unit": (
            ("Description", f"{place.name} router"),
            ("PartOf", f"{place.name}.target"),
            ("Wants", "network-online.target"),
            ("After", "network-online.target"),
            ("#", "It opens when the processes are there, or have failed."),
            *(("After", name) for name in place.instances(web)),
            ("StartLimitIntervalSec", "0"),
        ),
        "Service": (
            ("Type", "exec"),
            ("ExecStartPre", f"{haproxy} -c -q -C {place.settings}/{FOLDER} -f {CONFIGURATION}"),
            ("ExecStart", command),
            ("ExecReload", f"{haproxy} -c -q -C {place.settings}/{FOLDER} -f {CONFIGURATION}"),
            ("ExecReload", "/bin/kill -USR2 $MAINPID"),
            ("Restart", "always"),
            ("RestartSec", "1s"),
            ("#", "It ends when the requests under way have."),
            ("KillMode", "mixed"),
            ("KillSignal", "SIGUSR1"),
            ("TimeoutStopSec", str(math.ceil(description.request_timeout) + _SPARE)),
            ("LimitNOFILE", "65536"),
            *CONFINED,
            *(low if port < _FIRST_FREE_PORT else ()),
            ("#", "Without a number, which processes have: so it is nobody's of a type of this name."),
            ("User", place.user("router")),
        ),
    }
    return unit("The router: a process is chosen for each request, never by client.", sections)
