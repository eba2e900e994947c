"""`fungible deploy`."""

from __future__ import annotations

from typing import Annotated

import typer

from fungible.cli.common import HERE, AppFolder, Isolation, Json, inherited_environment, journey_of
from fungible.cli.running import show

deploy = typer.Typer(
    name="deploy",
    help="Hand the formation over to an engine, and wait until it runs there.",
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@deploy.command("swarm")
def swarm(
    app: AppFolder = HERE,
    tag: Annotated[
        str | None,
        typer.Option("--tag", metavar="REF", envvar="FUNGIBLE_TAG", help="The image's name; default: NAME:BUILD."),
    ] = None,
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
    boot: Annotated[
        bool,
        typer.Option("--boot/--no-boot", envvar="FUNGIBLE_BOOT", help="Boot the build first, as `build` does."),
    ] = True,
    isolation: Isolation = None,
    json: Json = False,
) -> int:
    """Deploy to the Docker Swarm that `docker` speaks to: image, secrets, release command, stack."""
    import asyncio

    from fungible.app.load import load_app
    from fungible.engines.handover import Handover, hand_over

    loaded = load_app(app, options={"isolation": isolation})
    wish = Handover(tag, push, publish, host_port, boot, journey_of)
    document = asyncio.run(hand_over(loaded, wish, inherited_environment(), lambda text: typer.echo(text, err=True)))
    show(document, f"{document['name']} {document['release']} runs on Swarm", as_json=json)
    return 0
