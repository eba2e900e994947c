"""What is exported for systemd: golden files, quoting, and what holds of every formation."""

from __future__ import annotations

import os
import re
import shutil
import string
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fungible.app.problem import Problem
from fungible.engines.description import Description
from fungible.engines.systemd.export import Options, export
from fungible.engines.systemd.quoting import assignment, word
from fungible.runtime.router.binary import find
from tests.check.manifest_sources import shown
from tests.engines.formations import descriptions, shop
from tests.engines.golden import hold

GOLDEN = Path(__file__).parent / "golden"
_COMMAND = st.text(string.printable, min_size=1, max_size=60).filter(str.strip)


def read_word(text: str) -> str:
    """The word that a program gets of an `Exec` line's only word, as systemd's manual describes it: unquoted and
    unescaped, then specifiers, then variables."""
    assert text[0] == text[-1] == '"' and "\n" not in text
    unescaped = re.sub(r"\\(x[0-9a-f]{2}|.)", lambda match: _character(match[1]), text[1:-1])
    assert re.search(r'(?<!\\)(\\\\)*"', text[1:-1]) is None
    plain = re.sub(r"%(.)", lambda match: {"%": "%", "i": "1"}[match[1]], unescaped)
    return re.sub(r"\$(.)", lambda match: {"$": "$"}[match[1]], plain)


def read_assignments(text: str) -> Mapping[str, str]:
    """An environment file whose values are all in double quotes: there a backslash escapes four characters and is
    kept before all others."""
    found = re.compile(r'(\w+)="((?:\\.|[^\\"])*)"\n', re.DOTALL)
    assert found.sub("", text) == ""
    return {match[1]: re.sub(r'\\([\\"`$])', r"\1", match[2]) for match in found.finditer(text)}


def directives(text: str) -> Iterator[tuple[str, str]]:
    """The settings of a unit."""
    for line in text.splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            yield key, value


