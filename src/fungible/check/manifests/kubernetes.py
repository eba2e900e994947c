"""FU404: affinity in Kubernetes: Services, annotations of ingress controllers, Gateway API, Istio and their like.

`sessionAffinity` and `sessionPersistence` are Kubernetes' own words; an annotation means what its controller's manual
says. Annotations are read wherever they stand, so in values of a Helm chart, too. The `affinity` of a pod is about
nodes, and no affinity of clients.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from fungible.check.finding import Finding, Level, Rule
from fungible.check.manifests import clients
from fungible.check.manifests.project import Document, Project
from fungible.check.manifests.stores import STORE_PORTS, is_store
from fungible.check.manifests.syntax.nodes import Node

FU404 = Rule(
    id="FU404",
    title="the cluster keeps a client at one pod",
    why="Affinity hides state in a pod until that pod ends or another one is added; then it is gone.",
    mend="Set `sessionAffinity: None`, or take the annotation or policy out. What a client needs belongs into a"
    " backing service.",
    topic="session-in-memory",
    wrong="apiVersion: v1\nkind: Service\nmetadata:\n  name: shop\nspec:\n  sessionAffinity: ClientIP\n"
    "  ports:\n    - port: 80\n",
    right="apiVersion: v1\nkind: Service\nmetadata:\n  name: shop\nspec:\n  sessionAffinity: None\n"
    "  ports:\n    - port: 80\n",
)
RULES = (FU404,)


def _true(value: str) -> Level | None:
    return Level.CERTAIN if value.lower() == "true" else None


def _cookie(value: str) -> Level | None:
    return Level.CERTAIN if value.lower() in ("cookie", "cookies") else None


def _stickiness(value: str) -> Level | None:
    return Level.CERTAIN if re.search(r"stickiness\.enabled\s*=\s*true", value) else None


def _source(value: str) -> Level | None:
    return Level.CERTAIN if value.strip() == "source" else None


def _method(value: str) -> Level | None:
    words = value.split()
    if words[:1] == ["ip_hash"]:
        return Level.CERTAIN
    return clients.key(value) if words[:1] == ["hash"] else None


def _any(value: str) -> Level | None:
    return Level.CERTAIN if value else None


_ANNOTATIONS: dict[str, Callable[[str], Level | None]] = {
    "nginx.ingress.kubernetes.io/affinity": _cookie,
    "nginx.ingress.kubernetes.io/upstream-hash-by": clients.key,
    "nginx.org/sticky-cookie-services": _any,
    "nginx.org/lb-method": _method,
    "ingress.kubernetes.io/affinity": _cookie,
    "haproxy-ingress.github.io/affinity": _cookie,
    "haproxy-ingress.github.io/balance-algorithm": _source,
    "haproxy.org/cookie-persistence": _any,
    "haproxy.org/load-balance": _source,
    "haproxy.router.openshift.io/balance": _source,
    "traefik.ingress.kubernetes.io/affinity": _true,
    "traefik.ingress.kubernetes.io/service.sticky.cookie": _true,
    "appgw.ingress.kubernetes.io/cookie-based-affinity": _true,
    "alb.ingress.kubernetes.io/target-group-attributes": _stickiness,
    "service.beta.kubernetes.io/aws-load-balancer-target-group-attributes": _stickiness,
    "service.beta.kubernetes.io/do-loadbalancer-sticky-sessions-type": _cookie,
}


def find(project: Project) -> Iterator[Finding]:
    """In every document of YAML or JSON."""
    for document in project.documents:
        yield from _annotated(document)
        if document.kind == "Service":
            yield from _service(document)
        elif document.kind:
            yield from _policies(document)
        elif document.path.rpartition("/")[2].startswith("values"):
            yield from _values(document)


def _annotated(document: Document) -> Iterator[Finding]:
    for _, node in document.root.mappings():
        for key, value in node.pairs:
            means = _ANNOTATIONS.get(key.text or "")
            text = (value.text or "").strip()
            if means and (level := means(text)):
                message = f"the annotation `{key.text}: {' '.join(text.split())[:80]}` keeps a client at one pod"
                yield _finding(document, key, level, message, f"{document.name}.{key.text}")


def _service(document: Document) -> Iterator[Finding]:
    spec = document.root.get("spec")
    if spec is None or spec.string("sessionAffinity") != "ClientIP":
        return
    key = spec.key("sessionAffinity")
    ports = {each.string(name) for each in spec.list("ports") for name in ("port", "targetPort")}
    level = Level.POSSIBLE if ports & STORE_PORTS or is_store(document.name) else Level.CERTAIN
    message = f"`sessionAffinity: ClientIP` keeps a client at one pod of the Service {document.name}"
    yield _finding(document, key or spec, level, message, f"{document.name}.sessionAffinity")


def _values(document: Document) -> Iterator[Finding]:
    for way, node in document.root.mappings():
        key = node.key("sessionAffinity")
        names = (*document.path.split("/")[:-1], *way)
        if key and node.string("sessionAffinity") == "ClientIP" and not any(is_store(each) for each in names):
            message = "the value `sessionAffinity: ClientIP` keeps a client at one pod"
            yield _finding(document, key, Level.LIKELY, message, ".".join((*way, "sessionAffinity")))


def _policies(document: Document) -> Iterator[Finding]:
    for way, node in document.root.mappings():
        for key, value in node.pairs:
            told = _policy(document.kind, way, key.text or "", value)
            if told:
                text, level = told
                message = f"{text} in the {document.kind} {document.name} keeps a client at one pod"
                yield _finding(document, key, level, message, f"{document.name}.{key.text}")


def _policy(kind: str, way: tuple[str, ...], name: str, value: Node) -> tuple[str, Level] | None:
    """What an entry of one of the kinds says, and how sure it is; None: nothing about clients."""
    if name == "sessionPersistence" and value.pairs and kind != "CustomResourceDefinition":
        return "`sessionPersistence`", Level.CERTAIN
    if name == "consistentHash" and kind in ("DestinationRule", "BackendTrafficPolicy"):
        return _hashed(value)
    if name == "sessionAffinity" and kind in ("BackendConfig", "GCPBackendPolicy"):
        by = value.string("affinityType") or value.string("type")
        return (f"`sessionAffinity` {by}", Level.CERTAIN) if by and by not in ("NONE", "None") else None
    if name == "strategy" and kind == "HTTPProxy" and value.text == "Cookie" and way[-1:] == ("loadBalancerPolicy",):
        return "`strategy: Cookie`", Level.CERTAIN
    if name in ("hash_on", "hashOn") and kind in ("KongIngress", "KongUpstreamPolicy"):
        by = value.text or next((key.text or "" for key, _ in value.pairs), "")
        return (
            (f"`{name}` {by}", Level.CERTAIN) if by in ("ip", "cookie", "consumer") or value.get("cookie") else None
        )
    return None


def _hashed(value: Node) -> tuple[str, Level] | None:
    by = value.string("type")
    if value.get("httpCookie") or by == "Cookie":
        return "`consistentHash` by cookie", Level.CERTAIN
    if value.string("useSourceIp") == "true" or by == "SourceIP":
        return "`consistentHash` by source address", Level.CERTAIN
    header = value.string("httpHeaderName") or value.string("header", "name")
    level = clients.header(header) if header else None
    return (f"`consistentHash` by header {header}", level) if level else None


def _finding(document: Document, place: Node, level: Level, message: str, symbol: str) -> Finding:
    return Finding("FU404", level, document.path, place.line, message, symbol, place.column)
