"""Rolls as an operator does them: what is served, what is abandoned, what is said."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
from typing import Any

import httpx
import pytest

from tests.runtime.harness import PATIENCE, WEB, Formation, Home, wait_until
from tests.runtime.load import load_on

WHO = """
import os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
BAD = {bad!r}
if BAD == "crash":
    print("cannot import name shop", flush=True)
    sys.exit(3)
if BAD == "deaf":
    print("working on it", flush=True)
    time.sleep(600)
if BAD == "elsewhere":
    os.environ["PORT"] = "0"
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        bad = BAD == "500" or self.path == "/die"
        if self.path == "/die":
            os._exit(9)
        body = f"{{os.environ['FUNGIBLE_RELEASE']}} {{self.command}} {{self.path}}".encode()
        self.send_response(500 if bad else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
    def log_message(self, *_): pass
server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
server.daemon_threads = True
server.serve_forever()
"""
READY = '[types.web]\nready = "/healthz"\n'
IMPATIENT = 'boot_timeout = "2s"\n' + READY


def who(bad: str = "") -> str:
    return WHO.format(bad=bad)


def ps(home: Home) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(home.run("ps", "--json").stdout)
    return document


def releases(home: Home) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(home.run("releases", "--json").stdout)["releases"]
    return listed


def value_of(formation: Formation, name: str) -> str | None:
    value: str | None = formation.get(f"/env/{name}").json()["value"]
    return value


@pytest.mark.parametrize(
    ("bad", "why", "line"),
    [
        ("crash", "exit code 3", "| cannot import name shop"),
        ("deaf", "boot timed out", "| working on it"),
        ("500", "GET /healthz is answered 500, and only 2xx and 3xx are ready", None),
        ("elsewhere", "it listens on port ", None),
    ],
)
def test_a_release_that_does_not_become_ready_is_abandoned_and_the_old_one_serves_throughout(
    home: Home, bad: str, why: str, line: str | None
) -> None:
    home.write({"Procfile": "web: python who.py\n", "who.py": who(), "fungible.toml": READY})
    with home.start("web=2") as formation:
        with load_on(formation.url, fresh=1, kept=1) as load:
            home.write({"who.py": who(bad), "fungible.toml": READY if bad == "crash" else IMPATIENT})
            done = home.run("release")
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.splitlines()[-1].startswith(
            f"fungible: v2 is abandoned, v1 serves on: web.1 did not become ready ({why}"
        )
        assert line is None or line in done.stderr
        assert load.count.lost == []
        assert set(load.count.by) == {"v1"}
        processes = ps(home)["processes"]
        assert {(each["release"], each["state"]) for each in processes} == {("v1", "ready")}
        assert [(each["restarts"], each["last_end"]) for each in processes] == [(0, None)] * 2, "v1 has not crashed"
        now = {each["name"]: each for each in releases(home)}
        assert now["v1"]["serves"] and not now["v2"]["serves"] and why in now["v2"]["abandoned"]
        home.write({"who.py": who() + "# mended\n", "fungible.toml": READY})
        assert home.run("release").stdout == "v3 serves\n"
        assert formation.get("/").text == "v3 GET /"
        assert formation.stop() == 0


def test_an_edit_reaches_processes_with_a_release_and_code_comes_back_with_a_rollback(home: Home) -> None:
    home.write({"Procfile": WEB, "text": "one"})
    with home.start("web=2") as formation:
        home.write(
            {"text": "two", ".env": "API_KEY=hunter23\n", "fungible.toml": 'build = ["echo hunter23 $API_KEY"]\n'}
        )
        assert formation.get("/read/text").json()["text"] == "one"
        assert home.run("release").stdout == "v2 serves\n"
        assert formation.get("/read/text").json()["text"] == "two"
        assert formation.of("log.line", "build.1", text="***")
        assert "hunter23" not in formation.say()
        assert home.run("release").stdout == "nothing has changed: v2 serves on\n"
        assert home.run("config", "set", "TEXT=x").returncode == 0
        assert home.run("rollback", "v1").stdout == "v4 serves\n"
        assert formation.get("/read/text").json()["text"] == "one"
        assert value_of(formation, "TEXT") is None
        assert home.run("rollback").stdout == "v5 serves\n"
        assert (formation.get("/read/text").json()["text"], value_of(formation, "TEXT")) == ("two", "x")
        unknown = home.run("rollback", "v77")
        assert (unknown.returncode, unknown.stdout) == (2, "")
        assert "there is no release v77" in unknown.stderr
        assert formation.stop() == 0


def test_config_vars_are_rolled_kept_and_not_kept_where_they_break_the_app(home: Home) -> None:
    home.write({"Procfile": 'web: test -z "$BREAK" || exit 4; exec python server.py\n'})
    with home.start("web=1") as formation:
        assert home.run("config", "set", "A=1", "SECRET_KEY=hunter22").stdout == "v2 serves\n"
        assert value_of(formation, "A") == "1"
        assert value_of(formation, "FUNGIBLE_RELEASE") == "v2"
        listed = home.run("config")
        assert listed.stdout == "A=1\nSECRET_KEY=***\n" and "--show-secrets" in listed.stderr
        for words in (("config", "--show-secrets"), ("config", "list", "--show-secrets")):
            assert home.run(*words).stdout == "A=1\nSECRET_KEY=hunter22\n"
        assert json.loads(home.run("config", "--json").stdout) == {"A": "1", "SECRET_KEY": "hunter22"}
        broken = home.run("config", "set", "BREAK=yes")
        assert broken.returncode == 1
        assert "v3 is abandoned, v2 serves on: web." in broken.stderr
        assert "did not become ready (exit code 4)" in broken.stderr
        assert "no config var has changed" in broken.stderr
        assert "BREAK" not in home.run("config").stdout
        assert home.run("config", "unset", "A").returncode == 0
        assert value_of(formation, "A") is None
        assert home.run("config", "unset", "A").returncode == 2
        assert home.run("config", "set", "PORT=1").returncode == 2
        assert home.run("config", "set", "A").returncode == 2
        formation.get("/say/the key is hunter22")
        formation.wait("log.line", text="the key is ***")
        assert "hunter22" not in home.run("logs", "--json").stdout + formation.say()
        assert formation.stop() == 0
    assert home.run("config", "set", "B=2").returncode == 0
    assert home.run("config", "--show-secrets").stdout == "B=2\nSECRET_KEY=hunter22\n"
    with home.start("web=1") as formation:
        assert (value_of(formation, "B"), value_of(formation, "SECRET_KEY")) == ("2", "hunter22")
        assert formation.stop() == 0


def test_a_roll_that_a_killed_supervisor_did_not_end_changes_nothing(home: Home) -> None:
    home.write({"Procfile": 'web: test -z "$WAIT" || exec sleep 600; exec python server.py\n'})
    with home.start("web=1") as formation:
        assert home.run("config", "set", "A=1").returncode == 0
        assert home.run("config", "set", "WAIT=yes", "--no-wait").returncode == 0
        formation.wait("process.started", release="v3")
        formation.send(signal.SIGKILL)
    home.wait_until_gone()
    assert home.run("config").stdout == "A=1\n"
    with home.start("web=1") as formation:
        assert (value_of(formation, "A"), value_of(formation, "WAIT")) == ("1", None)
        assert {each["name"]: each["abandoned"] for each in releases(home)} == {
            "v1": None,
            "v2": None,
            "v3": "its roll did not end",
            "v4": None,
        }
        assert home.run("rollback").returncode == 0
        assert (value_of(formation, "A"), value_of(formation, "WAIT")) == (None, None)
        assert formation.stop() == 0


def test_processes_keep_their_names_in_a_roll_and_the_two_of_one_name_are_told_apart(home: Home) -> None:
    slow = "web: trap 'while :; do sleep 0.1; [ -e $STORE/go ] && exit; done' TERM; python server.py & wait\n"
    home.write({"Procfile": slow, "fungible.toml": '[services]\nSTORE = "folder"\n'})
    with home.start("web=2") as formation:
        old = {each["name"]: each["instance"] for each in ps(home)["processes"]}
        assert set(old) == {"web.1", "web.2"}
        roll = subprocess.Popen([*home.command, "restart"], cwd=home.app, env=home.variables)
        formation.wait("process.stopping", "web.1", instance=old["web.1"], former=True)
        formation.wait("process.ready", "web.2", former=None, after=len(formation.of("process.ready", "web.2")))
        table = home.run("ps").stdout
        assert f"web.1/{old['web.1'][:6]}" in table
        store = next(home.base.glob("state/fungible/*/services/**/STORE"), None)
        assert store is not None
        (store / "go").touch()
        assert roll.wait(60) == 0
        now = {each["name"]: each["instance"] for each in ps(home)["processes"]}
        assert set(now) == set(old) and not set(now.values()) & set(old.values())
        assert "/" not in "".join(line.split()[0] for line in home.run("ps").stdout.splitlines()[2:])
        assert formation.stop() == 0


def test_the_release_command_runs_once_before_the_roll_and_stops_it_where_it_fails(home: Home) -> None:
    settings = (
        'release = "echo $FUNGIBLE_RELEASE >> $STORE/ran; test $(cat ok) = yes"\n[services]\nSTORE = "folder"\n'
    )
    home.write({"Procfile": WEB, "fungible.toml": settings, "ok": "yes"})
    with home.start("web=2") as formation:
        home.write({"ok": "yes", "more": ""})
        assert home.run("release").returncode == 0
        home.write({"ok": "no"})
        before = len(formation.events)
        failed = home.run("release")
        assert failed.returncode == 1
        assert "the release command" in failed.stderr and "ended with 1" in failed.stderr
        assert formation.of("process.starting", after=before) == []
        ran = next(home.base.glob("state/fungible/*/services/**/ran")).read_text()
        assert ran.split() == ["v1", "v2", "v3"]
        assert value_of(formation, "FUNGIBLE_RELEASE") == "v2"
        # Nothing is to be gone back from: the broken one never served, and v2 is good.
        kept = home.run("rollback")
        assert (kept.returncode, kept.stdout) == (1, "")
        assert "v3 was abandoned, and v2 serves already; `fungible rollback v1` goes back further" in kept.stderr
        assert formation.stop() == 0


def test_who_waits_for_a_release_at_a_terminal_sees_how_far_it_is(home: Home) -> None:
    home.write({"Procfile": WEB, "fungible.toml": 'build = ["true"]\n'})
    with home.start() as formation:
        home.write({"more": ""})
        ours, theirs = pty.openpty()
        with open(ours, "rb", buffering=0) as terminal:
            release = subprocess.Popen([*home.command, "release"], cwd=home.app, env=home.variables, stderr=theirs)
            os.close(theirs)
            said = ""
            with contextlib.suppress(OSError):  # EIO: nobody writes to it any more (pty(7))
                while data := terminal.read(4096):
                    said += data.decode()
            assert release.wait(60) == 0
        steps = [re.sub("\x1b[^m]*m", "", line) for line in said.splitlines()]
        assert steps[-2:] == ["v2 is rolled (code)", next(s for s in steps if s.startswith("web.1 ready after"))]
        assert steps[0] == "build: true"
        assert formation.stop() == 0


def test_what_a_process_says_that_fails_its_proof_is_shown_to_who_asked_for_the_release(home: Home) -> None:
    home.write({"Procfile": WEB, "fungible.toml": '[assets]\nroots = ["static"]\n', "static/a.css": "a { top: 0 }"})
    with home.start() as formation:
        home.write({"server.py": "raise SystemExit('no server')"})
        failed = home.run("release")
        assert failed.returncode == 1
        assert "| no server" in failed.stderr
        assert failed.stderr.splitlines()[-1].endswith("does not boot from the build: it failed; its output is above")
        assert formation.stop() == 0


def test_a_singleton_stops_first_and_is_back_where_its_release_fails(home: Home) -> None:
    clock = "import time\nprint('tick', flush=True)\ntime.sleep(600)\n"
    home.write(
        {
            "Procfile": "clock: python clock.py\n",
            "clock.py": clock,
            "fungible.toml": "[types.clock]\nsingleton = true\n",
        }
    )
    with home.start() as formation:
        formation.wait("process.ready", "clock.1", release="v1")
        home.write({"clock.py": clock + "# two\n"})
        assert home.run("release").returncode == 0
        told = [(event["event"], event["release"]) for event in formation.events if event.get("process") == "clock.1"]
        assert told.index(("process.ended", "v1")) < told.index(("process.starting", "v2"))
        home.write({"clock.py": "raise SystemExit('no clock')"})
        failed = home.run("release")
        assert failed.returncode == 1
        assert "| no clock" in failed.stderr
        formation.wait_for(lambda: [each["release"] for each in ps(home)["processes"]] == ["v2"])
        assert home.run("scale", "clock=2").returncode == 2
        assert formation.stop() == 0


def test_a_worker_that_fails_after_a_moment_takes_nobodys_place(home: Home) -> None:
    home.write({"Procfile": WEB + "worker: python work.py\n", "work.py": "import time\ntime.sleep(600)\n"})
    with home.start() as formation:
        first = formation.wait("process.ready", "worker.1")["instance"]
        home.write({"work.py": "import time\ntime.sleep(0.1)\nraise SystemExit(5)\n"})
        done = home.run("release")
        assert done.returncode == 1
        assert "did not become ready (exit code 5)" in done.stderr
        assert first in {each["instance"] for each in ps(home)["processes"]}
        assert formation.of("process.ended", "worker.1", instance=first) == []
        assert formation.stop() == 0


def test_a_release_may_add_change_and_take_away_types(home: Home) -> None:
    home.write({"Procfile": WEB + "old: sleep 600\n"})
    with home.start() as formation:
        home.write({"Procfile": WEB + "new: sleep 600\n", "fungible.toml": "[types.new]\nprocesses = 2\n"})
        assert home.run("release").returncode == 0
        assert ps(home)["wanted"] == {"web": 1, "new": 2}
        assert sorted(each["type"] for each in ps(home)["processes"]) == ["new", "new", "web"]
        home.write({"Procfile": "web\n"})
        bad = home.run("release")
        assert (bad.returncode, bad.stdout) == (2, "")
        assert "Procfile:1" in bad.stderr
        assert home.run("rollback").returncode == 0
        assert ps(home)["wanted"] == {"web": 1, "old": 1}
        assert formation.stop() == 0


def test_restart_takes_a_type_or_one_process(home: Home) -> None:
    home.write({"Procfile": WEB + "worker: sleep 600\n"})
    with home.start("web=2") as formation:
        before = {each["name"]: each["instance"] for each in ps(home)["processes"]}
        assert home.run("restart", "web.1").returncode == 0
        after = {each["instance"] for each in ps(home)["processes"]}
        assert set(before.values()) - after == {before["web.1"]}
        assert home.run("restart").returncode == 0
        assert not {each["instance"] for each in ps(home)["processes"]} & (after | set(before.values()))
        wrong = home.run("restart", "wbe")
        assert (wrong.returncode, wrong.stdout) == (2, "")
        assert 'Did you mean "web"?' in wrong.stderr
        assert formation.stop() == 0


def test_scaling_up_waits_for_the_new_ones_and_says_where_one_fails(home: Home) -> None:
    home.write({"Procfile": "web: test ! -e /nowhere || exit 1; python server.py\nworker: exit 6\n"})
    with home.start("worker=0") as formation:
        assert home.run("scale", "web=3").stdout == "web=3\n"
        assert [each["state"] for each in ps(home)["processes"]] == ["ready"] * 3
        assert home.run("scale", "web=0", "worker=0").returncode == 0
        assert ps(home)["processes"] == []
        assert formation.get("/").headers["Fungible-Cause"] == "no-process"
        failed = home.run("scale", "worker=1")
        assert failed.returncode == 1
        assert "worker.1 did not become ready (exit code 6)" in failed.stderr
        assert home.run("scale", "worker=0", "--no-wait").returncode == 0
        assert formation.stop() == 0


def test_a_stop_during_a_roll_ends_both(home: Home) -> None:
    home.write({"Procfile": "web: python who.py\n", "who.py": who(), "fungible.toml": 'boot_timeout = "60s"\n'})
    with home.start("web=1") as formation:
        home.write({"who.py": who("deaf")})
        roll = subprocess.Popen(
            [*home.command, "release"],
            cwd=home.app,
            env=home.variables,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        formation.wait("log.line", text="working on it")
        assert formation.stop() == 0
        _, said = roll.communicate(timeout=30)
        assert roll.returncode == 1
        assert said


def test_a_request_that_kills_its_process_takes_two_with_it_at_most(home: Home) -> None:
    home.write({"Procfile": "web: python who.py\n", "who.py": who()})
    with home.start("web=4") as formation:
        answer = formation.get("/die")
        assert (answer.status_code, answer.headers["Fungible-Cause"]) == (502, "crashed")
        assert formation.get("/").text == "v1 GET /"
        ended = formation.wait_for(lambda: formation.of("process.ended", status=9))
        assert 1 <= len(ended) <= 2
        formation.wait("router.request", path="/die")
        assert formation.of("router.request", path="/die")[0]["cause"] == "crashed"
        before = len(formation.events)
        posted = formation.get("/")
        assert posted.status_code == 200
        assert len(formation.of("process.ended", after=before, status=9)) + len(ended) <= 2
        assert formation.stop() == 0


def test_watch_releases_an_edit_and_looks_past_a_broken_one(home: Home) -> None:
    home.write({"Procfile": WEB, "text": "one", "other.py": ""})
    with home.start("web=1", "--watch") as formation:
        home.write({"text": "two"})
        formation.wait("release.rolled", None, release="v2")
        assert formation.get("/read/text").json()["text"] == "two"
        home.write({"Procfile": "web: sleep 600\n"})
        formation.wait("release.rolling", release="v3")
        home.write({"Procfile": WEB})
        formation.wait("release.abandoned", release="v3")
        assert formation.get("/read/text").json()["text"] == "two"
        home.write({"text": "three"})
        formation.wait_for(lambda: formation.get("/read/text").json()["text"] == "three")
        assert formation.stop() == 0
    said = [event["text"] for event in formation.of("notice") if "v3 is abandoned" in event["text"]]
    assert said == ["v3 is abandoned, v2 serves on: a newer one took its place"], "once"


def test_watch_does_not_release_its_own_log(home: Home) -> None:
    home.write({"Procfile": WEB, "text": "one"})
    log = home.app / "fungible.log"
    with log.open("wb") as file:
        command = [*home.command, "start", "--watch", "--port", "0"]
        process = subprocess.Popen(command, cwd=home.app, env=home.variables, stdout=file, stderr=file)
    try:
        wait_until(lambda: "http://" in log.read_text(), log.read_text)
        home.write({"text": "two"})
        wait_until(lambda: "v2 serves" in log.read_text(), log.read_text)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
    assert "v3" not in log.read_text()
    assert "is being stopped" not in log.read_text()


@pytest.mark.parametrize("watch", [True, False])
@pytest.mark.parametrize(
    ("procfile", "said"),
    [
        ("web: exit 3\n", "v2 is abandoned, v1 serves on: web.1 did not become ready (exit code 3)"),
        (WEB + "release: exit 4\n", "v2 is abandoned, v1 serves on: the release command `exit 4` ended with 4"),
    ],
)
def test_that_a_release_is_abandoned_is_said_once(home: Home, procfile: str, said: str, watch: bool) -> None:
    home.write({"Procfile": WEB})
    with home.start(*(["--watch"] if watch else [])) as formation:
        home.write({"Procfile": procfile})
        if not watch:
            done = home.run("release")
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr.splitlines()[-1].startswith(f"fungible: {said}")
        formation.wait("release.abandoned")
        table = home.run("releases").stdout
        assert formation.stop() == 0
    told = [event["text"] for event in formation.of("notice") if "exit" in event["text"] and "v2" in event["text"]]
    assert [text.partition(";")[0] for text in told] == [said]
    assert "above" not in table


def test_an_edit_while_the_old_process_takes_its_time_to_stop_brings_nothing_old_back(home: Home) -> None:
    """The roll before is as good as done: to take it back would start the release before that once more."""
    app = f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{who()}"
    home.write({"Procfile": "web: python app.py\n", "app.py": app, "fungible.toml": 'stop_timeout = "3s"\n', "a": ""})
    with home.start("web=1", "--watch") as formation:
        for number in (2, 3, 4):
            home.write({"a": str(number)})
            formation.wait_for(lambda number=number: formation.get("/").text.startswith(f"v{number} "))
        started = [event["release"] for event in formation.of("process.starting")]
        assert started == ["v1", "v2", "v3", "v4"]
        assert formation.of("release.abandoned") == []
        assert formation.stop() == 0


def test_shake_replaces_each_process_that_answered(home: Home) -> None:
    home.write({"Procfile": WEB})
    with home.start("--shake") as formation:
        assert len(ps(home)["processes"]) == 2
        seen = []
        for _ in range(4):
            seen.append(formation.get("/").json()["instance"])
            formation.wait("process.ended", instance=seen[-1])
        assert len(set(seen)) == 4
        assert not formation.of("process.ended", crashed=True)
        assert formation.of("process.ended", instance=seen[0])[0]["status"] == -9
        assert formation.stop() == 0


EVENTS = """
import os, signal, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
told = threading.Event()
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        if self.path == "/events":
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.wfile.write(b"data: hello\\n\\n")
            told.wait()
            self.wfile.write(b"data: bye\\n\\n")
        else:
            self.end_headers()
            self.wfile.write(b"ok")
    def log_message(self, *_): pass
server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
server.daemon_threads = False
def stop(*_):
    told.set()
    threading.Thread(target=server.shutdown).start()
signal.signal(signal.SIGTERM, stop)
server.serve_forever()
server.server_close()
"""


def test_a_process_closes_its_streams_itself_when_it_is_told_to_stop(home: Home) -> None:
    home.write({"Procfile": "web: python events.py\n", "events.py": EVENTS})
    with home.start("web=1") as formation:
        url = formation.url + "/events"
        with httpx.stream("GET", url, trust_env=False, headers={"Accept": "text/event-stream"}, timeout=60) as stream:
            lines = stream.iter_lines()
            assert next(lines) == "data: hello"
            roll = subprocess.Popen(
                [*home.command, "restart"], cwd=home.app, env=home.variables, stdout=subprocess.DEVNULL
            )
            rest = [line for line in lines if line]
            assert rest == ["data: bye"]
            assert roll.wait(60) == 0
        assert not formation.of("process.killed")
        assert formation.stop() == 0
