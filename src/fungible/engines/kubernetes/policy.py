"""Factor VI as a policy of the cluster: what is exported stays true after somebody has edited it by hand.

Pod Security's `restricted` asks neither for a read-only root nor for volumes of a bounded size, and nothing in it is
about sticky sessions. The expressions are CEL (Kubernetes 1.30 and later; Validating Admission Policy).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fungible.engines.kubernetes.manifest import Manifest
from fungible.engines.kubernetes.naming import Names

_POD = "has(object.spec.template) ? object.spec.template.spec : null"
_CONTAINER = (
    "has(c.securityContext) && has(c.securityContext.readOnlyRootFilesystem)"
    " && c.securityContext.readOnlyRootFilesystem"
)
_VOLUME = "has(v.configMap) || has(v.secret) || has(v.projected) || (has(v.emptyDir) && has(v.emptyDir.sizeLimit))"
RULES: tuple[tuple[str, str], ...] = (
    (
        "object.kind != 'StatefulSet' && object.kind != 'DaemonSet'",
        "Factor VI: processes are interchangeable; use a Deployment",
    ),
    (
        "object.kind != 'Service' || !has(object.spec.sessionAffinity) || object.spec.sessionAffinity == 'None'",
        "Factor VI: no sticky sessions; set sessionAffinity: None",
    ),
    (
        f"object.kind == 'Service' || variables.pod.containers.all(c, {_CONTAINER})",
        "Factor VI: set readOnlyRootFilesystem: true",
    ),
    (
        "object.kind == 'Service' || !has(variables.pod.initContainers)"
        f" || variables.pod.initContainers.all(c, {_CONTAINER})",
        "Factor VI: set readOnlyRootFilesystem: true in initContainers, too",
    ),
    (
        f"object.kind == 'Service' || !has(variables.pod.volumes) || variables.pod.volumes.all(v, {_VOLUME})",
        "Factor VI: the only volumes are ConfigMap, Secret and an emptyDir with a sizeLimit",
    ),
)
_RESOURCES = (
    ("apps", ("deployments", "statefulsets", "daemonsets")),
    ("batch", ("jobs",)),
    ("", ("services",)),
)


def policy(names: Names) -> Iterator[Manifest]:
    """The policy and what binds it to the app's namespace. Both are objects of the whole cluster."""
    name = f"{names.app}-factor-vi"
    yield Manifest(
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [_rule(group, which) for group, which in _RESOURCES]},
                "variables": [{"name": "pod", "expression": _POD}],
                "validations": [{"expression": expression, "message": message} for expression, message in RULES],
            },
        },
        "Refuses what Factor VI forbids, whoever applies it: sticky sessions, roots that can be written to, volumes"
        " that keep what a process wrote.",
    )
    namespace: dict[str, Any] = {"matchLabels": {"kubernetes.io/metadata.name": names.app}}
    yield Manifest(
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": namespace},
            },
        },
        "Only in the app's namespace.",
    )


def _rule(group: str, resources: tuple[str, ...]) -> dict[str, Any]:
    return {
        "apiGroups": [group],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": list(resources),
    }
