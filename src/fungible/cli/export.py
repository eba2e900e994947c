"""`fungible export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fungible.app.load import load_app
from fungible.app.problem import Problem
from fungible.app.terminal import put_out
from fungible.app.wording import listed, nearest, plain
from fungible.cli.common import HERE, AppFolder, Json, inherited_environment
from fungible.cli.running import show


def export(
    engine: Annotated[str, typer.Argument(metavar="kubernetes|swarm|systemd", help="For which engine.")],
    app: AppFolder = HERE,
    image: Annotated[
        str | None,
        typer.Option(
            "--image",
            metavar="REF",
            envvar="FUNGIBLE_IMAGE",
            help="The app's image; default: the last that was made.",
        ),
    ] = None,
    router: Annotated[
        str | None,
        typer.Option(
            "--router-image",
            metavar="REF",
            envvar="FUNGIBLE_ROUTER_IMAGE",
            help="The router's; default: as `image` does.",
        ),
    ] = None,
    policy: Annotated[
        bool,
        typer.Option(
            "--policy", envvar="FUNGIBLE_POLICY", help="kubernetes: and a policy that refuses what keeps state."
        ),
    ] = False,
    behind: Annotated[
        bool | None,
        typer.Option(
            "--behind-proxy/--public",
            envvar="FUNGIBLE_BEHIND_PROXY",
            help="Whether a proxy before the router says who the client is; default: on kubernetes.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", metavar="PORT", envvar="FUNGIBLE_PORT", min=1, max=65535, help="The public port."),
    ] = None,
    first_port: Annotated[
        int | None,
        typer.Option(
            "--first-port",
            metavar="PORT",
            envvar="FUNGIBLE_FIRST_PORT",
            min=1024,
            max=65535,
            help="systemd: processes listen on loopback from there on; default: by the app's name.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", envvar="FUNGIBLE_OUT", help="Write the files there; default: print them."
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Write the formation as an engine's own files: Kubernetes manifests, a Swarm stack, systemd units."""
    from fungible.engines.export import ENGINES, Wish
    from fungible.engines.export import export as export_to

    if engine not in ENGINES:
        raise Problem(f"{plain(engine)}: the engines are {listed(ENGINES)}.{nearest(engine, ENGINES)}")
    wish = Wish(engine, image, router, policy, behind, port, out, first_port)
    exported = export_to(load_app(app), wish, inherited_environment())
    for note in exported.notes:
        typer.echo(note, err=True)
    if json:
        show({"files": dict(exported.files), "notes": list(exported.notes)}, "", as_json=True)
    elif out is not None:
        typer.echo(f"{len(exported.files)} files written to {out}")
    elif len(exported.files) == 1:
        put_out(next(iter(exported.files.values())))
    else:
        put_out("".join(f"# {path}\n{text.rstrip()}\n\n" for path, text in sorted(exported.files.items())))
    return 0
