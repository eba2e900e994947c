"""The API of a running formation, and the verbs that speak to it."""

from __future__ import annotations

import json
import re
import selectors
import signal
import socket
import subprocess
from pathlib import Path

import httpx
import pytest

from fungible.control.table import formation_table
from tests.runtime.harness import PATIENCE, WEB, Home, wait_until

PROCESS = {
    "name",
    "instance",
    "type",
    "state",
    "pid",
    "release",
    "uptime_s",
    "restarts",
    "memory_bytes",
    "requests",
    "in_flight",
}


def socket_of(home: Home) -> Path:
    return next(home.base.glob("run/fungible/*/control"))


def ask(home: Home, method: str, path: str, **more: object) -> httpx.Response:
    transport = httpx.HTTPTransport(uds=str(socket_of(home)))
    with httpx.Client(transport=transport, base_url="http://x", timeout=PATIENCE) as client:
        return client.request(method, path, **more)  # type: ignore[arg-type]


def test_ps_shows_every_process_as_the_contract_says(home: Home) -> None:
    home.write({"Procfile": WEB + "worker: sleep 600\n"})
    with home.start("web=2") as formation:
        for _ in range(4):
            formation.get("/")
        formation.wait_for(lambda: len(formation.of("router.request")) == 4)
        document = json.loads(home.run("ps", "--json").stdout)
        assert (document["release"], document["url"]) == ("v1", formation.url)
        assert document["wanted"] == {"web": 2, "worker": 1}
        named = {each["name"]: each for each in document["processes"]}
        assert set(named) == {"web.1", "web.2", "worker.1"}
        assert all(each.keys() >= PROCESS for each in named.values())
        assert (named["web.1"]["state"], named["web.1"]["requests"]) == ("ready", 2)
        pid = named["worker.1"]["pid"]
        assert Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x00600\x00"
        assert re.search(r"^web\.2 +ready +v1 +\d+ ", home.run("ps").stdout, re.MULTILINE)
        assert formation.stop() == 0


def test_a_crash_and_its_cause_are_shown(home: Home) -> None:
    home.write({"Procfile": WEB})
    with home.start("web=1") as formation:
        formation.get("/exit/7")
        formation.wait("process.ended", "web.1", crashed=True)
        wait_until(lambda: (document := ps(home)["processes"]) and document[0]["state"] == "ready")
        assert (ps(home)["processes"][0]["restarts"], ps(home)["processes"][0]["last_end"]) == (1, "exit code 7")
        assert formation.stop() == 0


def test_what_waits_after_crashes_is_shown(home: Home) -> None:
    home.write({"Procfile": "worker: exit 7\n"})
    with home.start(up=False) as formation:
        formation.wait("process.backoff", "worker.1")
        resting: list[dict[str, object]] = []
        wait_until(lambda: resting.extend(ask(home, "GET", "/v1/formation").json()["resting"]) or resting)
        assert (resting[0]["name"], resting[0]["cause"]) == ("worker.1", "exit code 7")
        assert f"worker.1 crashed {resting[0]['crashes']} times in a row (exit code 7): next start in" in (
            formation_table({"release": "v1", "url": None, "wanted": {}, "processes": [], "resting": resting})
        )
        assert formation.stop() == 0


def ps(home: Home) -> dict[str, list[dict[str, object]]]:
    document: dict[str, list[dict[str, object]]] = json.loads(home.run("ps", "--json").stdout)
    return document


def test_the_socket_is_this_users_alone_and_goes_with_the_formation(home: Home) -> None:
    home.write({"Procfile": WEB})
    with home.start() as formation:
        assert socket_of(home).stat().st_mode & 0o777 == 0o600
        assert socket_of(home).parent.stat().st_mode & 0o777 == 0o700
        assert formation.stop() == 0
    assert home.left == []


@pytest.mark.parametrize("verb", ["ps", "scale web=1", "restart", "stop", "logs", "release", "rollback"])
def test_without_a_formation_every_verb_says_so(home: Home, verb: str) -> None:
    home.write({"Procfile": WEB})
    done = home.run(*verb.split())
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "fungible: no formation of this app runs: `fungible start` starts one\n"


def test_a_socket_that_a_killed_supervisor_left_is_recognised(home: Home) -> None:
    home.write({"Procfile": WEB})
    with home.start() as formation:
        formation.stop(signal.SIGKILL)
        home.wait_until_gone()
        assert socket_of(home).is_socket()
        done = home.run("ps")
        assert (done.returncode, done.stdout) == (3, "")
        assert "no formation of this app runs" in done.stderr
    with home.start() as formation:
        assert home.run("ps").returncode == 0
        assert formation.stop() == 0


def test_a_second_start_says_that_it_runs_and_where(home: Home) -> None:
    home.write({"Procfile": WEB})
    with home.start() as formation:
        second = home.run("start", "--port", "0")
        assert (second.returncode, second.stdout) == (3, "")
        assert f"this app already runs at {formation.url} (pid {formation.process.pid})" in second.stderr
        assert formation.stop() == 0


