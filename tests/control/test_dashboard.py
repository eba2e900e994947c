"""`fungible dashboard` over real sockets: who may ask, what is told, and what cannot harm."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from tests.control.dashboards import Dashboard, dashboard_of
from tests.runtime.harness import WEB, Home, wait_until

CLOSED = [
    ("GET", "/v1/formation"),
    ("GET", "/v1/logs"),
    ("GET", "/metrics"),
    ("GET", "/page/index.html"),
    ("GET", "/../gateway.py"),
    ("POST", "/v1/stop"),
    ("POST", "/v1/config"),
    ("POST", "/v1/release"),
    ("POST", "/v1/rollback"),
]


def raw(dashboard: Dashboard, text: str) -> bytes:
    with socket.create_connection(("127.0.0.1", dashboard.port), 10) as client:
        client.sendall(text.encode())
        return client.makefile("rb").read()


def test_the_page_needs_no_token_and_nothing_else_comes_without_it(home: Home) -> None:
    home.write({"Procfile": "worker: sleep 600\n"})
    with home.start() as formation, dashboard_of(home) as dashboard:
        page = dashboard.ask("GET", "/", {})
        policy = page.headers["content-security-policy"]
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "default-src 'none'; script-src 'self'" in policy and "unsafe" not in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        for name in ("/page.js", "/style.css", "/icon.svg"):
            assert dashboard.ask("GET", name, {}).status_code == 200
        good = {"Authorization": f"Bearer {dashboard.token}", "Content-Type": "application/json"}
        body = '{"formation": ["worker=2"]}'
        for bad, status in (
            ({}, 401),
            ({"Authorization": "Bearer x"}, 401),
            ({"Cookie": f"token={dashboard.token}"}, 401),
            (good | {"Host": f"evil.example:{dashboard.port}"}, 403),
            (good | {"Origin": "http://evil.example"}, 403),
            (good | {"Sec-Fetch-Site": "cross-site"}, 403),
            (good | {"Content-Type": "text/plain"}, 415),
        ):
            assert dashboard.ask("POST", "/v1/scale", bad, content=body).status_code == status, bad
        assert dashboard.ask("GET", "/v1/live", {}).status_code == 401
        assert dashboard.ask("GET", f"/v1/live?token={dashboard.token}", {}).status_code == 401
        # A name that was made to point here gets nothing at all, not even the page.
        assert dashboard.ask("GET", "/", {"Host": "evil.example"}).status_code == 403
        assert b"400" in raw(dashboard, "GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")[:20]
        # No more can be done with the token than the page does.
        for method, path in CLOSED:
            assert dashboard.ask(method, path).status_code == 404, path
        assert formation.of("process.starting", "worker.2") == []
        answer = dashboard.ask("POST", "/v1/scale", good, content=body)
        assert (answer.status_code, answer.json()["message"]) == (200, "worker=2")
        refused = dashboard.ask("POST", "/v1/restart", good, content='{"name": "nobody"}')
        assert (refused.status_code, "there is no process" in refused.json()["error"]) == (400, True)
        assert formation.stop() == 0
        assert dashboard.token not in formation.say()


def test_it_listens_on_loopback_only_and_a_taken_port_is_said(home: Home) -> None:
    home.write({"Procfile": "worker: sleep 600\n"})
    with dashboard_of(home) as dashboard:
        assert dashboard.url.startswith("http://127.0.0.1:")
        second = home.run("dashboard", "--port", str(dashboard.port))
        assert (second.returncode, second.stdout) == (3, "")
        assert second.stderr.startswith(f"fungible: port {dashboard.port} of 127.0.0.1 is in use")


def test_what_lives_and_ends_is_told(home: Home) -> None:
    home.write({"Procfile": WEB, ".env": "API_KEY=sk-very-secret-key\n"})
    with home.start("web=2") as formation, dashboard_of(home) as dashboard, dashboard.watch() as messages:
        first = next(messages)
        assert (first["hello"]["app"], first["formation"]["release"]) == ("app", "v1")
        assert [each["state"] for each in first["formation"]["processes"]] == ["ready", "ready"]
        assert {"ready"} == {entry["kind"] for entry in first["history"]}
        for path in ("/", "/answer/500", "/say/<b>sk-very-secret-key</b>", "/exit/3"):
            formation.get(path)
        formation.wait("process.ended", crashed=True)
        requests, history, lines = [], [], []
        while not (len(requests) == 4 and any(e["kind"] == "crash" for e in history) and lines):
            message = next(messages)
            requests += message["requests"]
            history += message["history"]
            lines += [line["text"] for line in message["lines"] if "<b>" in line["text"]]
        assert sorted({each["process"] for each in requests}) == ["web.1", "web.2"]
        assert [each["status"] for each in requests if each["path"] == "/answer/500"] == [500]
        assert [entry["text"] for entry in history if entry["kind"] == "crash"] == ["exit code 3"]
        assert lines == ["<b>***</b>"]
        assert "sk-very" not in str(requests)
        assert formation.stop() == 0
        assert [message["ended"] for message in messages][-1:] == [True]


def test_a_watcher_that_takes_nothing_or_leaves_harms_nobody(home: Home) -> None:
    home.write({"Procfile": WEB + "worker: sleep 600\n"})
    with home.start() as formation, dashboard_of(home) as dashboard:
        ask = f"GET /v1/live HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {dashboard.token}\r\n\r\n"
        deaf = []
        for number in range(40):
            client = socket.create_connection(("127.0.0.1", dashboard.port), 10)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(ask.encode())
            if number % 2:
                client.close()
            else:
                deaf.append(client)
        for number in range(200):
            formation.get(f"/say/{number} {'x' * 3000}")
        formation.wait("log.line", text=f"199 {'x' * 3000}")
        with dashboard.watch() as messages:
            last = next(messages)
            assert last["requests"] and last["lines"]
            assert all(len(line["text"]) <= 4000 for line in last["lines"])
            os.kill(last["formation"]["processes"][-1]["pid"], signal.SIGKILL)
            while not any(entry["text"] == "signal 9" for entry in last["history"]):
                last = next(messages)
        assert home.run("ps").returncode == 0
        assert formation.stop() == 0  # nobody waits for those
        for client in deaf:
            client.close()
    assert formation.errors == []


def test_it_outlives_the_formation_and_finds_the_next_one(home: Home) -> None:
    home.write({"Procfile": "worker: sleep 600\n"})
    with dashboard_of(home) as dashboard:
        early = dashboard.ask("GET", "/v1/live")
        assert (early.status_code, "no formation of this app runs" in early.json()["error"]) == (503, True)
        pids = []
        for _ in range(2):
            with home.start() as formation:
                wait_until(lambda: next_status(dashboard) == 200)
                with dashboard.watch() as messages:
                    pids.append(next(messages)["hello"]["pid"])
                formation.stop(signal.SIGKILL)
                home_is_quiet(home, dashboard)
        assert len(set(pids)) == 2


def next_status(dashboard: Dashboard) -> int:
    with socket.create_connection(("127.0.0.1", dashboard.port), 10) as client:
        head = f"GET /v1/live HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {dashboard.token}\r\n\r\n"
        client.sendall(head.encode())
        return int(client.recv(12).split()[1])


def home_is_quiet(home: Home, dashboard: Dashboard) -> None:
    wait_until(lambda: set(home.pids) <= {dashboard.process.pid}, lambda: str(home.pids))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--port", "70000"], 2, "65535"),
        (["--app", "/no/such/folder"], 2, "there is no such folder"),
    ],
)
def test_bad_input_is_one_sentence(home: Home, arguments: list[str], code: int, said: str) -> None:
    done = home.run("dashboard", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr and done.stderr.count("\n") == 1
