"""A formation on a real swarm: deployed, rolled, scaled, killed, gone back, under a load of which nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines.image.app import shop
from tests.engines.swarm.deployed import Deployed
from tests.engines.swarm.node import node

pytestmark = [pytest.mark.xdist_group("swarm"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with node(tmp_path_factory.mktemp("node")) as engine, shop() as app:
        deployed = Deployed(app, engine)
        deployed.fungible("config", "set", "PLAN=a$b {{c}}", "API_TOKEN=hunter2hunter2")
        deployed.deploy()
        yield deployed


def test_each_request_meets_another_process_and_each_shares_nothing(there: Deployed) -> None:
    by = [there.get("/").split("/")[0] for _ in range(6)]
    assert sorted(by) == sorted([f"web.{number}" for number in (1, 2, 3)] * 2)
    assert by[:3] == by[3:]
    tries = there.get("/tries")
    assert tries == "Read-only file system, Read-only file system, written, written, 10001, a$b {{c}}, hunter2hunter2"
    told = there.node.docker("service", "inspect", "shop_web") + there.node.docker(
        "config", "inspect", *_configs(there)
    )
    assert "hunter2" not in told
    assert "at work" in there.fungible("logs", "worker", "--engine", "swarm").stdout


def test_a_roll_a_scale_and_a_way_back_lose_nothing(there: Deployed) -> None:
    before = there.ps()
    assert {each["name"] for each in before["processes"] if each["type"] != "router"} == {
        *("web.1", "web.2", "web.3"),
        "worker.1",
    }
    found: dict[str, Any] = {}
    with there.load(found):
        there.app.edit("server.py", '"one"', '"two"')
        done = there.deploy()
        new = json.loads(done.stdout)["release"]
        assert there.ps()["release"] == new != before["release"]
        there.fungible("scale", "web=2", "--engine", "swarm")
        assert sum(each["type"] == "web" for each in there.ps()["processes"]) == 2
        there.fungible("rollback", "--engine", "swarm")
        back = there.ps()
        assert back["release"] == before["release"]
        assert sum(each["type"] == "web" for each in back["processes"]) == 3
    assert found["lost"] == []
    assert set(found["kinds"]) == {"fresh GET", "fresh POST", "kept GET", "kept POST"}
    served = {tuple(name.split("/")[1:]) for name in found["by"]}
    assert served == {(before["release"], "one"), (new, "two")}
    assert there.get("/").split()[0].endswith("/one")
    forward = there.fungible("rollback", "--engine", "swarm", code=1)
    assert f"no release before {before['release']} is kept; kept are {new}" in forward.stderr
    listed = json.loads(there.fungible("releases", "--engine", "swarm", "--json").stdout)["releases"]
    assert [(each["release"], each["running"]) for each in listed] == [(new, False), (before["release"], True)]


def test_a_release_that_does_not_become_ready_is_taken_back_as_a_whole(there: Deployed) -> None:
    there.fungible("scale", "web=2", "--engine", "swarm")
    before = there.ps()
    found: dict[str, Any] = {}
    there.app.edit("server.py", "import os", "raise SystemExit('no way')\nimport os")
    with there.load(found):
        done = there.deploy(code=1)
    assert done.stdout == ""
    assert "fungible: web: the new release did not become ready" in done.stderr
    assert "| no way" in done.stderr
    after = there.ps()
    assert after["release"] == before["release"]
    # As many of each type as before; which number a process has is Swarm's to say.
    assert sorted(each["type"] for each in after["processes"]) == sorted(each["type"] for each in before["processes"])
    assert found["lost"] == []
    there.app.edit("server.py", "raise SystemExit('no way')\n", "")


def test_a_release_command_that_fails_deploys_nothing(there: Deployed) -> None:
    there.app.edit("Procfile", "release: python", "release: echo sorry; exit 4; python")
    before = there.ps()
    done = there.deploy(code=1)
    assert "| sorry" in done.stderr
    assert "fungible: release: the command failed, so nothing was deployed" in done.stderr
    assert there.ps() == before
    there.app.edit("Procfile", "echo sorry; exit 4; ", "")


def test_what_cannot_be_is_one_sentence(there: Deployed, tmp_path: Path) -> None:
    wrong = there.fungible("rollback", "v9", "--engine", "swarm", code=2)
    assert wrong.stderr.startswith("fungible: v9: it is not kept; kept are ")
    wrong = there.fungible("scale", "wbe=2", "--engine", "swarm", code=2)
    assert 'Did you mean "web"?' in wrong.stderr
    wrong = there.fungible("ps", "--engine", "nomad", code=2)
    assert wrong.stderr == "fungible: --engine nomad: swarm is the one that is known here\n"
    no_engine = there.app.fungible("deploy", "swarm", code=3, DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert no_engine.stderr.startswith("fungible: docker info: ")
    assert no_engine.stderr.count("\n") == 1


def _configs(there: Deployed) -> list[str]:
    return there.node.docker("config", "ls", "--quiet").split()
