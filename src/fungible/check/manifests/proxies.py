"""FU403, which Traefik, Caddy, Apache and Envoy share; and what a docker label says to the first two."""

from __future__ import annotations

from collections.abc import Iterator

from fungible.check.finding import Finding, Level, Rule
from fungible.check.manifests.syntax.nodes import Node

FU403 = Rule(
    id="FU403",
    title="a proxy keeps a client at one process",
    why="Affinity hides state in a process until that process ends or another one is added; then it is gone.",
    mend="Take it out: round robin or least connections. What a client needs belongs into a backing service.",
    topic="session-in-memory",
    wrong="http:\n  services:\n    app:\n      loadBalancer:\n        sticky:\n          cookie: {}\n",
    right="http:\n  services:\n    app:\n      loadBalancer:\n        servers:\n          - url: http://app:8000\n",
)


def finding(path: str, place: Node, level: Level, message: str, symbol: str) -> Finding:
    """A finding of FU403 at a node."""
    return Finding("FU403", level, path, place.line, message, symbol, place.column)


def labels(service: Node) -> Iterator[tuple[Node, str, str]]:
    """The labels of a service of compose, of its containers and of its deployment: place, key and value."""
    for node in (service.get("labels"), service.get("deploy", "labels")):
        if node is None:
            continue
        for key, value in node.pairs:
            yield key, key.text or "", value.text or ""
        for item in node.items:
            name, _, value_text = (item.text or "").partition("=")
            yield item, name.strip(), value_text.strip()
