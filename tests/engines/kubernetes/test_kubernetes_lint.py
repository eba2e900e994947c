"""What the lint finds: each of the mistakes that a schema does not know, and what Factor VI forbids; and that the
exported policy refuses what of it a cluster sees."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import cel
import pytest

from fungible.engines.kubernetes.export import Options, export_folder
from fungible.engines.kubernetes.lint import lint
from fungible.engines.kubernetes.policy import RULES
from tests.engines.formations import shop
from tests.engines.kubernetes.test_kubernetes_export import named, objects

pytestmark = pytest.mark.pure
KNOWN = ("shop-config", "shop-secrets", "shop-router")
Change = Callable[[list[dict[str, Any]]], None]


def web(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The Deployment of web processes."""
    return named(found, "Deployment", "web")


def pod(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The pod of web processes."""
    spec: dict[str, Any] = web(found)["spec"]["template"]["spec"]
    return spec


def container(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The container of a web process."""
    only: dict[str, Any] = pod(found)["containers"][0]
    return only


def service(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The spec of the Service of web processes."""
    spec: dict[str, Any] = named(found, "Service", "web-processes")["spec"]
    return spec


SEEDED: list[tuple[str, Change]] = [
    ("spec.selector does not select", lambda all: web(all)["spec"]["selector"]["matchLabels"].update(x="y")),
    ("maxSurge and maxUnavailable", lambda all: web(all)["spec"]["strategy"]["rollingUpdate"].update(maxSurge="0%")),
    ("memory: '256 MB' is no quantity", lambda all: container(all)["resources"]["limits"].update(memory="256 MB")),
    ("memory is more than its limit", lambda all: container(all)["resources"]["requests"].update(memory="1Ti")),
    ("'http_port' is no name of a port", lambda all: container(all)["ports"][0].update(name="http_port")),
    ("readinessProbe: the container has no port", lambda all: container(all)["ports"][0].update(name="web")),
    ("NetworkPolicy web: the pods that it selects", lambda all: container(all)["ports"][0].update(name="web")),
    ("preStop sleeps 90 s", lambda all: container(all)["lifecycle"]["preStop"]["sleep"].update(seconds=90)),
    ("may run as root", lambda all: pod(all)["securityContext"].update(runAsUser=0)),
    ("it runs as root", lambda all: container(all)["securityContext"].update(runAsUser=0)),
    ("it may gain privileges", lambda all: container(all)["securityContext"].pop("capabilities")),
    ("seccompProfile", lambda all: pod(all)["securityContext"].pop("seccompProfile")),
    ("there is no shop-other", lambda all: container(all)["envFrom"][0]["configMapRef"].update(name="shop-other")),
    ("there is no volume tmp", lambda all: pod(all).update(volumes=[])),
    ("its selector selects no pod", lambda all: service(all)["selector"].update(x="y")),
    ("is no name (RFC 1123)", lambda all: web(all)["metadata"].update(name="Web")),
    ("Deployment web: there are 2 of this name", lambda all: all.append(copy.deepcopy(web(all)))),
    ("is no value of a label", lambda all: web(all)["metadata"]["labels"].update(x="a b")),
    ("greater than minReadySeconds", lambda all: web(all)["spec"].update(minReadySeconds=120)),
    (
        "metadata.annotations.nginx.ingress.kubernetes.io/affinity",
        lambda all: web(all)["metadata"].update(annotations={"nginx.ingress.kubernetes.io/affinity": "cookie"}),
    ),
]
FORBIDDEN: list[tuple[str, Change]] = [
    ("no sticky sessions", lambda all: service(all).update(sessionAffinity="ClientIP")),
    ("readOnlyRootFilesystem", lambda all: container(all)["securityContext"].update(readOnlyRootFilesystem=False)),
    ("readOnlyRootFilesystem", lambda all: container(all)["securityContext"].pop("readOnlyRootFilesystem")),
    ("sizeLimit", lambda all: pod(all)["volumes"][0]["emptyDir"].pop("sizeLimit")),
    ("volume", lambda all: pod(all)["volumes"].append({"name": "x", "hostPath": {"path": "/srv"}})),
    ("volume", lambda all: pod(all)["volumes"].append({"name": "x", "persistentVolumeClaim": {"claimName": "c"}})),
    ("Factor VI", lambda all: web(all).update(kind="StatefulSet")),
    ("Factor VI", lambda all: web(all).update(kind="DaemonSet")),
]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The objects of the shop and its policy."""
    files = export_folder(shop(tmp_path_factory.mktemp("shop")), Options(policy=True)).files
    return objects(files["formation.yaml"]) + objects(files["policy.yaml"])


def denied(found: list[dict[str, Any]]) -> list[str]:
    """The messages of the exported policy, its expressions run, for each object that it is asked about."""
    policy = next(each for each in found if each["kind"] == "ValidatingAdmissionPolicy")["spec"]
    asked = {resource for rule in policy["matchConstraints"]["resourceRules"] for resource in rule["resources"]}
    said = []
    for each in found:
        if f"{each['kind'].lower()}s" not in asked:
            continue
        pairs = [(one["name"], cel.evaluate(one["expression"], {"object": each})) for one in policy["variables"]]
        for rule in policy["validations"]:
            if not cel.evaluate(rule["expression"], {"object": each, "variables": dict(pairs)}):
                said.append(rule["message"])
    return said


@pytest.mark.parametrize(("said", "change"), SEEDED + FORBIDDEN)
def test_a_seeded_mistake_is_found(exported: list[dict[str, Any]], said: str, change: Change) -> None:
    found = copy.deepcopy(exported)
    assert lint(found, KNOWN) == ()
    change(found)
    assert any(said in each for each in lint(found, KNOWN))


@pytest.mark.parametrize(("said", "change"), FORBIDDEN)
def test_the_policy_admits_the_export_and_refuses_what_factor_vi_forbids(
    exported: list[dict[str, Any]], said: str, change: Change
) -> None:
    found = copy.deepcopy(exported)
    assert denied(found) == []
    change(found)
    (message,) = denied(found)
    assert said in message


def test_the_policy_looks_at_what_runs_before_a_container(exported: list[dict[str, Any]]) -> None:
    found = copy.deepcopy(exported)
    pod(found)["initContainers"] = [copy.deepcopy(container(found))]
    assert denied(found) == []
    pod(found)["initContainers"][0]["securityContext"]["readOnlyRootFilesystem"] = False
    assert denied(found) == [RULES[3][1]]