def units(files: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The services by name, each with the last value of its settings."""
    return {Path(path).name: dict(directives(text)) for path, text in files.items() if path.endswith(".service")}


@pytest.mark.pure
def test_the_files_of_a_small_formation(tmp_path: Path) -> None:
    exported = export(shop(tmp_path, networks=False), Options())
    hold(GOLDEN, {path: text for path, text in exported.files.items() if "/router/" not in path})
    assert {path for path in exported.files if "/router/" in path} == {
        "etc/shop/router/haproxy.cfg",
        "etc/shop/router/answers.map",
        "etc/shop/router/cause.map",
    }
    base = export(shop(tmp_path, networks=False), Options(first_port=20000)).files["etc/shop/router/haproxy.cfg"]
    assert re.search(r"server web.3 127.0.0.1:20003 ", base)
    servers = re.findall(r"^  server (.*) check", exported.files["etc/shop/router/haproxy.cfg"], re.MULTILINE)
    assert servers == [f"web.{number} 127.0.0.1:{20700 + number}" for number in (1, 2, 3)]
    assert exported.notes == (
        "the release is expected in /opt/shop/v3, with its virtual environment in .venv there",
        "web: loopback ports from 20701 on, one a process, which nobody else may use",
        "secrets are in none of the files: write /etc/shop/secrets.env, mode 0600, with a line"
        ' NAME="VALUE" for each of SECRET_KEY',
    )


@pytest.mark.pure
def test_processes_that_share_a_machine_stay_on_loopback(tmp_path: Path) -> None:
    files = export(shop(tmp_path, networks=False), Options()).files
    assert not any("0.0.0.0" in text for text in files.values())


@pytest.mark.pure
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_a_word_reaches_the_program_as_it_is(text: str) -> None:
    assert read_word(word(text)) == text


@pytest.mark.pure
@given(st.dictionaries(st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), st.text()))
def test_an_environment_file_gives_the_very_values(values: dict[str, str]) -> None:
    assert read_assignments("".join(assignment(*each) for each in values.items())) == values


@pytest.mark.pure
@settings(max_examples=60)
@given(descriptions(_COMMAND))
def test_every_process_is_kept_apart(described: Description) -> None:
    try:
        files = export(replace(described, networks=False), Options()).files
    except Problem as problem:
        assert "control character" in problem.message or "unit of its own" in problem.message
        return
    for text in files.values():
        for value in described.secrets.values():
            assert value not in text
    found = units(files)
    users = [found[name]["User"] for name in found if name.endswith(("-router.service", "-release.service"))]
    for workload in described.workloads:
        name = f"{described.name}-{workload.name}" + ("" if workload.singleton else "@")
        unit = found[f"{name}.service"]
        for key, value in (("ProtectSystem", "strict"), ("DynamicUser", "yes"), ("KillMode", "control-group")):
            assert unit[key] == value
        assert "/run/scratch:size=" in unit["TemporaryFileSystem"]
        assert int(unit["MemoryMax"]) >= workload.memory
        assert unit["Restart"] == "always" and unit["StartLimitIntervalSec"] == "0"
        assert unit["KillSignal"] == f"SIG{workload.stop_signal}"
        assert int(unit["TimeoutStopSec"]) >= workload.grace
        user = unit["User"].replace("%i", "1000")
        assert re.fullmatch(r"[a-z][a-z0-9-]{0,30}", user)
        users.append(unit["User"].replace("%i", "1"))
        shell = unit["ExecStart"].removeprefix("/bin/sh -c ")
        assert read_word(shell).endswith(workload.command)
        assert unit["ExecStart"].count("\n") == 0
    assert len(set(users)) == len(users)


@pytest.mark.pure
def test_types_of_names_alike_have_users_of_their_own(tmp_path: Path) -> None:
    described = shop(tmp_path, networks=False)
    worker = described.workloads[1]
    names = ("router", "mail_sender", "mail-sender", "Mail-Sender", "mail--sender")
    types = (described.workloads[0], *(replace(worker, name=name) for name in names))
    found = units(export(replace(described, workloads=types), Options()).files)
    users = [unit["User"] for unit in found.values() if "User" in unit]
    assert len(set(users)) == len(users) == len(types) + 2


@pytest.mark.pure
def test_what_cannot_be_on_one_machine(tmp_path: Path) -> None:
    described = shop(tmp_path, networks=False)
    web = described.workloads[0]
    with pytest.raises(Problem, match="GREETING: the value holds a control character"):
        export(replace(described, config={"GREETING": "a\rb"}), Options())
    with pytest.raises(Problem, match="web: port 32769 is one that the kernel gives to clients"):
        export(replace(described, workloads=(replace(web, processes=769),)), Options(first_port=32000))
    with pytest.raises(Problem, match='"router" is the name of a unit of its own'):
        export(replace(described, workloads=(replace(web, name="router", singleton=True),)), Options())
    with pytest.raises(Problem, match="cannot be the name of a folder"):
        export(replace(described, release="a b"), Options())


@pytest.mark.pure
def test_check_finds_nothing_in_it(tmp_path: Path) -> None:
    (path, text), *others = export(shop(tmp_path, networks=False), Options()).files.items()
    assert shown(path, text, *others) == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    files = export(shop(tmp_path, networks=False), Options(haproxy="/bin/true")).files
    paths = []
    for path, text in files.items():
        if path.startswith("etc/systemd/"):
            (tmp_path / Path(path).name).write_text(text)
            paths.append(tmp_path / Path(path).name)
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *paths], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    secure = ["systemd-analyze", "security", "--offline=true", "--threshold=17", tmp_path / "shop-web@.service"]
    done = subprocess.run(secure, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def test_haproxy_takes_the_configuration_of_the_router(tmp_path: Path) -> None:
    for path, text in export(shop(tmp_path, networks=False), Options()).files.items():
        if "/router/" in path:
            (tmp_path / Path(path).name).write_text(text)
    haproxy = find()
    done = subprocess.run(
        [haproxy.path, "-c", "-C", tmp_path, "-f", "haproxy.cfg"],
        capture_output=True,
        text=True,
        env={**os.environ, **haproxy.environment},
    )
    assert done.returncode == 0, done.stderr


def _character(escape: str) -> str:
    return chr(int(escape[1:], 16)) if escape[0] == "x" and len(escape) == 3 else {"\\": "\\", '"': '"'}[escape]
