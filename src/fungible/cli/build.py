"""`fungible build`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fungible.app.load import load_app, nothing_declared
from fungible.cli.common import HERE, AppFolder, Isolation, Json, inherited_environment, journey_of
from fungible.cli.running import show


def build(
    app: AppFolder = HERE,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", envvar="FUNGIBLE_OUT", help="Write the build there, read-only."),
    ] = None,
    boot: Annotated[
        bool,
        typer.Option("--boot/--no-boot", envvar="FUNGIBLE_BOOT", help="Boot it, and fetch what its pages load."),
    ] = True,
    isolation: Isolation = None,
    json: Json = False,
) -> int:
    """Run the build stage alone: build commands, assets, and the proof that nothing is left to compile."""
    import asyncio

    from fungible.runtime.build.build import Options, build_app

    loaded = load_app(app, options={"isolation": isolation}, need_types=False)
    if not loaded.declared:
        raise nothing_declared(app)
    options = Options(out, boot, json, journey_of)
    document, text = asyncio.run(build_app(loaded, options, inherited_environment()))
    show(document, text, as_json=json)
    return 0
