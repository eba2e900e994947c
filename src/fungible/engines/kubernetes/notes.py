"""What whoever applies an export has to know: what they must do, what Kubernetes has no word for, or a weaker one."""

from __future__ import annotations

from collections.abc import Iterator

from fungible.engines.description import Description
from fungible.engines.kubernetes.configuration import SECRETS_FILE, SECRETS_FOLDER, split
from fungible.engines.kubernetes.naming import BASE, COMPONENT, RELEASE, Names
from fungible.engines.kubernetes.router import REPLICAS


def weaker(description: Description) -> Iterator[str]:
    """What is not kept as it is on one machine."""
    workloads = description.workloads
    if unasked := [each.name for each in workloads if each.port is not None and each.ready is None]:
        yield (
            f"{', '.join(unasked)}: without a `ready` path a process is taken for ready once its port accepts, which"
            " some servers do before the app is imported"
        )
    for setting in ("files", "max_age", "max_requests"):
        if left := [each.name for each in workloads if getattr(each, setting)]:
            yield f"{', '.join(left)}: `{setting}` is left out, Kubernetes has nothing like it"
    if description.web is not None and (most := description.web.max_in_flight):
        yield f"web: each of the {REPLICAS} routers gives a process at most {most} requests at once"
    if description.certificate is not None:
        yield "router.certificate is left out: TLS ends at the Ingress or Gateway before the router"


def release_first(names: Names, job: str | None, apply: str) -> Iterator[str]:
    """How the release command is run before the rollout; `apply` is what `kubectl apply` is told (`-k DIR`)."""
    if job is not None:
        yield (
            "the release command runs beside the rollout unless you run it first:"
            f" kubectl apply {apply} -l '{COMPONENT} in ({BASE},{RELEASE})' &&"
            f" kubectl -n {names.app} wait --for=condition=complete --timeout=10m job/{job}"
        )


def secrets_of_folder(description: Description, folder: str) -> Iterator[str]:
    """Which files the user writes."""
    lines, apart = split(description.secrets)
    if lines:
        names = ", ".join(lines)
        yield (
            f"secrets are in none of the files: write {folder}/{SECRETS_FILE}, a NAME=VALUE a line without quotes,"
            f" for {names}"
        )
    if apart:
        names = ", ".join(apart)
        yield f"secrets of several lines are files of their own: write {folder}/{SECRETS_FOLDER}/NAME for {names}"


def secrets_of_stream(description: Description, names: Names) -> Iterator[str]:
    """How the user makes the Secret."""
    if names.secrets is None:
        return
    lines, apart = split(description.secrets)
    sources = [f"--from-env-file={SECRETS_FILE}"] if lines else []
    sources += [f"--from-file={name}" for name in apart]
    yield (
        f"the Secret is not in it: kubectl -n {names.app} create secret generic {names.secrets} {' '.join(sources)}"
        f" (it holds {', '.join(description.secrets)})"
    )
