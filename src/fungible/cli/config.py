"""`fungible config`."""

from __future__ import annotations

from typing import Annotated

import typer

from fungible.app.environment import shown_value
from fungible.cli.common import HERE, AppFolder, Json, inherited_environment
from fungible.cli.running import NoWait, client_of, operate, show

config = typer.Typer(
    name="config",
    help="Show and change config vars; a change makes a release and rolls it.",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_LATER = "kept; the next start makes a release of it"


ShowSecrets = Annotated[
    bool,
    typer.Option("--show-secrets", envvar="FUNGIBLE_SHOW_SECRETS", help="Show values that look secret, too."),
]


@config.callback(invoke_without_command=True)
def _root(
    context: typer.Context, app: AppFolder = HERE, show_secrets: ShowSecrets = False, json: Json = False
) -> int:
    """Show and change config vars; a change makes a release and rolls it."""
    if context.invoked_subcommand is None:
        return list_all(app, show_secrets, json)
    given = {"app": str(app), "json": json}
    listing = {**given, "show_secrets": show_secrets}
    context.default_map = {"list": listing, "show": listing, "set": given, "unset": given}
    return 0


@config.command("show", hidden=True)
@config.command("list")
def list_all(app: AppFolder = HERE, show_secrets: ShowSecrets = False, json: Json = False) -> int:
    """Show the config vars with their values; those that look secret are struck out, but for --json."""
    from fungible.control.stopped import config_of, known_app

    environment = inherited_environment()
    kept = config_of(known_app(app, environment), environment)
    shown = kept if show_secrets else {name: shown_value(name, value) for name, value in kept.items()}
    show(kept, "\n".join(f"{name}={value}" for name, value in sorted(shown.items())) or "no config var", as_json=json)
    if shown != kept and not json:
        typer.echo("what looks secret is struck out; --show-secrets shows it", err=True)
    return 0


@config.command("set")
def set_some(
    assignments: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="What to set.")],
    app: AppFolder = HERE,
    no_wait: NoWait = False,
    json: Json = False,
) -> int:
    """Set config vars and roll them."""
    return _change(app, assignments, [], json, not no_wait)


@config.command("unset")
def unset_some(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="What to unset.")],
    app: AppFolder = HERE,
    no_wait: NoWait = False,
    json: Json = False,
) -> int:
    """Unset config vars and roll that."""
    return _change(app, [], names, json, not no_wait)


def _change(app: AppFolder, assignments: list[str], names: list[str], json: bool, wait: bool) -> int:
    if client_of(app).is_there:
        return operate(app, "/v1/config", {"set": assignments, "unset": names}, as_json=json, wait=wait)
    from fungible.control.stopped import configure, known_app

    environment = inherited_environment()
    configure(known_app(app, environment), environment, assignments, names)
    show({"message": _LATER, "release": None}, _LATER, as_json=json)
    return 0
