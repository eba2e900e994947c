"""FU403 in Envoy: a route's `hash_policy` by cookie, address or a client's header, and the filter `stateful_session`.

See "Load balancers" and `config.route.v3.RouteAction.HashPolicy` in Envoy's manual. RING_HASH and MAGLEV alone place
nothing by client: they need a hash policy.
"""

from __future__ import annotations

from collections.abc import Iterator

from fungible.check.finding import Finding, Level
from fungible.check.manifests import clients
from fungible.check.manifests.project import Document, Project
from fungible.check.manifests.proxies import finding
from fungible.check.manifests.syntax.nodes import Node

_ROOTS = (
    "static_resources",
    "staticResources",
    "virtual_hosts",
    "virtualHosts",
    "route_config",
    "resources",
    "clusters",
)
_POLICIES = ("hash_policy", "hashPolicy")


def find(project: Project) -> Iterator[Finding]:
    """In Envoy's own files and in an EnvoyFilter."""
    for document in project.documents:
        if document.kind == "EnvoyFilter" or any(document.root.get(each) for each in _ROOTS):
            yield from _read(document)


def _read(document: Document) -> Iterator[Finding]:
    for way, node in document.root.mappings():
        for policy in (each for key in _POLICIES for each in node.list(key)):
            found = _hashed(policy)
            if found:
                by, level = found
                message = f"the hash policy by {by} keeps a client at one endpoint"
                yield finding(document.path, policy, level, message, f"{'.'.join(way[-3:])}.hash_policy")
        if node.string("name") == "envoy.filters.http.stateful_session":
            config = node.get("typed_config") or node.get("typedConfig")
            if config and (config.get("session_state") or config.get("sessionState")):
                message = "the filter stateful_session keeps a client at one endpoint"
                yield finding(document.path, node, Level.CERTAIN, message, "stateful_session")


def _hashed(policy: Node) -> tuple[str, Level] | None:
    if cookie := policy.get("cookie"):
        return f'cookie "{cookie.string("name")}"', Level.CERTAIN
    connection = policy.get("connection_properties") or policy.get("connectionProperties")
    if connection and "true" in (connection.string("source_ip"), connection.string("sourceIp")):
        return "source address", Level.CERTAIN
    header = policy.get("header")
    name = (header.string("header_name") or header.string("headerName")) if header else ""
    level = clients.header(name) if name else None
    return (f'header "{name}"', level) if level else None
