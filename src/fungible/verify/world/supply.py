"""The stores of an experiment, made: fresh ones, copies, and those that the user put into our hands."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from fungible.app.model import App
from fungible.app.problem import Exit, Problem
from fungible.services.attach import clone_for_world, open_services
from fungible.services.command import CommandStore
from fungible.services.disposable import disposable
from fungible.services.external import ExternalService
from fungible.services.store import Service, Snapshot, Store
from fungible.services.url import addresses_of
from fungible.verify.world.stores import Named, Plan, name_of

_LOOK_UPS = ("*:53", "/run/nscd/*", "/var/run/nscd/*", "/run/systemd/resolve/*")


class Supply:
    """Stores by a plan; `close` ends what was made, and puts back what was given away.

    `own` are fresh ones and copies, of which every lane gets a copy of its own; `shared` are written where they are.
    With `mounted` the folders of copies keep the paths at which all processes see them.
    """

    def __init__(self, plan: Plan, app: App, home: Path, *, mounted: bool) -> None:
        self.plan = plan
        self.own: list[Service] = []
        self.shared: list[Store] = []
        self._app = app
        self._home = home
        self._mounted = mounted
        self._started: list[Service] = []
        self._before: list[tuple[Store, Snapshot]] = []

    @property
    def services(self) -> tuple[Service, ...]:
        """Those that builds and set-ups see."""
        return (*self.own, *self.shared)

    @property
    def variables(self) -> dict[str, str]:
        """Their config vars."""
        return self.plan.variables({service.name: service.url for service in self.own})

    async def open(self) -> None:
        """Start the fresh ones, copy what is to be copied. Raises Problem."""
        folder = self._app.folder
        fresh = open_services(
            self.plan.embedded, environment={}, folder=self._home / "base", durable=False, app_folder=folder
        )
        for service in fresh:
            self._started.append(service)
            await service.start()
            self.own.append(service)
        for group in self.plan.copies:
            self.own.append(await self._clone(_external(group[0], name_of(group), folder), self._home / "copied", 0))
        given: dict[tuple[str, ...], Named] = {}
        for named in self.plan.named:
            if named.way == "given away":
                given.setdefault(named.url.place, named)
        for named in given.values():
            await self._share(disposable(_external(named, named.where, folder), self._home / "given"))

    async def share_commands(self, environment: Mapping[str, str]) -> None:
        """Add the stores that commands of the user put back; `environment` is that of their commands."""
        for name, commands in self._app.settings.verify.stores.items():
            store = CommandStore(
                name,
                snapshot=commands.snapshot,
                restore=commands.restore,
                dump=commands.dump,
                folder=self._home / "commands" / name,
                app_folder=self._app.folder,
                environment=environment,
            )
            await store.start()
            await self._share(store)

    async def lane(self, number: int) -> tuple[tuple[Service, ...], dict[str, str]]:
        """The stores of a lane and its config vars."""
        made = [await self._clone(service, self._home / "lanes", number) for service in self.own]
        return (*made, *self.shared), self.plan.variables({service.name: service.url for service in made})

    async def close(self) -> None:
        """Put back what was given away, end what was made. Never raises."""
        for store, snapshot in self._before:
            with contextlib.suppress(Problem, OSError):
                await store.restore(snapshot)
        for service in reversed(self._started):
            with contextlib.suppress(Problem, OSError):
                await service.stop()

    async def _share(self, store: Store) -> None:
        self._started.append(store)
        self._before.append((store, await store.snapshot()))
        self.shared.append(store)

    async def _clone(self, service: Service, folder: Path, number: int) -> Store:
        clone = await clone_for_world(service, folder, number, mounted=self._mounted)
        self._started.append(clone)
        return clone

    async def reachable(self) -> tuple[str, ...]:
        """Where processes may connect to on account of these stores (see `sandbox.outbound.Policy`)."""
        servers = [each for each in self._started if each.kind in ("valkey", "postgres", "memcached")]
        made = [address for each in servers for address in addresses_of(each.url, each.kind)]
        shared = [address for named in self.plan.shared for address in named.url.addresses]
        return await resolve([*made, *shared])


def _external(named: Named, name: str, app_folder: Path) -> ExternalService:
    url = named.url.url
    if "+socket://" in url:
        url = "unix://" + url.partition("+socket://")[2]
    return ExternalService(name, url, named.url.kind or "", app_folder)


async def resolve(addresses: Iterable[str]) -> tuple[str, ...]:
    """`HOST:PORT` with its name looked up now: entries by number, and look-ups themselves where a name had to be.

    Paths, `*` and numbers stay. Raises Problem for a name that has no address.
    """
    found: dict[str, None] = {}
    for address in addresses:
        host, _, port = address.rpartition(":")
        if address.startswith("/"):
            found[address] = found[os.path.realpath(address)] = None
        elif host == "*" or _is_number(host):
            found[f"{host.strip('[]')}:{port}"] = None
        elif host == "localhost":
            found[f"127.0.0.1:{port}"] = found[f"::1:{port}"] = None
        elif host:
            try:
                known = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
            except OSError:
                raise Problem(
                    f"{host}: no address is found for this name, so it cannot be reached", Exit.NOT_ALLOWED
                ) from None
            found |= {f"{entry[4][0]}:{port}": None for entry in known} | dict.fromkeys(_LOOK_UPS)
    return tuple(found)


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