def test_stop_returns_when_the_supervisor_has_ended_though_the_procfile_is_broken(home: Home) -> None:
    home.write({"Procfile": WEB})
    with home.start() as formation:
        home.write({"Procfile": "nonsense\n"})
        assert home.run("ps").returncode == 0
        assert home.run("stop").stdout == "stopped\n"
        assert formation.process.wait(PATIENCE) == 0
    home.wait_until_gone()
    assert home.left == []


def test_logs_are_shown_and_followed(home: Home) -> None:
    home.write({"Procfile": WEB + "worker: echo at work; sleep 600\n"})
    with home.start() as formation:
        formation.wait("log.line", "worker.1")
        assert home.run("logs", "-n", "1", "worker").stdout.endswith("worker.1     | at work\n")
        assert "worker.1" not in home.run("logs", "web.1").stdout
        wrong = home.run("logs", "wbe")
        assert (wrong.returncode, wrong.stdout) == (2, "")
        following = subprocess.Popen(
            [*home.command, "logs", "-f", "--json", "-n", "0", "web"],
            cwd=home.app,
            env=home.variables,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert following.stdout is not None
        # What is said before it follows is not for it: say it until the first one comes.
        count = 0
        reading = following.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(reading, selectors.EVENT_READ)
            while not selector.select(0.2):
                count += 1
                formation.get(f"/say/number {count}")
        first = json.loads(reading.readline())
        assert (first["event"], first["process"]) == ("log.line", "web.1")
        assert first["text"].startswith("number ")
        assert formation.stop() == 0
        rest = reading.read()
        assert following.wait(30) == 0
        assert '"process.ended"' in rest


def test_metrics_are_in_the_text_format_of_prometheus(home: Home) -> None:
    home.write({"Procfile": WEB})
    with home.start("web=2") as formation:
        formation.get("/")
        formation.get("/answer/404")
        httpx.request("BREW", formation.url, trust_env=False, timeout=PATIENCE)
        formation.wait_for(lambda: len(formation.of("router.request")) == 3)
        answer = ask(home, "GET", "/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        lines = answer.text.splitlines()
        assert 'fungible_requests_total{type="web",method="GET",status="200"} 1' in lines
        assert 'fungible_requests_total{type="web",method="GET",status="404"} 1' in lines
        assert any(line.startswith('fungible_requests_total{type="web",method="other"') for line in lines)
        assert 'fungible_processes{type="web",state="ready"} 2' in lines
        assert 'fungible_request_seconds_bucket{le="+Inf"} 3' in lines
        form = re.compile(r'(# (HELP|TYPE) .+|[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e+-]+)')
        assert [line for line in lines if not form.fullmatch(line)] == []
        assert formation.stop() == 0


BAD = [
    ("GET", "/nowhere", None, 404, "there is no such path"),
    ("GET", "/v1/scale", None, 405, "use POST"),
    ("POST", "/v1/scale", b"{", 400, "not JSON"),
    ("POST", "/v1/scale", b"[]", 400, "must be a JSON object"),
    ("POST", "/v1/scale", b"{}", 400, "say how many of which type"),
    ("POST", "/v1/scale", b'{"formation": "web=1"}', 400, "must be a list of strings"),
    ("POST", "/v1/scale", b'{"formation": ["worker=-1"]}', 400, "cannot be negative"),
    ("POST", "/v1/restart", b'{"name": 5}', 400, "must be a string"),
    ("POST", "/v1/restart", b'{"wait": "no"}', 400, "must be true or false"),
    ("POST", "/v1/config", b'{"set": ["A"]}', 400, "the `=` is missing"),
    ("POST", "/v1/config", b"x" * 1_100_000, 413, "larger than"),
    ("GET", "/v1/logs?lines=99999", None, 400, "is not a number from 0 to"),
    ("GET", "/" + "a" * 40_000, None, 400, "not HTTP"),
]


def test_what_is_wrong_is_said_in_one_sentence(home: Home) -> None:
    home.write({"Procfile": "worker: sleep 600\n"})
    with home.start() as formation:
        for method, path, body, status, error in BAD:
            answer = ask(home, method, path, content=body)
            assert answer.status_code == status, path[:40]
            assert error in answer.json()["error"]
            assert "\n" not in answer.json()["error"]
        assert formation.stop() == 0


def test_what_is_not_http_and_a_client_that_leaves_do_no_harm(home: Home) -> None:
    home.write({"Procfile": "worker: sleep 600\n"})
    with home.start() as formation:
        for said in (
            b"\x00\x01nonsense\r\n\r\n",
            b"GET /v1/formation HTTP/1.1\r\n",
            b"GET /v1/logs?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n",
            b"",
        ):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(socket_of(home)))
                client.sendall(said)
        assert home.run("ps").returncode == 0
        assert formation.stop() == 0
    assert formation.errors == []
