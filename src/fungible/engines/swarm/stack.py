"""A formation as a stack of Docker Swarm: a service for each process type, and one for the router. Pure.

Swarm's own balancing (the mesh, virtual addresses) is of connections, so services get none (`dnsrr`), and the router
finds the processes by name and gives each request to one. Source: the Compose file format, version 3, deploy part;
what was measured of it stands in docs/outgrow-swarm.md.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fungible.engines.description import USER, Description, Workload
from fungible.engines.image.image import ENTRYPOINT
from fungible.engines.image.router import CONFIGURED
from fungible.engines.readable import readable
from fungible.engines.routing import ROUTER_PORT, router_files

ROUTER = "router"
STACK = "stack.yml"
_FOLDER = "router"
_ROUTER_MEMORY = 256 << 20
_HEAD = """\
# Factor VI on Docker Swarm: processes share nothing (a read-only root, a temporary folder of their own, no volume),
# any process can serve any request (the router chooses for each one), and an update starts the new one first.
# docker stack deploy --compose-file {file} {name}
"""


@dataclass(frozen=True)
class Published:
    """Where the router is reached: `port` on every node by the mesh, or with `host` on the nodes it runs on alone
    (managers), for hosts without IPVS."""

    port: int = 80
    host: bool = False


def stack_files(
    description: Description, published: Published, secrets: Mapping[str, str], *, behind: bool = False
) -> dict[str, str]:
    """The files of the stack by relative path. `secrets` names, for each secret variable, Swarm's secret that holds
    its value; `behind` is as for `router_files`."""
    files: dict[str, str] = {}
    web = description.web
    configs = {}
    if web is not None:
        for name, text in router_files(description, web, f"tasks.{web.name}", behind=behind).items():
            files[f"{_FOLDER}/{name}"] = text
            # A config is never changed: one of another content has another name.
            digest = hashlib.sha256(text.encode()).hexdigest()[:8]
            configs[name] = f"{description.name}_{name.replace('.', '-')}-{digest}"
    services = {each.name: _service(description, each, secrets) for each in description.workloads}
    if web is not None:
        services[_router_name(description)] = _router(description, published, configs)
    networks = {"formation": {"driver": "overlay"}}
    document: dict[str, Any] = {"version": "3.8", "services": services, "networks": networks}
    if configs:
        document["configs"] = {
            _key(name): {"name": named, "file": f"./{_FOLDER}/{name}"} for name, named in configs.items()
        }
    if secrets:
        document["secrets"] = {name: {"name": named, "external": True} for name, named in sorted(secrets.items())}
    files[STACK] = _HEAD.format(file=STACK, name=description.name) + readable(document)
    return files


def literal(value: str) -> str:
    """A variable's value that Swarm gives as this very text: it fills in what is in `{{ }}`."""
    return value.replace("{{", '{{"{{"}}')


def _service(description: Description, workload: Workload, secrets: Mapping[str, str]) -> dict[str, Any]:
    environment = description.environment
    if workload.port is not None:
        environment["PORT"] = str(workload.port)
    if workload.ready is not None:
        environment["FUNGIBLE_READY_PATH"] = workload.ready
    service: dict[str, Any] = {
        "image": description.image,
        "command": [workload.name],
        **_confined(),
        "stop_grace_period": f"{math.ceil(workload.grace) + 5}s",
        "volumes": [_temporary(workload.scratch)],
        # In the file `$` starts a variable.
        "environment": {name: literal(value).replace("$", "$$") for name, value in environment.items()},
        "networks": ["formation"],
    }
    if workload.files is not None:
        service["ulimits"] = {"nofile": workload.files}
    if secrets:
        service["secrets"] = [
            {"source": name, "target": name, "uid": str(USER), "gid": str(USER), "mode": 0o400}
            for name in sorted(secrets)
        ]
    if workload.port is not None:
        service["healthcheck"] = _healthcheck(workload.boot_timeout)
    service["environment"]["FUNGIBLE_PROCESS"] = f"{workload.name}.{{{{.Task.Slot}}}}"
    # What lies in its /tmp counts as memory of the process.
    limits: dict[str, Any] = {"memory": str(workload.memory + workload.scratch)}
    if workload.cpu is not None:
        limits["cpus"] = f"{workload.cpu:g}"
    order = "stop-first" if workload.singleton else "start-first"
    service["deploy"] = {
        "replicas": workload.processes,
        "endpoint_mode": "dnsrr",
        **_updates(order),
        "resources": {"limits": limits},
    }
    return service


def _router(description: Description, published: Published, configs: Mapping[str, str]) -> dict[str, Any]:
    placed: dict[str, Any] = {"replicas": 2}
    if published.host:
        placed = {"mode": "global", "placement": {"constraints": ["node.role == manager"]}}
    return {
        "image": description.router,
        **_confined(),
        "stop_grace_period": f"{math.ceil(description.request_timeout) + 5}s",
        "networks": ["formation"],
        "configs": [{"source": _key(name), "target": f"{CONFIGURED}/{name}", "mode": 0o444} for name in configs],
        "ports": [
            {"target": ROUTER_PORT, "published": published.port, "mode": "host" if published.host else "ingress"}
        ],
        "deploy": {
            **placed,
            # With a virtual address the mesh would need IPVS, even where it is not used.
            "endpoint_mode": "dnsrr" if published.host else "vip",
            **_updates("stop-first" if published.host else "start-first"),
            "resources": {"limits": {"memory": str(_ROUTER_MEMORY)}},
        },
    }


def _router_name(description: Description) -> str:
    taken = {each.name for each in description.workloads}
    return next(name for name in (ROUTER, f"fungible-{ROUTER}") if name not in taken)


def _confined() -> dict[str, Any]:
    return {"read_only": True, "user": f"{USER}:{USER}", "cap_drop": ["ALL"]}


def _temporary(size: int) -> dict[str, Any]:
    return {"type": "tmpfs", "target": "/tmp", "tmpfs": {"size": size}}


def _healthcheck(boot_timeout: float) -> dict[str, Any]:
    """Whether a process may be chosen. A busy one is slow to answer, and that is no reason to end it: many refusals
    in a row are."""
    test = ["CMD", *ENTRYPOINT, "ready"]
    start = f"{math.ceil(boot_timeout)}s"
    return {"test": test, "interval": "5s", "timeout": "10s", "retries": 12, "start_period": start}


def _updates(order: str) -> dict[str, Any]:
    each = {"parallelism": 1, "order": order, "monitor": "5s"}
    return {
        "restart_policy": {"condition": "any", "delay": "1s"},
        "update_config": {**each, "failure_action": "rollback"},
        "rollback_config": each,
    }


def _key(name: str) -> str:
    return name.replace(".", "_")
