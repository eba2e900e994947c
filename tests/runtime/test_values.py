"""The run stage's pure parts: lines of output, shell commands, needed paths, what people are shown."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.runtime.events import Bus, Event
from fungible.runtime.ground.confinement import is_simple_command, needed_paths, shell_command
from fungible.runtime.ground.folders import folders_for
from fungible.runtime.logs.console import format_event, lost
from fungible.runtime.logs.logs import Line, LineSplitter

pytestmark = pytest.mark.pure


def split(chunks: list[bytes], longest: int) -> list[Line]:
    splitter = LineSplitter(longest)
    return [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.finish()


TEXT = st.text(alphabet=st.sampled_from("ab é€😀\n\r"), max_size=60)


@given(TEXT, st.lists(st.integers(0, 200), max_size=8), st.integers(4, 12))
def test_lines_do_not_depend_on_how_the_bytes_arrive(text: str, cuts: list[int], longest: int) -> None:
    data = text.encode()
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    chunks = [data[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    lines = split(chunks, longest)
    assert lines == split([data], longest)
    assert all(len(line.text.encode()) <= longest for line in lines)
    joined = "".join(line.text + ("" if line.continued else "\n") for line in lines)
    wanted = text.split("\n")
    if wanted[-1] == "":
        wanted.pop()
    expected = [line.rstrip("\r") for line in wanted]
    assert [line.rstrip("\r") for line in joined.split("\n")[:-1]] == expected


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_any_bytes_become_text(chunks: list[bytes]) -> None:
    for line in split(chunks, 8):
        line.text.encode()


@pytest.mark.parametrize(
    "line",
    ["gunicorn shop:app", "python -m x --y=1 'a b'", "node server.js", "gunicorn -b unix:$FUNGIBLE_SOCKET shop:app"],
)
def test_a_simple_command_takes_the_shells_place(line: str) -> None:
    assert shell_command(line) == ("sh", "-c", f"exec {line}")


@pytest.mark.parametrize(
    "line",
    [
        *("a && b", "a; b", "a | b", "A=1 b", "cd x", "exec a", "a > b", "a &", "$(which a)", "`which a`", "'a", ""),
        *("if true", "command -v python", ". ./env", "test -f x", "wait", "(a)", "{ a", "$RUN", "! a", "#a", "a\nb"),
    ],
)
def test_anything_else_is_left_to_the_shell(line: str) -> None:
    assert shell_command(line) == ("sh", "-c", line)


@given(
    st.lists(
        st.sampled_from(["echo", "true", "printf", "a", "'b c'", '"$HOME"', "x=1", "--y", "{}", "-z"]), min_size=1
    )
)
def test_a_command_called_simple_does_the_same_with_exec(words: list[str]) -> None:
    line = " ".join(["echo", *words])
    assert is_simple_command(line)
    plain, execed = (
        (
            subprocess.run(
                ["sh", "-c", text], capture_output=True, env={"PATH": "/usr/bin:/bin", "HOME": "/h"}
            ).stdout
            for text in (line, f"exec {line}")
        )
        if len(words) < 3
        else (b"", b"")
    )
    assert plain == execed


def test_a_process_is_shown_what_its_settings_name_and_nothing_as_broad_as_a_hidden_folder(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (tmp_path / "ca.pem").write_text("")
    (tmp_path / "config").write_text("")
    environment = {
        "PATH": f"{venv}/bin:/usr/bin:relative",
        "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
        "DATABASE_URL": f"sqlite:////{tmp_path}/gone.db",
        "TMPDIR": str(tmp_path),
        "ALL": "/tmp",
    }
    got = needed_paths(environment, ("sh", "-c", f"serve --config={tmp_path}/config"), "/app")
    assert str(venv) in got
    assert str(tmp_path / "ca.pem") in got
    assert str(tmp_path / "config") in got
    assert "/tmp" not in got
    assert all(Path(path).exists() and path.startswith(("/tmp/", "/var/tmp/", "/run/")) for path in got)
    assert str(tmp_path) not in got, "its own temporary folder is private"


def test_what_people_are_shown() -> None:
    event = Event("process.wrote", "web.1", data={"paths": ["a", "-b"], "count": 9}, at=0.0)
    assert format_event(event, colour=False).endswith(" web.1        | wrote: a, -b and 7 more (thrown away)")  # type: ignore[union-attr]
    code = "__pycache__/a.cpython-311.pyc"
    assert lost(["shop", code], 2) == "wrote: shop (thrown away)"
    assert lost([code, f"shop/{code}"], 2) is None, "no news"
    assert lost([code], 3) == "wrote: byte code and 2 more (thrown away)"
    assert lost([], 0) is None
    assert format_event(Event("process.draining", "web.1"), colour=False) is None
    coloured = [format_event(Event("log.line", name, data={"text": "x"}), colour=True) for name in ("web.1", "web.2")]
    assert all(text is not None and text.startswith("\x1b[") and text.endswith("\x1b[0m x") for text in coloured)
    crash = {"status": 1, "crashed": True}
    assert str(format_event(Event("process.ended", "w.1", data=crash), colour=False)).endswith(
        "crashed: exited with 1"
    )
    done = {"status": 0, "crashed": True}
    assert "ended by itself" in str(format_event(Event("process.ended", "w.1", data=done), colour=False))
    killed = {"status": -9}
    assert str(format_event(Event("process.ended", "w.1", data=killed), colour=False)).endswith("| ended by SIGKILL")


def test_a_bus_delivers_in_order_to_all_and_forgets_who_left() -> None:
    bus, first, second = Bus[Event](), [], []
    leave = bus.subscribe(first.append)
    bus.subscribe(second.append)
    one, two = Event("one"), Event("two")
    bus.publish(one)
    leave()
    leave()
    bus.publish(two)
    assert (first, second) == ([one], [one, two])


def test_an_event_is_one_flat_mapping() -> None:
    event = Event("process.ready", "web.1", "abc", None, {"boot_s": 1.5}, at=2.0)
    assert event.as_dict() == {
        "at": 2.0,
        "event": "process.ready",
        "process": "web.1",
        "instance": "abc",
        "boot_s": 1.5,
    }


def test_folders_follow_the_xdg_specification_and_relative_paths_do_not_count() -> None:
    here = folders_for("shop-1a2b3c4d", {"XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "/tmp"})
    assert here.state == Path("/s/fungible/shop-1a2b3c4d")
    assert here.run == Path("/tmp/fungible/1a2b3c4d")
    odd = folders_for("shop-1a2b3c4d", {"XDG_STATE_HOME": "s", "XDG_RUNTIME_DIR": "tmp"})
    assert odd.state.is_absolute()
    assert odd.run.is_absolute()
