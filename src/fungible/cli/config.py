"""`fungible config`."""

from __future__ import annotations

from typing import Annotated

import typer

from fungible.cli.common import HERE, AppFolder, Json, inherited_environment
from fungible.cli.running import NoWait, client_of, operate, show

config = typer.Typer(
    name="config",
    help="Show and change config vars; a change makes a release and rolls it.",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_LATER = "kept; the next start makes a release of it"


@config.callback(invoke_without_command=True)
def _root(context: typer.Context, app: AppFolder = HERE, json: Json = False) -> int:
    """Show and change config vars; a change makes a release and rolls it."""
    if context.invoked_subcommand is None:
        return list_all(app, json)
    given = {"app": str(app), "json": json}
    context.default_map = dict.fromkeys(("list", "show", "set", "unset"), given)
    return 0


@config.command("show", hidden=True)
@config.command("list")
def list_all(app: AppFolder = HERE, json: Json = False) -> int:
    """Show the config vars with their values."""
    from fungible.control.stopped import config_of, known_app

    environment = inherited_environment()
    kept = config_of(known_app(app, environment), environment)
    show(kept, "\n".join(f"{name}={value}" for name, value in sorted(kept.items())) or "no config var", as_json=json)
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
