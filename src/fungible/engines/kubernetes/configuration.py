"""Config vars, secrets and the router's files beside a formation, and the kustomization that joins them.

The kustomization makes ConfigMap and Secret of files and puts a digest of their content into their names, so a change
rolls the processes. A value that a line of an env file cannot hold (`kubectl` reads such a file line by line, up to
64 KiB each) stands in a file of its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from fungible.app.problem import Problem
from fungible.engines.description import Description
from fungible.engines.image.reference import reference_of
from fungible.engines.kubernetes.manifest import Manifest, stream
from fungible.engines.kubernetes.naming import BASE, ROUTER, Names

CONFIG_FILE = "config.env"
SECRETS_FILE = "secrets.env"
SECRETS_FOLDER = "secrets"
_CONFIG_FOLDER = "config"
_ROUTER_FOLDER = "router"
_LONGEST_LINE = 60_000
_MOST_BYTES = 1 << 20  # of a ConfigMap or a Secret (API server)
_DIGITS = 10


def config_files(description: Description) -> dict[str, str]:
    """`config.env`, and the files of values that it cannot hold."""
    return _value_files(description.config, CONFIG_FILE, _CONFIG_FOLDER)


def secret_files(description: Description) -> dict[str, str]:
    """The same of secrets: files that the user of an export writes by hand."""
    return _value_files(description.secrets, SECRETS_FILE, SECRETS_FOLDER)


def split(values: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Those that a line of an env file gives as they are, and the others."""
    lines = {name: value for name, value in values.items() if _fits_line(value)}
    return lines, {name: value for name, value in values.items() if name not in lines}


def _value_files(values: Mapping[str, str], file: str, folder: str) -> dict[str, str]:
    lines, apart = split(values)
    files = {file: "".join(f"{name}={value}\n" for name, value in lines.items())} if lines else {}
    return files | {f"{folder}/{name}": value for name, value in apart.items()}


def router_folder(files: Mapping[str, str]) -> dict[str, str]:
    """The router's files where the kustomization takes them from."""
    return {f"{_ROUTER_FOLDER}/{name}": text for name, text in files.items()}


def _fits_line(value: str) -> bool:
    """Whether a line of an env file gives this very value."""
    return "\n" not in value and not value.endswith("\r") and len(value.encode()) < _LONGEST_LINE


def check_size(values: Mapping[str, str], what: str) -> None:
    """Raises Problem where these values do not fit into one object."""
    if sum(len(name) + len(value.encode()) for name, value in values.items()) > _MOST_BYTES:
        raise Problem(
            f"the {what} are larger than 1 MiB together, which is all that Kubernetes takes; store files apart"
        )


def kustomization(
    description: Description, names: Names, resources: Iterable[str], router_files: Collection[str], about: str
) -> str:
    """The text of `kustomization.yaml` over these `resources`."""
    generated: list[dict[str, Any]] = []
    if names.config is not None:
        generated.append(_generator(names, names.config, BASE, CONFIG_FILE, _CONFIG_FOLDER, description.config))
    if router_files:
        files = [f"{name}={_ROUTER_FOLDER}/{name}" for name in router_files]
        generated.append({**_generated(names, names.router, ROUTER), "files": files})
    secret = []
    if names.secrets is not None:
        secret = [_generator(names, names.secrets, BASE, SECRETS_FILE, SECRETS_FOLDER, description.secrets)]
    body: dict[str, Any] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(resources),
        **({"configMapGenerator": generated} if generated else {}),
        **({"secretGenerator": secret} if secret else {}),
        "images": [_image(description.image)],
    }
    return stream([Manifest(body)], about)


def config_maps(description: Description, names: Names, router_files: Mapping[str, str]) -> list[Manifest]:
    """The ConfigMaps themselves, for a stream without a kustomization; see `hashed`."""
    found = []
    if names.config is not None:
        found.append(_config_map(names, names.config, BASE, description.config, "Config vars."))
    if router_files:
        found.append(_config_map(names, names.router, ROUTER, router_files, "The configuration of the router."))
    return found


def hashed(description: Description, names: Names, router_files: Mapping[str, str]) -> Names:
    """`names` with a digest of the content in those of the ConfigMaps, as a kustomization would make them: what is
    changed has another name, and so the processes are rolled."""
    config = f"{names.config}-{_digest(description.config)}" if names.config is not None else None
    return replace(names, config=config, router=f"{names.router}-{_digest(router_files)}")


def _digest(values: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:_DIGITS]


def _config_map(names: Names, name: str, component: str, values: Mapping[str, str], why: str) -> Manifest:
    return Manifest(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": names.metadata(name, component),
            "immutable": True,
            "data": dict(values),
        },
        f"{why} A digest of the content is part of the name, so that a change rolls the pods.",
    )


def _generated(names: Names, name: str, component: str) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": names.app,
        "options": {"immutable": True, "labels": names.labels(component)},
    }


def _generator(
    names: Names, name: str, component: str, file: str, folder: str, values: Mapping[str, str]
) -> dict[str, Any]:
    lines, apart = split(values)
    envs = {"envs": [file]} if lines else {}
    files = {"files": [f"{key}={folder}/{key}" for key in sorted(apart)]} if apart else {}
    return {**_generated(names, name, component), **envs, **files}


def _image(reference: str) -> dict[str, str]:
    """The entry by which another tag or digest is set, as `kustomize edit set image` does."""
    found = reference_of(reference, "--image")
    version = {"digest": found.digest} if found.digest else {"newTag": found.tag or "latest"}
    return {"name": found.repository, **version}
