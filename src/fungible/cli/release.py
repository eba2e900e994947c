"""`fungible release`, `releases` and `rollback`."""

from __future__ import annotations

from typing import Annotated

import typer

from fungible.cli.common import HERE, AppFolder, Json, inherited_environment
from fungible.cli.running import Engine, NoWait, client_of, on_swarm, operate, show


def release(app: AppFolder = HERE, no_wait: NoWait = False, json: Json = False) -> int:
    """Build the app's folder as it is now and roll it: exit code 1 if it does not become ready."""
    return operate(app, "/v1/release", {}, as_json=json, wait=not no_wait)


def releases(app: AppFolder = HERE, engine: Engine = None, json: Json = False) -> int:
    """List the releases that are kept, newest first.

    CODE OF names the release whose code and assets this one has (a change of config vars makes a release, but builds
    nothing); BUILD is the digest of these files: equal digests are equal builds.
    """
    if (there := on_swarm(app, engine)) is not None:
        from fungible.engines.swarm.deploy import listed_releases

        listed = listed_releases(there.name)
        lines = (f"{each['release']}{'  runs' if each['running'] else ''}" for each in listed)
        show({"releases": listed}, "\n".join(lines) or "no release is kept", as_json=json)
        return 0
    from fungible.control.stopped import known_app, releases_of
    from fungible.control.table import releases_table

    client = client_of(app)
    if client.is_there:
        document = client.get("/v1/releases")
    else:
        environment = inherited_environment()
        document = {"releases": releases_of(known_app(app, environment), environment)}
    show(document, releases_table(document["releases"]), as_json=json)
    return 0


def rollback(
    release: Annotated[
        str | None,
        typer.Argument(metavar="[vN]", help="The release to go back to.", show_default="the last good one"),
    ] = None,
    app: AppFolder = HERE,
    engine: Engine = None,
    no_wait: NoWait = False,
    json: Json = False,
) -> int:
    """Roll the code and the config vars of an earlier release, as a new one."""
    if (there := on_swarm(app, engine)) is not None:
        from fungible.engines.swarm.deploy import go_back

        back = go_back(there.name, release, lambda text: typer.echo(text, err=True), wait=not no_wait)
        told = f"{there.name} {back} runs on Swarm"
        show({"message": told}, told, as_json=json)
        return 0
    return operate(app, "/v1/rollback", {"release": release}, as_json=json, wait=not no_wait)
