"""The proof at the end of every build: what start and release refuse, what it costs, and pages behind a login."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from fungible.build.tools import makes_assets
from tests.build.apps import FLASK_ASSETS, FLASK_WITH_KIT
from tests.build.test_front_ends import build, home
from tests.runtime.harness import WEB, Home

__all__ = ["home"]

HERE = Path(__file__).parents[1]
BROKEN = FLASK_WITH_KIT["templates/home.html"] + "<img src=/assets/no.png>\n"
SAID = "proof: / (line 4) loads /assets/no.png, which answers 404"
BOOTED = "proof: booting it on a read-only disk, without packagers"


def releases(home: Home) -> list[Any]:
    return list(json.loads(home.run("releases", "--json").stdout)["releases"])


def test_start_refuses_what_a_page_misses_and_proves_a_content_once(home: Home) -> None:
    home.write({**FLASK_WITH_KIT, "templates/home.html": BROKEN})
    done = home.run("start", "--port", "0")
    assert (done.returncode, done.stdout) == (1, "")
    assert SAID in done.stderr.splitlines()[-1]
    assert releases(home) == []
    home.write({"templates/home.html": FLASK_WITH_KIT["templates/home.html"]})
    for time in ("first", "second"):
        with home.start() as formation:
            assert len(formation.of("notice", text=BOOTED)) == (time == "first")
            assert formation.stop() == 0
    assert build(home)["boot"]["reused"]
    shutil.rmtree(home.base / "state/fungible/builds")
    assert home.run("config", "set", "TITLE=shop").returncode == 0
    with home.start() as formation:
        assert not formation.of("notice", text=BOOTED), "nor where the store has pruned it, nor for config vars"
        assert formation.stop() == 0


def test_release_refuses_and_what_serves_serves_on(home: Home) -> None:
    home.write(FLASK_WITH_KIT)
    with home.start() as formation:
        home.write({"templates/home.html": BROKEN})
        done = home.run("release")
        assert (done.returncode, done.stdout) == (1, "")
        assert SAID in done.stderr
        assert [each["name"] for each in releases(home)] == ["v1"]
        assert formation.get("/").text.count("<img") == 1
        home.write({"templates/home.html": FLASK_WITH_KIT["templates/home.html"] + "<p>new\n"})
        before = len(formation.events)
        assert home.run("release").stdout == "v2 serves\n"
        assert formation.of("notice", after=before, text=BOOTED)
        assert formation.of("notice", after=before, text="proved: 1 page, 2 files loaded")
        ended = formation.of("process.ended")
        assert {each["process"] for each in ended} == {"web.1"}, "the proof's process is none of the formation"
        assert formation.stop() == 0
    assert home.left == []


def test_watch_leaves_it_out_and_says_so_and_release_makes_up_for_it(home: Home) -> None:
    home.write(FLASK_WITH_KIT)
    with home.start("--watch") as formation:
        assert "--watch: no build is booted for its proof" in formation.say()
        home.write({"templates/home.html": BROKEN})
        formation.wait("release.rolled", release="v2")
        assert not formation.of("notice", text=BOOTED)
        done = home.run("release")
        assert done.returncode == 1 and SAID in done.stderr
        assert formation.get("/").text.count("<img") == 2, "it is served already"
        assert formation.stop() == 0


def test_who_makes_no_assets_pays_nothing(home: Home) -> None:
    home.write({"Procfile": WEB, "server.py": (HERE / "runtime/server.py").read_text()})
    home.write({"fungible.toml": 'build = ["echo made > made.txt"]\n'})
    with home.start() as formation:
        assert not formation.of("notice", text=BOOTED)
        assert formation.stop() == 0


def test_an_app_may_do_without(home: Home) -> None:
    text = FLASK_ASSETS["app.py"].replace("app.config['ASSETS_AUTO_BUILD'] = False\n", "")
    settings = FLASK_ASSETS["fungible.toml"]
    home.write({**FLASK_ASSETS, "app.py": text, "fungible.toml": f"{settings}[assets]\nprove = false\n"})
    with home.start() as formation:
        assert not formation.of("notice", text=BOOTED)
        assert "app.py:5: Flask-Assets compiles while requests are served" in formation.say()
        assert formation.stop() == 0
    assert build(home)["boot"] is None
    home.write({"fungible.toml": settings})
    done = home.run("start", "--port", "0")
    assert done.returncode == 1 and "app.py:5: Flask-Assets compiles" in done.stderr


@pytest.mark.parametrize(
    ("commands", "makes"),
    [
        (["npm ci"], False),
        (["npm ci && npx vite build"], True),
        (["yarn"], False),
        (["pnpm install", "pnpm build"], True),
        (["SECRET_KEY=build python manage.py collectstatic --noinput"], True),
        (["flask --app shop assets build"], True),
        (["python manage.py compress"], True),
        (["bin/rails assets:precompile"], True),
        (["make", "pip install -r requirements.txt"], False),
    ],
)
def test_whether_commands_make_assets(commands: list[str], makes: bool) -> None:
    assert makes_assets(commands, ()) is makes
    assert makes_assets(commands, ("static",))


MEMBERS = (
    "import os\n"
    "from flask import Flask, redirect, render_template, request, session\n"
    "from fungible_kit.assets import install, wsgi\n"
    "app = Flask(__name__, static_folder=None)\n"
    "app.secret_key = 'x' * 32\n"
    "install(app.jinja_env)\n"
    "app.wsgi_app = wsgi(app.wsgi_app)\n"
    "@app.get('/')\n"
    "def home():\n"
    "    return render_template('home.html')\n"
    "@app.post('/login')\n"
    "def login():\n"
    "    if request.form['password'] != os.environ['PASSWORD']:\n"
    "        return 'no', 403\n"
    "    session['user'] = 'ann'\n"
    "    return redirect('/members')\n"
    "@app.get('/members')\n"
    "def members():\n"
    "    return render_template('members.html') if 'user' in session else ('who?', 401)\n"
    "@app.get('/portrait.svg')\n"
    "def portrait():\n"
    "    if 'user' not in session:\n"
    "        return 'who?', 401\n"
    "    return '<svg/>', {'Content-Type': 'image/svg+xml'}\n"
)
WORKLOAD = (
    "requests:\n"
    "  - {method: POST, path: /login, form: {user: ann, password: s3cret}, wait: 60}\n"
    "  - {method: GET, path: /members}\n"
)
WITH_LOGIN = {
    **FLASK_WITH_KIT,
    "app.py": MEMBERS,
    "templates/members.html": "{{ asset_tags('site.css') }}\n<img src=/portrait.svg>\n",
    "workload.yaml": WORKLOAD,
    "fungible.toml": f'{FLASK_WITH_KIT["fungible.toml"]}[verify]\nworkload = "workload.yaml"\n',
    ".env": "PASSWORD=s3cret\n",
}


def test_pages_behind_a_login_are_proved_by_the_workload(home: Home) -> None:
    home.write(WITH_LOGIN)
    done = build(home)
    assert (done["boot"]["pages"], done["boot"]["requests"], done["unproved"]) == (2, 2, [])
    assert done["boot"]["assets"] == 3, "the portrait is fetched as the user who is logged in"
    home.write({"templates/members.html": "\n<script src=/assets/no.js></script>\n"})
    said = build(home, code=1).splitlines()[-1]
    assert "proof: #1 GET /members (line 2) loads /assets/no.js, which answers 404" in said
    home.write({"templates/members.html": "", ".env": "PASSWORD=changed\n"})
    told = "requests of the workload that answer with an error: #0 POST /login (403), #1 GET /members (401)"
    assert build(home)["unproved"] == [told]


def test_a_workload_is_sent_only_where_all_that_it_writes_is_thrown_away(home: Home) -> None:
    home.write(WITH_LOGIN)
    home.environment["ORDERS_URL"] = "postgresql://shop:secret@db.example/orders"
    done = build(home)
    assert (done["boot"]["pages"], done["boot"]["requests"]) == (1, 0)
    said = "the workload is not sent: it may write, and ORDERS_URL names a store that is not ours"
    assert done["unproved"] == [said]
    del home.environment["ORDERS_URL"]
    assert build(home)["boot"]["requests"] == 2, "what was not proved for a reason is proved when that has gone"
    calls = MEMBERS.replace(
        "    session['user'] = 'ann'\n",
        "    session['user'] = 'ann'\n    import socket\n    socket.create_connection(('192.0.2.1', 80), 5)\n",
    )
    home.write({"app.py": calls})
    (told,) = build(home)["unproved"]
    assert told.endswith("#0 POST /login (500)"), "nothing beyond this machine is reached"


CALLS = "import socket\nsocket.create_connection(('127.0.0.1', 2525), 5)\n"


def test_who_needs_what_is_out_of_reach_to_boot_is_proved_without_the_workload(home: Home) -> None:
    mail = socket.create_server(("127.0.0.1", 0))
    calls = CALLS.replace("2525", str(mail.getsockname()[1]))
    home.environment["SMTP_PORT"] = str(mail.getsockname()[1])
    with mail:
        home.write({**WITH_LOGIN, "app.py": calls + MEMBERS})
        done = build(home)
    said = "the workload is not sent: the app does not boot where it reaches nothing beyond this machine"
    assert (done["boot"]["pages"], done["unproved"]) == (1, [said])


def test_a_release_command_reaches_nobody_from_the_proof(home: Home) -> None:
    services = '[services]\nSTORE = "folder"\n'
    home.write(
        {**FLASK_WITH_KIT, "fungible.toml": f'release = "python call.py"\n{services}[assets]\nroots = ["static"]\n'}
    )
    home.write({"call.py": CALLS})
    done = build(home)
    told = "the release command wants to reach 127.0.0.1:2525, which a proof does not let it"
    assert (done["boot"]["pages"], done["unproved"]) == (1, [told])
    home.write({"call.py": "raise SystemExit(3)\n"})
    assert "the release command `python call.py` ended with 3" in build(home, code=1)


def test_a_workload_that_cannot_be_read_is_told(home: Home) -> None:
    home.write({**WITH_LOGIN, "workload.yaml": "requests: 7\n"})
    (told,) = build(home)["unproved"]
    assert "workload.yaml" in told


def test_what_verify_built_is_refused_all_the_same(home: Home) -> None:
    """Verify says what compiles at run time, for that is what it looks for; the build that it leaves is no excuse."""
    home.write({**FLASK_WITH_KIT, "views.py": "import sass\ndef page():\n    return sass.compile(string='')\n"})
    home.write({"workload.yaml": "requests:\n  - {method: GET, path: /}\n"})
    done = home.run("verify", "workload.yaml", "--no-masks", "--mode", "boot", timeout=280)
    assert "views.py:3: libsass compiles" in done.stderr
    for verb in (["build"], ["build", "--no-boot"], ["start", "--port", "0"]):
        done = home.run(*verb)
        assert done.returncode == 1 and "views.py:3: libsass compiles" in done.stderr, verb
