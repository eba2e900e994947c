"""An exported formation under a real systemd: what its processes can do, how it is rolled, what a kill costs."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fungible.engines.systemd.export import Options, export
from fungible.engines.systemd.quoting import assignment, word
from fungible.runtime.router.binary import find
from tests.engines.formations import shop
from tests.engines.systemd.machine import Machine, available, machine

pytestmark = [
    pytest.mark.skipif(available() is not None, reason=str(available())),
    pytest.mark.xdist_group("systemd"),
]
HERE = Path(__file__).parent
CONFIG = {"NASTY": "a \"b\" 'c' \\d $HOME `e` %n\n\ttab #f", "SECRET_KEY": 'hush "$X" \\n'}
_RANDOM = random.Random(6)
WORDS = ["", " ", "\x01\x1f\x7f", "$$ $A ${A} $$A", "%% %i %n", "\\ \\n \\\\", "'a' \"b\"", "; # a", "é€😀\u2028"]
WORDS += ["".join(_RANDOM.choices("%$\"'\\`;# \t\n\rAi{}()é", k=12)) for _ in range(300)]
VALUES = [text for text in WORDS if not re.search(r"[\x01-\x08\x0b-\x1f\x7f]", text)]
CLIENT = ("/usr/bin/python3", "/opt/client.py")


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The shop, started."""
    folder = tmp_path_factory.mktemp("machine")
    described = shop(tmp_path_factory.mktemp("shop"), CONFIG, networks=False)
    web, mail, clock = described.workloads
    idle = 'exec sleep 1000 # "%i" $(( 1 + 1 )) \\'
    described = replace(
        described,
        workloads=(
            replace(web, command="exec /usr/bin/python3 app.py", processes=2, scratch=1 << 20),
            replace(mail, command=f"OTHER='x' {idle}"),
            replace(clock, command=idle),
        ),
        release_command="echo ran >> $FUNGIBLE_SCRATCH/ran; test $FUNGIBLE_RELEASE = v3 && sleep 0.2",
    )
    files = dict(export(described, Options(haproxy="/opt/haproxy", first_port=20000)).files)
    files["etc/shop/secrets.env"] = "".join(assignment(*each) for each in described.secrets.items())
    files |= _other_units()
    files |= {"opt/shop/v3/app.py": (HERE / "app.py").read_text(), "opt/client.py": (HERE / "client.py").read_text()}
    haproxy = find()
    (folder / "opt").mkdir()
    shutil.copy(haproxy.path, folder / "opt/haproxy.real")
    for library in haproxy.environment.values():
        shutil.copytree(library, folder / "opt/lib")
    wrapper = '#!/bin/sh\nLD_LIBRARY_PATH=/opt/lib exec /opt/haproxy.real "$@"\n'
    (folder / "opt/haproxy").write_text(wrapper)
    for path in folder.rglob("*"):
        path.chmod(0o755)
    folder.parent.chmod(0o755)
    try:
        with machine(folder, files) as made:
            made.run("chmod", "0600", "/etc/shop/secrets.env")
            made.run("systemctl", "start", "shop.target")
            yield made
    except OSError as error:
        pytest.skip(str(error))


def _other_units() -> dict[str, str]:
    words = " ".join(word(text) for text in WORDS)
    unit = (
        "[Service]\nType=oneshot\nEnvironmentFile=/etc/words.env\nStandardOutput=file:/run/words.json\n"
        f"ExecStart=/usr/bin/python3 /opt/words.py {words}\n"
    )
    script = "import json, os, sys\nprint(json.dumps([sys.argv[1:], dict(os.environ)]))\n"
    values = "".join(assignment(f"V{number}", text) for number, text in enumerate(VALUES))
    holder = "[Service]\nExecStart=/usr/bin/python3 -m http.server --bind 127.0.0.1 20002\n"
    # One that says that it is to be asked, and ends while it boots.
    broken = "[Service]\nExecStart=\nExecStart=/bin/sh -c 'sleep 0.3; exit 1'\nRestart=no\n"
    return {
        "etc/systemd/system/shop-web@9.service.d/broken.conf": broken,
        "etc/systemd/system/holder.service": holder,
        "etc/systemd/system/words.service": unit,
        "opt/words.py": script,
        "etc/words.env": values,
    }


def asked(made: Machine, number: int, path: str = "/") -> list[dict[str, Any]]:
    """So many answers of the router, over one connection."""
    return [json.loads(line) for line in made.run(*CLIENT, str(number), path).stdout.splitlines()]


def test_one_connection_meets_every_process(booted: Machine) -> None:
    answers = asked(booted, 9)
    assert {each["name"] for each in answers} == {"web.1", "web.2"}
    assert all(one["name"] != other["name"] for one, other in pairwise(answers))
    assert len({each["uid"] for each in answers}) == 2


