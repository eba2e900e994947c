"""Settings: `[tool.fungible]` in pyproject.toml, or the same keys in fungible.toml.

Each setting is declared once, as a field: its name, type and default by the field, its kind of value and its
line of help by the `Setting` beside it. Files, options, their `FUNGIBLE_` twins, help and docs read that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec

from fungible.app import kinds
from fungible.app.environment import GIVEN, VARIABLE
from fungible.app.kinds import Kind
from fungible.app.problem import Problem
from fungible.app.procfile import RELEASE
from fungible.app.setting import Reader, Setting, Table, declared, read_value
from fungible.app.wording import shown


class TypeSettings(Table, frozen=True):
    """`types.<name>`: one process type. None means: not given."""

    processes: Annotated[
        int, Setting("Processes to start where the command line gives no number.", kinds.whole(0, 1000))
    ] = 1
    ready: Annotated[
        str | None,
        Setting(
            "Path that answers 2xx or 3xx once a process is ready; default: any complete answer to GET /.",
            kinds.URL_PATH,
        ),
    ] = None
    callable: Annotated[
        str | None,
        Setting("The app's WSGI or ASGI callable, for `verify` where the command hides it.", kinds.CALLABLE),
    ] = None
    listen: Annotated[
        str | None,
        Setting(
            "Listen on $PORT or on the Unix socket $FUNGIBLE_SOCKET; default: `port` for web, else neither.",
            kinds.choice("port", "unix"),
        ),
    ] = None
    max_in_flight: Annotated[
        int,
        Setting(
            "Requests a process may have at once, 0 for no limit; more wait in the router.",
            kinds.whole(0, 1_000_000),
        ),
    ] = 0
    singleton: Annotated[bool, Setting("Never run two at once: stop first, then start.", kinds.FLAG)] = False
    stop_signal: Annotated[str, Setting("Signal that asks a process to stop.", kinds.SIGNAL)] = "TERM"
    max_age: Annotated[
        float | None,
        Setting("Retire and replace a process of this age, with jitter.", kinds.duration(0.1, 365 * 86400.0)),
    ] = None
    max_requests: Annotated[
        int,
        Setting(
            "Retire and replace a process after so many requests, with jitter; 0 for never.",
            kinds.whole(0, 1_000_000_000),
        ),
    ] = 0
    memory: Annotated[int | None, Setting("Memory a process may use.", kinds.size(1 << 20))] = None
    cpu: Annotated[
        float | None, Setting("Processors a process may use; 0.5 is half of one.", kinds.number(0.01, 1024))
    ] = None
    files: Annotated[int | None, Setting("Files a process may have open.", kinds.whole(16, 10_000_000))] = None
    boot_timeout: Annotated[float | None, Setting("As at the top, for this type.", kinds.duration(0.001))] = None
    drain_timeout: Annotated[float | None, Setting("As at the top, for this type.", kinds.duration())] = None
    stop_timeout: Annotated[float | None, Setting("As at the top, for this type.", kinds.duration())] = None


class RouterSettings(Table, frozen=True):
    """`router`: the one public port."""

    queue_timeout: Annotated[float, Setting("How long a request may wait for a process.", kinds.duration(0.001))] = (
        10.0
    )
    request_timeout: Annotated[float, Setting("How long a process may take to answer.", kinds.duration(0.001))] = 60.0
    max_body: Annotated[int, Setting("Largest request body.", kinds.size(1))] = 1 << 30
    certificate: Annotated[
        str | None, Setting("PEM file with certificate and key; the router then speaks HTTPS.", kinds.PATH)
    ] = None


class AssetSettings(Table, frozen=True):
    """`assets`: compiled files that pages name."""

    roots: Annotated[tuple[str, ...], Setting("Folders of assets, inside the app's folder.", kinds.INNER_PATHS)] = ()
    url: Annotated[str, Setting("Where they are served.", kinds.URL_FOLDER)] = "/assets/"
    prove: Annotated[
        bool,
        Setting(
            "Boot each new build once before it is released, read-only and without packagers, and refuse it where "
            "something is left to compile.",
            kinds.FLAG,
        ),
    ] = True


class StoreSettings(Table, frozen=True):
    """`verify.stores.<name>`: commands for a backing service that is not known here."""

    snapshot: Annotated[str, Setting("Command that keeps the store's state before the first world.", kinds.COMMAND)]
    restore: Annotated[str, Setting("Command that puts it back before each world.", kinds.COMMAND)]
    dump: Annotated[str | None, Setting("Command that prints the state, to be compared.", kinds.COMMAND)] = None


class VerifySettings(Table, frozen=True):
    """`verify`: what the experiment runs."""

    workload: Annotated[tuple[str, ...], Setting("Workload file, or a list of them.", kinds.PATHS)] = ()
    setup: Annotated[str | None, Setting("Bash command, once, before the snapshot.", kinds.COMMAND)] = None
    reset: Annotated[
        str | None,
        Setting("Bash command before each world, then setup again: for stores without snapshot.", kinds.COMMAND),
    ] = None
    outbound: Annotated[
        tuple[str, ...],
        Setting("Addresses that the app may connect to meanwhile; all others are refused.", kinds.ADDRESSES),
    ] = ()
    stores: Mapping[str, StoreSettings] = {}


SERVICES = ("valkey", "sqlite", "folder", "postgres", "memcached")


class Settings(Table, frozen=True):
    """All settings of an app, defaults filled in."""

    build: Annotated[tuple[str, ...], Setting("Commands of the build stage.", kinds.COMMANDS)] = ()
    release: Annotated[
        str | None, Setting("Command that runs once per release, before it is rolled.", kinds.COMMAND)
    ] = None
    isolation: Annotated[
        str,
        Setting(
            "How far processes are kept apart.",
            kinds.choice("auto", "full", "copy", "readonly", "scratch", "none"),
            option=True,
        ),
    ] = "auto"
    boot_timeout: Annotated[
        float, Setting("How long a process may take to become ready.", kinds.duration(0.001), option=True)
    ] = 60.0
    drain_timeout: Annotated[
        float,
        Setting(
            "How long a retired process may finish what it has; then comes its stop signal.",
            kinds.duration(),
            option=True,
        ),
    ] = 30.0
    stop_timeout: Annotated[
        float,
        Setting(
            "How long a process may take to stop after its signal; then comes KILL.",
            kinds.duration(),
            option=True,
        ),
    ] = 30.0
    metrics_port: Annotated[
        int | None,
        Setting(
            "TCP port where Prometheus may ask for metrics; 0 is a free one; default: none.", kinds.PORT, option=True
        ),
    ] = None
    metrics_host: Annotated[str, Setting("Address of that port.", kinds.HOST, option=True)] = "127.0.0.1"
    types: Mapping[str, TypeSettings] = {}
    router: RouterSettings = RouterSettings()
    services: Annotated[
        Mapping[str, str],
        Setting(
            "Variable to set to an embedded service's URL (a folder's path), where nothing else sets it.",
            kinds.choice(*SERVICES, instead={"redis": "valkey"}),
        ),
    ] = {}
    assets: AssetSettings = AssetSettings()
    verify: VerifySettings = VerifySettings()


@dataclass(frozen=True)
class Option:
    """A setting that the command line takes too: `flag` and its twin in the `environment`."""

    name: str
    flag: str
    environment: str
    help: str
    default: str
    kind: Kind


def parse_settings(data: object, path: str, table: str = "") -> Settings:
    """Settings from plain data as TOML gives it; `path` is the file and `table` the table (`tool.fungible`)
    that messages name. Raises Problem for unknown keys, with the nearest known key, and for wrong values."""
    return Reader(Settings, path, table, _check_name).read(data)


def apply_options(settings: Settings, given: Mapping[str, str | None]) -> Settings:
    """`settings` with what the command line gives, by the setting's name (`{"boot_timeout": "5s"}`); None is
    not given. Raises Problem for a value that does not fit, and KeyError for a name that is no option."""
    by_name = {option.name: option for option in options()}
    changes = {}
    for name, value in given.items():
        option = by_name[name]
        if value is not None:
            changes[name] = read_value(option.kind, value, f"{option.flag} (or {option.environment})")
    return msgspec.structs.replace(settings, **changes)


def options() -> tuple[Option, ...]:
    """The settings that the command line takes too."""
    return tuple(
        Option(
            name=key,
            flag="--" + key.replace("_", "-"),
            environment="FUNGIBLE_" + key.upper(),
            help=setting.help,
            default=default.strip('"'),
            kind=setting.kind,
        )
        for key, setting, default in declared(Settings, "")
        if setting.option
    )


def settings_table() -> str:
    """Every setting as a Markdown table: key, type, default, help."""
    rows = ["| key | type | default | what it does |", "|---|---|---|---|"]
    for key, setting, default in declared(Settings, ""):
        kind = setting.kind.name.replace("|", "\\|")
        twin = f" Also `--{key.replace('_', '-')}` and `FUNGIBLE_{key.upper()}`." if setting.option else ""
        rows.append(f"| `{key}` | {kind} | {f'`{default}`' if default else ''} | {setting.help}{twin} |")
    return "\n".join(rows) + "\n"


def _check_name(key: str, name: str, where: str) -> None:
    """Refuses names of the user's own that a table cannot hold."""
    if key == "types" and name == RELEASE:
        raise Problem(f"{where}: `release` is the command that runs once per release, not a process type.")
    if key == "services" and not VARIABLE.fullmatch(name):
        raise Problem(f"{where}: {shown(name)} is no name of a variable; use letters, digits and `_`.")
    if key == "services" and name in GIVEN:
        raise Problem(f"{where}: {name} is given to every process already; choose another variable.")
