"""The app's backing services, attached: started where we embed them, their URLs as config vars."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fungible.app.environment import compose
from fungible.app.model import App
from fungible.app.problem import Exit, Problem
from fungible.runtime.ground.folders import Folders
from fungible.runtime.ground.session import take
from fungible.sandbox.spec import Mount
from fungible.services.attach import open_services
from fungible.services.external import ExternalService
from fungible.services.place import write_private
from fungible.services.server import EmbeddedServer
from fungible.services.store import Service

LOCK = "services.lock"
_SERVERS = "services.json"
_GUESTS = "services.guests"
_PATIENCE = 2.0
"""Seconds that a formation waits for the end of a one-off process that runs its services."""
_LOOK = 0.05


@dataclass(frozen=True)
class Backing:
    """Attached services: `urls` by config var (only of those that we run), `mounts` for every sandbox.

    `host` is the folder of our notes, where the servers among them are ours; `lock` is what tells others so, or that
    we use the servers of another.
    """

    services: tuple[Service, ...]
    lock: int | None = None
    host: Path | None = None

    @property
    def urls(self) -> dict[str, str]:
        """Config vars to set."""
        return {service.name: service.url for service in self.services if not isinstance(service, ExternalService)}

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """Folders that shine through."""
        return sandbox_mounts(self.services)

    async def without_guests(self, say: Callable[[], None]) -> None:
        """Let nobody join any more, and wait for the end of those that use our servers; `say` is called if there are
        any."""
        if self.host is None:
            return
        (self.host / _SERVERS).unlink(missing_ok=True)
        told = False
        while (descriptor := take(self.host / _GUESTS)) is None:
            if not told:
                say()
            told = True
            await asyncio.sleep(_LOOK)
        os.close(descriptor)

    async def stop(self) -> None:
        """Stop the embedded ones; their data stays."""
        for service in reversed(self.services):
            await service.stop()
        if self.lock is not None:
            if self.host is not None:
                for name in (_SERVERS, _GUESTS, LOCK):
                    (self.host / name).unlink(missing_ok=True)
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
        return await _started(services)
    while True:
        lock = take(folders.run / LOCK)
        if lock is not None:
            break
        if not join:
            lock = await _when_free(folders.run / LOCK)
            break
        joined = await _join(folders.run)
        if joined is not None:
            running, guest = joined
            used = [_Running(each, running[each.name]) if each.name in running else each for each in services]
            return await _started(used, guest)
    os.truncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
    # A supervisor that was killed left its word; the lock of each service decides whether it is free.
    word = folders.run / _SERVERS
    word.unlink(missing_ok=True)
    backing = await _started(services, lock, folders.run)
    write_private(word, json.dumps({each.name: each.url for each in services if isinstance(each, EmbeddedServer)}))
    return backing


async def _join(run: Path) -> tuple[dict[str, str], int] | None:
    """The servers of whoever holds the lock, once they all answer, and a lock that says that they are used; None if
    he ends before."""
    while True:
        guest = take(run / _GUESTS, shared=True)
        if guest is not None:
            # In this order: he takes his word back before he looks for guests.
            with contextlib.suppress(OSError, ValueError):
                running: dict[str, str] = json.loads((run / _SERVERS).read_text())
                return running, guest
            os.close(guest)
        lock = take(run / LOCK)
        if lock is not None:
            os.close(lock)
            return None
        await asyncio.sleep(_LOOK)


async def _when_free(path: Path) -> int:
    """The lock of a one-off process that is about to end. Raises Problem where it does not."""
    for _ in range(round(_PATIENCE / _LOOK)):
        await asyncio.sleep(_LOOK)
        lock = take(path)
        if lock is not None:
            return lock
    with contextlib.suppress(OSError):
        holder = path.read_text()
        raise Problem(
            f"a one-off process of this app (`fungible run`, pid {holder}) runs its backing services: end it first",
            Exit.NOT_ALLOWED,
        )
    raise Problem("a one-off process of this app runs its backing services: end it first", Exit.NOT_ALLOWED)


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


async def _started(services: list[Service], lock: int | None = None, host: Path | None = None) -> Backing:
    started: list[Service] = []
    try:
        for service in services:
            started.append(service)
            await service.start()
    except BaseException:
        await Backing(tuple(started), lock, host).stop()
        raise
    return Backing(tuple(services), lock, host)
