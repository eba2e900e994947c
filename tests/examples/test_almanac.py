"""almanac's processes as they run: web behind gunicorn, worker, clock, Valkey, SQLite and servers for its files."""

import csv
import os
import re
import signal
import sqlite3
import statistics
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import valkey
from pwdlib import PasswordHash

from tests.examples.example_apps import (
    ALMANAC,
    PATIENCE,
    gunicorn,
    play,
    python_process,
    run_python,
    steps_of,
    to_servers,
    until,
    web_server,
)
from tests.kit.sessions.servers import running

Environment = Callable[..., dict[str, str]]
WEB = "almanac.web:app"
DEMO_DATA = ALMANAC / "almanac" / "demo_data"


@pytest.fixture
def ann(webs: list[str]) -> Iterator[httpx.Client]:
    """Ann's browser; every request meets the other process."""
    with browser(webs) as client:
        assert log_in(client).status_code == 303
        yield client


@contextmanager
def browser(urls: list[str]) -> Iterator[httpx.Client]:
    send, count = to_servers(urls), iter(range(10**6))
    transport = httpx.MockTransport(lambda request: send(next(count), request))
    with httpx.Client(base_url=urls[0], transport=transport, timeout=PATIENCE) as client:
        yield client


def log_in(client: httpx.Client, user: str = "ann", password: str = "apple-pie") -> httpx.Response:
    return client.post("/login", data={"user": user, "password": password})


def token(client: httpx.Client) -> str:
    found = re.search(r'name="token" value="([^"]+)"', client.get("/").text)
    assert found
    return found[1]


def add(client: httpx.Client, url: str) -> int:
    answer = client.post("/api/datasets", json={"url": url})
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/api/datasets/{answer.json()['id']}"
    return int(answer.json()["id"])


def work(env: dict[str, str]) -> None:
    """Let a worker empty the queue."""
    done = run_python(ALMANAC, env, "-m", "almanac.worker", "--once")
    assert done.returncode == 0, done.stderr


def worker(env: dict[str, str]) -> Any:
    return python_process([sys.executable, "-m", "almanac.worker"], ALMANAC, env)


def test_the_workload_is_answered_alike_by_one_process_and_by_two(webs: list[str], fresh: Callable[[], None]) -> None:
    workload = ALMANAC / "tests" / "workload.yaml"
    assert 45 <= len(steps_of(workload)) <= 55
    two = play(workload, to_servers(webs))
    fresh()
    assert play(workload, to_servers(webs[:1])) == two
    # Nearly all of a workload should succeed; the refusals in this one are meant and counted.
    refused = [answer.status for answer in two if answer.status >= 400]
    assert sorted(refused) == [400, 400, 401, 401, 401, 404, 404, 404, 404, 404, 404, 404, 415, 422, 422, 422]


def test_a_data_set_goes_through_web_worker_and_web(ann: httpx.Client, almanac: Environment) -> None:
    files = [sys.executable, "-m", "almanac.fileserver", "--port", "0"]
    env = almanac("files")
    with python_process(["sh", "-c", 'exec "$@" >"$HOME/url"', "sh", *files], ALMANAC, env):
        url = until(
            lambda: (p := Path(env["HOME"], "url")).exists() and p.read_text().strip(), "the file server's URL"
        )
        added = ann.post(
            "/datasets", data={"url": f"{url}harvest.csv", "title": " Our  harvest ", "token": token(ann)}
        )
        assert added.status_code == 303
        page = ann.get(added.headers["location"])
        assert (
            "Our harvest" in page.text and "Waiting for a worker" in page.text and 'http-equiv="refresh"' in page.text
        )
        with worker(almanac("worker.1")) as process:
            number = added.headers["location"].rpartition("/")[2]
            said = until(
                lambda: (d := ann.get(f"/api/datasets/{number}").json())["status"] == "ready" and d, "a result"
            )
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
    rows = list(csv.DictReader((DEMO_DATA / "harvest.csv").open()))
    assert said["rows"] == len(rows) == 65
    for column in said["columns"]:
        values = [float(row[column["name"]]) for row in rows]
        assert (column["count"], column["min"], column["max"]) == (65, min(values), max(values))
        assert column["mean"] == pytest.approx(statistics.fmean(values))
        assert column["years"] == {row["year"]: float(row[column["name"]]) for row in rows}
    page = ann.get(f"/datasets/{number}?column=potatoes_t_per_ha").text
    assert "<polyline" in page and 'aria-current="true">potatoes_t_per_ha' in page and "Waiting" not in page
    plot = ann.get(f"/datasets/{number}/plot.svg?column=wheat_t_per_ha")
    assert plot.headers["content-type"].startswith("image/svg+xml") and "wheat_t_per_ha" in plot.text
    assert not list(Path(almanac("worker.1")["FUNGIBLE_SCRATCH"]).iterdir())


