"""Third-party apps and servers that are not Python, unchanged, from a Procfile; a Django site from its template."""

from __future__ import annotations

import os
import shutil
import subprocess

import httpx
import pytest

from tests.runtime.harness import FUNGIBLE, PATIENCE, Home, processes_in_turn
from tests.runtime.third_party import APPS, FAST, STORE, ThirdParty, environment_of

wanted = pytest.mark.skipif(
    os.environ.get("FUNGIBLE_CORPUS") != "1", reason="FUNGIBLE_CORPUS=1 installs and runs these"
)


@wanted
@pytest.mark.corpus
@pytest.mark.timeout(600)
@pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)
def test_a_third_party_app_runs_unchanged_as_two_processes(home: Home, app: ThirdParty) -> None:
    programs = environment_of(app)
    (home.app / "server.py").unlink()
    home.environment = {"PATH": f"{programs}:{os.environ['PATH']}", **app.variables}
    home.write({"Procfile": f"web: {app.web}\n", "fungible.toml": FAST + app.settings + STORE, **app.files})
    with home.start("web=2") as formation:
        answers = [formation.get(app.path, follow_redirects=True) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200] * 4
        assert all(app.text in answer.text for answer in answers)
        assert len({e.get("process") for e in formation.of("router.request")} - {None}) == 2
        assert formation.stop() == 0
    assert not any(e.get("crashed") for e in formation.of("process.ended"))


def test_a_django_site_from_its_template(home: Home) -> None:
    """As `startproject` makes it, but for the place of its database; a user logs in and meets both processes."""
    (home.app / "server.py").unlink()
    subprocess.run([FUNGIBLE.with_name("django-admin"), "startproject", "proj", "."], cwd=home.app, check=True)
    settings = home.app / "proj" / "settings.py"
    place = "__import__('os').environ['DATABASE_URL'].removeprefix('sqlite:///')"
    settings.write_text(settings.read_text().replace("BASE_DIR / 'db.sqlite3'", place))
    home.write(
        {
            "Procfile": "web: gunicorn -b 127.0.0.1:$PORT proj.wsgi\nrelease: python manage.py migrate\n",
            "fungible.toml": '[services]\nDATABASE_URL = "sqlite"\n',
        }
    )
    user = "from django.contrib.auth.models import User; User.objects.create_superuser('ann', password='apple-pie')"
    with home.start("web=2") as formation:
        ran = home.run("run", "--", "python", "manage.py", "shell", "-c", user)
        assert ran.returncode == 0, ran.stderr
        with httpx.Client(base_url=formation.url, trust_env=False, timeout=PATIENCE) as client:
            client.get("/admin/login/")
            form = {"username": "ann", "password": "apple-pie", "csrfmiddlewaretoken": client.cookies["csrftoken"]}
            answer = client.post("/admin/login/?next=/admin/", data=form)
            assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")
            pages = [client.get("/admin/") for _ in range(4)]
        assert all(page.status_code == 200 and "Site administration" in page.text for page in pages)
        formation.wait_for(lambda: len(formation.of("router.request", path="/admin/")) == 4)
        assert {event["process"] for event in formation.of("router.request", path="/admin/")} == {"web.1", "web.2"}
        assert formation.stop() == 0
    assert not formation.of("process.wrote", "release.1")


def test_a_node_server(home: Home) -> None:
    if shutil.which("node") is None:
        pytest.skip("no node")
    server = (
        "require('http').createServer((req, res) => res.setHeader('Content-Type', 'application/json')"
        ".end(JSON.stringify({process: process.env.FUNGIBLE_PROCESS}))).listen(process.env.PORT, '127.0.0.1')\n"
    )
    home.write({"Procfile": "web: node server.js\n", "server.js": server})
    with home.start("web=2") as formation:
        assert set(processes_in_turn(formation.url, 4)) == {"web.1", "web.2"}
        assert formation.stop() == 0


C_SERVER = r"""
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void) {
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(getenv("PORT")))};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 64)) return 1;
    char body[100], answer[300], request[4096];
    snprintf(body, sizeof body, "{\"process\": \"%s\"}", getenv("FUNGIBLE_PROCESS"));
    snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
             "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0) continue;
        if (read(client, request, sizeof request) > 0 && write(client, answer, strlen(answer)) < 0) perror("write");
        close(client);
    }
}
"""


def test_a_compiled_server_built_in_the_build_stage(home: Home) -> None:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    settings = 'build = ["cc -O1 -o server server.c"]\n'
    home.write({"Procfile": "web: ./server\n", "server.c": C_SERVER, "fungible.toml": settings})
    with home.start("web=2") as formation:
        assert set(processes_in_turn(formation.url, 4)) == {"web.1", "web.2"}
        assert formation.stop() == 0
    assert not (home.app / "server").exists(), "what the build makes is the release's"


def test_a_perl_program_as_a_worker(home: Home) -> None:
    if shutil.which("perl") is None:
        pytest.skip("no perl")
    home.write({"Procfile": "worker: perl -e '$| = 1; print \"working\\n\"; sleep 600'\n"})
    with home.start() as formation:
        formation.wait("log.line", "worker.1", text="working")
        assert formation.stop() == 0


def test_a_file_server_of_the_standard_library_and_a_head_request(home: Home) -> None:
    home.write({"Procfile": "web: python -m http.server --bind 127.0.0.1 $PORT\n", "a.txt": "hello"})
    with home.start("web=2") as formation:
        assert formation.get("/a.txt").text == "hello"
        assert httpx.head(formation.url + "/a.txt", trust_env=False).headers["Content-Length"] == "5"
        assert formation.stop() == 0
