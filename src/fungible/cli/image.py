"""`fungible image`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fungible.app.load import load_app
from fungible.app.problem import Problem
from fungible.cli.common import HERE, AppFolder, Isolation, Json, inherited_environment, journey_of
from fungible.cli.running import show


def image(
    app: AppFolder = HERE,
    tag: Annotated[
        str | None,
        typer.Option("--tag", metavar="REF", envvar="FUNGIBLE_TAG", help="The image's name; default: NAME:BUILD."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", envvar="FUNGIBLE_OUT", help="Write it there, as an archive."),
    ] = None,
    load: Annotated[
        str | None,
        typer.Option(
            "--load",
            metavar="ENGINE",
            envvar="FUNGIBLE_LOAD",
            help="Load it into docker or podman (without --out: so).",
        ),
    ] = None,
    include: Annotated[
        list[Path] | None,
        typer.Option(
            "--include",
            metavar="PATH",
            envvar="FUNGIBLE_INCLUDE",
            help="A program or folder that belongs in as well.",
        ),
    ] = None,
    boot: Annotated[
        bool,
        typer.Option("--boot/--no-boot", envvar="FUNGIBLE_BOOT", help="Boot the build first, as `build` does."),
    ] = True,
    isolation: Isolation = None,
    json: Json = False,
) -> int:
    """Make an image of the build and of what it needs of this machine; its argument is the process type."""
    import asyncio

    from fungible.engines.image.make import ENGINES, Options, make_image

    if load is not None and load not in ENGINES:
        raise Problem(f"--load {load}: the engines are {' and '.join(ENGINES)}")
    loaded = load_app(app, options={"isolation": isolation})
    options = Options(tag, out, load, include or [], boot, journey_of)
    made = asyncio.run(make_image(loaded, options, inherited_environment()))
    show(made.document(), made.text(), as_json=json)
    return 0
