"""The app's backing services, attached: started where we embed them, their URLs as config vars."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fungible.app.environment import compose
from fungible.app.model import App
from fungible.runtime.folders import Folders
from fungible.runtime.session import take
from fungible.sandbox.spec import Mount
from fungible.services.attach import open_services
from fungible.services.external import ExternalService
from fungible.services.place import write_private
from fungible.services.server import EmbeddedServer
from fungible.services.store import Service

LOCK = "services.lock"
_SERVERS = "services.json"


@dataclass(frozen=True)
class Backing:
    """Attached services: `urls` by config var (only of those that we run), `mounts` for every sandbox.

    `lock` is the descriptor that tells others that the servers among them are ours, `notes` what we wrote for them.
    """

    services: tuple[Service, ...]
    lock: int | None = None
    notes: tuple[Path, ...] = ()

    @property
    def urls(self) -> dict[str, str]:
        """Config vars to set."""
        return {service.name: service.url for service in self.services if not isinstance(service, ExternalService)}

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """Folders that shine through."""
        return sandbox_mounts(self.services)

    async def stop(self) -> None:
        """Stop the embedded ones; their data stays."""
        for service in reversed(self.services):
            await service.stop()
        if self.lock is not None:
            for path in self.notes:
                path.unlink(missing_ok=True)
            os.close(self.lock)


def sandbox_mounts(services: tuple[Service, ...]) -> tuple[Mount, ...]:
    """The folders of `services` as the sandbox binds them."""
    return tuple(
        Mount(str(mount.source), str(mount.target), writable=True) for service in services for mount in service.mounts
    )


def set_elsewhere(app: App, config: Mapping[str, str], operating_system: Mapping[str, str]) -> dict[str, str]:
    """The environment as it would be without embedded services: what is named in it wins over them."""
    declared = app.settings.services
    named = {assignment.name for assignment in app.dotenv} | set(config) | set(operating_system)
    unset = {name: "" for name in declared if name not in named}
    return compose(dotenv=app.dotenv, operating_system=operating_system, config=config, given=unset)


async def attach_services(
    app: App,
    folders: Folders,
    config: Mapping[str, str],
    operating_system: Mapping[str, str],
    *,
    join: bool = False,
) -> Backing:
    """Open and start what the app declares, and leave word of its servers for one-off processes.

    With `join`, servers that another supervisor of the app runs are used, not started. Raises Problem; what was
    started before it is stopped again.
    """
    services = _open(app, folders, config, operating_system)
    if not any(isinstance(service, EmbeddedServer) for service in services):
        return await _started(services, None)
    lock = take(folders.run / LOCK)
    word = folders.run / _SERVERS
    if lock is None and join:
        running = await _running(folders)
        return await _started(
            [_Running(each, running[each.name]) if each.name in running else each for each in services], None
        )
    # A supervisor that was killed left its word; the lock of each service decides whether it is free.
    word.unlink(missing_ok=True)
    notes = () if lock is None else (word, folders.run / LOCK)
    backing = await _started(services, lock, notes)
    write_private(word, json.dumps({each.name: each.url for each in services if isinstance(each, EmbeddedServer)}))
    return backing


async def _running(folders: Folders) -> dict[str, str]:
    """The servers of the supervisor that holds the lock, once they all answer; none if it ends before."""
    while True:
        with contextlib.suppress(OSError, ValueError):
            running: dict[str, str] = json.loads((folders.run / _SERVERS).read_text())
            return running
        lock = take(folders.run / LOCK)
        if lock is not None:
            os.close(lock)
            return {}
        await asyncio.sleep(0.05)


class _Running(Service):
    """A server that the formation runs."""

    def __init__(self, service: Service, url: str) -> None:
        self.name = service.name
        self.kind = service.kind
        self._url = url

    @property
    def url(self) -> str:
        return self._url

    async def start(self) -> None:
        """Nothing: it runs already."""

    async def stop(self) -> None:
        """Nothing: it is the formation's."""


def _open(
    app: App, folders: Folders, config: Mapping[str, str], operating_system: Mapping[str, str]
) -> list[Service]:
    environment = set_elsewhere(app, config, operating_system)
    return open_services(
        app.settings.services, environment=environment, folder=folders.services, app_folder=app.folder
    )


async def _started(services: list[Service], lock: int | None, notes: tuple[Path, ...] = ()) -> Backing:
    started: list[Service] = []
    try:
        for service in services:
            started.append(service)
            await service.start()
    except BaseException:
        await Backing(tuple(started), lock, notes).stop()
        raise
    return Backing(tuple(services), lock, notes)
