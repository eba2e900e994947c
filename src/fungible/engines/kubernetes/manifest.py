"""Objects of Kubernetes as text: YAML that people read, with a sentence of why at the head of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fungible.engines.readable import comment, readable


@dataclass(frozen=True)
class Manifest:
    """An object of Kubernetes: its `body` as plain data, and `why` it is as it is, for whoever reads it."""

    body: Mapping[str, Any]
    why: str = ""

    @property
    def kind(self) -> str:
        """Its kind, as in `Deployment`."""
        return str(self.body["kind"])

    @property
    def name(self) -> str:
        """Its name in its namespace."""
        return str(self.body["metadata"]["name"])


def stream(manifests: Iterable[Manifest], head: str) -> str:
    """The manifests as one stream of YAML; `head` is a comment above all of them."""
    documents = [comment(each.why) + readable(each.body) for each in manifests]
    return f"{comment(head)}---\n" + "---\n".join(documents)
