"""The unit of a process type, of the release command, and the target that joins them."""

from __future__ import annotations

import math

from fungible.engines.description import Description, Workload
from fungible.engines.systemd.place import Place
from fungible.engines.systemd.quoting import inner
from fungible.engines.systemd.sandbox import CONFINED, folders, made_folders
from fungible.engines.systemd.unit import Section, unit
from fungible.runtime.ground.confinement import shell_command

PORT = "port"
_JITTER = 0.1
_START_UP = 5  # seconds beside the boot, for systemd's own part
_PATH = "/usr/local/bin:/usr/bin:/bin"


def process_unit(workload: Workload, description: Description, place: Place) -> str:
    """The unit of a process type: a template whose `%i` is the number of the process, or, for a singleton, a unit of
    which systemd never runs two."""
    number = "1" if workload.singleton else "%i"
    base = place.bases.get(workload.name)
    told = [("Environment", f"FUNGIBLE_PROCESS={workload.name}.{number}")]
    started = ["export FUNGIBLE_INSTANCE=$INVOCATION_ID", made_folders()]
    if base is not None:
        started.insert(0, f"export PORT=$(({base} + NUMBER))")
    sections = {
        "Unit": (
            ("Description", f"{place.name} {workload.name}.{number}"),
            ("PartOf", f"{place.name}.target"),
            *_after(description, place),
            ("#", "It is started again as often as it ends."),
            ("StartLimitIntervalSec", "0"),
        ),
        "Service": (
            ("Type", "exec"),
            ("WorkingDirectory", place.code),
            *environment(description, place),
            *told,
            ("ExecStart", _shell(started, workload.command, number)),
            *(_asked(workload, place, base, number) if base is not None else ()),
            ("Restart", "always"),
            ("RestartSec", "1s"),
            *_stop(workload),
            *_limits(workload),
            *CONFINED,
            ("User", f"{place.user(workload.name)}-{number}"),
            *folders(workload.scratch),
        ),
    }
    return unit(_why(workload), sections)


def release_unit(description: Description, place: Place, command: str) -> str:
    """The release command: once for each release, before the first process of it."""
    largest = description.largest
    done = f"/var/lib/{place.name}/{place.release}"
    sections = {
        "Unit": (
            ("Description", f"{place.name} release command of {place.release}"),
            *_WAITING,
            ("#", "Written when it has succeeded: whatever needs it finds it done."),
            ("ConditionPathExists", f"!{done}"),
        ),
        "Service": (
            ("Type", "oneshot"),
            ("WorkingDirectory", place.code),
            *environment(description, place),
            ("Environment", "FUNGIBLE_PROCESS=release.1"),
            ("ExecStart", _shell(["export FUNGIBLE_INSTANCE=$INVOCATION_ID", made_folders()], command, "1")),
            ("ExecStartPost", f'+/bin/sh -c "mkdir -p /var/lib/{place.name} && touch {done}"'),
            ("MemoryMax", str(largest.memory + largest.scratch)),
            *CONFINED,
            ("User", f"{place.user('release')}-1"),
            *folders(largest.scratch),
        ),
    }
    return unit("The release command, before any process of its release; where it fails, none is started.", sections)


def target(description: Description, place: Place, router: str | None) -> str:
    """What is started, stopped and enabled as one."""
    wanted = [name for each in description.workloads for name in place.instances(each)]
    wanted += [router] if router is not None else []
    sections = {
        "Unit": (
            ("Description", f"{place.name} {place.release}"),
            *(("Wants", name) for name in wanted),
        ),
        "Install": (("WantedBy", "multi-user.target"),),
    }
    return unit("The formation: each process by its name.", sections)


def environment(description: Description, place: Place) -> Section:
    """What processes are given, then config vars, which win over mere defaults, then secrets."""
    given = {"PATH": f"{place.code}/.venv/bin:{_PATH}", **description.given}
    files = [
        name for name, there in (("config.env", description.config), ("secrets.env", description.secrets)) if there
    ]
    return (
        *(("Environment", f"{name}={value}") for name, value in given.items()),
        *(("EnvironmentFile", f"{place.settings}/{name}") for name in files),
    )


_WAITING: Section = (("Wants", "network-online.target"), ("After", "network-online.target"))


def _after(description: Description, place: Place) -> Section:
    if description.release_command is None:
        return _WAITING
    release = f"{place.name}-release.service"
    return (*_WAITING, ("Requires", release), ("After", release))


def _shell(first: list[str], command: str, number: str) -> str:
    """The line that runs `command` as the run stage does: by `sh`, and in its place where it is a simple command, so
    that it gets signals itself. NUMBER in what comes `first` is the number of the process."""
    line = shell_command(command)[-1]
    steps = [inner(step).replace("NUMBER", number) for step in first]
    return f'/bin/sh -c "{"; ".join([*steps, inner(line)])}"'


def _asked(workload: Workload, place: Place, base: int, number: str) -> Section:
    """A start that is done when the process is ready, so that whoever starts one after the other never goes on too
    early."""
    path = inner(workload.ready or "-")
    return (
        ("#", "Started is ready: this waits for a complete answer."),
        ("ExecStartPre", f"/bin/bash {place.settings}/{PORT} free {base} {number}"),
        ("ExecStartPost", f'/bin/bash {place.settings}/{PORT} ready {base} {number} "{path}"'),
        ("TimeoutStartSec", str(math.ceil(workload.boot_timeout) + _START_UP)),
    )


def _stop(workload: Workload) -> Section:
    age: list[tuple[str, str]] = []
    if workload.max_age is not None:
        seconds = max(1, round(workload.max_age))
        age = [("RuntimeMaxSec", str(seconds)), ("RuntimeRandomizedExtraSec", str(max(1, round(seconds * _JITTER))))]
    return (
        ("#", "The whole group is asked to stop, waited for, and then killed."),
        ("KillMode", "control-group"),
        ("KillSignal", f"SIG{workload.stop_signal}"),
        ("TimeoutStopSec", str(max(1, math.ceil(workload.grace)))),
        *age,
    )


def _limits(workload: Workload) -> Section:
    limits = [("MemoryMax", str(workload.memory + workload.scratch))]
    if workload.cpu is not None:
        limits.append(("CPUQuota", f"{max(1, round(workload.cpu * 100))}%"))
    if workload.files is not None:
        limits.append(("LimitNOFILE", str(workload.files)))
    return limits


def _why(workload: Workload) -> str:
    kept = "keeps nothing: its disk is read-only, what it writes is memory of its own and goes with it"
    if workload.singleton:
        return f"{workload.name}, a singleton: a unit and no template, so that there are never two. It {kept}."
    return f"A process of {workload.name}; %i is its number. It {kept}."
