"""A formation's objects: a Deployment for each process type, the release command, and what guards them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from typing import Any

from fungible.engines.description import Description, Workload
from fungible.engines.kubernetes.manifest import Manifest
from fungible.engines.kubernetes.naming import BASE, CLOSED, RELEASE, ROUTER, Names
from fungible.engines.kubernetes.pods import pod_template, release_template

_SHORTEST_DEADLINE = 120
_DIGITS = 8


def formation(description: Description, names: Names) -> Iterator[Manifest]:
    """The objects of every process type, in the order in which they are needed: the namespace and its account, the
    release command, the processes."""
    yield _namespace(names)
    yield _account(names)
    yield _closed(names)
    if description.release_command is not None:
        yield _release(description, names)
    for workload in description.workloads:
        yield _deployment(workload, description, names)
        if workload.processes >= 2:
            yield disruption(names, names.types[workload.name])
        if workload.port is not None:
            yield _reached(workload, description, names)


def rollout(processes: int) -> dict[str, Any]:
    """How a Deployment replaces pods: a new one is ready before an old one goes."""
    return {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "25%" if processes > 4 else 1, "maxUnavailable": 0},
    }


def disruption(names: Names, component: str) -> Manifest:
    """The budget by which nodes are emptied: one pod of this component at a time."""
    return Manifest(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": names.metadata(component, component),
            "spec": {
                "maxUnavailable": 1,
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
                "selector": {"matchLabels": names.selector(component)},
            },
        },
        f"A node is emptied of one pod of {component} at a time; one that is not healthy anyway stops nobody.",
    )


def ingress(names: Names, component: str, rule: dict[str, Any], why: str) -> Manifest:
    """The policy that lets others connect to this component."""
    return Manifest(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": names.metadata(component, component),
            "spec": {
                "podSelector": {"matchLabels": names.selector(component)},
                "policyTypes": ["Ingress"],
                "ingress": [{**rule, "ports": [{"port": "http", "protocol": "TCP"}]}],
            },
        },
        why,
    )


def _namespace(names: Names) -> Manifest:
    return Manifest(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": names.app,
                "labels": {
                    **names.labels(BASE),
                    "pod-security.kubernetes.io/enforce": "restricted",
                    "pod-security.kubernetes.io/enforce-version": "latest",
                },
            },
        },
        "A namespace of its own, in which the cluster refuses pods that run as root or ask for more than they need.",
    )


def _account(names: Names) -> Manifest:
    return Manifest(
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": names.metadata(names.app, BASE),
            "automountServiceAccountToken": False,
        },
        "An account without rights; no pod gets a token of it.",
    )


def _closed(names: Names) -> Manifest:
    return Manifest(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": names.metadata(CLOSED, BASE),
            "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
        },
        "Nobody connects to a pod but where another policy below says so (if the cluster's network holds policies).",
    )


def _release(description: Description, names: Names) -> Manifest:
    """Its name is made of what it would run: the same export again is no second run, and another one is another Job,
    as a Job cannot be changed. Values of secrets are no part of it: a short one could be guessed from a digest."""
    template = release_template(description, names)
    told = json.dumps([template, description.release_command, dict(description.config)], sort_keys=True)
    name = f"{RELEASE}-{hashlib.sha256(told.encode()).hexdigest()[:_DIGITS]}"
    return Manifest(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": names.metadata(name, RELEASE),
            "spec": {"backoffLimit": 0, "template": template},
        },
        "The release command, once: it is not tried again. Nothing in Kubernetes makes the rollout wait for it; apply"
        f" what is labelled {BASE} and {RELEASE} first (see docs/outgrow-kubernetes.md).",
    )


def _deployment(workload: Workload, description: Description, names: Names) -> Manifest:
    component = names.types[workload.name]
    # Of a singleton the old one ends first, and that time counts.
    before = math.ceil(workload.grace) if workload.singleton else 0
    deadline = max(_SHORTEST_DEADLINE, 2 * math.ceil(workload.boot_timeout)) + before
    spec = {
        "replicas": workload.processes,
        "revisionHistoryLimit": 3,
        "minReadySeconds": 2,
        "progressDeadlineSeconds": deadline,
        "strategy": {"type": "Recreate"} if workload.singleton else rollout(workload.processes),
        "selector": {"matchLabels": names.selector(component)},
        "template": pod_template(workload, description, names),
    }
    return Manifest(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": names.metadata(component, component),
            "spec": spec,
        },
        _why(workload),
    )


def _why(workload: Workload) -> str:
    kept = (
        f"{workload.name}: processes that share nothing and keep nothing. The root is read-only, /tmp is memory of a"
        " bounded size and goes with the pod, there is no other volume."
    )
    if workload.singleton:
        return (
            f"{kept} A singleton: the old one is stopped before the new one starts. Where a machine is out of reach"
            " Kubernetes may start another one all the same; what must never run twice takes a lock in a store."
        )
    if workload.lame_duck:
        return (
            f"{kept} One that is to stop serves on until the router has learnt of it (preStop, then"
            " FUNGIBLE_LAME_DUCK); a new one is ready before an old one goes."
        )
    return f"{kept} A new one is started before an old one goes."


def _reached(workload: Workload, description: Description, names: Names) -> Manifest:
    component = names.types[workload.name]
    if workload is description.web:
        router = {"from": [{"podSelector": {"matchLabels": names.selector(ROUTER)}}]}
        return ingress(names, component, router, "Only the router connects to web processes: it chooses per request.")
    own: dict[str, Any] = {"from": [{"podSelector": {}}]}
    return ingress(names, component, own, f"Pods of this namespace connect to {workload.name}.")
