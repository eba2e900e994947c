"""From an app to a formation on an engine: image, description, deploy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fungible.app.model import App
from fungible.app.problem import Problem
from fungible.engines.command_line import ask
from fungible.engines.description import check_attached, describe, left_behind
from fungible.engines.fingerprint import release_name
from fungible.engines.image.make import Options as ImageOptions
from fungible.engines.image.make import make_image
from fungible.engines.kubernetes.deploy import deploy as deploy_to_kubernetes
from fungible.engines.kubernetes.export import Options as KubernetesOptions
from fungible.engines.swarm.deploy import Options as SwarmOptions
from fungible.engines.swarm.deploy import deploy as deploy_to_swarm
from fungible.engines.swarm.docker import check_swarm
from fungible.engines.swarm.stack import Published
from fungible.runtime.build.journey import Plan
from fungible.runtime.ground.folders import folders_for
from fungible.runtime.ground.stage import load_config

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Swarm:
    """A deploy to Swarm: where the router is reached, and whether the images are pushed to a registry before."""

    published: Published
    push: bool


@dataclass(frozen=True)
class Kubernetes:
    """A deploy to Kubernetes, with the options of the export."""

    options: KubernetesOptions


@dataclass(frozen=True)
class Handover:
    """What the command line says: to which engine, the image's reference (None: name and build), whether to boot the
    build before; `plan` says what a client does at the app."""

    to: Swarm | Kubernetes
    tag: str | None
    boot: bool
    plan: Plan


async def hand_over(app: App, wish: Handover, operating_system: Mapping[str, str], tell: Tell) -> dict[str, Any]:
    """Deploy the app; returns the document. Raises Problem before anything is made where the app or the engine does
    not allow it."""
    folders = folders_for(app.state_name, operating_system)
    config = load_config(folders)
    check_attached(app, config)
    _check_engine(wish)
    if (sentence := left_behind(app, config)) is not None:
        tell(sentence)
    made = await make_image(app, ImageOptions(wish.tag, None, "docker", (), wish.boot, wish.plan), operating_system)
    for each in made.unproved:
        tell(f"not proved: {each}")
    # What a tag stands for may change; what a release is made of does not.
    release = release_name(made.digest.removeprefix("sha256:"), config, folders.state)
    description = describe(app, (made.pinned, made.router), release, config)
    if isinstance(wish.to, Kubernetes) or wish.to.push:
        for image in dict.fromkeys((made.pinned, made.reference, made.router)):
            tell(f"pushing {image}")
            await asyncio.to_thread(ask, "docker", "push", "--quiet", image)
    if isinstance(wish.to, Kubernetes):
        await asyncio.to_thread(deploy_to_kubernetes, description, wish.to.options, tell)
    else:
        options = SwarmOptions(wish.to.published, resolve=wish.to.push)
        await asyncio.to_thread(deploy_to_swarm, description, options, tell)
    return {
        "name": app.name,
        "release": release,
        "image": made.reference,
        "digest": made.digest,
        "formation": {each.name: each.processes for each in description.workloads},
    }


def _check_engine(wish: Handover) -> None:
    if isinstance(wish.to, Swarm):
        check_swarm()
        return
    if wish.tag is None or "/" not in wish.tag:
        raise Problem("--tag: a cluster takes the image from a registry; name it: --tag registry.example/shop:v3")
    ask("kubectl", "version", "--output", "json")
