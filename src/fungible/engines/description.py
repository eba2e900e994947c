"""What every engine is told of a formation: pure values from what an app declares and its config vars."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from fungible.app.environment import looks_secret
from fungible.app.model import WEB, App, ProcessType
from fungible.app.problem import Problem
from fungible.app.wording import few, plain
from fungible.services.attach import kind_of_declaration

PORT = 8000
"""Where a process listens in its container; each has a network of its own."""
USER = 10001
"""User and group of every process: none of the host's."""
LAME_DUCK = 5.0
"""Seconds that a web process serves on after it is asked to stop, so that whoever routes learns of it first."""
SCRATCH = 256 << 20
MEMORY = 512 << 20
"""Bytes, where a type declares nothing: a process without a limit can take down its neighbours."""

_LOOPBACK = re.compile(r"(?<![\w.:])(?:127\.0\.0\.1|localhost|\[::1\])(?=:[$\d])")
_LOOPBACK_OPTION = re.compile(
    r"((?:--host|--bind|--address|-b|-h|-H)(?:[= ]+))(?:127\.0\.0\.1|localhost|::1)(?=\s|$)"
)
_HOSTS = {"UVICORN_HOST": "0.0.0.0", "GRANIAN_HOST": "0.0.0.0", "FLASK_RUN_HOST": "0.0.0.0"}
_FILES = frozenset({"sqlite", "folder"})


@dataclass(frozen=True)
class Workload:
    """A process type as an engine is told of it.

    `processes` is how many run, `port` where it listens (None: nowhere), `ready` the path that answers 2xx or 3xx
    (None: any complete answer counts). `memory` and `scratch` are bytes, `cpu` processors (None: no limit), times
    seconds. `lame_duck` is how long it serves on after it is asked to stop. What an engine has no word for (`max_age`
    in seconds, `max_requests`, 0 for no limit) it says so.
    """

    name: str
    command: str
    processes: int
    singleton: bool
    port: int | None
    ready: str | None
    memory: int
    cpu: float | None
    files: int | None
    max_in_flight: int
    stop_signal: str
    boot_timeout: float
    drain_timeout: float
    stop_timeout: float
    lame_duck: float = 0.0
    scratch: int = SCRATCH
    max_age: float | None = None
    max_requests: int = 0

    @property
    def grace(self) -> float:
        """Seconds between the wish that it stop and KILL."""
        drain = self.drain_timeout if self.port is not None else 0.0
        return self.lame_duck + drain + self.stop_timeout


@dataclass(frozen=True)
class Description:
    """A formation for an engine: the app's `name`, the `image` of its processes and the one of its `router`, its
    `workloads` in the order of the Procfile.

    `config` are config vars that may be read by whoever reads a manifest, `secrets` those that may not: their values
    are here and go into nothing that is exported. `given` is what every process gets beside them. `request_timeout`,
    `queue_timeout` (seconds), `max_body` (bytes) and `certificate` (a path on this machine) are the router's. With
    `networks` each process has a network of its own.
    """

    name: str
    image: str
    router: str
    release: str
    workloads: tuple[Workload, ...]
    release_command: str | None = None
    config: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    request_timeout: float = 60.0
    queue_timeout: float = 10.0
    max_body: int = 1 << 30
    certificate: str | None = None
    networks: bool = True

    @property
    def given(self) -> dict[str, str]:
        """Variables of every process, which win over config vars. Of what is only a default, a config var of the same
        name takes the place."""
        defaults = {**(_HOSTS if self.networks else {}), "WEB_CONCURRENCY": "1"}
        own = self.config.keys() | self.secrets.keys()
        kept = {name: value for name, value in defaults.items() if name not in own}
        return {**kept, "FUNGIBLE_RELEASE": self.release, "PYTHONUNBUFFERED": "1"}

    @property
    def environment(self) -> dict[str, str]:
        """Variables of every process that may be read in a manifest: config vars, and what is given."""
        return {**self.config, **self.given}

    @property
    def web(self) -> Workload | None:
        """The type that receives requests."""
        return next((each for each in self.workloads if each.name == WEB), None)

    @property
    def largest(self) -> Workload:
        """The type with most memory: the release command, which declares none, gets as much."""
        return max(self.workloads, key=lambda each: each.memory)


def describe(
    app: App, images: tuple[str, str], release: str, config: Mapping[str, str], *, networks: bool = True
) -> Description:
    """The formation of `app` with these config vars; `images` are the one of its processes and the router's. With
    `networks` each process has a network of its own, and must listen on more than loopback; without, they share the
    machine's.

    Raises Problem for a type that listens on a Unix socket: nobody on another machine reaches it.
    """
    workloads = tuple(_workload(each, networks) for each in app.types.values())
    secret = {name for name, value in config.items() if looks_secret(name, value)}
    router = app.settings.router
    return Description(
        name=app.name,
        image=images[0],
        router=images[1],
        release=release,
        workloads=workloads,
        release_command=app.release_command,
        config={name: config[name] for name in sorted(config.keys() - secret)},
        secrets={name: config[name] for name in sorted(secret)},
        request_timeout=router.request_timeout,
        queue_timeout=router.queue_timeout,
        max_body=router.max_body,
        certificate=router.certificate,
        networks=networks,
    )


def left_behind(app: App, config: Mapping[str, str]) -> str | None:
    """One sentence that names the variables which only `.env` sets, as that file stays where it is; None where there
    are none."""
    names = [each.name for each in app.dotenv if each.name not in config]
    if not names:
        return None
    return f".env stays on this machine: {few(names)} can be handed over by `fungible config set`"


def listening_everywhere(command: str) -> str:
    """The command with loopback addresses that it listens at opened: in a container of its own, loopback reaches
    nobody. `gunicorn -b 127.0.0.1:$PORT` becomes `gunicorn -b 0.0.0.0:$PORT`."""
    return _LOOPBACK_OPTION.sub(r"\g<1>0.0.0.0", _LOOPBACK.sub("0.0.0.0", command))


def check_attached(app: App, config: Mapping[str, str]) -> None:
    """Raises Problem for a backing service that is not there where an engine's processes are: one that only an
    embedded server or a file stands for."""
    for name, kind in app.settings.services.items():
        if name in config:
            continue
        is_file = kind_of_declaration(name, kind) in _FILES
        what = "is a file of this machine" if is_file else "serves this machine alone"
        raise Problem(
            f"services.{name}: the embedded {plain(kind)} {what}; attach a server that all machines reach: "
            f"fungible config set {name}=URL"
        )


def _workload(declared: ProcessType, networks: bool) -> Workload:
    if declared.listen == "unix":
        raise Problem(
            f'types.{declared.name}: it listens on a Unix socket, which reaches no other machine; set listen = "port"'
        )
    listens = declared.listen == "port"
    return Workload(
        name=declared.name,
        command=listening_everywhere(declared.command) if listens and networks else declared.command,
        processes=declared.processes,
        singleton=declared.singleton,
        port=PORT if listens else None,
        ready=declared.ready,
        memory=declared.memory or MEMORY,
        cpu=declared.cpu,
        files=declared.files,
        max_in_flight=declared.max_in_flight,
        stop_signal=declared.stop_signal,
        boot_timeout=declared.boot_timeout,
        drain_timeout=declared.drain_timeout,
        stop_timeout=declared.stop_timeout,
        lame_duck=LAME_DUCK if listens and networks else 0.0,
        max_age=declared.max_age,
        max_requests=declared.max_requests,
    )
