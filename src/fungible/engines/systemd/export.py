"""`fungible export systemd`: files as they lie on the machine, from its root. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fungible.app.problem import Problem
from fungible.engines.description import Description
from fungible.engines.exported import Exported
from fungible.engines.systemd.place import UNITS, Place, place
from fungible.engines.systemd.processes import PORT, process_unit, release_unit, target
from fungible.engines.systemd.quoting import assignment
from fungible.engines.systemd.ready import SCRIPT
from fungible.engines.systemd.router import FOLDER, router_files, router_unit

# `env_value_is_valid` of systemd: an assignment with another control character is dropped with a line in the log.
_REFUSED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class Options:
    """`port` is the router's, processes listen at loopback from `first_port` on (None: by the app's name, so that two
    apps on a machine hardly meet); `haproxy` is the path of one of 2.6 or later. `behind`: as for the router of an
    engine."""

    port: int = 8080
    first_port: int | None = None
    haproxy: str = "/usr/sbin/haproxy"
    behind: bool = False


def export(description: Description, options: Options) -> Exported:
    """Units, the router's configuration, config vars, the script that asks for readiness.

    Values of secrets are in none of them. The description is one without networks of their own. Raises Problem for a
    value that an environment file cannot hold, for ports that clients are given, and for names that meet.
    """
    _check_values({**description.config, **description.secrets})
    where = place(description, options.first_port)
    units = {
        f"{where.unit_of(each)}.service": process_unit(each, description, where) for each in description.workloads
    }
    settings: dict[str, str] = {}
    router = None
    if (web := description.web) is not None:
        router = f"{where.name}-router.service"
        units[router] = router_unit(description, where, web, options.haproxy, options.port)
        files = router_files(description, web, where, options.port, behind=options.behind)
        settings |= {f"{FOLDER}/{name}": text for name, text in files.items()}
    if where.bases:
        settings[PORT] = SCRIPT
    if description.release_command is not None:
        units[f"{where.name}-release.service"] = release_unit(description, where, description.release_command)
    units[f"{where.name}.target"] = target(description, where, router)
    if description.config:
        settings["config.env"] = "".join(assignment(name, value) for name, value in description.config.items())
    return Exported(
        {
            **{f"{UNITS}/{name}": text for name, text in units.items()},
            **{f"{where.settings.lstrip('/')}/{name}": text for name, text in settings.items()},
        },
        tuple(_notes(description, where)),
    )


def _check_values(values: Mapping[str, str]) -> None:
    for name, value in values.items():
        if _REFUSED.search(value):
            raise Problem(f"{name}: the value holds a control character, which systemd gives to no process")


def _notes(description: Description, where: Place) -> Iterator[str]:
    yield f"the release is expected in {where.code}, with its virtual environment in .venv there"
    for workload in description.workloads:
        if (base := where.bases.get(workload.name)) is not None and workload.processes:
            yield f"{workload.name}: loopback ports from {base + 1} on, one a process, which nobody else may use"
    if description.secrets:
        names = ", ".join(description.secrets)
        yield (
            f"secrets are in none of the files: write {where.settings}/secrets.env, mode 0600, with a line"
            f' NAME="VALUE" for each of {names}'
        )
    if left := [each.name for each in description.workloads if each.max_requests]:
        yield f"{', '.join(left)}: `max_requests` is left out, systemd has nothing like it"
    if description.certificate is not None:
        yield "router.certificate is left out: let a proxy before the router speak TLS"
    if description.web is not None and description.web.processes == 1:
        yield "web: with one process nobody answers while it is restarted; two or more are restarted in turn"
