"""FU501, FU502 and FU301 in Kubernetes: Deployments and StatefulSets whose containers are reached over HTTP.

A claim that many machines may write to (`ReadWriteMany`) is an attached store. A ConfigMap, a Secret and an emptyDir
keep nothing. A DaemonSet is an agent of its machine. Images of stores keep their disks.
"""

from __future__ import annotations

from collections.abc import Iterator

from fungible.check.finding import Finding, Level
from fungible.check.manifests.project import Document, Project
from fungible.check.manifests.stores import is_store
from fungible.check.manifests.syntax.nodes import TEMPLATE, Node
from fungible.check.manifests.volumes import WEB_PORTS, WEB_SERVER, writable_level

_KINDS = frozenset({"Deployment", "StatefulSet", "ReplicaSet", "Rollout"})
_PORT_NAMES = ("http", "https", "web")


def find(project: Project) -> Iterator[Finding]:
    """Each web container."""
    shared = frozenset(
        each.name
        for each in project.documents
        if each.kind == "PersistentVolumeClaim" and _is_shared(each.root.get("spec"))
    )
    scaled = frozenset(
        each.root.string("spec", "scaleTargetRef", "name")
        for each in project.documents
        if each.kind == "HorizontalPodAutoscaler"
    )
    for document in project.documents:
        pod = document.root.get("spec", "template", "spec") if document.kind in _KINDS else None
        if pod is None:
            continue
        web = [each for each in pod.list("containers") if _is_web(document, each)]
        for container in web:
            yield from _mounts(document, pod, container, shared)
            yield from _root(document, container)
        if web and document.name not in scaled:
            yield from _pinned(document)


def _is_web(document: Document, container: Node) -> bool:
    image = container.string("image")
    if is_store(image) or is_store(container.string("name")) or is_store(document.name):
        return False
    if TEMPLATE in image and is_store(document.path):
        return False
    ports = container.list("ports")
    if any(each.string("containerPort") in WEB_PORTS or each.string("name") in _PORT_NAMES for each in ports):
        return True
    if any(container.get(probe, "httpGet") for probe in ("readinessProbe", "livenessProbe", "startupProbe")):
        return True
    command = " ".join(each.text or "" for key in ("command", "args") for each in container.list(key))
    return WEB_SERVER.search(command) is not None


def _is_shared(spec: Node | None) -> bool:
    modes = {each.text for each in spec.list("accessModes")} if spec else set()
    return bool(modes & {"ReadWriteMany", "ReadOnlyMany"})


def _mounts(document: Document, pod: Node, container: Node, shared: frozenset[str]) -> Iterator[Finding]:
    volumes = {each.string("name"): each for each in pod.list("volumes")}
    templates = {each.string("metadata", "name"): each for each in document.root.list("spec", "volumeClaimTemplates")}
    for mount in container.list("volumeMounts"):
        name, target = mount.string("name"), mount.string("mountPath")
        level = writable_level(target)
        if mount.string("readOnly") == "true" or level is None:
            continue
        what, held = _disk(volumes.get(name), templates.get(name), shared)
        if what is None or held is None:
            continue
        if TEMPLATE in container.string("image") or TEMPLATE in target:
            held = Level.POSSIBLE
        message = f"the web container {container.string('name')} keeps files on {what}, at {target[:80]}"
        yield Finding(
            "FU501", min(level, held), document.path, mount.line, message, f"{document.name}.{target}", mount.column
        )


def _disk(volume: Node | None, template: Node | None, shared: frozenset[str]) -> tuple[str | None, Level | None]:
    """What a mount is a disk of, and how sure; (None, None): nothing that lasts."""
    if template is not None:
        return "a claim of each pod", Level.POSSIBLE if _is_shared(template.get("spec")) else Level.LIKELY
    if volume is None:
        return None, None
    if volume.get("hostPath"):
        origin = volume.string("hostPath", "path")
        return f"the machine's {origin[:80]}", writable_level(origin)
    if claim := volume.get("persistentVolumeClaim"):
        if claim.string("readOnly") == "true":
            return None, None
        name = claim.string("claimName")
        return f"the claim {name}", Level.POSSIBLE if name in shared or TEMPLATE in name else Level.LIKELY
    return None, None


def _root(document: Document, container: Node) -> Iterator[Finding]:
    if container.string("securityContext", "readOnlyRootFilesystem") in ("true", TEMPLATE):
        return
    name = container.string("name")
    message = f"the web container {name} has a root file system that it can write to"
    symbol = f"{document.name}.{name}.readOnlyRootFilesystem"
    yield Finding("FU502", Level.POSSIBLE, document.path, container.line, message, symbol, container.column)


def _pinned(document: Document) -> Iterator[Finding]:
    spec = document.root.get("spec")
    if spec is None:
        return
    if (key := spec.key("replicas")) and spec.string("replicas") == "1":
        message = f"the {document.kind} {document.name} is pinned to one replica"
        yield Finding(
            "FU301", Level.POSSIBLE, document.path, key.line, message, f"{document.name}.replicas", key.column
        )
    strategy = spec.get("strategy")
    if strategy and (key := strategy.key("type")) and strategy.string("type") == "Recreate":
        message = f"`strategy: Recreate` of {document.name} never lets two versions serve side by side"
        yield Finding(
            "FU301", Level.POSSIBLE, document.path, key.line, message, f"{document.name}.strategy", key.column
        )
