"""Every kind of bad input, through the command line: one sentence, the right exit code, nothing on stdout."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping

import pytest

from fungible.cli import main
from fungible.sandbox.spawn import end_zygote
from tests.runtime.harness import Home

GOOD = "web: python server.py\nworker: python work.py\n"
START = ("start", "--port", "0")


def case(
    id: str,
    files: Mapping[str, str],
    arguments: tuple[str, ...],
    *fragments: str,
    code: int = 2,
    environment: Mapping[str, str] | None = None,
) -> object:
    return pytest.param(files, arguments, fragments, code, environment or {}, id=id)


def start(id: str, files: Mapping[str, str], *fragments: str, code: int = 2, **more: Mapping[str, str]) -> object:
    return case(id, files, START, *fragments, code=code, **more)


def toml(id: str, text: str, *fragments: str) -> object:
    return start(id, {"Procfile": GOOD, "fungible.toml": text}, "fungible.toml", *fragments)


def words(id: str, arguments: tuple[str, ...], *fragments: str, code: int = 2) -> object:
    return case(id, {"Procfile": GOOD}, arguments, *fragments, code=code)


CASES = [
    start("no-procfile", {}, "Procfile: there is no such file", "--web"),
    *(
        case(
            f"nothing-declared-{'-'.join(words)}",
            {".env": "A=1\n"},
            words,
            "Procfile: there is no such file",
            "--web",
        )
        for words in (
            ("build",),
            ("config",),
            ("config", "set", "A=1"),
            ("config", "unset", "A"),
            ("releases",),
            ("dashboard",),
            ("build", "--json", "--isolation", "none"),
        )
    ),
    case("nothing-declared-misspelt", {"procfile": GOOD}, ("config",), "rename it"),
    start("misspelt-procfile", {"procfile": GOOD}, "rename it"),
    start("empty-procfile", {"Procfile": ""}, "declares no process type"),
    start("release-alone", {"Procfile": "release: true\n"}, "only `release`"),
    start("no-colon", {"Procfile": "web: a\nworker\n"}, "Procfile:2:", "no colon"),
    start("no-command", {"Procfile": "web:\n"}, "Procfile:1:", "command is empty"),
    start("twice", {"Procfile": "web: a\nweb: b\n"}, "Procfile:2:", "already declared"),
    start("merge-marker", {"Procfile": "<<<<<<< HEAD\nweb: a\n"}, "Procfile:1:", "merge conflict"),
    start("not-utf-8", {"Procfile": "web: \udcff\n"}, "Procfile:1:", "UTF-8"),
    toml("no-toml", "x = \n", "fungible.toml:1"),
    toml("unknown-key", "isolatoin = 'full'\n", "isolatoin", "isolation"),
    toml("unknown-type", "[types.wbe]\nprocesses = 2\n", "wbe", "web"),
    toml("wrong-kind", "[types.web]\nprocesses = 'two'\n", "types.web.processes"),
    toml("negative", "[types.web]\nprocesses = -1\n", "processes"),
    toml("bad-duration", "boot_timeout = 'soon'\n", "boot_timeout"),
    toml("bad-size", "[types.web]\nmemory = '12 bananas'\n", "memory"),
    toml("bad-signal", "[types.web]\nstop_signal = 'STOPP'\n", "stop_signal"),
    toml("bad-level", "isolation = 'fulll'\n", "isolation"),
    toml("bad-service", "[services]\nX = 'oracle'\n", "services.X"),
    toml("bad-service-name", "[services]\n'1X' = 'valkey'\n", "1X"),
    toml("two-singletons", "[types.web]\nsingleton = true\nprocesses = 2\n", "singleton"),
    toml("ready-without-listening", "[types.worker]\nready = '/x'\n", "listen"),
    start(
        "two-settings-files",
        {"Procfile": GOOD, "fungible.toml": "", "pyproject.toml": "[tool.fungible]\n"},
        "keep one",
    ),
    start("bad-dotenv", {"Procfile": GOOD, ".env": "A=1\nnonsense\n"}, ".env:2"),
    start("unknown-reference", {"Procfile": GOOD, ".env": "A=1\nB=${NOPE_NOT}\n"}, ".env:2", "NOPE_NOT"),
    start(
        "no-certificate", {"Procfile": GOOD, "fungible.toml": "[router]\ncertificate = 'cert.pem'\n"}, "certificate"
    ),
    start(
        "a-certificate-that-is-none",
        {"Procfile": GOOD, "cert.pem": "hello", "fungible.toml": "[router]\ncertificate = 'cert.pem'\n"},
        "certificate",
    ),
    case("bad-port-variable", {"Procfile": GOOD}, ("start",), "FUNGIBLE_PORT", environment={"FUNGIBLE_PORT": "many"}),
    words("unknown-type-wanted", (*START, "wbe=2"), '"wbe"', "web"),
    words("no-number", (*START, "web"), "web=2"),
    words("a-negative-number", (*START, "--", "web=-1"), "negative"),
    words("not-a-number", (*START, "web=two"), '"two"'),
    words("too-many", (*START, "web=100000"), "at most 1000"),
    words("a-type-twice", (*START, "web=1", "web=2"), "twice"),
    words("release-wanted", (*START, "release=1"), "release"),
    words("port-too-large", ("start", "--port", "70000"), "--port", "70000 is not between 0 and 65535 ("),
    words("port-no-number", ("start", "--port", "http"), "--port", "whole number"),
    words("no-such-host", (*START, "--host", "no-such-host.invalid"), "--host no-such-host.invalid"),
    words("a-foreign-address", (*START, "--host", "192.0.2.1"), "192.0.2.1", code=3),
    words("no-such-level", (*START, "--isolation", "ful"), "--isolation", "ful"),
    words("bad-time-option", (*START, "--stop-timeout", "soon"), "--stop-timeout", "soon"),
    case(
        "bad-level-variable", {"Procfile": GOOD}, START, "FUNGIBLE_ISOLATION", environment={"FUNGIBLE_ISOLATION": "x"}
    ),
    words("empty-web", (*START, "--web", " "), "--web", "empty"),
    words("unknown-option", ("start", "--prot", "1"), "--prot"),
    words("unknown-verb", ("strat",), "strat"),
    words("no-such-folder", (*START, "--app", "nowhere"), "nowhere", "no such folder"),
    words("a-file-for-a-folder", (*START, "--app", "server.py"), "server.py", "is a file"),
    words("run-nothing", ("run",), "COMMAND"),
    words("run-no-such-program", ("run", "--", "no-such-program"), "no-such-program", "PATH"),
    words("run-no-such-type", ("run", "--type", "wbe", "--", "true"), "wbe", "web"),
    words("run-no-such-file", ("run", "--", "./nope"), "nope", code=3),
    case(
        "a-state-folder-that-cannot-be",
        {"Procfile": GOOD},
        START,
        "cannot make the folder /proc/nowhere/fungible",
        code=3,
        environment={"XDG_STATE_HOME": "/proc/nowhere"},
    ),
]


@pytest.mark.parametrize(("files", "arguments", "fragments", "code", "environment"), CASES)
def test_bad_input(
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    files: Mapping[str, str],
    arguments: tuple[str, ...],
    fragments: tuple[str, ...],
    code: int,
    environment: Mapping[str, str],
) -> None:
    """In this process: starting an interpreter for each takes longer than all else."""
    for name, text in files.items():
        (home.app / name).write_bytes(os.fsencode(text))
    home.environment = dict(environment)
    monkeypatch.chdir(home.app)
    for name in os.environ:
        monkeypatch.delenv(name)
    for name, value in home.variables.items():
        monkeypatch.setenv(name, value)
    end_zygote()  # what another test left would write to that one's stderr
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    end_zygote()
    said = capfd.readouterr()
    assert (ended.value.code, said.out) == (code, ""), said.err
    lines = [line for line in said.err.splitlines() if " fungible     | " not in line]
    assert len(lines) == 1, said.err
    assert lines[0].startswith("fungible: ")
    for fragment in fragments:
        assert fragment in lines[0]
    assert not re.search(r"[.?!;:,][.;:,]|[a-z\"] Did you mean", lines[0].replace("..", "")), "punctuation"
    assert home.left == []


def test_the_command_itself_says_it_so(home: Home) -> None:
    done = home.run(*START)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("fungible: Procfile: there is no such file")
    assert done.stderr.count("\n") == 1


def test_there_are_many() -> None:
    assert len(CASES) >= 30


@pytest.mark.parametrize("option", ["port", "metrics-port"])
def test_a_port_in_use_is_named_before_anything_is_done(home: Home, option: str) -> None:
    done_at = home.base / "home" / "migrated"
    settings = 'isolation = "none"\nbuild = ["echo built"]\n[services]\nSTORE = "folder"\n'
    home.write({"Procfile": f"{GOOD}release: touch {done_at}\n", "fungible.toml": settings})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = home.run(*(START if option != "port" else ("start",)), f"--{option}", str(port))
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.splitlines()[-1].startswith(f"fungible: port {port} of 127.0.0.1 is in use")
    assert "built" not in done.stderr
    assert not done_at.exists()
    assert not list(home.base.glob("state/fungible/*/releases/*")), "no release is made"
    assert home.left == []


def test_a_file_that_cannot_be_read_is_named(home: Home) -> None:
    if os.geteuid() == 0:
        from tests.runtime.test_share_nothing import as_ordinary_user

        as_ordinary_user(home)
    home.write({"Procfile": GOOD})
    (home.app / "closed").mkdir(mode=0o000)
    (home.app / "closed").chmod(0o000)
    done = home.run(*START)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{home.app}/closed: cannot be copied into a release (Permission denied)" in done.stderr.splitlines()[-1]


def test_no_arguments_give_the_help(home: Home) -> None:
    done = home.run("--help")
    assert done.returncode == 0
    for verb in ("start", "run", "doctor"):
        assert verb in done.stdout


def test_the_version_is_told(home: Home) -> None:
    assert home.run("--version").stdout.startswith("fungible ")


def test_doctor_says_what_the_machine_allows(home: Home) -> None:
    import json

    done = home.run("doctor")
    assert done.returncode == 0
    for word in ("isolation", "HAProxy", "valkey", "sqlite"):
        assert word in done.stdout
    found = json.loads(home.run("doctor", "--json").stdout)
    assert found["isolation"]["auto"] == found["isolation"]["allowed"][0]
    assert {service["kind"] for service in found["services"]} >= {"valkey", "sqlite", "folder"}
    assert not list((home.base / "state" / "fungible").iterdir())
