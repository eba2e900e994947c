"""`fungible export kubernetes`: a folder for `kubectl apply -k`, or one stream of YAML. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fungible.app.wording import few
from fungible.engines.description import Description
from fungible.engines.exported import Exported
from fungible.engines.kubernetes import lint
from fungible.engines.kubernetes.configuration import (
    CONFIG_FILE,
    SECRETS_FILE,
    SECRETS_FOLDER,
    check_size,
    config_files,
    config_maps,
    fits_line,
    hashed,
    kustomization,
    router_folder,
)
from fungible.engines.kubernetes.formation import formation
from fungible.engines.kubernetes.manifest import Manifest, stream
from fungible.engines.kubernetes.naming import BASE, COMPONENT, RELEASE, Names, names_of
from fungible.engines.kubernetes.policy import policy
from fungible.engines.kubernetes.router import REPLICAS, router, router_configuration

KUSTOMIZATION = "kustomization.yaml"
FORMATION = "formation.yaml"
POLICY = "policy.yaml"
_EVERY_NAME = 10_000


@dataclass(frozen=True)
class Options:
    """`router_image` is an image of HAProxy 2.8 or later, `policy` whether the cluster shall hold to Factor VI, `behind`
    whether the router stands behind a proxy that says who the client is (an Ingress, a Gateway)."""

    router_image: str = "haproxy:2.8-alpine"
    policy: bool = False
    behind: bool = True


def export_folder(description: Description, options: Options, folder: str = "DIR") -> Exported:
    """The files of a folder for `kubectl apply -k`; `folder` is what notes call it.

    Values of secrets are in none of them: `secrets.env` is made by the user. Raises Problem for names that Kubernetes
    cannot tell apart, and for config vars that are too large.
    """
    names = names_of(description)
    check_size(description.secrets, "secrets")
    router_files = _router_files(description, options)
    objects = _objects(description, names, options)
    guards = tuple(policy(names)) if options.policy else ()
    _hold(objects + guards, {names.config, names.secrets, names.router})
    head = f"{description.name} {description.release}, by `fungible export kubernetes`"
    resources = [FORMATION, POLICY] if options.policy else [FORMATION]
    files = {
        KUSTOMIZATION: kustomization(
            description, names, resources, router_files, f"{head}. Apply it with `kubectl apply -k`."
        ),
        FORMATION: stream(objects, head + "."),
        **({POLICY: stream(guards, head + ". It needs the right to change the cluster.")} if guards else {}),
        **config_files(description),
        **router_folder(router_files),
        ".gitignore": f"{SECRETS_FILE}\n{SECRETS_FOLDER}/\n",
    }
    return Exported(
        files,
        (*_notes(description, objects), *_release_note(objects, names, folder), *_secrets_note(description, folder)),
    )


def export_stream(description: Description, options: Options) -> Exported:
    """All objects as one file without a kustomization: ConfigMaps with a digest in their names, and no Secret.

    Raises Problem as `export_folder` does.
    """
    router_files = _router_files(description, options)
    config_files(description)  # raises for what is too large
    names = hashed(description, names_of(description), router_files)
    namespace, *others = _objects(description, names, options)
    guards = tuple(policy(names)) if options.policy else ()
    objects = (namespace, *config_maps(description, names, router_files), *others, *guards)
    _hold(objects, {names.secrets})
    head = f"{description.name} {description.release}, by `fungible export kubernetes`."
    secret = ()
    if names.secrets is not None:
        secret = (
            f"the secret {names.secrets} is not in it: make it with `kubectl -n {names.app} create secret generic"
            f" {names.secrets} --from-env-file=secrets.env` (a NAME=VALUE a line: {_secret_names(description)})",
        )
    return Exported({FORMATION: stream(objects, head)}, (*_notes(description, objects), *secret))


def _router_files(description: Description, options: Options) -> Mapping[str, str]:
    web = description.web
    return router_configuration(description, web, behind=options.behind) if web is not None else {}


def _objects(description: Description, names: Names, options: Options) -> tuple[Manifest, ...]:
    web = description.web
    routed = router(web, options.router_image, names) if web is not None else ()
    return (*formation(description, names), *routed)


def _hold(objects: Iterable[Manifest], known: set[str | None]) -> None:
    """An export that the API server would refuse is our mistake, and is not written."""
    broken = lint.lint([each.body for each in objects], {name for name in known if name is not None})
    if broken:
        raise AssertionError("; ".join(broken))


def _notes(description: Description, objects: Iterable[Manifest]) -> tuple[str, ...]:
    """What Kubernetes has no word for, or a weaker one."""
    unasked = [each.name for each in description.workloads if each.port is not None and each.ready is None]
    found = []
    if unasked:
        found.append(
            f"{few(unasked)}: no `ready` path is declared, so a process counts as ready once its port accepts"
            " connections, and some servers accept before the app is imported"
        )
    if files := [each.name for each in description.workloads if each.files is not None]:
        found.append(f"{few(files)}: `files` is left out, Kubernetes has no limit of open files")
    if description.web is not None and description.web.max_in_flight:
        found.append(
            f"web: each of the {REPLICAS} routers gives a process up to {description.web.max_in_flight} requests at once"
        )
    return tuple(found)


def _release_note(objects: Iterable[Manifest], names: Names, folder: str) -> tuple[str, ...]:
    job = next((each.name for each in objects if each.kind == "Job"), None)
    if job is None:
        return ()
    return (
        "the release command runs beside the rollout unless you run it first:"
        f" kubectl apply -k {folder} -l '{COMPONENT} in ({BASE},{RELEASE})' &&"
        f" kubectl -n {names.app} wait --for=condition=complete --timeout=10m job/{job}",
    )


def _secrets_note(description: Description, folder: str) -> tuple[str, ...]:
    if not description.secrets:
        return ()
    apart = [name for name, value in description.secrets.items() if not fits_line(value)]
    more = (
        f"; of several lines and so files of their own in {folder}/{SECRETS_FOLDER}/: {few(apart)}" if apart else ""
    )
    return (
        f"secrets are in none of the files: write {folder}/{SECRETS_FILE} with a NAME=VALUE a line for"
        f" {_secret_names(description)}{more}",
    )


def _secret_names(description: Description) -> str:
    return few([name for name, value in description.secrets.items() if fits_line(value)], _EVERY_NAME)
