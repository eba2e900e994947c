"""What an API server refuses and a schema does not know, and what Factor VI forbids.

A real API server refuses most of it, but a pod that runs as root is found by Pod Security when it is made, too late.
The rules here are those that a schema misses, and references to what must exist.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

Body = Mapping[str, Any]

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")
_FACTORS: Mapping[str | None, Decimal] = {
    None: Decimal(1),
    "m": Decimal("0.001"),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")  # RFC 1123
_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_PORT_NAME = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?")  # RFC 6335, 5.1
_WORKLOADS = frozenset({"Deployment", "Job"})
_FORBIDDEN = frozenset({"StatefulSet", "DaemonSet", "PersistentVolumeClaim"})
_VOLUMES = frozenset({"configMap", "secret", "projected", "emptyDir"})
_AFFINITY = re.compile(r"affinity|sticky|stickiness|upstream-hash-by", re.IGNORECASE)


def lint(objects: Sequence[Body], known: Collection[str] = ()) -> tuple[str, ...]:
    """What is wrong with these objects, a sentence each, none where all is well.

    `known` are names of ConfigMaps and Secrets that are made elsewhere (by a kustomization, by the user).
    """
    pods = [each for each in objects if each["kind"] in _WORKLOADS]
    maps = {_name(each) for each in objects if each["kind"] in ("ConfigMap", "Secret")} | set(known)
    named = Counter((each["kind"], _name(each)) for each in objects)
    found = [f"{kind} {name}: there are {count} of this name" for (kind, name), count in named.items() if count > 1]
    for each in objects:
        found += (f"{each['kind']} {_name(each)}: {wrong}" for wrong in _object(each, pods, maps))
    return tuple(found)


def _object(body: Body, pods: Sequence[Body], maps: Collection[str]) -> Iterator[str]:
    yield from _named(body)
    kind, spec = body["kind"], body.get("spec", {})
    if kind in _FORBIDDEN:
        yield "Factor VI: it gives a process something to keep"
    if kind in _WORKLOADS:
        yield from _pod(spec["template"], maps)
    if kind == "Deployment":
        yield from _deployment(spec)
    if kind == "Service":
        if spec.get("sessionAffinity", "None") != "None":
            yield "sessionAffinity: Factor VI: no sticky sessions"
        yield from _selected(spec["selector"], [port.get("targetPort") for port in spec["ports"]], pods)
    if kind == "PodDisruptionBudget":
        yield from _selected(spec["selector"]["matchLabels"], [], pods)
    if kind == "NetworkPolicy" and (labels := spec["podSelector"].get("matchLabels")):
        ports = [port["port"] for rule in spec.get("ingress", ()) for port in rule.get("ports", ())]
        yield from _selected(labels, ports, pods)


def _named(body: Body) -> Iterator[str]:
    metadata = body["metadata"]
    for part in ("name", "namespace"):
        value = metadata.get(part, "x")
        if not _LABEL.fullmatch(value):
            yield f"metadata.{part}: {value!r} is no name (RFC 1123)"
    for key, value in metadata.get("labels", {}).items():
        if not _VALUE.fullmatch(value):
            yield f"metadata.labels.{key}: {value!r} is no value of a label"
    for key, value in metadata.get("annotations", {}).items():
        if _AFFINITY.search(key) and value:
            yield f"metadata.annotations.{key}: Factor VI: no sticky sessions"


def _deployment(spec: Body) -> Iterator[str]:
    template = spec["template"]["metadata"]["labels"]
    if not _selects(spec["selector"]["matchLabels"], template):
        yield "spec.selector does not select the pods of spec.template"
    strategy = spec.get("strategy", {})
    rolling = strategy.get("rollingUpdate", {})
    surge, unavailable = rolling.get("maxSurge", "25%"), rolling.get("maxUnavailable", "25%")
    if strategy.get("type") != "Recreate" and _zero(surge) and _zero(unavailable):
        yield "spec.strategy: maxSurge and maxUnavailable are both 0"
    if spec.get("progressDeadlineSeconds", 600) <= spec.get("minReadySeconds", 0):
        yield "spec.progressDeadlineSeconds must be greater than minReadySeconds"


def _pod(template: Body, maps: Collection[str]) -> Iterator[str]:
    spec = template["spec"]
    security = spec.get("securityContext", {})
    if security.get("runAsNonRoot") is not True or security.get("runAsUser") == 0:
        yield "the pod may run as root"
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "seccompProfile is not RuntimeDefault"
    volumes = {volume["name"]: volume for volume in spec.get("volumes", ())}
    for volume in volumes.values():
        yield from _volume(volume, maps)
    grace = spec.get("terminationGracePeriodSeconds", 30)
    for container in spec["containers"]:
        for wrong in _container(container, grace, volumes, maps):
            yield f"container {container['name']}: {wrong}"


def _volume(volume: Body, maps: Collection[str]) -> Iterator[str]:
    where = f"volume {volume['name']}"
    if not (volume.keys() & _VOLUMES):
        yield f"{where}: Factor VI: it would keep what a process wrote"
    if "emptyDir" in volume:
        size = volume["emptyDir"].get("sizeLimit")
        if size is None:
            yield f"{where}: Factor VI: emptyDir without sizeLimit"
        elif _amount(size) is None:
            yield f"{where}: sizeLimit {size!r} is no quantity"
    name = volume.get("configMap", {}).get("name") or volume.get("secret", {}).get("secretName")
    if name is not None and name not in maps:
        yield f"{where}: there is no {name}"


def _container(container: Body, grace: int, volumes: Collection[str], maps: Collection[str]) -> Iterator[str]:
    security = container.get("securityContext", {})
    if security.get("readOnlyRootFilesystem") is not True:
        yield "Factor VI: readOnlyRootFilesystem is not true"
    if security.get("allowPrivilegeEscalation") is not False or security.get("capabilities", {}).get("drop") != [
        "ALL"
    ]:
        yield "it may gain privileges"
    if security.get("runAsUser") == 0 or security.get("privileged"):
        yield "it runs as root"
    if not _LABEL.fullmatch(container["name"]):
        yield "its name is no name (RFC 1123)"
    yield from _ports(container)
    yield from _quantities(container.get("resources", {}))
    sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    if sleep >= grace:
        yield f"preStop sleeps {sleep} s, and terminationGracePeriodSeconds is {grace}"
    for source in container.get("envFrom", ()):
        for reference in source.values():
            if reference["name"] not in maps:
                yield f"envFrom: there is no {reference['name']}"
    for mount in container.get("volumeMounts", ()):
        if mount["name"] not in volumes:
            yield f"volumeMounts: there is no volume {mount['name']}"


def _ports(container: Body) -> Iterator[str]:
    names = {port.get("name") for port in container.get("ports", ())}
    for port in container.get("ports", ()):
        if "name" in port and not _PORT_NAME.fullmatch(port["name"]):
            yield f"ports: {port['name']!r} is no name of a port (RFC 6335)"
        if not 0 < port["containerPort"] < 65536:
            yield f"ports: {port['containerPort']} is no port"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        for asking in ("httpGet", "tcpSocket"):
            port = container.get(probe, {}).get(asking, {}).get("port")
            if isinstance(port, str) and port not in names:
                yield f"{probe}: the container has no port {port!r}"


def _quantities(resources: Body) -> Iterator[str]:
    requests, limits = resources.get("requests", {}), resources.get("limits", {})
    for where, amounts in (("requests", requests), ("limits", limits)):
        for key, value in amounts.items():
            if _amount(value) is None:
                yield f"resources.{where}.{key}: {value!r} is no quantity"
    for key in requests.keys() & limits.keys():
        asked, most = _amount(requests[key]), _amount(limits[key])
        if asked is not None and most is not None and asked > most:
            yield f"resources.requests.{key} is more than its limit"


def _selected(labels: Mapping[str, str], ports: Sequence[str | int | None], pods: Sequence[Body]) -> Iterator[str]:
    chosen = [each for each in pods if _selects(labels, each["spec"]["template"]["metadata"]["labels"])]
    if not chosen:
        yield "its selector selects no pod of this formation"
        return
    known = {
        port.get("name")
        for each in chosen
        for container in each["spec"]["template"]["spec"]["containers"]
        for port in container.get("ports", ())
    }
    for port in ports:
        if isinstance(port, str) and port not in known:
            yield f"the pods that it selects have no port {port!r}"


def _selects(labels: Mapping[str, str], found: Mapping[str, str]) -> bool:
    return bool(labels) and labels.items() <= found.items()


def _zero(value: object) -> bool:
    return str(value).rstrip("%") == "0"


def _amount(value: object) -> Decimal | None:
    match = _QUANTITY.fullmatch(str(value))
    return Decimal(match[1]) * _FACTORS[match[2]] if match else None


def _name(body: Body) -> str:
    return str(body["metadata"]["name"])