def test_a_process_keeps_nothing_and_meets_nothing_of_another(booted: Machine) -> None:
    pids = {each["name"]: each["pid"] for each in asked(booted, 2)}
    for said in asked(booted, 2, f"/tries?{pids['web.1']}"):
        if said["name"] == "web.1":  # its own
            assert said["tries"].pop("others") == "done"
            said["tries"]["others"] = "Operation not permitted"
        assert said["tries"] == {
            "root": "Read-only file system",
            "code": "Read-only file system",
            "settings": "Read-only file system",
            "scratch": "done",
            "too much": "No space left on device",
            "others": "Operation not permitted",
            "secrets": "Permission denied",
        }
        assert said["temporary"] == []
        environment = said["environment"]
        assert {name: environment[name] for name in CONFIG} == CONFIG
        assert environment["PORT"] == f"2000{said['name'][-1]}"
        assert environment["FUNGIBLE_RELEASE"] == "v3" and len(environment["FUNGIBLE_INSTANCE"]) == 32


def test_the_release_command_ran_once_and_before(booted: Machine) -> None:
    def told(unit: str, *names: str) -> list[str]:
        return [booted.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip() for name in names]

    done, result = told("shop-release.service", "ExecMainExitTimestampMonotonic", "Result")
    (begun,) = told("shop-web@1.service", "ExecMainStartTimestampMonotonic")
    assert result == "success" and 0 < int(done) <= int(begun)
    booted.run("systemctl", "start", "shop-release.service")
    assert told("shop-release.service", "ConditionResult", "ExecMainExitTimestampMonotonic") == ["no", done]


def test_words_and_values_reach_a_program_as_they_are(booted: Machine) -> None:
    booted.run("systemctl", "start", "words.service")
    words, environment = json.loads(booted.run("cat", "/run/words.json").stdout)
    assert words == WORDS
    assert [environment[f"V{number}"] for number in range(len(VALUES))] == VALUES


def test_a_process_does_not_start_at_a_port_that_another_program_holds(booted: Machine) -> None:
    booted.run("systemctl", "stop", "shop-web@2.service")
    booted.run("systemctl", "start", "holder.service")
    booted.run("bash", "-c", "until (exec 3<>/dev/tcp/127.0.0.1/20002) 2>/dev/null; do sleep 0.1; done")
    refused = booted.run("systemctl", "start", "shop-web@2.service", check=False)
    assert refused.returncode != 0
    booted.run("systemctl", "stop", "holder.service")
    booted.run("systemctl", "start", "shop-web@2.service")


def test_a_process_that_ends_while_it_boots_is_not_waited_for(booted: Machine) -> None:
    # 124 is what `timeout` says where the start is still waited for.
    failed = booted.run("timeout", "40", "systemctl", "start", "shop-web@9.service", check=False)
    assert failed.returncode not in (0, 124)


def test_a_roll_loses_nothing_and_waits_for_each(booted: Machine) -> None:
    before = {each["name"]: each["pid"] for each in asked(booted, 3)}
    load = booted.popen(*CLIENT, "0", "/")
    assert load.stdout is not None and load.stdout.readline() == "asking\n"
    one_by_one = [f"systemctl restart shop-web@{number}.service" for number in (1, 2, 1)]
    booted.run("sh", "-c", " && ".join(one_by_one))
    answered, lost = json.loads(load.communicate("")[0])
    assert lost == [] and answered > 0
    after = {each["name"]: each["pid"] for each in asked(booted, 6)}
    assert after.keys() == before.keys() and not set(after.values()) & set(before.values())


def test_a_killed_process_is_started_again_and_no_get_is_lost(booted: Machine) -> None:
    load = booted.popen(*CLIENT, "0", "/")
    assert load.stdout is not None and load.stdout.readline() == "asking\n"
    booted.run("systemctl", "kill", "-s", "KILL", "shop-web@2.service")
    booted.run("sh", "-c", "until [ $(systemctl is-active shop-web@2.service) = active ]; do sleep 0.1; done")
    answered, lost = json.loads(load.communicate("")[0])
    assert lost == [] and answered > 0
    booted.run("sh", "-c", f"until {' '.join(CLIENT)} 6 / | grep -q web.2; do sleep 0.1; done")


def test_the_router_takes_a_changed_configuration_over(booted: Machine) -> None:
    load = booted.popen(*CLIENT, "0", "/")
    assert load.stdout is not None and load.stdout.readline() == "asking\n"
    booted.run("systemctl", "reload", "shop-router.service")
    assert {each["name"] for each in asked(booted, 6)} == {"web.1", "web.2"}
    answered, lost = json.loads(load.communicate("")[0])
    assert lost == [] and answered > 0


def test_all_of_it_stops_with_the_target(booted: Machine) -> None:
    assert booted.run("systemctl", "is-active", "shop-clock.service", "shop-mail_sender@2.service").returncode == 0
    booted.run("systemctl", "stop", "shop.target")
    active = "systemctl list-units --plain --no-legend --state=active 'shop-*.service'"
    booted.run("sh", "-c", f'until [ -z "$({active})" ]; do sleep 0.1; done')
    booted.run("systemctl", "start", "shop.target")
