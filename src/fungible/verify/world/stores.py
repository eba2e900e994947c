"""Which stores the app names, and what is to become of each: copied, used by the user's word, or refused. Pure.

Verify writes only to stores that it made. What a config var, the environment or `.env` names is a source to copy;
what cannot be copied ends the run, unless the user gives it away or takes charge of putting it back.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fungible.app.problem import Exit, Problem
from fungible.sandbox.outbound import MAIL_PORTS
from fungible.services.attach import kind_of_declaration
from fungible.services.external import ExternalService
from fungible.services.url import StoreUrl, addresses_of, find_store_urls, rewritten

_MARK = "/.fungible-service/"
_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")
Way = Literal["copied", "given away", "commands", "as it is", "in the layer"]

STORE_PORTS = tuple(
    f"*:{port}"
    for port in (
        *(1433, 1521, 1883, 2181, 2379, 3306, 4222, 5432, 5671, 5672, 5984, 6379, 6380, 6432, 7687, 8086, 8529, 8983),
        *(9042, 9092, 9200, 9300, 11211, 11300, 26379, 27017, 27018, 27019, 28015, 33060, 61613),
    )
)
"""Where servers of stores usually listen (IANA's registry, and the servers' documentation)."""
STORE_SOCKETS = (
    *("*/.s.PGSQL.*", "*/mysql*.sock", "*/mariadb*.sock", "*/redis*.sock", "*/valkey*.sock", "*/memcached*.sock"),
    *("*/mongodb-*.sock", "*/docker.sock", "*/containerd.sock", "*/podman.sock"),
)
_MAIL_SCHEMES = re.compile(r"\b(?:smtps?|submissions?)(?:\+\w+)?://[^\s\"']+", re.IGNORECASE)
_HOST_VARIABLE = re.compile(
    r"((?:\w+_)?(?:PG|POSTGRES(?:QL)?|MYSQL|MARIADB|DB|DATABASE|REDIS|VALKEY|MONGO(?:DB)?|RABBITMQ|AMQP|MEMCACHED?|BROKER|"
    r"KAFKA|ELASTIC(?:SEARCH)?|SQL)\w*?_?)(?:HOST(?:NAME)?|ADDR)\Z"
)


@dataclass(frozen=True)
class Named:
    """A store as a config var, or another text, names it: `variable` is None for a command."""

    variable: str | None
    where: str
    url: StoreUrl
    way: Way


@dataclass(frozen=True)
class Plan:
    """What becomes of the stores that an app names.

    `embedded` are declared and set nowhere: name -> kind. `named` is every other one, in the order found.
    `environment` is what they were found in. `warnings` are for the report.
    """

    embedded: Mapping[str, str]
    named: tuple[Named, ...]
    environment: Mapping[str, str]
    warnings: tuple[str, ...] = ()

    @property
    def copies(self) -> tuple[tuple[Named, ...], ...]:
        """The stores to copy, each with all its mentions, the one that gives it its name first."""
        groups: dict[tuple[str, ...], list[Named]] = {}
        for each in self.named:
            if each.way == "copied":
                groups.setdefault(each.url.place, []).append(each)
        return tuple(tuple(group) for group in groups.values())

    @property
    def shared(self) -> tuple[Named, ...]:
        """Stores that are used where they are: only one world at a time."""
        return tuple(each for each in self.named if each.way in ("given away", "commands", "as it is"))

    def variables(self, urls: Mapping[str, str]) -> dict[str, str]:
        """The config vars of a lane: `urls` are those of its stores, by the name of the embedded or copied store."""
        values = {name: urls[name] for name in self.embedded if name in urls}
        changes: dict[str, list[tuple[StoreUrl, str]]] = {}
        for group in self.copies:
            name = name_of(group)
            for each in group:
                if each.variable is not None and name in urls and each.url.kind is not None:
                    new = rewritten(each.url.url, urls[name], each.url.kind)
                    changes.setdefault(each.variable, []).append((each.url, new))
        for variable, replaced in changes.items():
            text = self.environment[variable]
            for url, new in sorted(replaced, key=lambda pair: pair[0].start, reverse=True):
                text = text[: url.start] + new + text[url.end :]
            for name in self.embedded:
                text = text.replace(mark(name), urls.get(name, ""))
            values[variable] = text
        return values


def mark(name: str) -> str:
    """What stands in an environment for the URL of an embedded service that has none yet."""
    return f"{_MARK}{name}"


def name_of(group: tuple[Named, ...]) -> str:
    """What a copied store is called: the first config var that names it."""
    return group[0].variable or group[0].where


def plan_stores(
    environment: Mapping[str, str],
    declared: Mapping[str, str],
    commands: Mapping[str, str],
    app_folder: Path,
    *,
    disposable: Collection[str] = (),
    reset: bool = False,
    by_commands: Collection[str] = (),
    own_files: bool = True,
) -> Plan:
    """Decide for every store that is named in `environment`, or in `commands` (what it is -> its line).

    A variable that is to be set to an embedded service's URL has the `mark` of its name, or is not there.
    `declared` is `[tool.fungible.services]`; `disposable` the config vars given away; `reset` says that the user has
    a command that puts all stores back; `by_commands` are the names under `[tool.fungible.verify.stores]`.
    `own_files` says that the sandbox keeps files outside the app's folder from being written.

    Raises Problem (exit 3) for the first store that would be harmed, naming where it is named and the ways out, and
    (exit 2) for a `--disposable` that names no store.
    """
    found: list[Named] = []
    warnings: list[str] = []
    embedded: dict[str, str] = {}
    for name, wanted in declared.items():
        kind = kind_of_declaration(name, wanted)
        text = environment.get(name, "")
        if text in ("", mark(name)):
            embedded[name] = wanted
            continue
        url = StoreUrl(text, 0, len(text), ExternalService(name, text, kind).kind, kind)
        found.append(Named(name, name, url, "copied"))
    for name, text in environment.items():
        if name not in declared:
            found += [Named(name, name, url, "copied") for url in find_store_urls(name, text)]
    known = {each.variable for each in found}
    for name in (*disposable, *by_commands):  # the user knows it as a store, whatever its scheme
        text = environment.get(name, "")
        if name not in known and "://" in text:
            found.append(Named(name, name, StoreUrl(text.strip(), 0, len(text), None, "a store"), "copied"))
    for what, line in commands.items():
        # A variable that holds a whole URL is found as that; one that holds a part of it makes the line name a store.
        parts = {name: text for name, text in environment.items() if "://" not in text}
        expanded = _VARIABLE.sub(lambda match, parts=parts: parts.get(match[1], match[0]), line)  # type: ignore[misc]
        found += [Named(None, what, url, "copied") for url in find_store_urls("", expanded)]
    # Files below an attached folder, databases of an embedded server: theirs already.
    found = [
        each
        for each in found
        if _MARK not in each.url.url and not (each.url.kind == "sqlite" and "$" in each.url.url)
    ]
    _check_disposable(disposable, found, embedded)
    decided = []
    for each in found:
        way, warning = _way(each, declared, app_folder, disposable, reset, by_commands, own_files)
        if warning and warning not in warnings:
            warnings.append(warning)
        if way is not None:
            decided.append(Named(each.variable, each.where, each.url, way))
    for name in by_commands:
        if name in embedded:
            raise Problem(
                f"verify.stores.{name}: {name} is an embedded service, which is put back without commands; remove one"
            )
    return Plan(embedded, tuple(decided), environment, tuple(warnings))


def _check_disposable(disposable: Collection[str], found: list[Named], embedded: Mapping[str, str]) -> None:
    names = [each.variable for each in found if each.variable is not None]
    for name in disposable:
        if name in embedded:
            raise Problem(
                f"--disposable {name}: it is an embedded service, of which worlds have their own; leave it out"
            )
        if name not in names:
            known = (
                f"those that name a store are {', '.join(dict.fromkeys(names))}" if names else "none names a store"
            )
            raise Problem(f"--disposable {name}: no such config var names a store; {known}")


def _way(
    named: Named,
    declared: Mapping[str, str],
    app_folder: Path,
    disposable: Collection[str],
    reset: bool,
    by_commands: Collection[str],
    own_files: bool,
) -> tuple[Way | None, str]:
    url, variable = named.url, named.variable
    if variable is not None and variable in by_commands:
        return "commands", ""
    if variable is not None and variable in disposable:
        if url.kind is not None:
            return "given away", ""
        return "as it is", (
            f"{variable}: {url.what} is given away, but cannot be put back between worlds: what they leave in it may "
            f"look like a difference; give commands in [tool.fungible.verify.stores.{variable}]"
        )
    if url.kind in ("sqlite", "folder") and variable not in declared:
        return _file_way(named, app_folder, own_files)
    can_copy = url.kind is not None and url.local
    if reset and not (can_copy and variable in declared):
        return "as it is", f"{named.where}: its {url.what} is used as it is, put back by verify.reset alone"
    if can_copy and variable is not None:
        return "copied", ""
    raise Problem(_refusal(named), Exit.NOT_ALLOWED)


def _file_way(named: Named, app_folder: Path, own_files: bool) -> tuple[Way | None, str]:
    """Files that nothing declares. Where they are not ours to write, the sandbox lets nobody write them."""
    service = ExternalService(named.where, named.url.url, "folder", app_folder)
    path = service.path
    if path is not None and path.is_relative_to(app_folder):
        return "in the layer", (
            f"{named.where}: {path.relative_to(app_folder) or path} lies in the app's folder, of which every process "
            "has a throw-away copy: declare the store in [tool.fungible.services], or keep it elsewhere"
        )
    if named.url.kind == "sqlite" and named.variable is not None:
        return "copied", ""
    if own_files:
        return None, ""
    raise Problem(_refusal(named), Exit.NOT_ALLOWED)


def _refusal(named: Named) -> str:
    url = named.url
    on = "" if url.local or not url.host else f" on {url.host}"
    if named.variable is None:
        return (
            f"{named.where} names a store itself ({url.what}{on}), and verify writes only to stores that it made: "
            "put the URL into a config var and the variable into the command, or set verify.reset"
        )
    why = "which cannot be copied" if url.kind is None else "which is not on this machine, so it is not copied"
    return (
        f"{named.variable} names {url.what}{on}, {why}, and verify writes only to stores that it made: give it away "
        f"with --disposable {named.variable}, or say how to put it back, under "
        f"[tool.fungible.verify.stores.{named.variable}]"
    )


def unreachable(environment: Mapping[str, str], *, stores: bool) -> tuple[str, ...]:
    """What on this machine no world may connect to: servers of mail and, with `stores`, of stores.

    Beside the usual ports, those that variables name in parts (`DB_HOST` and `DB_PORT`) or in a mail server's URL.
    Entries are those of `sandbox.outbound.Policy`.
    """
    found = [*MAIL_PORTS]
    for text in environment.values():
        for match in _MAIL_SCHEMES.finditer(text):
            found += [f"*:{port}" for port in _ports(addresses_of(match[0], None))]
    for name in ("EMAIL_PORT", "MAIL_PORT", "SMTP_PORT"):
        if environment.get(name, "").isdigit():
            found.append(f"*:{environment[name]}")
    if stores:
        found += [*STORE_PORTS, *STORE_SOCKETS]
        for name, value in environment.items():
            part = _HOST_VARIABLE.match(name)
            port = environment.get(f"{part[1]}PORT", "") if part else ""
            if value and port.isdigit():
                found.append(f"*:{port}")
    return tuple(dict.fromkeys(found))


def _ports(addresses: tuple[str, ...]) -> list[str]:
    return [port for port in (address.rpartition(":")[2] for address in addresses) if port.isdigit()]
