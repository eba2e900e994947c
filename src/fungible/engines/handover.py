"""From an app to a formation on an engine: image, description, deploy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fungible.app.model import App
from fungible.engines.description import check_attached, describe, left_behind
from fungible.engines.fingerprint import release_name
from fungible.engines.image.make import Options as ImageOptions
from fungible.engines.image.make import make_image
from fungible.engines.swarm.deploy import Options as SwarmOptions
from fungible.engines.swarm.deploy import deploy
from fungible.engines.swarm.docker import check_swarm
from fungible.engines.swarm.stack import Published
from fungible.runtime.build.journey import Plan
from fungible.runtime.ground.folders import folders_for
from fungible.runtime.ground.stage import load_config


@dataclass(frozen=True)
class Handover:
    """What the command line says of a deploy to Swarm (see `cli/deploy.py`)."""

    tag: str | None
    push: bool
    port: int
    host_port: bool
    boot: bool
    plan: Plan


async def hand_over(
    app: App, wish: Handover, operating_system: Mapping[str, str], tell: Callable[[str], None]
) -> dict[str, Any]:
    """Deploy the app to the swarm; returns the document. Raises Problem before anything is made where the app or the
    swarm does not allow it."""
    folders = folders_for(app.state_name, operating_system)
    config = load_config(folders)
    check_attached(app, config)
    check_swarm()
    if (sentence := left_behind(app, config)) is not None:
        tell(sentence)
    made = await make_image(app, ImageOptions(wish.tag, None, "docker", (), wish.boot, wish.plan), operating_system)
    release = release_name(made.build, config, folders.state)
    description = describe(app, (made.reference, made.router), release, config)
    options = SwarmOptions(Published(wish.port, wish.host_port), wish.push)
    await asyncio.to_thread(deploy, description, options, tell)
    return {
        "name": app.name,
        "release": release,
        "image": made.reference,
        "digest": made.digest,
        "formation": {each.name: each.processes for each in description.workloads},
    }
