"""Every kind of bad input is one sentence that names the place, and exit code 2."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from fungible.app.environment import compose, parse_assignment
from fungible.app.formation import parse_formation
from fungible.app.load import load_app
from fungible.app.problem import Exit, Problem

pytestmark = pytest.mark.pure

GOOD = "web: gunicorn shop:app\nworker: python work.py\n"


def bad(files: dict[str, str | bytes], *fragments: str, id: str) -> object:
    return pytest.param(files, fragments, id=id)


def settings(text: str, *fragments: str, id: str) -> object:
    return bad({"Procfile": GOOD, "fungible.toml": text}, "fungible.toml", *fragments, id=id)


def procfile(text: str | bytes, *fragments: str, id: str) -> object:
    return bad({"Procfile": text}, "Procfile", *fragments, id="procfile-" + id)


def dotenv(text: str | bytes, *fragments: str, id: str) -> object:
    return bad({"Procfile": GOOD, ".env": text}, ".env", *fragments, id="dotenv-" + id)


FOLDERS = [
    bad({}, "Procfile: there is no such file", "--web '", id="nothing"),
    bad({"procfile": GOOD}, "procfile", "must be named Procfile", id="procfile-misspelt"),
    procfile("", "declares no process type", id="empty"),
    procfile("\n# only a comment\n  \n", "declares no process type", id="comments-alone"),
    procfile("release: make db\n", "only `release`", id="release-alone"),
    procfile("web: a\nweb server: b\n", ":2:", '"web server" is no name', id="bad-name"),
    procfile("-web: a\n", ":1:", '"-web" is no name', id="dash-first"),
    procfile("é: a\n", ":1:", '"é" is no name', id="not-ascii"),
    procfile(f"{'w' * 64}: a\n", ":1:", "1 to 63", id="long-name"),
    procfile(": a\n", ":1:", '"" is no name', id="no-name"),
    procfile("web: a\n\n# x\nworker b\n", ":4:", "no colon", id="no-colon"),
    procfile("web: a\nworker:  \t\n", ":2:", "command is empty", id="no-command"),
    procfile("web: a\nworker: b\nweb: c\n", ":3:", '"web" is already declared in line 1', id="twice"),
    procfile("<<<<<<< HEAD\nweb: a\n", ":1:", "merge conflict marker", id="merge-ours"),
    procfile("web: a\n=======\nweb: b\n", ":2:", "merge conflict marker", id="merge-middle"),
    procfile("web: a\n>>>>>>> theirs: x\n", ":2:", "merge conflict marker", id="merge-theirs"),
    procfile("||||||| base\n", ":1:", "merge conflict marker", id="merge-base"),
    procfile("web: a\n  worker: b\n", ":2:", "starts with white space", id="indented"),
    procfile("web: a\nworker: b\0c\n", ":2:", "NUL byte", id="nul"),
    procfile("web: a\x1b[31m\n", ":1:", "control character", id="control"),
    procfile("web: a \\\n  --port 1\n", ":1:", "ends with a backslash", id="continued"),
    procfile("\ufeffweb: a\n", ":1:", "byte order mark", id="bom"),
    procfile(GOOD.encode("utf-16"), ":1:", "not UTF-8", id="utf-16"),
    procfile(b"web: a\nworker: \xff\n", ":2:", "not UTF-8", id="latin-1"),
    procfile(f"web: {'x' * 140_000}\n", ":1:", "longer than", id="long-command"),
    procfile("#" * (1 << 20) + "\nweb: a\n", "longer than", id="long-file"),
    procfile("".join(f"t{n}: a\n" for n in range(201)), ":201:", "more than 200", id="many-types"),
    settings("[types.web\n", ":1:", "not TOML", id="toml"),
    settings("build = []\nrelease = 'a'\nrelease = 'b'\n", ":3:", "not TOML", id="toml-key-twice"),
    settings("a = " + "[" * 5000, "nested too deeply", id="toml-deep"),
    settings("a = " + "9" * 5000, "too many digits", id="toml-digits"),
    settings("boot_timout = '5s'", "boot_timout is not a setting", 'mean "boot_timeout"?', id="misspelt-key"),
    settings("types.web.proceses = 1", "types.web.proceses", 'mean "processes"?', id="misspelt-inner-key"),
    settings("queue_timeout = '5s'", "queue_timeout", 'mean "router.queue_timeout"?', id="misplaced-key"),
    settings("xyzzy = 1", "xyzzy is not a setting", "Known are: build, release", id="unknown-key"),
    settings('"a b\\n" = 1', '"a b\\n" is not a setting', id="odd-key"),
    settings("types.web.processes = '2'", "types.web.processes must be a whole number", '"2"', id="text-number"),
    settings("types.web.processes = true", "must be a whole number", "not true", id="flag-number"),
    settings("types.web.processes = -1", "from 0 to 1000", "not -1", id="negative"),
    settings("types.web.processes = 1001", "from 0 to 1000", id="too-many"),
    settings("types.web = 3", "types.web must be a table, not 3", id="no-table"),
    settings("types = []", "types must be a table, not a list", id="list-for-table"),
    settings("types.wrker.processes = 1", 'no process type "wrker"', 'mean "worker"?', id="unknown-type"),
    settings("types.release.processes = 1", "`release` is the command", id="release-type"),
    settings("types.web.ready = 'healthz'", "types.web.ready", "starts with a slash", id="ready"),
    settings("types.worker.ready = '/'", "types.worker", 'listen = "port"', id="ready-unheard"),
    settings("types.web.listen = 'socket'", 'one of "port" or "unix"', '"socket"', id="listen"),
    settings("types.web.callable = 'shop:app'", "wsgi:module:name", id="callable"),
    settings("types.web.stop_signal = 'TRM'", "stop_signal", 'mean "TERM"?', id="signal"),
    settings("types.web.stop_signal = 'SIGKILL'", "cannot be caught", id="signal-kill"),
    settings("types.web.memory = 512", "types.web.memory", "at least 1MiB", id="memory-in-mega"),
    settings("types.web.memory = '512 mib of it'", "a size such as", id="size"),
    settings("types.web.cpu = nan", "types.web.cpu must be a number", id="nan"),
    settings("types.web.singleton = 'yes'", "must be true or false", '"yes"', id="flag"),
    settings("types.web = {singleton = true, processes = 2}", "at most once", "processes is 2", id="singletons"),
    settings("boot_timeout = 'soon'", "boot_timeout must be a duration", '"soon"', id="duration"),
    settings("boot_timeout = '60days'", "boot_timeout must be a duration", id="duration-unit"),
    settings("boot_timeout = 0", "from 1ms", id="duration-zero"),
    settings("drain_timeout = -5", "not -5", id="duration-negative"),
    settings("drain_timeout = inf", "not inf", id="duration-infinite"),
    settings("isolation = 'ful'", 'mean "full"?', id="isolation"),
    settings('build = "a\\u0000b"', "build must be a command", id="command-nul"),
    settings("build = ['a', '']", 'build[1] must be a command, not ""', id="command-empty"),
    settings("release = ['a']", "release must be a command", id="release-list"),
    settings("services.DATABASE = 'sqllite'", "services.DATABASE", 'mean "sqlite"?', id="service"),
    settings("services.URL = 'redis'", 'Use "valkey".', id="service-redis"),
    settings("services.'MY-URL' = 'sqlite'", '"MY-URL" is no name of a variable', id="service-name"),
    settings("services.PORT = 'folder'", "PORT is given to every process", id="service-given"),
    settings("assets.roots = ['../static']", "inside the app's folder", id="assets-outside"),
    settings("assets.url = '/assets'", "ends with a slash", id="assets-url"),
    settings("verify.stores.search = {restore = 'x'}", "verify.stores.search.snapshot is missing", id="store"),
    bad(
        {"Procfile": "web: a\nrelease: b\n", "fungible.toml": "release = 'c'"},
        "Procfile:2:",
        "also set by `release` in fungible.toml",
        id="release-twice",
    ),
    bad(
        {"Procfile": GOOD, "fungible.toml": "", "pyproject.toml": "[tool.fungible]\n"},
        "fungible.toml",
        "[tool.fungible] of pyproject.toml",
        id="settings-twice",
    ),
    bad(
        {"Procfile": GOOD, "pyproject.toml": "[tool.fungible]\nrouter.max_bdy = 1"},
        "pyproject.toml: tool.fungible.router.max_bdy",
        'mean "max_body"?',
        id="pyproject-key",
    ),
    bad({"Procfile": GOOD, "pyproject.toml": "tool = 3"}, "tool must be a table", id="pyproject-tool"),
    bad({"Procfile": GOOD, "pyproject.toml": "tool.fungible = 3"}, "must be a table", id="pyproject-table"),
    bad({"Procfile": GOOD, "pyproject.toml": "\ufeff[tool]"}, ":1:", "byte order mark", id="pyproject-bom"),
    dotenv("A=1\nB\n", ":2:", "no assignment", id="no-assignment"),
    dotenv("export A\n", ":1:", "no assignment", id="export-alone"),
    dotenv("1A=1\n", ":1:", "no name of a variable", id="bad-name"),
    dotenv("A-B=1\n", ":1:", "no name of a variable", id="dash"),
    dotenv("=1\n", ":1:", "no name of a variable", id="no-name"),
    dotenv("A=1\nB='x\ny\n", ":2:", "never closed", id="single-open"),
    dotenv('A="x\\"\n', ":1:", "never closed", id="double-open"),
    dotenv('A="x"y\n', ":1:", "after the closing quote", id="text-after-quote"),
    dotenv("A='x'#y\n", ":1:", "after the closing quote", id="comment-at-quote"),
    dotenv("A='x\ny' z\n", ":2:", "starts in line 1", id="text-after-long-quote"),
    dotenv("A=${B\n", ":1:", "must be followed by", id="open-brace"),
    dotenv("A=${B:-x}\n", ":1:", "must be followed by", id="default"),
    dotenv("A=1\n\nB=${AA}x\n", ":3:", "${AA} is not set", 'mean "A"?', id="unknown-reference"),
    dotenv("A=1\nB=\0\n", ":2:", "NUL byte", id="nul"),
    dotenv("\ufeffA=1\n", ":1:", "byte order mark", id="bom"),
    dotenv(b"A=1\nB=\xe9\n", ":2:", "not UTF-8", id="latin-1"),
    dotenv(f"A={'x' * 140_000}\n", ":1:", "longer than", id="long-value"),
    dotenv(f"A={'x' * 1000}\n" + "A=${A}${A}\n" * 40, ":9:", "the value of A is longer than", id="doubling"),
    dotenv(f"A={'x' * 100_000}\n" + "".join(f"B{n}=${{A}}\n" for n in range(99)), ":11:", "exceed", id="many-values"),
]


@pytest.mark.parametrize(("files", "fragments"), FOLDERS)
def test_a_bad_folder_is_one_sentence(
    files: dict[str, str | bytes], fragments: tuple[str, ...], tmp_path: Path
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(Problem) as raised:
        app = load_app(tmp_path)
        compose(dotenv=app.dotenv, operating_system={}, config={}, given={}, path=str(tmp_path / ".env"))
    is_one_sentence(raised.value, *fragments)


def test_bad_folders(tmp_path: Path) -> None:
    a_file = tmp_path / "file"
    a_file.write_text("")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for folder, fragment in (
        (tmp_path / "gone", "no such folder"),
        (a_file, "this is a file"),
        (loop, "cannot be opened"),
        (Path("a\0b"), "cannot be opened"),
        (tmp_path / ("x" * 300), "cannot be opened"),
    ):
        with pytest.raises(Problem) as raised:
            load_app(folder)
        is_one_sentence(raised.value, fragment)


def test_files_that_are_no_files(tmp_path: Path) -> None:
    procfile = tmp_path / "Procfile"
    procfile.mkdir()
    with pytest.raises(Problem) as raised:
        load_app(tmp_path)
    is_one_sentence(raised.value, "Procfile", "this is a folder")
    procfile.rmdir()

    os.mkfifo(procfile)  # read, it would block for ever
    with pytest.raises(Problem) as raised:
        load_app(tmp_path)
    is_one_sentence(raised.value, "Procfile", "not a regular file")
    procfile.unlink()

    procfile.symlink_to(tmp_path / "gone")
    with pytest.raises(Problem) as raised:
        load_app(tmp_path)
    is_one_sentence(raised.value, "Procfile", "link to a file that does not exist")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text(GOOD)
    (tmp_path / "Procfile").chmod(0)
    with pytest.raises(Problem) as raised:
        load_app(tmp_path)
    is_one_sentence(raised.value, "Procfile", "cannot be read: Permission denied")


def test_a_file_that_the_system_refuses_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Procfile").write_text(GOOD)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(Problem) as raised:
        load_app(tmp_path)
    is_one_sentence(raised.value, "Procfile", "cannot be read: Permission denied")


@pytest.mark.parametrize(
    ("web", "fragment"), [(" ", "empty"), ("a\0b", "NUL"), ("a\nb", "control"), ("a \\", "backslash")]
)
def test_a_bad_command_for_web(web: str, fragment: str, tmp_path: Path) -> None:
    with pytest.raises(Problem) as raised:
        load_app(tmp_path, web=web)
    is_one_sentence(raised.value, "--web", fragment)


def test_a_bad_option_names_itself_and_its_twin(tmp_path: Path) -> None:
    with pytest.raises(Problem) as raised:
        load_app(tmp_path, web="a", options={"boot_timeout": "soon"})
    is_one_sentence(raised.value, "--boot-timeout", "FUNGIBLE_BOOT_TIMEOUT", '"soon"')


@pytest.mark.parametrize(
    ("items", "fragments"),
    [
        (["web"], ["TYPE=N", "web=2"]),
        (["wbe=1"], ['no process type "wbe"', 'mean "web"?']),
        (["zzz=1"], ['Known are "web", "worker" or "clock"']),
        (["release=1"], ["runs once per release"]),
        (["web=-1"], ["cannot be negative"]),
        (["web="], ["not a number"]),
        (["web=two"], ["not a number"]),
        (["web=1.5"], ["not a number"]),
        (["web=２"], ["not a number"]),
        (["web=1001"], ["at most 1000"]),
        (["web=" + "9" * 5000], ["at most 1000"]),
        (["web=1", "web=2"], ["given twice"]),
        (["clock=2"], ["singleton"]),
    ],
)
def test_bad_formations(items: list[str], fragments: list[str]) -> None:
    with pytest.raises(Problem) as raised:
        parse_formation(items, ("web", "worker", "clock"), {"clock"})
    is_one_sentence(raised.value, *fragments)


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("NAME", "NAME=VALUE"),
        ("s3cret value", "NAME=VALUE"),
        ("1A=x", "no name of a config var"),
        ("A B=x", "no name of a config var"),
        ("=x", "no name of a config var"),
        ("PORT=80", "PORT is given to every process"),
        ("FUNGIBLE_RELEASE=v9", "FUNGIBLE_RELEASE is given to every process"),
        ("A=s3cret\0", "NUL"),
        ("A=s3cret" + "x" * 140_000, "longer than"),
    ],
)
def test_bad_config_vars(text: str, fragment: str) -> None:
    with pytest.raises(Problem) as raised:
        parse_assignment(text)
    is_one_sentence(raised.value, fragment)
    assert "s3cret" not in raised.value.message


def test_secrets_in_broken_files_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text(GOOD)
    for text in ("postgres://ann:s3cret@db/x?a=1\n", "KEY=-----BEGIN KEY-----\ns3cret/x==\n", "A=s3cret${\n"):
        (tmp_path / ".env").write_text(text)
        with pytest.raises(Problem) as raised:
            load_app(tmp_path)
        assert "s3cret" not in raised.value.message
    (tmp_path / ".env").unlink()
    (tmp_path / "fungible.toml").write_text("services.DB = 'postgres://ann:s3cret@db/x'")
    with pytest.raises(Problem) as raised:
        load_app(tmp_path)
    assert "s3cret" not in raised.value.message


def is_one_sentence(problem: Problem, *fragments: str) -> None:
    message = problem.message
    for fragment in fragments:
        assert fragment in message
    assert problem.exit is Exit.BAD_INPUT
    assert message.isprintable(), "a message is one line, without control characters"
    assert len(message) < 1000
    assert message.endswith((".", "?", "`", "…"))
    assert not re.search(r"[.?!;:,][.;:,]|[a-z\"] Did you mean", message.replace("..", "")), message
