"""What the objects of a formation are called in Kubernetes, and the labels by which they find each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fungible.app.problem import Problem
from fungible.app.wording import shown
from fungible.engines.description import Description

ROUTER = "web-router"
PROCESSES = "web-processes"
RELEASE = "release"
CLOSED = "closed"
BASE = "base"  # what has to be there before the release command runs
COMPONENT = "app.kubernetes.io/component"
NAME = "app.kubernetes.io/name"


@dataclass(frozen=True)
class Names:
    """Names of one formation: of the app (its namespace, ServiceAccount and label), of each process type's objects,
    and of what holds config vars, secrets (None: there are none) and the router's configuration."""

    app: str
    types: Mapping[str, str]
    config: str | None
    secrets: str | None
    router: str

    def selector(self, component: str) -> dict[str, str]:
        """The labels that only the pods of this component have."""
        return {NAME: self.app, COMPONENT: component}

    def labels(self, component: str) -> dict[str, str]:
        """The labels of this component's objects."""
        return {**self.selector(component), "app.kubernetes.io/managed-by": "fungible"}

    def metadata(self, name: str, component: str) -> dict[str, object]:
        """The metadata of an object in the app's namespace."""
        return {"name": name, "namespace": self.app, "labels": self.labels(component)}


def names_of(description: Description) -> Names:
    """The names of a formation's objects.

    A process type may be called `Mail_Sender`, an object only `mail-sender` (RFC 1123, at most 63 characters).
    Raises Problem where two types would have one name, or a type the router's.
    """
    types: dict[str, str] = {}
    for workload in description.workloads:
        name = workload.name.lower().replace("_", "-").rstrip("-")
        if name in (ROUTER, RELEASE, BASE, CLOSED):
            raise Problem(f"Procfile: {shown(workload.name)} is the name of an object of its own; rename the type.")
        if (other := next((key for key, value in types.items() if value == name), None)) is not None:
            raise Problem(
                f"Procfile: {shown(other)} and {shown(workload.name)} would both be called {shown(name)} in"
                " Kubernetes, where names have small letters, digits and `-`; rename one of them."
            )
        types[workload.name] = name
    return Names(
        app=description.name,
        types=types,
        config=f"{description.name}-config" if description.config else None,
        secrets=f"{description.name}-secrets" if description.secrets else None,
        router=f"{description.name}-router",
    )
