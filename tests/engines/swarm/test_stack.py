"""The stack of a formation: as users get it, and what holds of every one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given

from fungible.engines.description import Description
from fungible.engines.swarm.history import secret_name
from fungible.engines.swarm.stack import STACK, Published, stack_files
from tests.check.manifest_sources import shown
from tests.engines.formations import descriptions, shop
from tests.engines.golden import hold

pytestmark = pytest.mark.pure
GOLDEN = Path(__file__).parent / "golden"


def _files(description: Description, published: Published | None = None) -> dict[str, str]:
    secrets = {name: secret_name(description.name, "v3", name) for name in description.secrets}
    return stack_files(description, published or Published(), secrets)


def _stack(files: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(files[STACK])
    return found


def test_golden(tmp_path: Path) -> None:
    hold(GOLDEN, _files(shop(tmp_path)))


def test_check_finds_nothing_in_it(tmp_path: Path) -> None:
    files = _files(shop(tmp_path))
    assert shown("compose.yml", files[STACK], ("haproxy.cfg", files["router/haproxy.cfg"])) == []


@given(descriptions())
def test_every_process_shares_nothing_and_every_router_stays(description: Description) -> None:
    files = _files(description)
    stack = _stack(files)
    for workload in description.workloads:
        service = stack["services"][workload.name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["user"] == "10001:10001"
        assert [each["type"] for each in service["volumes"]] == ["tmpfs"]
        assert service["deploy"]["endpoint_mode"] == "dnsrr"
        assert "ports" not in service
        wanted = "stop-first" if workload.singleton else "start-first"
        assert service["deploy"]["update_config"]["order"] == wanted
        assert service["deploy"]["rollback_config"]["order"] == wanted
        assert int(service["stop_grace_period"][:-1]) >= workload.grace
        assert ("healthcheck" in service) == (workload.port is not None)
        assert service["command"] == [workload.name]
        # What the file and Swarm would fill in is undone as they undo it.
        said = {
            name: value.replace("$$", "$").replace('{{"{{"}}', "{{") for name, value in service["environment"].items()
        }
        assert {name: said[name] for name in description.config} == dict(description.config)
    others = set(stack["services"]) - {each.name for each in description.workloads}
    assert len(others) == (1 if description.web is not None else 0)
    assert all(stack["services"][each]["image"] == description.router for each in others)
    whole = json.dumps(files)
    assert not any(value in whole for value in description.secrets.values())


@given(descriptions())
def test_names_are_such_as_swarm_takes(description: Description) -> None:
    stack = _stack(_files(description))
    for kind in ("configs", "secrets"):
        named = [each["name"] for each in stack.get(kind, {}).values()]
        assert len(set(named)) == len(named)
        assert all(len(name) <= 64 for name in named)


def test_a_published_port_is_the_routers_alone(tmp_path: Path) -> None:
    description = shop(tmp_path)
    mesh = _stack(_files(description, Published(8080)))["services"]["router"]
    assert (mesh["ports"][0]["published"], mesh["ports"][0]["mode"]) == (8080, "ingress")
    assert (mesh["deploy"]["replicas"], mesh["deploy"]["update_config"]["order"]) == (2, "start-first")
    host = _stack(_files(description, Published(8080, host=True)))["services"]["router"]
    assert (host["ports"][0]["mode"], host["deploy"]["mode"]) == ("host", "global")
    assert host["deploy"]["update_config"]["order"] == "stop-first"
