"""What is exported for Kubernetes: golden files, and what holds of every formation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings

from fungible.app.problem import Problem
from fungible.engines.description import Description
from fungible.engines.exported import Exported
from fungible.engines.kubernetes.export import Options, export_folder, export_stream
from fungible.engines.kubernetes.lint import lint
from tests.check.manifest_sources import shown
from tests.engines.formations import descriptions, shop
from tests.engines.golden import hold

pytestmark = pytest.mark.pure
GOLDEN = Path(__file__).parent / "golden"
POLICED = Options(policy=True)


def objects(text: str) -> list[dict[str, Any]]:
    """The objects of a stream of YAML."""
    return list(yaml.load_all(text, yaml.CSafeLoader))


def named(found: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """The object of this kind and name."""
    return next(each for each in found if each["kind"] == kind and each["metadata"]["name"] == name)


def pods(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The pods of Deployments and Jobs by name."""
    return {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]
        for each in found
        if "template" in each.get("spec", {})
    }


def written(exported: Exported) -> Mapping[str, str]:
    """The files but for the router's, which are HAProxy's and tested as such."""
    return {path: text for path, text in exported.files.items() if not path.startswith("router/")}


def test_the_files_of_a_small_formation(tmp_path: Path) -> None:
    exported = export_folder(shop(tmp_path), POLICED)
    hold(GOLDEN, written(exported))
    assert {path for path in exported.files if path.startswith("router/")} == {
        "router/haproxy.cfg",
        "router/answers.map",
        "router/cause.map",
    }


def test_the_user_is_told_what_is_theirs_to_do_and_what_is_lost(tmp_path: Path) -> None:
    config = {"SECRET_KEY": "hush", "SIGNING_KEY": "-----BEGIN\nhush\n"}
    notes = export_folder(shop(tmp_path, config), Options(), "k8s").notes
    assert notes[:3] == (
        "mail_sender: `max_age` is left out, Kubernetes has nothing like it",
        "secrets are in none of the files: write k8s/secrets.env, a NAME=VALUE a line without quotes, for SECRET_KEY",
        "secrets of several lines are files of their own: write k8s/secrets/NAME for SIGNING_KEY",
    )
    assert (
        "kubectl apply -k k8s -l 'app.kubernetes.io/component in (base,release)' && kubectl -n shop wait" in notes[3]
    )
    assert len(notes) == 4


def test_a_web_type_without_a_ready_path_is_asked_for_a_connection_and_said_so(tmp_path: Path) -> None:
    described = shop(tmp_path)
    web = described.workloads[0]
    bare = replace(described, workloads=(replace(web, ready=None),))
    exported = export_folder(bare, Options())
    container = pods(objects(exported.files["formation.yaml"]))["web"]["containers"][0]
    assert {container[probe]["tcpSocket"]["port"] for probe in ("startupProbe", "readinessProbe")} == {"http"}
    assert exported.notes[0].startswith("web: without a `ready` path")


def test_no_probe_that_restarts_asks_the_app(tmp_path: Path) -> None:
    found = objects(export_folder(shop(tmp_path), Options()).files["formation.yaml"])
    for pod in pods(found).values():
        probe = pod["containers"][0].get("livenessProbe")
        assert probe is None or "tcpSocket" in probe


def test_a_stream_is_the_folder_with_digests_in_its_names(tmp_path: Path) -> None:
    described = shop(tmp_path)
    stream, folder = export_stream(described, POLICED), export_folder(described, POLICED)
    found = objects(stream.files["formation.yaml"])
    maps = {each["metadata"]["name"]: each["data"] for each in found if each["kind"] == "ConfigMap"}
    config, router = sorted(maps)
    assert maps[config] == dict(described.config)
    assert maps[router] == {
        path.removeprefix("router/"): text for path, text in folder.files.items() if path.startswith("router/")
    }
    web = pods(found)["web"]["containers"][0]
    assert web["envFrom"] == [{"configMapRef": {"name": config}}, {"secretRef": {"name": "shop-secrets"}}]
    others = [f"{each['kind']} {each['metadata']['name']}" for each in found if each["kind"] != "ConfigMap"]
    expected = objects(folder.files["formation.yaml"]) + objects(folder.files["policy.yaml"])
    assert [each.split("-")[0] for each in others] == [
        f"{each['kind']} {each['metadata']['name']}".split("-")[0] for each in expected
    ]
    assert any("create secret generic shop-secrets --from-env-file=secrets.env" in note for note in stream.notes)


def test_a_changed_config_var_changes_the_names_and_a_changed_secret_none(tmp_path: Path) -> None:
    def names(config: dict[str, str]) -> set[str]:
        found = objects(export_stream(shop(tmp_path, config), Options()).files["formation.yaml"])
        return {each["metadata"]["name"] for each in found if each["kind"] in ("ConfigMap", "Job")}

    first = names({"RATE": "1", "SECRET_KEY": "a"})
    assert names({"RATE": "1", "SECRET_KEY": "b"}) == first
    assert len(names({"RATE": "2", "SECRET_KEY": "a"}) & first) == 1  # the router's


