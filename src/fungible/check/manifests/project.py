"""The manifests of a tree, each read once."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from fungible.check.manifests.syntax import hcl, nodes
from fungible.check.manifests.syntax.nodes import Node
from fungible.check.source import Source
from fungible.check.tree import Tree

# Nothing that a rule looks for is in a file without one of these words.
_WORTH = re.compile(
    r"(?i)sticky|stickiness|affinity|persistence|hash|volume|services\s*:|[\"']?\bkind[\"']?\s*:|lb_policy|lbPolicy"
    r"|selection_policy|Microsoft\.Web/sites|loadDistribution"
)
_COMPOSE = ("*compose*.yml", "*compose*.yaml", "stack.yml", "stack.yaml", "*-stack.yml", "*.stack.yml")


@dataclass(frozen=True)
class Document:
    """One document of a YAML or JSON file."""

    path: str
    root: Node

    @property
    def kind(self) -> str:
        """What Kubernetes calls it, empty where it is none of its objects."""
        return self.root.string("kind") if self.root.get("apiVersion") else ""

    @property
    def name(self) -> str:
        """Its name in Kubernetes."""
        return self.root.string("metadata", "name") or self.kind.lower()


@dataclass(frozen=True)
class Project:
    """The tree, and what is read out of it."""

    tree: Tree

    @cached_property
    def documents(self) -> tuple[Document, ...]:
        """All of YAML and JSON that may matter, lists of Kubernetes taken apart."""
        found = []
        for source in self.tree.named("*.yml", "*.yaml", "*.json"):
            if not _WORTH.search(source.text):
                continue
            for root in nodes.documents(source.text, json=source.name.endswith(".json")):
                if root.string("kind") == "List" and root.get("apiVersion"):
                    found += [Document(source.path, each) for each in root.list("items")]
                else:
                    found.append(Document(source.path, root))
        return tuple(found)

    @cached_property
    def compose(self) -> tuple[Document, ...]:
        """The compose files: by name, and by services that are built or have an image."""
        return tuple(each for each in self.documents if is_compose(each))

    @cached_property
    def blocks(self) -> tuple[tuple[str, hcl.Block], ...]:
        """The blocks of Terraform at top level, with their paths."""
        return tuple((source.path, block) for source in self.tree.named("*.tf") for block in hcl.blocks(source.text))

    def held(self) -> Iterator[tuple[Source, int]]:
        """The files that ConfigMaps hold, with the number of lines above each."""
        for document in self.documents:
            if document.kind == "ConfigMap":
                data = document.root.get("data")
                for _, value in data.pairs if data else ():
                    if value.block and value.text:
                        yield Source(document.path, value.text), value.line


def is_compose(document: Document) -> bool:
    """Whether a document is a compose file."""
    name = document.path.rpartition("/")[2]
    services = document.root.get("services")
    if services is None or not any(fnmatch.fnmatchcase(name, each) for each in _COMPOSE):
        return False
    return any(value.get("image") or value.get("build") for _, value in services.pairs)
