"""`fungible start`, as its users meet it: the formation, the URL, crashes, readiness, types."""

from __future__ import annotations

import http.server
import signal
import socket
import threading

import httpx
import pytest

from tests.runtime.harness import PATIENCE, WEB, Home, processes_in_turn, wait_until

WORKER = "worker: python -c \"import time; print('working', flush=True); time.sleep(600)\"\n"


def test_the_first_line_is_the_url_once_the_processes_are_ready(home: Home) -> None:
    home.write({"Procfile": WEB})
    with home.start("web=2", as_json=False) as formation:
        assert httpx.get(formation.url, trust_env=False, timeout=PATIENCE).status_code == 200
        assert formation.stop() == 0
        assert formation.lines == [formation.url], "stdout has the URL alone"
    said = formation.say()
    assert "isolation " in said
    assert "web.1        | ready after" in said
    assert "web.2        | ready after" in said


def test_one_keep_alive_client_meets_all_processes_in_turn(home: Home) -> None:
    home.write({"Procfile": WEB})
    with home.start("web=3") as formation:
        met = processes_in_turn(formation.url, 12)
        assert sorted(set(met)) == ["web.1", "web.2", "web.3"]
        assert met == met[:3] * 4
        assert formation.stop() == 0


def test_what_another_program_answers_at_its_port_makes_no_process_ready(home: Home) -> None:
    home.write({"Procfile": "web: python -c 'import time; print(\"up\", flush=True); time.sleep(600)'\n"})
    asked = threading.Semaphore(0)

    class Stranger(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.release()
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """The tests' output is not for this."""

    with home.start(up=False) as formation:
        port = formation.wait("process.starting", "web.1")["port"]
        formation.wait("log.line", "web.1", text="up")
        with http.server.ThreadingHTTPServer(("127.0.0.1", port), Stranger) as stranger:
            threading.Thread(target=stranger.serve_forever, daemon=True).start()
            for _ in range(4):
                assert asked.acquire(timeout=PATIENCE)
            assert not formation.of("process.ready")
            stranger.shutdown()
        formation.stop()


def test_counts_come_from_the_command_line_then_from_the_settings_and_zero_is_a_number(home: Home) -> None:
    settings = "[types.web]\nprocesses = 2\n[types.worker]\nprocesses = 3\n"
    home.write({"Procfile": WEB + WORKER, "fungible.toml": settings})
    with home.start("worker=0") as formation:
        assert formation.url
        assert {e["process"] for e in formation.of("process.ready")} == {"web.1", "web.2"}
        assert formation.stop() == 0
    assert not formation.of("process.starting", "worker.1")


def test_without_web_processes_the_router_answers_no_process(home: Home) -> None:
    home.write({"Procfile": WEB})
    with home.start("web=0") as formation:
        answer = formation.get()
        assert answer.status_code == 503
        assert answer.headers["Fungible-Cause"] == "no-process"
        assert formation.stop() == 0


def test_an_app_without_web_has_no_url(home: Home) -> None:
    home.write({"Procfile": WORKER})
    with home.start() as formation:
        formation.wait("log.line", "worker.1", text="working")
        assert formation.stop() == 0
    assert not formation.of("formation.url")


def test_a_crashed_process_is_back_at_once_then_with_pauses_and_its_siblings_serve_on(home: Home) -> None:
    home.write({"Procfile": WEB + "bad: sh -c 'exit 7'\n"})
    with home.start("web=2", "bad=0") as formation:
        first = formation.wait("process.ready", "web.1")
        formation.get("/exit/3")
        ended = formation.wait("process.ended")
        name = ended["process"]
        assert (ended["status"], ended["crashed"]) == (3, True)
        again = formation.wait("process.ready", name, after=formation.events.index(ended))
        assert again["instance"] != first["instance"]
        assert not formation.of("process.backoff"), "the first restart comes at once"
        before = len(formation.events)
        wait_until(lambda: formation.get().json()["process"] != name)
        wait_until(lambda: formation.get("/exit/4").json()["process"] == name)
        backoff = formation.wait("process.backoff", name, after=before)
        assert backoff["crashes"] == 2
        assert 0.5 <= backoff["delay_s"] <= 1
        formation.wait("process.ready", name, after=formation.events.index(backoff))
        assert formation.stop() == 0


def test_a_type_that_always_crashes_never_stops_its_siblings(home: Home) -> None:
    home.write({"Procfile": WEB + "bad: sh -c 'echo oh no; exit 7'\n"})
    with home.start() as formation:
        third = formation.wait("process.backoff", "bad.1", crashes=3)
        assert 1 <= third["delay_s"] <= 2
        assert len(formation.of("process.ended", "bad.1")) == 3
        assert formation.get().json()["process"] == "web.1"
        assert formation.stop() == 0
    assert len(formation.of("process.ended", "web.1")) == 1


def test_a_command_that_does_not_exist_gives_one_clear_line_and_no_hot_loop(home: Home) -> None:
    home.write(
        {
            "Procfile": WEB + 'worker: echo x >> "$STORE/tried"; no-such-program\n',
            "fungible.toml": '[services]\nSTORE = "folder"\n',
        }
    )
    with home.start("worker=2", as_json=False) as formation:
        tried = next(home.base.glob("state/fungible/*/services/STORE")) / "tried"
        wait_until(lambda: tried.read_text().count("x") >= 6)
        assert formation.stop() == 0
    said = formation.say()
    assert said.count("no-such-program` (Procfile line 2) is not found on the PATH") == 1
    assert said.count("exited with 127") == 2, "one line for each process"
    # A second line for one that the stop meets in the midst of a try: it ended in another way.
    assert all(said.count(f"worker.{number}     | started") <= 2 for number in (1, 2))


def test_not_even_the_first_restart_of_a_command_that_does_not_exist_is_immediate(home: Home) -> None:
    home.write({"Procfile": WEB + "worker: no-such-program --x\n"})
    with home.start() as formation:
        assert formation.wait("process.backoff", "worker.1")["delay_s"] > 0
        assert formation.stop() == 0


def test_a_web_that_cannot_start_is_told_and_the_url_comes_all_the_same(home: Home) -> None:
    home.write({"Procfile": "web: no-such-server\n"})
    with home.start("web=2") as formation:
        wait_until(lambda: formation.get().headers["Fungible-Cause"] != "starting")
        answer = formation.get()
        assert (answer.status_code, answer.headers["Fungible-Cause"]) == (503, "crashed")
        assert f"no web process is ready: until one is, {formation.url} answers 503" in [
            event["text"] for event in formation.of("notice")
        ]
        assert formation.stop() == 0
    assert {e["process"] for e in formation.of("process.ended")} == {"web.1", "web.2"}


def test_one_process_that_keeps_failing_does_not_count_for_another(home: Home) -> None:
    """The URL waits for the slow one, however often the other fails."""
    slow = "sh -c 'if [ $FUNGIBLE_PROCESS = web.1 ]; then exit 1; else sleep 3; exec python server.py; fi'"
    home.write({"Procfile": f"web: {slow}\n"})
    with home.start("web=2") as formation:
        assert formation.get().json()["process"] == "web.2"
        assert formation.stop() == 0
    kinds = [(e["event"], e.get("process")) for e in formation.events]
    assert kinds.index(("process.ready", "web.2")) < kinds.index(("formation.url", None))
    assert len(formation.of("process.ended", "web.1")) >= 2


def test_what_does_not_answer_in_time_is_killed_and_told_where_it_listens(home: Home) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    listen = f"python -c \"import socket, time; s = socket.create_server(('127.0.0.1', {port})); time.sleep(600)\""
    home.write({"Procfile": f"web: {listen}\n"})
    with home.start("--boot-timeout", "1s") as formation:
        told = formation.wait("process.boot_timeout", "web.1")
        assert told["listens_on"] == [f"port {port}"]
        assert formation.wait("process.ended", "web.1")["cause"] == "boot-timeout"
        wait_until(lambda: formation.get().headers["Fungible-Cause"] == "wrong-port")
        assert formation.stop() == 0


def test_where_it_listens_instead_is_told_long_before_its_boot_time_is_over(home: Home) -> None:
    home.write({"Procfile": "web: python -m http.server --bind 127.0.0.1 0\n"})
    with home.start(as_json=False, up=False) as formation:
        formation.wait_for(lambda: "instead of $PORT, so no request reaches it" in formation.say())
        assert formation.get().headers["Fungible-Cause"] == "wrong-port", "the URL is told, though none is ready"
        assert "no web process is ready" in formation.say()
        assert formation.stop() == 0


def test_a_second_port_that_is_opened_first_makes_nobody_fail(home: Home) -> None:
    code = "import socket, time, server\ns = socket.create_server(('127.0.0.1', 0))\ntime.sleep(2)\nserver.main()\n"
    home.write({"Procfile": "web: python slow.py\n", "slow.py": code})
    with home.start("web=1") as formation:
        assert formation.get().status_code == 200, "the URL is told when it is ready"
        assert formation.stop() == 0


def test_what_fails_at_every_start_is_shown_once(home: Home) -> None:
    home.write({"Procfile": "web: python -c 'import nothing_like_that'\n"})
    with home.start("web=1", as_json=False, up=False) as formation:
        formation.wait_for(lambda: "crashed 2 times in a row, each time as above" in formation.say())
        formation.wait_for(lambda: len(formation.errors) > 4)
        assert formation.stop() == 0
    said = formation.say()
    assert said.count("No module named") == said.count("| started") == said.count("exited with 1") == 1


def test_a_ready_path_decides_who_is_ready(home: Home) -> None:
    home.write({"Procfile": WEB, "fungible.toml": '[types.web]\nready = "/answer/500"\nboot_timeout = "5s"\n'})
    refused = "GET /answer/500 is answered 500, and only 2xx and 3xx are ready"
    with home.start() as formation:
        assert formation.wait("process.not_ready", "web.1")["refused"] == refused, "long before the time is over"
        told = formation.wait("process.boot_timeout", "web.1")
        assert "listens_on" not in told, "it listens where it should"
        assert told["refused"] == refused
        assert formation.stop() == 0
    assert not formation.of("process.ready")
    home.write({"fungible.toml": '[types.web]\nready = "/answer/204"\n'})
    with home.start() as formation:
        formation.wait("process.ready", "web.1")
        assert formation.stop() == 0


def test_any_complete_answer_is_ready_enough_without_a_path(home: Home) -> None:
    home.write({"Procfile": "web: python app.py\n", "app.py": _NOT_FOUND})
    with home.start() as formation:
        assert formation.get().status_code == 404
        assert formation.stop() == 0


_NOT_FOUND = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(404)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def test_processes_of_other_types_get_no_port_and_all_get_what_the_contract_says(home: Home) -> None:
    home.write({"Procfile": "worker: env && sleep 600\n", ".env": "FROM_FILE=file\nHOME=/nowhere\n"})
    with home.start() as formation:
        formation.wait_for(lambda: any(e["text"].startswith("XDG_RUNTIME_DIR=") for e in formation.of("log.line")))
        formation.wait_for(lambda: any(e["text"].startswith("FROM_FILE=") for e in formation.of("log.line")))
        assert formation.stop() == 0
    lines = [e["text"] for e in formation.of("log.line") if "=" in e["text"]]
    got = dict(line.split("=", 1) for line in lines)
    assert "PORT" not in got
    assert got["FUNGIBLE_PROCESS"] == "worker.1"
    assert got["FUNGIBLE_INSTANCE"] == formation.of("process.starting")[0]["instance"]
    assert got["FUNGIBLE_RELEASE"] == "v1"
    assert (got["WEB_CONCURRENCY"], got["PYTHONUNBUFFERED"], got["FROM_FILE"]) == ("1", "1", "file")
    for name in ("HOME", "TMPDIR", "FUNGIBLE_SCRATCH", "XDG_RUNTIME_DIR"):
        assert formation.of("process.starting")[0]["instance"] in got[name], "private"


def test_two_of_a_singleton_never_run_at_once(home: Home) -> None:
    slow_to_stop = (
        'clock: python -c "import signal, time, sys; signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), '
        'sys.exit())); time.sleep(600)"\n'
    )
    settings = '[types.clock]\nsingleton = true\nmax_age = "0.6s"\n'
    home.write({"Procfile": slow_to_stop, "fungible.toml": settings})
    with home.start() as formation:
        formation.wait_for(lambda: len(formation.of("process.starting", "clock.1")) == 3)
        assert formation.stop() == 0
    kinds = [e["event"] for e in formation.events if e["event"] in ("process.starting", "process.ended")]
    assert kinds == ["process.starting", "process.ended"] * (len(kinds) // 2)
    assert not any(e.get("crashed") for e in formation.of("process.ended")), "an old one that is replaced is no crash"


def test_an_old_process_goes_when_its_successor_is_ready(home: Home) -> None:
    home.write({"Procfile": WEB, "fungible.toml": '[types.web]\nmax_age = "1.5s"\n'})
    with home.start("web=1") as formation:
        first = formation.wait("process.ready", "web.1")
        second = formation.wait("process.ready", "web.1", after=formation.events.index(first) + 1)
        draining = formation.wait("process.draining", "web.1")
        assert draining["instance"] == first["instance"] and draining["former"]
        assert formation.events.index(second) < formation.events.index(draining)
        formation.wait("process.ready", "web.1", after=formation.events.index(draining))
        assert formation.stop() == 0


def test_a_process_is_replaced_after_its_share_of_requests(home: Home) -> None:
    home.write({"Procfile": WEB, "fungible.toml": "[types.web]\nmax_requests = 5\n"})
    with home.start("web=1") as formation:
        seen = {formation.get().json()["instance"] for _ in range(5)}
        assert len(seen) == 1
        formation.wait("process.draining", "web.1")
        assert formation.get().json()["instance"] not in seen
        assert formation.stop() == 0


def test_a_process_over_its_memory_is_killed_and_named(home: Home) -> None:
    hog = "worker: python -c \"import time; x = b'x' * 90_000_000; time.sleep(600)\"\n"
    home.write({"Procfile": hog, "fungible.toml": '[types.worker]\nmemory = "64MiB"\n'})
    with home.start() as formation:
        told = formation.wait("process.memory", "worker.1")
        assert told["used_bytes"] > told["allowed_bytes"] == 64 * 2**20
        assert formation.wait("process.ended", "worker.1")["cause"] == "memory"
        assert formation.stop() == 0


def test_a_bound_on_open_files_holds(home: Home) -> None:
    home.write({"Procfile": "worker: ulimit -n && sleep 600\n", "fungible.toml": "[types.worker]\nfiles = 99\n"})
    with home.start() as formation:
        formation.wait("log.line", "worker.1", text="99")
        assert formation.stop() == 0


@pytest.mark.parametrize("name", ["INT", "QUIT", "USR1"])
def test_each_type_has_its_stop_signal(home: Home, name: str) -> None:
    script = (
        "import signal, sys, time\n"
        f"signal.signal(signal.SIG{name}, lambda *_: (print('heard {name}', flush=True), sys.exit(0)))\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('heard TERM', flush=True), sys.exit(0)))\n"
        "print('up', flush=True)\ntime.sleep(600)\n"
    )
    home.write(
        {
            "Procfile": "worker: python w.py\n",
            "w.py": script,
            "fungible.toml": f'[types.worker]\nstop_signal = "{name}"\n',
        }
    )
    with home.start() as formation:
        formation.wait("log.line", "worker.1", text="up")
        assert formation.stop() == 0
    assert [e["text"] for e in formation.of("log.line")] == ["up", f"heard {name}"]


def test_a_process_that_ignores_its_signal_is_killed_at_its_stop_time(home: Home) -> None:
    home.write(
        {
            "Procfile": "worker: trap '' TERM; echo up; while true; do sleep 1; done\n",
            "fungible.toml": 'stop_timeout = "0.5s"\n',
        }
    )
    with home.start() as formation:
        formation.wait("log.line", "worker.1", text="up")
        assert formation.stop() == 0
    assert formation.of("process.killed", "worker.1", after_s=0.5)
    assert formation.of("process.ended", "worker.1")[0]["status"] < 0


def test_a_group_may_take_its_whole_stop_time_though_its_shell_ended_at_once(home: Home) -> None:
    """A command with an assignment keeps its shell, which dies of TERM while the server still finishes."""
    script = (
        "import signal, sys, time\n"
        "def stop(*_):\n    time.sleep(6)\n    print('finished', flush=True)\n    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\nprint('up', flush=True)\ntime.sleep(600)\n"
    )
    home.write({"Procfile": "worker: X=1 python w.py; true\n", "w.py": script})
    with home.start() as formation:
        formation.wait("log.line", "worker.1", text="up")
        assert formation.stop() == 0
    assert formation.of("log.line", text="finished")
    assert not formation.of("process.killed")


def test_a_type_that_forks_servers_is_named_with_the_mend(home: Home) -> None:
    app = "def app(environ, start):\n    start('200 OK', [])\n    return [b'']\n"
    home.write({"Procfile": "web: gunicorn -w 4 -b 127.0.0.1:$PORT shop:app\n", "shop.py": app})
    with home.start("web=1", as_json=False) as formation:
        formation.wait_for(lambda: "runs 4 servers in one process" in formation.say())
        assert "gunicorn -w 1" in formation.say()
        assert formation.stop() == 0


def test_web_from_the_command_line_and_the_line_to_keep(home: Home) -> None:
    with home.start("--web", "python server.py", as_json=False) as formation:
        assert httpx.get(formation.url, trust_env=False, timeout=PATIENCE).json()["process"] == "web.1"
        assert formation.stop(signal.SIGTERM) == 0
    assert "called Procfile:\nweb: python server.py" in formation.say()


def test_build_and_release_commands_run_before_the_first_process(home: Home) -> None:
    home.write(
        {
            "Procfile": WEB + "release: cat built.txt; echo released > lost.txt\n",
            "fungible.toml": 'build = ["echo asset > built.txt"]\n',
        }
    )
    with home.start(as_json=False) as formation:
        url = formation.url
        assert httpx.get(url + "/read/built.txt", trust_env=False, timeout=PATIENCE).json()["text"] == "asset\n"
        assert httpx.get(url + "/read/lost.txt", trust_env=False, timeout=PATIENCE).json()["text"] is None
        assert formation.stop() == 0
    assert not (home.app / "built.txt").exists()
    assert "asset" in formation.say()


@pytest.mark.parametrize("step", ["build", "release"])
def test_a_step_that_fails_is_exit_1_with_one_sentence(home: Home, step: str) -> None:
    setting = (
        "build = [\"sh -c 'echo wrong; exit 5'\"]" if step == "build" else "release = \"sh -c 'echo wrong; exit 5'\""
    )
    home.write({"Procfile": WEB, "fungible.toml": setting + "\n"})
    done = home.run("start", "--port", "0")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith(f"fungible: the {step} command `sh -c")
    assert "wrong" in done.stderr
    assert home.left == []