def test_the_demo_s_own_samples_can_be_added(webs: list[str], ann: httpx.Client, almanac: Environment) -> None:
    sample = re.search(r"<code>(http://[^<]+/samples/rivers.csv)</code>", ann.get("/").text)
    assert sample
    number = add(ann, sample[1])
    work(almanac())
    assert ann.get(f"/api/datasets/{number}").json()["rows"] == 120
    assert httpx.get(webs[0] + "/samples/..%2fmigrate.py", timeout=PATIENCE).status_code == 404


def test_pages_say_which_process_served_them(ann: httpx.Client) -> None:
    served = [re.search(r'class="process">([^<]+)', ann.get("/").text)[1] for _ in range(4)]
    assert sorted(served[:2]) == ["web.1", "web.2"]
    assert served[:2] == served[2:]


class TestSessions:
    """Log in, and what the store and the cookie hold."""

    def test_the_cookie_is_an_id_and_the_store_forgets(self, webs: list[str], store: valkey.Valkey) -> None:
        with browser(webs) as client:
            answer = log_in(client)
            cookie = answer.headers["set-cookie"]
            assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "ann" not in cookie
            (key,) = store.keys("fs:*")
            assert client.cookies["sid"] not in key
            assert 0 < store.ttl(key) <= 1800
            store.delete(key)
            assert client.get("/").headers["location"] == "/login"

    def test_log_in_gives_a_new_id_and_log_out_ends_the_old(self, webs: list[str], store: valkey.Valkey) -> None:
        with browser(webs) as client:
            log_in(client)
            first = client.cookies["sid"]
            log_in(client, "bob", "blueberry")
            assert client.cookies["sid"] != first
            assert len(store.keys("fs:*")) == 1
            stolen = client.cookies["sid"]
            assert client.post("/logout", data={"token": token(client)}).status_code == 303
            assert "sid" not in client.cookies and not store.keys("fs:*")
            client.cookies.set("sid", stolen)
            assert client.get("/").status_code == 303

    def test_a_made_up_id_is_not_taken_over(self, webs: list[str]) -> None:
        with browser(webs) as client:
            client.cookies.set("sid", "c" * 43)
            assert "c" * 43 not in log_in(client).headers["set-cookie"]

    def test_a_killed_web_process_takes_no_session_with_it(self, almanac: Environment) -> None:
        with (
            gunicorn(ALMANAC, WEB, almanac()) as (url, process),
            httpx.Client(base_url=url, timeout=PATIENCE) as client,
        ):
            log_in(client)
            cookies = dict(client.cookies)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        with (
            gunicorn(ALMANAC, WEB, almanac()) as (url, _),
            httpx.Client(base_url=url, cookies=cookies, timeout=PATIENCE) as client,
        ):
            assert client.get("/").status_code == 200

    def test_one_url_moves_the_sessions_to_memcached(
        self, almanac: Environment, store: valkey.Valkey, tmp_path: Path
    ) -> None:
        with running("memcached", tmp_path) as url, ExitStack() as stack:
            webs = [
                stack.enter_context(gunicorn(ALMANAC, WEB, almanac(f"m.{n}", FUNGIBLE_SESSION_URL=url)))
                for n in (1, 2)
            ]
            urls = [url for url, _ in webs]
            with browser(urls) as client:
                assert log_in(client).status_code == 303
                assert not store.keys("fs:*"), "and none are in Valkey"
                os.killpg(webs[0][1].pid, signal.SIGKILL)
            with browser(urls[1:]) as alive:
                alive.cookies.update(client.cookies)
                added = alive.post("/datasets", data={"url": "https://data.example/a.csv", "token": token(alive)})
                assert "Added. The file is being fetched." in alive.get(added.headers["location"]).text
                assert alive.post("/logout", data={"token": token(alive)}).status_code == 303
                alive.cookies.update(client.cookies)
                assert alive.get("/").status_code == 303, "who logged out is out, whoever kept the cookie"

    def test_tries_are_counted_over_all_processes(self, webs: list[str]) -> None:
        with browser(webs) as client:
            answers = [log_in(client, password=f"guess {n}").status_code for n in range(11)]
        assert answers == [401] * 10 + [429]

    def test_a_hash_of_other_parameters_is_right_and_is_made_anew(
        self, webs: list[str], almanac_folder: Path
    ) -> None:
        with closing(sqlite3.connect(almanac_folder / "almanac.db", isolation_level=None)) as database:

            def stored() -> str:
                found = database.execute("SELECT password_hash FROM users WHERE name = 'ann'").fetchone()
                return str(found[0])

            todays = stored()
            assert todays.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
            database.execute(
                "UPDATE users SET password_hash = ? WHERE name = 'ann'",
                (PasswordHash.recommended().hash("apple-pie"),),
            )
            with browser(webs) as client:
                assert log_in(client, password="apple-cake").status_code == 401
                assert "m=65536,t=3,p=4" in stored()
                assert log_in(client).status_code == 303
                assert stored().startswith("$argon2id$v=19$m=19456,t=2,p=1$") and stored() != todays
                renewed = stored()
                assert log_in(client).status_code == 303
                assert stored() == renewed


