"""`fungible doctor`."""

from __future__ import annotations

from fungible.cli.common import Json


def doctor(json: Json = False) -> int:
    """Say what this machine allows: isolation levels, services, router."""
    from fungible.runtime.doctor import examine

    return examine(as_json=json)
