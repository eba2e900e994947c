"""`fungible deploy kubernetes`: what `export` writes, applied in the right order, and the wait until it runs."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fungible.app.problem import Exit, Problem
from fungible.app.wording import plain
from fungible.engines.command_line import ask
from fungible.engines.description import Description
from fungible.engines.files import put
from fungible.engines.kubernetes.configuration import secret_files
from fungible.engines.kubernetes.export import FORMATION, Options, export_folder
from fungible.engines.kubernetes.naming import BASE, COMPONENT, RELEASE

_LOOK = 1.0
_LINES = 20
_NEVER_STARTS = frozenset(["ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError"])
_UNDO_PATIENCE = 300


@dataclass(frozen=True)
class Objects:
    """What there is to wait for: the `namespace`, the `job` of the release command (None: there is none), and each
    Deployment with the seconds that it may take."""

    namespace: str
    job: str | None
    deployments: Mapping[str, int]


def deploy(description: Description, options: Options, tell: Callable[[str], None]) -> None:
    """Apply the formation to the cluster that `kubectl` speaks to; `tell` hears what goes on. Its images are in a
    registry that the cluster reaches.

    Secrets are written for `kubectl` to read, in a folder that only this user can open and that is deleted at once.
    Raises Problem: with exit 1 where the release command fails (then nothing is rolled) or a Deployment does not
    become ready (then all that were rolled go back).
    """
    exported = export_folder(description, options)
    objects = objects_of(exported.files[FORMATION])
    with tempfile.TemporaryDirectory(prefix="fungible-kubernetes-") as folder:
        put(Path(folder), {**exported.files, **secret_files(description)}, 0o600)
        if objects.job is not None:
            tell(f"release command: {plain(description.release_command)}")
            ask("kubectl", "apply", "-k", folder, "-l", f"{COMPONENT} in ({BASE},{RELEASE})")
            _await_job(objects.namespace, objects.job, tell)
        before = _revisions(objects)
        tell(f"deploying {description.name} {description.release}")
        ask("kubectl", "apply", "-k", folder)
    for name, seconds in objects.deployments.items():
        try:
            _rolled_out(objects.namespace, name, seconds)
        except Problem as problem:
            log = _last_lines(objects.namespace, name)
            _undo(objects.namespace, before, tell)
            raise Problem(f"{name}: the new release did not become ready ({problem.message}){log}", Exit.NO) from None
        tell(f"{name} is rolled out")


def objects_of(formation: str) -> Objects:
    """What is waited for in an exported formation."""
    found: list[dict[str, Any]] = [each for each in yaml.safe_load_all(formation) if each]
    named = {kind: [each for each in found if each["kind"] == kind] for kind in ("Namespace", "Job", "Deployment")}
    deadlines = {each["metadata"]["name"]: each["spec"]["progressDeadlineSeconds"] for each in named["Deployment"]}
    job = named["Job"][0]["metadata"]["name"] if named["Job"] else None
    return Objects(named["Namespace"][0]["metadata"]["name"], job, deadlines)


def _await_job(namespace: str, job: str, tell: Callable[[str], None]) -> None:
    """Wait until the release command has ended. Raises Problem (exit 1), with what it wrote, where it failed."""
    while True:
        status = json.loads(ask("kubectl", "-n", namespace, "get", "job", job, "-o", "json")).get("status", {})
        held = {each["type"]: each for each in status.get("conditions", ()) if each["status"] == "True"}
        if "Complete" in held or "Failed" in held:
            break
        _check_start(namespace, job)
        time.sleep(_LOOK)
    with contextlib.suppress(Problem):  # its pod may be gone
        for line in ask("kubectl", "-n", namespace, "logs", f"job/{job}", f"--tail={_LINES}").splitlines():
            tell(f"| {plain(line)}")
    if "Failed" in held:
        said = plain(held["Failed"].get("message", ""))
        raise Problem(f"release: the command failed, so nothing was deployed ({said})", Exit.NO)


def _check_start(namespace: str, job: str) -> None:
    """Raises Problem (exit 1) where the pod of a Job cannot start, as Kubernetes would try for ever."""
    pods = json.loads(ask("kubectl", "-n", namespace, "get", "pods", "-l", f"job-name={job}", "-o", "json"))
    for pod in pods["items"]:
        for container in pod.get("status", {}).get("containerStatuses", ()):
            waiting = container.get("state", {}).get("waiting", {})
            if waiting.get("reason") in _NEVER_STARTS:
                said = plain(f"{waiting['reason']}: {waiting.get('message', '')}")
                raise Problem(f"release: the command cannot start, so nothing was deployed ({said})", Exit.NO)


def _revisions(objects: Objects) -> dict[str, str]:
    """The revision of each Deployment that is there already."""
    found = {}
    for name in objects.deployments:
        text = ask("kubectl", "-n", objects.namespace, "get", "deployment", name, "-o", "json", "--ignore-not-found")
        if text.strip():
            annotations = json.loads(text)["metadata"].get("annotations", {})
            found[name] = str(annotations.get("deployment.kubernetes.io/revision", ""))
    return found


def _rolled_out(namespace: str, name: str, seconds: int) -> None:
    ask("kubectl", "-n", namespace, "rollout", "status", f"deployment/{name}", f"--timeout={seconds + 60}s")


def _undo(namespace: str, before: Mapping[str, str], tell: Callable[[str], None]) -> None:
    """Bring the Deployments that have another revision now back to the one before."""
    now = _revisions(Objects(namespace, None, dict.fromkeys(before, 0)))
    for name, revision in before.items():
        if revision and now.get(name) != revision:
            tell(f"{name} goes back")
            ask("kubectl", "-n", namespace, "rollout", "undo", f"deployment/{name}", f"--to-revision={revision}")
    for name, revision in before.items():
        if revision and now.get(name) != revision:
            _rolled_out(namespace, name, _UNDO_PATIENCE)


def _last_lines(namespace: str, name: str) -> str:
    """What the youngest pod of a Deployment wrote last."""
    with contextlib.suppress(Problem):
        words = ["-n", namespace, "get", "pods", "-l", f"{COMPONENT}={name}", "--sort-by=.metadata.creationTimestamp"]
        pods = ask("kubectl", *words, "-o", "name").split()
        text = ask("kubectl", "-n", namespace, "logs", pods[-1], f"--tail={_LINES}") if pods else ""
        return "".join(f"\n| {plain(line)}" for line in text.splitlines())
    return ""