class TestTokens:
    """Log in for a token, use it where it was not made, revoke it; each request meets the other process."""

    def test_a_token_works_on_every_process_until_it_is_revoked(self, webs: list[str], almanac: Environment) -> None:
        with gunicorn(ALMANAC, WEB, almanac("web.3")) as (url, process):
            answer = httpx.post(
                url + "/api/login", json={"user": "ann", "password": "apple-pie", "label": "backup"}, timeout=PATIENCE
            )
            assert answer.status_code == 201 and "set-cookie" not in answer.headers
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        made = answer.json()
        assert made["token"].startswith("almanac_api_")
        with browser(webs) as client:
            client.headers["Authorization"] = f"Bearer {made['token']}"
            titles = [[d["title"] for d in client.get("/api/datasets").json()] for _ in webs]
            assert titles == [["Weather, month by month", "Harvest"]] * 2
            assert client.get("/").headers["location"] == "/login", "pages are for sessions"
            listed = {"id": made["id"], "label": "backup", "scopes": ["read", "write"]}
            assert client.get("/api/tokens").json() == [listed]
            assert client.delete(f"/api/tokens/{made['id']}").status_code == 204
            for _ in webs:
                refused = client.get("/api/datasets")
                assert refused.status_code == 401 and 'error="invalid_token"' in refused.headers["www-authenticate"]
        database = database_of(almanac())
        kept = b"".join(path.read_bytes() for path in database.parent.glob(database.name + "*"))
        assert made["id"].encode() in kept and made["token"].encode() not in kept

    def test_a_token_from_the_page_may_what_its_user_chose(self, ann: httpx.Client, webs: list[str]) -> None:
        page = ann.post("/tokens", data={"label": "reader", "may": "read", "token": token(ann)})
        secret = re.search(r'class="secret">([^<]+)<', page.text)
        assert page.status_code == 201 and page.headers["cache-control"] == "no-store" and secret
        assert secret[1] not in ann.get("/tokens").text
        with browser(webs) as program:
            program.headers["Authorization"] = f"Bearer {secret[1]}"
            (mine,) = program.get("/api/tokens").json()
            assert program.get("/api/datasets/1").status_code == 200
            refused = program.delete("/api/datasets/1")
            assert refused.status_code == 403 and 'scope="write"' in refused.headers["www-authenticate"]
            with browser(webs) as bob:
                log_in(bob, "bob", "blueberry")
                form = {"token": token(bob)}
                assert bob.post(f"/tokens/{mine['id']}/revoke", data=form).status_code == 404
                assert program.get("/api/datasets").status_code == 200
            assert ann.post(f"/tokens/{mine['id']}/revoke", data={"token": token(ann)}).status_code == 303
            assert {program.get("/api/datasets").status_code for _ in webs} == {401}

    def test_tries_are_those_of_the_page(self, webs: list[str]) -> None:
        with browser(webs) as client:
            for n in range(5):
                log_in(client, password=f"guess {n}")
            guesses = [{"user": "ann", "password": f"guess {n}"} for n in range(6)]
            answers = [client.post("/api/login", json=guess).status_code for guess in guesses]
        assert answers == [401] * 5 + [429]


