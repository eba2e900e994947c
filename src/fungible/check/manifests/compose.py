"""FU501, FU502 and FU301 in compose files.

A web service is one that is built here or runs a web server of Python's kind, and is reached over HTTP. An image of
others with a volume is told as possible: whether it is the app cannot be read. Stores keep their volumes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fungible.check.finding import Finding, Level
from fungible.check.manifests.project import Document, Project
from fungible.check.manifests.proxies import labels
from fungible.check.manifests.stores import is_store
from fungible.check.manifests.syntax.nodes import Node
from fungible.check.manifests.volumes import WEB_PORTS, WEB_SERVER, bind_level, writable_level

_DEVELOPMENT = re.compile(r"(?i)(?:^|[/._-])(?:dev|develop\w*|local|override|test\w*|ci|debug)(?:[/._-])")
_OWN_IMAGE = re.compile(r"^[^:]*\$")
_WORKS = re.compile(r"(?i)worker|celery|beat|cron|scheduler|queue|migrat|consumer|test|init|backup|\bdb\b|proxy")


def find(project: Project) -> Iterator[Finding]:
    """Each web service."""
    for document in project.compose:
        services = document.root.get("services")
        for key, service in services.pairs if services else ():
            level = _web(key.text or "", service)
            if level is not None:
                if _DEVELOPMENT.search(document.path):
                    level = Level.POSSIBLE
                yield from _volumes(document, key, service, level)
                yield from _root(document, key, service)


def _web(name: str, service: Node) -> Level | None:
    """How sure it is that a service is a web process of the app; None: it is none."""
    built = service.string("build") or " ".join(service.string("build", key) for key in ("context", "dockerfile"))
    image = service.string("image")
    command = _command(service)
    runs = WEB_SERVER.search(command) is not None
    if is_store(image) or is_store(built) or (not runs and (is_store(name) or _WORKS.search(name))):
        return None
    if not (runs or _reached(service)):
        return None
    own = service.get("build") is not None or _OWN_IMAGE.match(image) is not None or runs
    return Level.LIKELY if own else Level.POSSIBLE


def _command(service: Node) -> str:
    parts = []
    for key in ("command", "entrypoint"):
        node = service.get(key)
        if node is not None:
            parts.append(node.text or " ".join(each.text or "" for each in node.items))
    return " ".join(parts)


def _reached(service: Node) -> bool:
    for node in (*service.list("ports"), *service.list("expose")):
        target = node.string("target") or (node.text or "").rpartition(":")[2]
        if target.partition("/")[0] in WEB_PORTS or "$" in target:
            return True
    return any("rule" in key and key.startswith("traefik.http") for _, key, _ in labels(service))


def _volumes(document: Document, name: Node, service: Node, level: Level) -> Iterator[Finding]:
    for node in service.list("volumes"):
        origin, target, writable = _volume(node)
        if not writable or not target.startswith("/") or _attached(document, origin):
            continue
        bind = re.match(r"^[./~$]|^[A-Za-z]:[\\/]", origin) is not None
        found = bind_level(origin, target) if bind else writable_level(target) if origin else None
        # A named volume over the code hides files of the image; it stores nothing of requests.
        if found is None or target.rstrip("/") in ("/app", "/code", "/src", "/usr/src/app", "/workspace", "/srv"):
            continue
        message = f"the web service {name.text} keeps files on {origin[:80]}, at {target[:80]}"
        yield Finding(
            "FU501", min(level, found), document.path, node.line, message, f"{name.text}.{target}", node.column
        )


def _volume(node: Node) -> tuple[str, str, bool]:
    """Where a volume comes from, where it is in the container, and whether it can be written."""
    if node.text is not None:
        text = re.sub(r"\$\{([^}:]*)[^}]*\}", r"$\1", node.text)
        parts = text.split(":")
        if len(parts) < 2:
            return "", parts[0], True
        return parts[0], parts[1], "ro" not in ",".join(parts[2:]).split(",")
    kind = node.string("type")
    writable = kind in ("volume", "bind", "") and node.string("read_only") != "true"
    origin = node.string("source") or node.string("src")
    if kind == "bind" and origin and not re.match(r"^[./~$]", origin):
        origin = "./" + origin
    return origin, node.string("target") or node.string("dst"), writable


def _attached(document: Document, name: str) -> bool:
    """Whether a named volume is another machine's: a driver or options that are not of a local disk."""
    volume = document.root.get("volumes", name)
    if volume is None:
        return False
    kind = volume.string("driver_opts", "type")
    return volume.string("driver") not in ("", "local") or kind.startswith(("nfs", "cifs", "tmpfs"))


def _root(document: Document, name: Node, service: Node) -> Iterator[Finding]:
    if service.string("read_only") != "true":
        message = f"the web service {name.text} has a root file system that it can write to"
        yield Finding(
            "FU502", Level.POSSIBLE, document.path, name.line, message, f"{name.text}.read_only", name.column
        )
    deploy = service.get("deploy")
    key = deploy.key("replicas") if deploy else None
    if key and service.string("deploy", "replicas") == "1":
        message = f"the web service {name.text} is pinned to one replica"
        yield Finding("FU301", Level.POSSIBLE, document.path, key.line, message, f"{name.text}.replicas", key.column)
