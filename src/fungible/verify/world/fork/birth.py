"""Make slots by forking: two imports of the app, a fork for every slot; or the app's packages, loaded once, and an
import in every fork."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fungible.runtime.ground.confinement import Confinement
from fungible.verify.world.fork.command import AppCallable, parse_callable, parse_program
from fungible.verify.world.fork.server import ForkServer, Ground, boot_server, environment_of
from fungible.verify.world.fork.unforkable import Unforkable
from fungible.verify.world.slot import Site, Slot

_SCRIPT_AT_MOST = 64 * 1024


class ForkBirth:
    """Slots forked from two imports that were executed apart, with hash seeds of their own (a `Birth`).

    A slot is forked from the import of its site's parity. It sees the app's folder where that import saw it (its
    own path is an alias of it), over what the import wrote there; files that the import opened are opened anew,
    random generators seeded anew. Shared by design: what the import computed from the clock, from randomness, from
    its environment and from the stores that its site had. Mount, IPC, UTS and PID namespaces are the slot's own.
    """

    def __init__(self, ground: Ground, command: str, setting: str | None, sites: tuple[Site, Site]) -> None:
        self._ground = ground
        self._sites = sites
        self._apps = [_read(command, setting, site) for site in sites]
        self._command, self._setting = command, setting
        self._servers: list[ForkServer | None] = [None, None]
        self._others: list[ForkServer] = []
        self._locks = (asyncio.Lock(), asyncio.Lock())

    @classmethod
    async def open(
        cls,
        command: str,
        confine: Callable[[Site], Confinement],
        sites: tuple[Site, Site],
        sockets: Path,
        *,
        setting: str | None = None,
        limits: Mapping[str, int] | None = None,
        boot_timeout: float = 60.0,
        stop_timeout: float = 10.0,
        note: Callable[[Mapping[str, Any]], None] = lambda _: None,
        lazy: bool = False,
    ) -> ForkBirth:
        """Read the callable of `command` (or of `setting`, `wsgi:module:attribute`) and import it at both `sites`;
        a Python program that hides its callable is run up to the moment where it would serve.

        `sites` are the imports' own, their environment and stores included: a slot must be given the same, but for
        what is its own (HOME, TMPDIR, paths in its private folder and the like). `confine` gives the sandbox of a
        site, attached folders included. Sockets are made in `sockets`, a folder with a short path and mode 0700.
        `note` hears of what imports and slots connect to, where `confine` has that watched (`sandbox.spawn.Message`,
        `outbound`). With `lazy` an import happens when it is first needed. To be called, as `bear`, in the main
        thread. Raises Unforkable, or BootFailure where an import fails.
        """
        level = confine(sites[0]).level
        if level != "full":
            raise Unforkable(f"needs isolation level full, not {level}")
        ground = Ground(confine, sockets, dict(limits or {}), boot_timeout, stop_timeout, note)
        birth = cls(ground, command, setting, sites)
        if not lazy:
            try:
                for index in (0, 1):  # one after the other: both may make the same tables in the same store
                    await birth._server(index)
            except BaseException:
                await birth.close()
                raise
        return birth

    async def bear(self, site: Site) -> Slot:
        """A new process, forked and serving. Raises BootFailure, or Unforkable where the site does not fit."""
        server = await self._server((site.number + site.turn) % 2)
        return await server.bear(site)

    async def packages(self, site: Site) -> ImportBirth:
        """Load, in a sandbox at `site`, the packages that the first import needed: what is born of these imports the
        app itself. Raises Unforkable, or BootFailure."""
        known = await self._server(0)
        server = boot_server(self._ground, _read(self._command, self._setting, site), site, known.loaded)
        await server.imported()
        self._others.append(server)
        return ImportBirth(server)

    async def close(self) -> None:
        """End both imports, the packages and every slot that is left."""
        servers = [*(server for server in self._servers if server is not None), *self._others]
        self._servers, self._others = [None, None], []
        await asyncio.gather(*(server.close() for server in servers))

    async def _server(self, index: int) -> ForkServer:
        async with self._locks[index]:
            server = self._servers[index]
            if server is None:
                server = boot_server(self._ground, self._apps[index], self._sites[index])
                await server.imported()
                self._servers[index] = server
            return server


class ImportBirth:
    """Slots that import the app when they are born (a `Birth`): forks of a process that has loaded installed packages
    and nothing of the app. What the app reads when it is imported is read then, as by a boot; shared are the hash
    seed and what packages compute when they are loaded. Made by `ForkBirth.packages`."""

    def __init__(self, server: ForkServer) -> None:
        self._server = server

    async def bear(self, site: Site) -> Slot:
        """A new process that has imported the app and serves. Raises BootFailure, or Unforkable."""
        return await self._server.bear(site)


def _read(command: str, setting: str | None, site: Site) -> AppCallable:
    environment, folder = environment_of(site), str(site.folder)

    def script(path: str) -> str | None:
        return _text_at(site, os.path.normpath(os.path.join(folder, path)))

    app = parse_callable(command, environment, folder, setting, script)
    app = app or parse_program(command, environment, folder, script)
    if app is None:
        raise Unforkable(f"the command `{command}` does not tell its callable; name it in the settings (callable)")
    return app


def _text_at(site: Site, path: str) -> str | None:
    """The text of a small file, by the path at which the site's processes see it; None where there is none."""
    seen = [(mount.target, Path(mount.source)) for mount in site.mounts]
    for target, source in (*seen, (str(site.folder), site.content)):
        if path.startswith(f"{target}/"):
            path = str(source / path[len(target) + 1 :])
            break
    try:
        with open(path, "rb") as file:
            text = file.read(_SCRIPT_AT_MOST + 1)
    except OSError:
        return None
    return text.decode("utf-8", "replace") if len(text) <= _SCRIPT_AT_MOST and b"\0" not in text else None