class TestForms:
    def test_a_form_needs_the_token_of_its_session(self, webs: list[str], ann: httpx.Client) -> None:
        with browser(webs) as bob:
            log_in(bob, "bob", "blueberry")
            for wrong in ("", "x", token(bob)):
                answer = ann.post("/datasets", data={"url": "https://data.example/a.csv", "token": wrong})
                assert answer.status_code == 400 and "out of date" in answer.text
                assert ann.post("/logout", data={"token": wrong}).status_code == 400

    def test_another_site_is_refused(self, ann: httpx.Client) -> None:
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
            body = {"url": "https://data.example/a.csv"}
            assert ann.post("/api/datasets", json=body, headers=headers).status_code == 403
        form = {"url": "https://data.example/a.csv"}
        assert ann.post("/api/datasets", data=form).status_code == 415

    def test_pages_escape_what_users_write(self, ann: httpx.Client) -> None:
        answer = ann.post("/api/datasets", json={"url": "https://data.example/a.csv?<b>", "title": "<script>1"})
        page = ann.get(f"/datasets/{answer.json()['id']}").text
        assert "<script>1" not in page and "&lt;script&gt;1" in page and "?<b>" not in page

    def test_bad_addresses_are_refused_in_words(self, ann: httpx.Client) -> None:
        urls = [
            "javascript:alert(1)",
            "http://",
            "http://u:p@h/",
            "http://[::1",
            "http://a b/",
            "http://h:99999/",
            "/a",
        ]
        for body in ["[]", "{", '{"url": 1}', *(f'{{"url": "{url}"}}' for url in urls)]:
            answer = ann.post("/api/datasets", content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code in (400, 422), body
            assert answer.json()["error"]


class TestWorker:
    def test_a_killed_worker_s_job_is_taken_again(self, ann: httpx.Client, almanac: Environment) -> None:
        asked, release = threading.Semaphore(0), threading.Event()

        def answer(request: Any) -> None:
            asked.release()
            release.wait(PATIENCE)
            send(request, b"year,v\n2020,1\n")

        with web_server(answer) as url:
            number = add(ann, url + "/a.csv")
            env = almanac("worker", ALMANAC_LEASE_SECONDS="0.3")
            with worker(env) as first:
                assert asked.acquire(timeout=PATIENCE)
                first.kill()
                first.wait()
            release.set()
            assert ann.get(f"/api/datasets/{number}").json()["status"] == "queued"
            with worker(env):
                until(
                    lambda: ann.get(f"/api/datasets/{number}").json()["status"] == "ready",
                    "the second worker's result",
                )

    def test_a_worker_that_lost_its_lease_stores_nothing(self, ann: httpx.Client, almanac: Environment) -> None:
        """While the second worker still holds the job, and after it has ended it."""
        asked = threading.Semaphore(0)
        releases = {"1": threading.Event(), "2": threading.Event()}
        values = iter(releases)

        def answer(request: Any) -> None:
            value = next(values)
            asked.release()
            releases[value].wait(PATIENCE)
            send(request, f"year,v\n2020,{value}\n".encode())

        with web_server(answer) as url:
            number = add(ann, url + "/a.csv")
            with worker(almanac("slow", ALMANAC_LEASE_SECONDS="0.1")) as slow:
                assert asked.acquire(timeout=PATIENCE)
                with worker(almanac("second")):
                    assert asked.acquire(timeout=PATIENCE)
                    releases["1"].set()
                    said = until(lambda: (line := slow.stderr.readline()) and "data set" in line and line, "its word")
                    assert said == f"data set {number}: lease was lost\n"
                    assert ann.get(f"/api/datasets/{number}").json()["status"] == "queued"
                    releases["2"].set()
                    until(lambda: ann.get(f"/api/datasets/{number}").json()["status"] == "ready", "a result")
            assert ann.get(f"/api/datasets/{number}").json()["columns"][0]["mean"] == 2

    def test_a_worker_told_to_stop_hands_its_job_back(self, ann: httpx.Client, almanac: Environment) -> None:
        asked, told = threading.Event(), threading.Event()

        def answer(request: Any) -> None:
            again = asked.is_set()
            body = b"year,v\n2020,1\n"
            head(request, len(body))
            request.wfile.write(body[:4])
            request.wfile.flush()
            asked.set()
            assert again or told.wait(PATIENCE)
            request.wfile.write(body[4:])

        with web_server(answer) as url:
            number = add(ann, url + "/a.csv")
            env = almanac("stopped-worker")
            with worker(env) as process:
                assert asked.wait(PATIENCE)
                process.send_signal(signal.SIGTERM)
                told.set()
                assert process.wait(PATIENCE) == 0
            assert not list(Path(env["FUNGIBLE_SCRATCH"]).iterdir())
            work(env)  # takes it at once, though the lease was for a minute
            assert ann.get(f"/api/datasets/{number}").json()["status"] == "ready"

    def test_downloads_are_bounded_and_failures_said(self, ann: httpx.Client, almanac: Environment) -> None:
        def answer(request: Any) -> None:
            match request.path:
                case "/huge":
                    head(request, 10**9)
                case "/endless":
                    head(request, None)
                    while True:
                        request.wfile.write(b"1\n" * 1000)
                case "/slow" | "/slow-head":
                    if request.path == "/slow":
                        head(request, 1000)
                    else:
                        request.wfile.write(b"HTTP/1.0 200 OK\r\nX-A: ")
                    while not over.wait(0.05):
                        request.wfile.write(b"1")
                case "/short":
                    head(request, 100)
                    request.wfile.write(b"a\n1\n")
                case "/round":
                    request.send_response(302)
                    request.send_header("Location", "/round")
                    request.end_headers()
                case "/moved":
                    request.send_response(302)
                    request.send_header("Location", "/good")
                    request.end_headers()
                case "/away":
                    request.send_response(302)
                    request.send_header("Location", "file:///etc/passwd")
                    request.end_headers()
                case "/good":
                    send(request, b"\xef\xbb\xbfyear,v\r\n2020,1\r\n")
                case "/binary":
                    send(request, bytes(range(256)))
                case "/words":
                    send(request, b"a,b\nx,y\n")
                case "/error":
                    request.send_error(500)
                case _:
                    request.send_error(404)

        expected = {
            "/huge": "larger than 50,000 bytes",
            "/endless": "larger than 50,000 bytes",
            "/slow": "did not come within 0.6 seconds",
            "/slow-head": "did not come within 0.6 seconds",
            "/short": "broke off); it will be tried again",
            "/round": "leads on more than 3 times",
            "/away": "start with http",
            "/binary": "not text in UTF-8",
            "/words": "no column of numbers",
            "/error": "answered 500; it will be tried again",
            "/none": "the server answered 404",
            "/moved": None,
        }
        over = threading.Event()
        bounds = {"ALMANAC_MAX_BYTES": "50000", "ALMANAC_RETRY_SECONDS": "60"}
        with web_server(answer) as url:
            numbers = {path: add(ann, url + path) for path in expected if "slow" in path}
            work(almanac("w", ALMANAC_MAX_SECONDS="0.6", **bounds))
            over.set()
            numbers |= {path: add(ann, url + path) for path in expected if "slow" not in path}
            closed = add(ann, "http://127.0.0.1:9/a.csv")
            work(almanac("w", **bounds))
        for path, said in expected.items():
            dataset = ann.get(f"/api/datasets/{numbers[path]}").json()
            assert (said or "") in (dataset["problem"] or ""), path
            assert dataset["status"] == ("ready" if said is None else "queued" if "again" in said else "failed"), path
        assert "connection was refused" in ann.get(f"/api/datasets/{closed}").json()["problem"]

    def test_a_lease_is_renewed_while_a_long_file_is_read(self, ann: httpx.Client, almanac: Environment) -> None:
        body = b"year,v\n" + b"2020,1\n" * 2_000_000
        ends: set[float] = set()
        env = almanac("patient", ALMANAC_LEASE_SECONDS="1")

        def renewed() -> bool:
            with closing(sqlite3.connect(database_of(env))) as rows:
                ends.update(end for (end,) in rows.execute("SELECT leased_until FROM jobs") if end)
            return len(ends) > 1

        with web_server(lambda request: send(request, body)) as url:
            number = add(ann, url + "/long.csv")
            with worker(env):
                until(renewed, "a second end of the lease")
                until(lambda: ann.get(f"/api/datasets/{number}").json()["rows"] == 2_000_000, "the result")

    def test_attempts_end(self, ann: httpx.Client, almanac: Environment) -> None:
        number = add(ann, "http://127.0.0.1:9/a.csv")
        work(almanac("w", ALMANAC_RETRY_SECONDS="0"))
        dataset = ann.get(f"/api/datasets/{number}").json()
        assert dataset["status"] == "failed" and "again" not in dataset["problem"]

    def test_private_addresses_are_refused_unless_allowed(self, ann: httpx.Client, almanac: Environment) -> None:
        asked: list[str] = []
        with web_server(lambda request: asked.append(request.path)) as url:
            number = add(ann, url + "/a.csv")
            work(almanac("w", ALMANAC_PRIVATE_URLS=""))
        assert ann.get(f"/api/datasets/{number}").json()["problem"] == "the address is not on the public internet"
        assert not asked

    def test_two_workers_share_a_queue(self, ann: httpx.Client, almanac: Environment) -> None:
        served: list[str] = []
        body = b"year,v\n2020,1\n"
        with web_server(lambda request: (served.append(request.path), send(request, body))) as url:
            numbers = [add(ann, f"{url}/{n}") for n in range(12)]
            with worker(almanac("worker.1")), worker(almanac("worker.2")):
                until(lambda: {d["status"] for d in ann.get("/api/datasets").json()} == {"ready"}, "all results")
        assert sorted(served) == sorted(f"/{n}" for n in range(12)), "each file is fetched once"
        assert len(numbers) == 12


class TestClock:
    def run(self, env: dict[str, str]) -> str:
        done = run_python(ALMANAC, env, "-m", "almanac.clock", "--once")
        assert done.returncode == 0, done.stderr
        return done.stderr.strip()

    def test_it_queues_what_is_stale_once(self, ann: httpx.Client, almanac: Environment) -> None:
        assert self.run(almanac()) == "removed 0, queued 0"
        stale = almanac("clock", ALMANAC_REFRESH_SECONDS="0")
        assert self.run(stale) == "removed 0, queued 3"
        self.run(stale)
        served: list[str] = []
        number = add(ann, "http://127.0.0.1:9/a.csv")
        work(almanac("w", ALMANAC_RETRY_SECONDS="60"))
        # A refresh that fails keeps what is known.
        page = ann.get("/datasets/1").text
        assert "will be tried again" in page and "<polyline" in page
        assert number and not served

    def test_it_removes_what_is_old(self, ann: httpx.Client, almanac: Environment) -> None:
        assert self.run(almanac("clock", ALMANAC_KEEP_DAYS="0.0000001")) == "removed 3, queued 0"
        assert ann.get("/api/datasets").json() == []

    def test_it_ends_when_told(self, almanac: Environment) -> None:
        with python_process([sys.executable, "-m", "almanac.clock"], ALMANAC, almanac()) as clock:
            assert clock.stderr.readline() == "removed 0, queued 0\n"
            clock.send_signal(signal.SIGTERM)
            assert clock.wait(PATIENCE) == 0


class TestBoot:
    @pytest.mark.parametrize("name", ["DATABASE_URL", "VALKEY_URL"])
    def test_a_missing_config_var_stops_the_boot(self, almanac: Environment, name: str) -> None:
        env = almanac()
        del env[name]
        for command in (["almanac.clock", "--once"], ["gunicorn", "--bind", "127.0.0.1:0", WEB]):
            done = run_python(ALMANAC, env, "-m", *command)
            assert done.returncode != 0
            assert f"{name} is not set: " in done.stderr

    def test_a_release_can_be_made_twice(self, ann: httpx.Client, almanac: Environment) -> None:
        before = ann.get("/api/datasets").json()
        assert run_python(ALMANAC, almanac(), "-m", "almanac.migrate").returncode == 0
        assert ann.get("/api/datasets").json() == before

    def test_without_the_store_it_is_not_ready_and_says_so(self, almanac: Environment) -> None:
        with gunicorn(ALMANAC, WEB, almanac("web", VALKEY_URL="valkey://127.0.0.1:9/0")) as (url, _):
            cookies = {"sid": "x" * 43}
            for path in ("/healthz", "/", "/api/datasets"):
                answer = httpx.get(url + path, cookies=cookies, timeout=PATIENCE)
                assert answer.status_code == 503 and "again in a moment" in answer.text


def database_of(env: dict[str, str]) -> Path:
    return Path(env["DATABASE_URL"].removeprefix("sqlite:///"))


def head(request: Any, length: int | None) -> None:
    request.send_response(200)
    if length is not None:
        request.send_header("Content-Length", str(length))
    request.end_headers()


def send(request: Any, body: bytes) -> None:
    head(request, len(body))
    request.wfile.write(body)
