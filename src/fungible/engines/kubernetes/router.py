"""The router in Kubernetes: HAProxy in pods of its own, between a Service of the router and one of the processes.

kube-proxy chooses a pod for each connection, so a client that keeps its connection would meet the same process with
every request (seen on a real cluster). A headless Service names
all ready pods, and the router chooses among them for each request.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from fungible.engines.description import Description, Workload
from fungible.engines.image.router import ARGUMENTS, CONFIGURED
from fungible.engines.kubernetes.formation import disruption, ingress, rollout
from fungible.engines.kubernetes.manifest import Manifest
from fungible.engines.kubernetes.naming import PROCESSES, ROUTER, Names
from fungible.engines.kubernetes.pods import (
    CONFINED,
    PRE_STOP,
    SECURITY,
    asked,
    moving,
    scratch,
    spreading,
    tcp,
    whose,
)
from fungible.engines.routing import ALIVE, ROUTER_PORT

REPLICAS = 2
ADDRESS = f'"{PROCESSES}.${{NAMESPACE}}.svc.${{CLUSTER_DOMAIN}}"'
"""The name of the processes: HAProxy searches no domains, so it is whole, with what the pod's environment says."""
_MEMORY = {"request": "128Mi", "limit": "512Mi"}
_SCRATCH = 16 << 20


def router(web: Workload, description: Description, names: Names) -> Iterator[Manifest]:
    """The router's objects and the two Services."""
    yield _deployment(description, names)
    yield disruption(names, ROUTER)
    yield ingress(names, ROUTER, {}, "Whoever reaches the cluster's network connects to the router.")
    yield _service(names)
    yield _processes(web, names)


def _deployment(description: Description, names: Names) -> Manifest:
    namespace = {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}
    container = {
        "name": "router",
        "image": description.router,
        "imagePullPolicy": "IfNotPresent",
        "args": list(ARGUMENTS),
        "env": [namespace, {"name": "CLUSTER_DOMAIN", "value": "cluster.local"}],
        "ports": [{"name": "http", "containerPort": ROUTER_PORT}],
        "startupProbe": asked(ALIVE, 1, 30),
        "readinessProbe": asked(ALIVE, 2, 2),
        "livenessProbe": tcp(10, 3),
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP}}},
        "resources": {
            "requests": {"cpu": "100m", "memory": _MEMORY["request"], "ephemeral-storage": "64Mi"},
            "limits": {"memory": _MEMORY["limit"], "ephemeral-storage": "512Mi"},
        },
        **CONFINED,
        "volumeMounts": [
            {"name": "configuration", "mountPath": CONFIGURED, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }
    pod = {
        **whose(names),
        "terminationGracePeriodSeconds": PRE_STOP + math.ceil(description.request_timeout) + PRE_STOP,
        "securityContext": SECURITY,
        **moving(),
        **spreading(names.selector(ROUTER)),
        "containers": [container],
        "volumes": [{"name": "configuration", "configMap": {"name": names.router}}, scratch(_SCRATCH)],
    }
    spec = {
        "replicas": REPLICAS,
        "revisionHistoryLimit": 3,
        "minReadySeconds": 2,
        "progressDeadlineSeconds": 120,
        "strategy": rollout(REPLICAS),
        "selector": {"matchLabels": names.selector(ROUTER)},
        "template": {"metadata": {"labels": names.labels(ROUTER)}, "spec": pod},
    }
    return Manifest(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": names.metadata(ROUTER, ROUTER), "spec": spec},
        "The router: a process is chosen for each request, never by client. A cluster whose domain is another one"
        " than cluster.local says so in CLUSTER_DOMAIN.",
    )


def _service(names: Names) -> Manifest:
    return Manifest(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": names.metadata("web", ROUTER),
            "spec": {
                "type": "ClusterIP",
                "sessionAffinity": "None",
                "selector": names.selector(ROUTER),
                "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
            },
        },
        "What an Ingress or Gateway is pointed at. It is the router, as a Service chooses a pod per connection only."
        " What stands before it says who the client is (X-Forwarded-*), and is believed.",
    )


def _processes(web: Workload, names: Names) -> Manifest:
    return Manifest(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": names.metadata(PROCESSES, names.types[web.name]),
            "spec": {
                "type": "ClusterIP",
                "clusterIP": "None",
                "sessionAffinity": "None",
                "publishNotReadyAddresses": False,
                "selector": names.selector(names.types[web.name]),
                "ports": [{"name": "http", "port": web.port, "targetPort": "http"}],
            },
        },
        "The name by which the router finds the processes: each that is ready, and no other.",
    )
