"""FU403 in Traefik: `sticky` of a service, in files, in labels of containers and in its own Kubernetes kinds.

See "Sticky sessions" in Traefik's manual; `stickiness` is the name in version 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fungible.check.finding import Finding, Level
from fungible.check.manifests.project import Document, Project
from fungible.check.manifests.proxies import finding, labels

_KINDS = frozenset({"IngressRoute", "TraefikService"})
_LABEL = re.compile(
    r"(?i)^traefik\.(?:.+\.)?(?:loadbalancer|weighted)\.(?:sticky|stickiness)(?:\.cookie(?:\.\w+)?)?$"
)
_TABLE = re.compile(r"(?im)^([ \t]*)\[+([\w.\"-]*\.(?:loadBalancer|weighted)\.(?:sticky|stickiness)[\w.]*)\]+")
_OFF = ("false", "0")


def find(project: Project) -> Iterator[Finding]:
    """Each service once."""
    for document in project.documents:
        yield from _nodes(document)
    for document in project.compose:
        for name, service in document.root.get("services").pairs:  # type: ignore[union-attr]
            for place, key, value in labels(service):
                if _LABEL.match(key) and value.lower() not in _OFF:
                    message = f"the label `{key}` keeps a client at one process"
                    yield finding(document.path, place, Level.CERTAIN, message, f"{name.text}.sticky")
                    break
    for source in project.tree.named("*.toml"):
        for match in _TABLE.finditer(source.text):
            if match[2].lower().endswith((".sticky", ".stickiness", "sticky.cookie")):
                line = source.text.count("\n", 0, match.start()) + 1
                message = f"`[{match[2]}]` keeps a client at one server"
                yield Finding(
                    "FU403", Level.CERTAIN, source.path, line, message, match[2].removesuffix(".cookie"),
                    len(match[1]) + 1,
                )  # fmt: skip


def _nodes(document: Document) -> Iterator[Finding]:
    own = document.kind in _KINDS
    if document.kind and not own:
        return
    for way, node in document.root.mappings():
        key = node.key("sticky") or node.key("stickiness")
        if key is None or not way:
            continue
        value = node.get(key.text or "")
        balanced = way[-1].lower() in ("loadbalancer", "weighted") and way[0] in ("http", "backends", "spec")
        if not balanced and not (own and way[-1] == "services"):
            continue
        if value is not None and ((value.text or "").lower() not in _OFF):
            owner = way[-2] if balanced and len(way) > 1 else "a service"
            message = f"`{key.text}` of {owner} keeps a client at one server"
            yield finding(document.path, key, Level.CERTAIN, message, ".".join((*way, "sticky")))
