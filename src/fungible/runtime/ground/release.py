"""A release as the run stage sees it: sealed code, config vars, and how its processes are kept apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fungible.app.dotenv import Assignment
from fungible.app.environment import compose
from fungible.app.model import ProcessType
from fungible.runtime.ground.confinement import Confinement


@dataclass(frozen=True)
class Release:
    """What every process of it gets. `services` are the URLs of the attached backing services, `types` the process
    types that it declares; `build` is the number of the release that holds its code, `shared_assets` the folder
    with the assets of all releases."""

    name: str
    confinement: Confinement
    config: Mapping[str, str]
    dotenv: tuple[Assignment, ...]
    operating_system: Mapping[str, str]
    services: Mapping[str, str]
    types: Mapping[str, ProcessType] = field(default_factory=dict)
    build: int = 0
    shared_assets: Path | None = None

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """The environment of a process that is given `given` besides the service URLs.

        Raises Problem where `.env` refers to a name that nothing sets.
        """
        defaults = {"PYTHONUNBUFFERED": "1", "WEB_CONCURRENCY": "1", "FUNGIBLE_RELEASE": self.name}
        if self.shared_assets is not None:
            defaults["FUNGIBLE_SHARED_ASSETS"] = str(self.shared_assets)
        return compose(
            dotenv=self.dotenv,
            operating_system=self.operating_system,
            config=self.config,
            given={**defaults, **self.services, **given},
        )
