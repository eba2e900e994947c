"""The pod of a process type: what a container may do, keep and use, how it is asked for its health, how it ends."""

from __future__ import annotations

import math
from typing import Any

from fungible.app.quantity import format_size
from fungible.engines.description import USER, Description, Workload
from fungible.engines.kubernetes.naming import RELEASE, Names

PRE_STOP = 5
"""Seconds between the wish that a web process stop and TERM. With its lame duck it serves on for ten: the name
service of a cluster is believed for five (CoreDNS' default), and asked each second."""
MOVED_AFTER = 10
"""Seconds until a process is given up whose machine does not answer; Kubernetes' default is 300."""
_SPARE = 10  # what a command leaves behind may take so long to end (image/entry.py)
_CPU = "50m"
_REFUSALS = 12
_LOGS = {"request": "64Mi", "limit": "512Mi"}


def pod_template(workload: Workload, description: Description, names: Names) -> dict[str, Any]:
    """The template of this type's pods."""
    component = names.types[workload.name]
    web = workload.lame_duck > 0
    container = {
        "name": component,
        **_image(description),
        "args": [workload.name],
        "env": _environment(workload, description, names),
        **_sources(names),
        **(_listening(workload) if workload.port is not None else {}),
        **({"lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP}}}} if web else {}),
        "resources": resources(workload.memory, workload.scratch, workload.cpu),
        **CONFINED,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    grace = math.ceil(workload.grace) + (PRE_STOP if web else 0) + _SPARE
    spec = {
        **whose(names),
        "terminationGracePeriodSeconds": grace,
        "securityContext": SECURITY,
        # A singleton is moved after Kubernetes' five minutes only: its machine may be alive and merely out of reach.
        **({} if workload.singleton else moving()),
        **spreading(names.selector(component)),
        "containers": [container],
        "volumes": [scratch(workload.scratch)],
    }
    return {"metadata": {"labels": names.labels(component)}, "spec": spec}


def release_template(description: Description, names: Names) -> dict[str, Any]:
    """The template of the pod that runs the release command."""
    largest = description.largest
    container = {
        "name": RELEASE,
        **_image(description),
        "args": [RELEASE],
        "env": [_variable(name, value) for name, value in description.given.items()],
        **_sources(names),
        "resources": resources(largest.memory, largest.scratch, None),
        **CONFINED,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    spec = {
        "restartPolicy": "Never",
        **whose(names),
        "securityContext": SECURITY,
        "containers": [container],
        "volumes": [scratch(largest.scratch)],
    }
    return {"metadata": {"labels": names.labels(RELEASE)}, "spec": spec}


CONFINED: dict[str, Any] = {
    "securityContext": {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
}


SECURITY: dict[str, Any] = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""What Pod Security's `restricted` asks of a pod."""


def whose(names: Names) -> dict[str, Any]:
    """An account of its own, of which the pod gets no token, and no variables that name other Services."""
    return {"serviceAccountName": names.app, "automountServiceAccountToken": False, "enableServiceLinks": False}


def moving() -> dict[str, Any]:
    """A process that keeps nothing may be replaced elsewhere at once."""
    reasons = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
    return {
        "tolerations": [
            {"key": reason, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": MOVED_AFTER}
            for reason in reasons
        ]
    }


def spreading(selector: dict[str, str]) -> dict[str, Any]:
    """Processes of one release on different machines and in different zones, as far as there are some."""
    return {
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": selector},
                "matchLabelKeys": ["pod-template-hash"],
            }
            for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
        ]
    }


def scratch(size: int) -> dict[str, Any]:
    """The volume at /tmp: memory of a bounded size that goes with the pod."""
    return {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": quantity(size)}}


def resources(memory: int, scratch: int, cpu: float | None) -> dict[str, Any]:
    """What a container is promised and may use. What lies in /tmp counts as its memory, so it is added to the limit.

    No limit of processors unless the app declares one: a throttled process answers its probes late. The only thing
    on disk is its log.
    """
    processors = f"{math.ceil(cpu * 1000)}m" if cpu is not None else _CPU
    requests = {"cpu": processors, "memory": quantity(memory), "ephemeral-storage": _LOGS["request"]}
    limits = {"memory": quantity(memory + scratch), "ephemeral-storage": _LOGS["limit"]}
    return {"requests": requests, "limits": {"cpu": processors, **limits} if cpu is not None else limits}


def quantity(size: int) -> str:
    """Bytes as Kubernetes writes them: 67108864 is `64Mi`."""
    return format_size(size).removesuffix("B")


def tcp(every: int, times: int) -> dict[str, Any]:
    """A probe that only connects."""
    return {"tcpSocket": {"port": "http"}, "periodSeconds": every, "timeoutSeconds": 5, "failureThreshold": times}


def asked(path: str, every: int, times: int) -> dict[str, Any]:
    """A probe that wants 2xx or 3xx of a path. It names the same host as the run stage does: a framework that knows
    its hosts (Django) would refuse the address of a pod."""
    asking = {"path": path, "port": "http", "httpHeaders": [{"name": "Host", "value": "localhost"}]}
    return {"httpGet": asking, "periodSeconds": every, "timeoutSeconds": 5, "failureThreshold": times}


def _image(description: Description) -> dict[str, Any]:
    return {"image": description.image, "imagePullPolicy": "IfNotPresent"}


def _listening(workload: Workload) -> dict[str, Any]:
    """The port and the probes. Only the connection is asked for to tell a live process from a dead one: one that
    waits for a database is not mended by a restart. One that is busy answers late and stays the router's to choose:
    many refusals in a row take it out, none of them ends it."""
    boot = max(1, math.ceil(workload.boot_timeout))

    def probe(every: int, times: int) -> dict[str, Any]:
        return asked(workload.ready, every, times) if workload.ready is not None else tcp(every, times)

    return {
        "ports": [{"name": "http", "containerPort": workload.port}],
        "startupProbe": probe(1, boot),
        "readinessProbe": probe(2, _REFUSALS),
        "livenessProbe": tcp(10, 3),
    }


def _environment(workload: Workload, description: Description, names: Names) -> list[dict[str, Any]]:
    name = {"name": "FUNGIBLE_PROCESS", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    own = description.given
    if workload.port is not None:
        own["PORT"] = str(workload.port)
    if workload.lame_duck:
        own["FUNGIBLE_LAME_DUCK"] = f"{workload.lame_duck:g}"
    return [name, *(_variable(key, value) for key, value in own.items())]


def _variable(name: str, value: str) -> dict[str, str]:
    """A variable with this very value: `$(NAME)` would be replaced, `$$` is a dollar sign (API reference, EnvVar)."""
    return {"name": name, "value": value.replace("$", "$$")}


def _sources(names: Names) -> dict[str, Any]:
    sources: list[dict[str, Any]] = []
    if names.config is not None:
        sources.append({"configMapRef": {"name": names.config}})
    if names.secrets is not None:
        sources.append({"secretRef": {"name": names.secrets}})
    return {"envFrom": sources} if sources else {}
