"""`fungible deploy`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fungible.app.problem import Problem
from fungible.cli.common import HERE, AppFolder, Isolation, Json, inherited_environment, journey_of
from fungible.cli.running import show

if TYPE_CHECKING:
    from fungible.engines.handover import Handover

deploy = typer.Typer(
    name="deploy",
    help="Hand the formation over to an engine, and wait until it runs there.",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@deploy.callback(invoke_without_command=True)
def _root(context: typer.Context) -> None:
    """Hand the formation over to an engine, and wait until it runs there."""
    if context.invoked_subcommand is None:
        raise Problem("name the engine: fungible deploy swarm, or fungible deploy kubernetes")


Tag = Annotated[
    str | None,
    typer.Option("--tag", metavar="REF", envvar="FUNGIBLE_TAG", help="The image's name; default: NAME:BUILD."),
]
Boot = Annotated[
    bool,
    typer.Option("--boot/--no-boot", envvar="FUNGIBLE_BOOT", help="Boot the build first, as `build` does."),
]


@deploy.command("swarm")
def swarm(
    app: AppFolder = HERE,
    tag: Tag = None,
    push: Annotated[
        bool,
        typer.Option("--push", envvar="FUNGIBLE_PUSH", help="Push it to its registry, where all nodes find it."),
    ] = False,
    publish: Annotated[
        int,
        typer.Option("--publish", metavar="PORT", envvar="FUNGIBLE_PUBLISH", min=1, max=65535, help="Public port."),
    ] = 80,
    host_port: Annotated[
        bool,
        typer.Option("--host-port", envvar="FUNGIBLE_HOST_PORT", help="On the managers alone, without Swarm's mesh."),
    ] = False,
    boot: Boot = True,
    isolation: Isolation = None,
    json: Json = False,
) -> int:
    """Deploy to the Docker Swarm that `docker` speaks to: image, secrets, release command, stack."""
    from fungible.engines.handover import Handover, Swarm
    from fungible.engines.swarm.stack import Published

    nodes = "its managers" if host_port else "every node"
    wish = Handover(Swarm(Published(publish, host_port), push), tag, boot, journey_of)
    return _hand_over(app, wish, "Swarm", f", at port {publish} of {nodes}", isolation, json)


@deploy.command("kubernetes")
def kubernetes(
    app: AppFolder = HERE,
    tag: Tag = None,
    policy: Annotated[
        bool, typer.Option("--policy", envvar="FUNGIBLE_POLICY", help="And a policy that refuses what keeps state.")
    ] = False,
    behind: Annotated[
        bool,
        typer.Option(
            "--behind-proxy/--public",
            envvar="FUNGIBLE_BEHIND_PROXY",
            help="Whether a proxy before the router says who the client is.",
        ),
    ] = True,
    boot: Boot = True,
    isolation: Isolation = None,
    json: Json = False,
) -> int:
    """Deploy to the cluster that `kubectl` speaks to: image to its registry, release command, manifests."""
    from fungible.engines.handover import Handover, Kubernetes
    from fungible.engines.kubernetes.export import Options

    wish = Handover(Kubernetes(Options(policy, behind)), tag, boot, journey_of)
    return _hand_over(app, wish, "Kubernetes", ", behind the Service `web`", isolation, json)


def _hand_over(app: Path, wish: Handover, engine: str, where: str, isolation: str | None, json: bool) -> int:
    import asyncio

    from fungible.app.load import load_app
    from fungible.engines.handover import hand_over

    loaded = load_app(app, options={"isolation": isolation})
    told = hand_over(loaded, wish, inherited_environment(), lambda text: typer.echo(text, err=True))
    document = asyncio.run(told)
    show(document, f"{document['name']} {document['release']} runs on {engine}{where}", as_json=json)
    return 0
