"""What can be done for an app while its formation does not run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fungible.app.environment import parse_assignment
from fungible.app.load import load_app, nothing_declared
from fungible.app.model import App
from fungible.build.releases import list_releases
from fungible.control.documents import release_document
from fungible.runtime.ground.folders import folders_for
from fungible.runtime.ground.stage import Lock, load_config, store_config
from fungible.runtime.roll.operations import changed_config


def known_app(folder: Path, environment: Mapping[str, str]) -> App:
    """The app in `folder`. Raises Problem where nothing makes the folder an app: it declares nothing, and nothing is
    kept of it (`start --web` runs one without a Procfile)."""
    app = load_app(folder, need_types=False)
    folders = folders_for(app.state_name, environment)
    if not (app.declared or load_config(folders) or list_releases(folders.releases)):
        raise nothing_declared(folder)
    return app


def config_of(app: App, environment: Mapping[str, str]) -> dict[str, str]:
    """Its config vars. Raises Problem for a damaged file."""
    return load_config(folders_for(app.state_name, environment))


def configure(app: App, environment: Mapping[str, str], set: Iterable[str], unset: Iterable[str]) -> None:
    """Change its config vars; the next start makes a release of them. Raises Problem, also where it runs by now."""
    assignments = dict(parse_assignment(item) for item in set)
    folders = folders_for(app.state_name, environment).make()
    lock = Lock(folders.state / "lock", folders.run / "url")
    try:
        store_config(folders, changed_config(load_config(folders), assignments, unset))
    finally:
        lock.release()


def releases_of(app: App, environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """Its releases, as the API shows them; none of them serves."""
    folders = folders_for(app.state_name, environment)
    return [release_document(each, False) for each in list_releases(folders.releases)]