def test_a_config_var_wins_over_a_mere_default(tmp_path: Path) -> None:
    found = objects(export_folder(shop(tmp_path, {"WEB_CONCURRENCY": "2"}), Options()).files["formation.yaml"])
    for name, pod in pods(found).items():
        if name != "web-router":
            assert "WEB_CONCURRENCY" not in {each["name"] for each in pod["containers"][0]["env"]}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("mail_sender", "Mail-Sender"), 'would both be called "mail-sender"'),
        (("web-router",), "is the name of an object of its own"),
        (("closed",), "is the name of an object of its own"),
    ],
)
def test_types_that_kubernetes_could_not_tell_apart(tmp_path: Path, names: tuple[str, ...], said: str) -> None:
    described = shop(tmp_path)
    worker = described.workloads[1]
    types = tuple(replace(worker, name=name) for name in names)
    with pytest.raises(Problem, match=said):
        export_folder(replace(described, workloads=types), Options())


def test_config_vars_that_no_object_takes(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="larger than 1 MiB"):
        export_stream(shop(tmp_path, {"BIG": "x" * (1 << 20)}), Options())


def test_more_web_processes_than_the_router_can_be_told_of(tmp_path: Path) -> None:
    described = shop(tmp_path)
    web = described.workloads[0]
    many = replace(described, workloads=(replace(web, processes=251),))
    with pytest.raises(Problem, match="250 processes, not of 251"):
        export_folder(many, Options())


@settings(max_examples=40)
@given(descriptions())
def test_every_export_holds_to_factor_vi(described: Description) -> None:
    exported = export_folder(described, POLICED)
    found = objects(exported.files["formation.yaml"])
    assert lint(found, {f"{described.name}-{what}" for what in ("config", "secrets", "router")}) == ()
    assert {each["kind"] for each in found} & {"StatefulSet", "DaemonSet", "PersistentVolumeClaim"} == set()
    for name, pod in pods(found).items():
        container = pod["containers"][0]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert all("sizeLimit" in volume["emptyDir"] for volume in pod["volumes"] if "emptyDir" in volume)
        assert pod["automountServiceAccountToken"] is False
        if not name.startswith("release-"):
            assert {each["topologyKey"] for each in pod["topologySpreadConstraints"]} == {
                "kubernetes.io/hostname",
                "topology.kubernetes.io/zone",
            }
    services = [each for each in found if each["kind"] == "Service"]
    assert all(each["spec"]["sessionAffinity"] == "None" for each in services)
    assert len(services) == (2 if described.web is not None else 0)
    deployments = {each["metadata"]["name"]: each["spec"] for each in found if each["kind"] == "Deployment"}
    budgets = {each["metadata"]["name"] for each in found if each["kind"] == "PodDisruptionBudget"}
    for workload in described.workloads:
        name = workload.name.lower().replace("_", "-").rstrip("-")
        assert deployments[name]["replicas"] == workload.processes
        assert (name in budgets) == (workload.processes >= 2)
        assert (deployments[name]["strategy"]["type"] == "Recreate") == workload.singleton
        grace = deployments[name]["template"]["spec"]["terminationGracePeriodSeconds"]
        assert grace >= workload.grace


@settings(max_examples=40)
@given(descriptions())
def test_no_secret_is_in_any_file(described: Description) -> None:
    folder, stream = export_folder(described, POLICED), export_stream(described, POLICED)
    for text in (*folder.files.values(), *stream.files.values(), *folder.notes, *stream.notes):
        for value in described.secrets.values():
            assert value not in text and value[:36] not in text


@settings(max_examples=40)
@given(descriptions())
def test_config_vars_come_through_unchanged(described: Description) -> None:
    """As `kubectl` reads an env file: a line a variable, all after the first `=` is its value."""
    files = export_folder(described, Options()).files
    lines = files.get("config.env", "").split("\n")[:-1]
    read = dict(line.split("=", 1) for line in lines)
    read |= {path.removeprefix("config/"): text for path, text in files.items() if path.startswith("config/")}
    assert read == dict(described.config)
    (config,) = [
        each["data"]
        for each in objects(export_stream(described, Options()).files["formation.yaml"])
        if each["kind"] == "ConfigMap" and "-config-" in each["metadata"]["name"]
    ] or [{}]
    assert config == dict(described.config)


def test_check_finds_nothing_in_it(tmp_path: Path) -> None:
    described = shop(tmp_path)
    for exported in (export_folder(described, POLICED), export_stream(described, POLICED)):
        (path, text), *others = exported.files.items()
        assert shown(path, text, *others) == []


def test_a_router_ends_after_the_longest_request(tmp_path: Path) -> None:
    described = replace(shop(tmp_path), request_timeout=300.5)
    files = export_folder(described, Options()).files
    assert "hard-stop-after 300500ms" in files["router/haproxy.cfg"]
    assert pods(objects(files["formation.yaml"]))["web-router"]["terminationGracePeriodSeconds"] > 305


def test_a_singleton_has_the_time_that_the_old_one_needs_to_end(tmp_path: Path) -> None:
    described = shop(tmp_path)
    clock = replace(described.workloads[2], stop_timeout=600.0)
    found = objects(export_folder(replace(described, workloads=(clock,)), Options()).files["formation.yaml"])
    assert named(found, "Deployment", "clock")["spec"]["progressDeadlineSeconds"] > 600
