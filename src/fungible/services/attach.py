"""From what an app declares to backing services: embedded, or named by a URL that was set elsewhere."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path

from fungible.app.problem import Exit, Problem
from fungible.services import place
from fungible.services.external import ExternalService
from fungible.services.folder import FolderStore
from fungible.services.memcached import MemcachedServer
from fungible.services.postgres import PostgresServer
from fungible.services.postgres_clone import PostgresClone, clone_external_postgres, clone_postgres
from fungible.services.spawn import Spawn
from fungible.services.sqlite import SqliteStore
from fungible.services.store import Service, Store

KINDS = ("valkey", "sqlite", "folder", "postgres", "memcached")
_ALIASES = {"redis": "valkey", "postgresql": "postgres", "memcache": "memcached"}


def open_services(
    declared: Mapping[str, str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    spawn: Spawn | None = None,
    durable: bool = True,
    app_folder: Path | None = None,
) -> list[Service]:
    """The app's backing services, in the order declared, not yet started.

    `declared` maps config vars to kinds (`[tool.fungible.services]`); a kind may name the driver that the
    URL's scheme shall carry (`postgres+asyncpg`, `sqlite+aiosqlite`). A name set and not empty in
    `environment` is an `ExternalService`. Data is kept under `folder/<NAME>`, mode 0700. `durable` False is
    for verify: servers force nothing to disk, and `stop` deletes what they kept. `app_folder` is where a
    relative SQLite URL begins.

    Raises `Problem` for a name that is no config var, an unknown kind, or a folder that cannot be made.
    """
    services: list[Service] = []
    for name, wanted in declared.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", name):
            raise Problem(f"services.{name}: not the name of a config var (letters, digits and _)")
        kind, driver = _kind(name, wanted)
        if environment.get(name):
            services.append(ExternalService(name, environment[name], kind, app_folder))
        else:
            services.append(_embedded(name, kind, driver, folder / name, spawn, durable))
    return services


async def clone_for_world(
    service: Service,
    folder: Path,
    number: int,
    *,
    spawn: Spawn | None = None,
    mounted: bool = True,
    remote: bool = False,
) -> Store:
    """An independent, started copy of `service` for world `number`, with the content it has now.

    Its data is under `folder/<NAME>.worlds/<number>`; `stop` deletes it. The source is only read; it may be a
    clone itself, or a service opened with `durable` False, and then has to outlive its copies. Folders keep the
    path at which processes see them (see `mounts`); with `mounted` False, for isolation levels that cannot
    bind, the copy is seen where it really is. `remote` allows a source that is not on this machine.

    Raises `Problem` for a source that cannot be copied, and, unless `remote`, for one elsewhere.
    """
    from fungible.services.valkey import ValkeyServer  # its client is slow to import: only for who needs it

    own = place.private_folder(folder / f"{service.name}.worlds") / str(number)
    if isinstance(service, FolderStore):
        return await service.clone(own, mounted=mounted)
    if isinstance(service, ValkeyServer):
        return await ValkeyServer.clone_of(service.name, service.url, own, spawn=spawn)
    if isinstance(service, MemcachedServer):
        return await MemcachedServer.clone_of(service.name, service.url, own, spawn=spawn)
    if isinstance(service, PostgresServer | PostgresClone):
        return await clone_postgres(service, own, spawn=spawn)
    if not isinstance(service, ExternalService):
        raise Problem(
            f"{service.name}: a service of kind {service.kind} cannot be copied for a world; give it commands "
            f"in [tool.fungible.verify.stores.{service.name}]",
            Exit.NOT_ALLOWED,
        )
    if not service.loopback and not remote:
        raise Problem(
            f"{service.name} names a store that is not on this machine; point it at a local one, or unset it "
            f"and declare it in [tool.fungible.services]",
            Exit.NOT_ALLOWED,
        )
    if service.kind == "valkey":
        return await ValkeyServer.clone_of(service.name, service.url, own, spawn=spawn)
    if service.kind == "memcached":
        return await MemcachedServer.clone_of(service.name, service.url, own, spawn=spawn)
    if service.kind == "postgres":
        return await clone_external_postgres(service, own, spawn=spawn)
    path = service.path
    if service.kind == "sqlite" and path is not None:
        seen = place.private_folder(folder / f"{service.name}.worlds" / "attached") if mounted else own
        return await SqliteStore.clone_of_file(service, path, own, seen)
    if service.kind == "folder" and path is not None:
        return await FolderStore(service.name, path).clone(own, mounted=mounted)
    raise Problem(
        f"{service.name}: its URL names a store that cannot be copied for a world; give it commands in "
        f"[tool.fungible.verify.stores.{service.name}], or allow writing to it with --disposable {service.name}",
        Exit.NOT_ALLOWED,
    )


def kind_of_declaration(name: str, wanted: str) -> str:
    """The kind of a declaration's value (`postgres+asyncpg` is `postgres`); raises Problem for an unknown one."""
    return _kind(name, wanted)[0]


def _kind(name: str, wanted: str) -> tuple[str, str | None]:
    word, _, driver = wanted.partition("+")
    kind = _ALIASES.get(word, word)
    if kind in KINDS and re.fullmatch(r"[a-z0-9_]*", driver):
        return kind, driver or None
    if "://" in wanted:
        raise Problem(
            f"services.{name}: {wanted.split('://', 1)[0]}://... is a URL, not a kind; set it as a config var, "
            f"and give the kind here ({', '.join(KINDS)})"
        )
    near = difflib.get_close_matches(word, [*KINDS, *_ALIASES], n=1, cutoff=0.5)
    hint = f"; did you mean {_ALIASES.get(near[0], near[0])!r}?" if near else ""
    raise Problem(f"services.{name}: unknown kind {wanted[:60]!r}{hint} (known: {', '.join(KINDS)})")


def _embedded(name: str, kind: str, driver: str | None, folder: Path, spawn: Spawn | None, durable: bool) -> Service:
    if kind == "sqlite":
        return SqliteStore(name, folder, driver=driver, durable=durable)
    if kind == "folder":
        return FolderStore(name, folder, durable=durable)
    if kind == "valkey":
        from fungible.services.valkey import ValkeyServer

        return ValkeyServer(name, folder, spawn=spawn, durable=durable)
    if kind == "memcached":
        return MemcachedServer(name, folder, spawn=spawn, durable=durable)
    return PostgresServer(name, folder, spawn=spawn, durable=durable, driver=driver)
