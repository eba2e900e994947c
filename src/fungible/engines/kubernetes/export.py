"""`fungible export kubernetes`: a folder for `kubectl apply -k`, or one stream of YAML. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from fungible.engines.description import Description
from fungible.engines.exported import Exported
from fungible.engines.kubernetes.configuration import (
    SECRETS_FILE,
    SECRETS_FOLDER,
    check_size,
    config_files,
    config_maps,
    hashed,
    kustomization,
    router_folder,
)
from fungible.engines.kubernetes.formation import formation
from fungible.engines.kubernetes.lint import lint
from fungible.engines.kubernetes.manifest import Manifest, stream
from fungible.engines.kubernetes.naming import Names, names_of
from fungible.engines.kubernetes.notes import release_first, secrets_of_folder, secrets_of_stream, weaker
from fungible.engines.kubernetes.policy import policy
from fungible.engines.kubernetes.router import ADDRESS, router
from fungible.engines.routing import router_files

KUSTOMIZATION = "kustomization.yaml"
FORMATION = "formation.yaml"
POLICY = "policy.yaml"


@dataclass(frozen=True)
class Options:
    """`policy`: whether the cluster shall hold to Factor VI; `behind`: whether the router stands behind a proxy that
    says who the client is (an Ingress, a Gateway)."""

    policy: bool = False
    behind: bool = True


def export_folder(description: Description, options: Options, folder: str = "DIR") -> Exported:
    """The files of a folder for `kubectl apply -k`; `folder` is what notes call it.

    Values of secrets are in none of them: `secrets.env` is made by the user. Raises Problem for names that Kubernetes
    cannot tell apart, for config vars that are too large, and for more web processes than a router can be told of.
    """
    names = names_of(description)
    routing = _routing(description, options)
    objects = _objects(description, names)
    guards = tuple(policy(names)) if options.policy else ()
    _hold(objects + guards, {names.config, names.secrets, names.router})
    head = _head(description)
    resources = [FORMATION, POLICY] if options.policy else [FORMATION]
    files = {
        KUSTOMIZATION: kustomization(description, names, resources, routing, f"{head} Apply it whole: kubectl -k."),
        FORMATION: stream(objects, head),
        **(
            {POLICY: stream(guards, f"{head} It is for the whole cluster, and needs the right to it.")}
            if guards
            else {}
        ),
        **config_files(description),
        **router_folder(routing),
        ".gitignore": f"{SECRETS_FILE}\n{SECRETS_FOLDER}/\n",
    }
    notes = (
        *weaker(description),
        *secrets_of_folder(description, folder),
        *release_first(names, _job(objects), f"-k {folder}"),
    )
    return Exported(files, notes)


def export_stream(description: Description, options: Options) -> Exported:
    """All objects as one file without a kustomization: ConfigMaps with a digest in their names, and no Secret.

    Raises Problem as `export_folder` does.
    """
    routing = _routing(description, options)
    names = hashed(description, names_of(description), routing)
    namespace, *others = _objects(description, names)
    guards = policy(names) if options.policy else ()
    objects = (namespace, *config_maps(description, names, routing), *others, *guards)
    _hold(objects, {names.secrets})
    notes = (
        *weaker(description),
        *secrets_of_stream(description, names),
        *release_first(names, _job(objects), "-f FILE"),
    )
    return Exported({FORMATION: stream(objects, _head(description))}, notes)


def _head(description: Description) -> str:
    return f"{description.name} {description.release}, written by `fungible export kubernetes`."


def _routing(description: Description, options: Options) -> Mapping[str, str]:
    web = description.web
    if web is None:
        return {}
    return router_files(description, web, ADDRESS, behind=options.behind)


def _objects(description: Description, names: Names) -> tuple[Manifest, ...]:
    check_size(description.config, "config vars")
    check_size(description.secrets, "secrets")
    web = description.web
    routed = router(web, description, names) if web is not None else ()
    return (*formation(description, names), *routed)


def _job(objects: Iterable[Manifest]) -> str | None:
    return next((each.name for each in objects if each.kind == "Job"), None)


def _hold(objects: Iterable[Manifest], known: Collection[str | None]) -> None:
    """An export that the API server would refuse is a mistake of this floor, and is not written."""
    if broken := lint([each.body for each in objects], {name for name in known if name is not None}):
        raise AssertionError("; ".join(broken))
