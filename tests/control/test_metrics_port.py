"""The port where Prometheus asks."""

from __future__ import annotations

import re
import socket

import httpx

from tests.control.test_control import ask
from tests.runtime.harness import WEB, Home


def get(url: str, host: str | None = None, method: str = "GET") -> httpx.Response:
    return httpx.request(method, url, headers={"Host": host} if host else {}, trust_env=False, timeout=30)


def names(text: str) -> set[str]:
    return set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))


def test_the_port_tells_what_the_control_socket_tells(home: Home) -> None:
    home.write({"Procfile": WEB + "worker: sleep 600\n"})
    with home.start("web=2", "--metrics-port", "0") as formation:
        url = formation.wait("metrics.url")["url"]
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/metrics", url)
        formation.get("/")
        formation.get("/exit/3")
        formation.wait("process.ended", crashed=True)
        formation.wait_for(lambda: len(formation.of("router.request")) == 2)
        told = get(url)
        assert told.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert names(told.text) == names(ask(home, "GET", "/metrics").text)
        lines = told.text.splitlines()
        assert "fungible_router_up 1" in lines and "fungible_router_queue 0" in lines
        assert 'fungible_process_ends_total{type="web",cause="crashed"} 1' in lines
        assert 'fungible_processes{type="worker",state="ready"} 1' in lines
        assert "fungible_request_seconds_count 2" in lines
        assert any(line.startswith('fungible_process_restarts_total{process="web.') for line in lines)
        assert any(line.startswith('fungible_process_memory_bytes{process="worker.1"}') for line in lines)
        # Metrics, for this machine's own names, and nothing else.
        assert get(url, "evil.example").status_code == 403
        assert get(url.replace("/metrics", "/v1/formation")).status_code == 404
        assert get(url.replace("/metrics", "/v1/stop"), method="POST").status_code == 404
        assert get(url, method="POST").status_code == 405
        assert formation.stop() == 0
        assert formation.errors == []


def test_setting_and_environment_ask_for_it_too(home: Home) -> None:
    home.write({"Procfile": "worker: sleep 600\n", "fungible.toml": "metrics_port = 0\n"})
    with home.start() as formation:
        assert get(formation.wait("metrics.url")["url"]).status_code == 200
        assert formation.stop() == 0
    home.write({"fungible.toml": 'metrics_port = 1\nmetrics_host = "0.0.0.0"\n'})
    home.environment["FUNGIBLE_METRICS_PORT"] = "0"
    with home.start() as formation:
        # Whoever opens it to other machines gives them a name for it, too.
        url = formation.wait("metrics.url")["url"]
        assert (get(url, "metrics.example").status_code, url.rpartition(":")[2] != "1/metrics") == (200, True)
        assert formation.stop() == 0


def test_a_port_that_cannot_be_had_is_said_and_nothing_is_left(home: Home) -> None:
    home.write({"Procfile": "worker: sleep 600\n"})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = home.run("start", "--port", "0", "--metrics-port", str(port))
        assert (done.returncode, done.stdout) == (3, "")
        assert f"port {port} of 127.0.0.1 is in use" in done.stderr and "--metrics-port" in done.stderr
    assert home.left == []
    wrong = home.run("start", "--metrics-port", "ninety")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "--metrics-port (or FUNGIBLE_METRICS_PORT) must be a port from 0 (a free one) to 65535" in wrong.stderr
    for host, code in (("no such host", 2), ("nowhere.invalid", 2), ("192.0.2.1", 3)):
        done = home.run("start", "--metrics-port", "0", "--metrics-host", host)
        assert (done.returncode, "metrics-host" in done.stderr) == (code, True), done.stderr
