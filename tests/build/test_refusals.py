"""What the build refuses: each with one sentence that names the file and the line, and how to mend it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from fungible.app.problem import Exit, Problem
from fungible.build.assets.compile import compile_assets
from fungible.build.proof.references import prove_references
from fungible.build.proof.run_time_packagers import run_time_packagers
from tests.build.apps import FLASK_ASSETS, FLASK_WITH_KIT
from tests.build.test_front_ends import build, home
from tests.runtime.harness import Home

__all__ = ["home"]

SETTINGS = "INSTALLED_APPS = [\n    'django.contrib.staticfiles',\n    '{app}',\n]\n{more}\n"
SASS = "import sass\n\ndef page():\n    return sass.compile(string='a { b { c: d } }')\n"


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "where", "packager"),
    [
        ({"app.py": "from flask_assets import Environment\nx = Environment(app)\n"}, "app.py:2", "Flask-Assets"),
        (
            {"app.py": "import flask_assets\nc['ASSETS_AUTO_BUILD'] = True\nx = flask_assets.Environment()\n"},
            "app.py:2",
            "Flask-Assets",
        ),
        ({"a/b.py": "from webassets import Environment as E\nE('static', '/')\n"}, "a/b.py:2", "webassets"),
        ({"settings.py": SETTINGS.format(app="compressor", more="")}, "settings.py:3", "django-compressor"),
        (
            {"settings.py": SETTINGS.format(app="compressor", more="COMPRESS_OFFLINE = False")},
            "settings.py:5",
            "django-compressor",
        ),
        ({"settings.py": SETTINGS.format(app="pipeline", more="DEBUG = True")}, "settings.py:3", "django-pipeline"),
        (
            {"settings.py": SETTINGS.format(app="pipeline", more="PIPELINE = {\n 'PIPELINE_ENABLED': False}")},
            "settings.py:6",
            "django-pipeline",
        ),
        ({"views.py": SASS}, "views.py:4", "libsass"),
        (
            {"wsgi.py": "from sassutils.wsgi import SassMiddleware\napp = SassMiddleware(app, {})\n"},
            "wsgi.py:2",
            "libsass",
        ),
        ({"app.py": "from flask_scss import Scss\nScss(app)\n"}, "app.py:2", "Flask-Scss"),
        ({"v.py": "import subprocess\n\nsubprocess.run(['npx', 'esbuild'])\n"}, "v.py:3", "npx"),
        ({"v.py": "from os import system\nsystem('sass a.scss b.css')\n"}, "v.py:2", "sass"),
        (
            {"shop/templatetags/packages.py": "def render(self):\n    with open(self.path, 'wb'):\n        pass\n"},
            "shop/templatetags/packages.py:2",
            "a template tag",
        ),
        (
            {"config/environments/production.rb": "# config.assets.compile = true\n\nconfig.assets.compile = true\n"},
            "config/environments/production.rb:3",
            "Rails",
        ),
        ({"config/assets.yml": "embed_assets: on\npackage_assets: always\n"}, "config/assets.yml:2", "Jammit"),
    ],
)
def test_a_packager_at_run_time_is_named_with_its_line(
    tmp_path: Path, files: dict[str, str], where: str, packager: str
) -> None:
    write(tmp_path, files)
    (found,) = run_time_packagers(tmp_path, files, ())
    assert found.sentence.startswith(f"{where}: {packager} ")
    assert re.search(r"set |let |use |move ", found.sentence)


@pytest.mark.parametrize(
    "files",
    [
        {"app.py": "from flask_assets import Environment\nc['ASSETS_AUTO_BUILD'] = False\nEnvironment(app)\n"},
        {"app.py": "from flask_assets import Environment\nenv = Environment(app)\nenv.auto_build = False\n"},
        {"app.py": "from webassets import Environment\nEnvironment('static', '/', auto_build=False)\n"},
        {
            "app.py": "from flask_assets import Environment\nEnvironment(app)\n",
            "config.py": "class Production:\n    ASSETS_AUTO_BUILD = False\n",
        },
        {"settings.py": SETTINGS.format(app="compressor", more="COMPRESS_OFFLINE = not DEBUG")},
        {"settings.py": SETTINGS.format(app="compressor", more="COMPRESS_OFFLINE = True\nDEBUG = False")},
        {"settings.py": SETTINGS.format(app="pipeline", more="DEBUG = os.environ.get('DEBUG')")},
        {"styles.py": SASS},
        {"tests/test_styles.py": SASS},
        {"shop/management/commands/styles.py": SASS},
        {"cli.py": "import sass\n@app.cli.command('styles')\ndef styles():\n    sass.compile(dirname=('a', 'b'))\n"},
        {"make.py": "import sass\nif __name__ == '__main__':\n    sass.compile(dirname=('a', 'b'))\n"},
        {"app.py": "import subprocess\nsubprocess.run(['git', 'log'])\n"},
        {"app.py": "# from flask_assets import Environment\nEnvironment()\nsass.compile()\n"},
        {"app.py": "from flask_assets import ("},
        {"config/environments/production.rb": "config.assets.compile = false\n"},
        {"config/assets.yml": "package_assets: on\n"},
    ],
)
def test_what_compiles_in_the_build_stage_is_let_through(tmp_path: Path, files: dict[str, str]) -> None:
    write(tmp_path, files)
    assert run_time_packagers(tmp_path, files, ("python -m styles",)) == ()


DJANGO = {
    "Procfile": "web: true\n",
    "settings.py": SETTINGS.format(app="compressor", more="COMPRESS_OFFLINE = False"),
}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {
                **FLASK_ASSETS,
                "app.py": FLASK_ASSETS["app.py"].replace("app.config['ASSETS_AUTO_BUILD'] = False\n", ""),
            },
            "fungible: app.py:5: Flask-Assets compiles while requests are served",
        ),
        (DJANGO, "fungible: settings.py:5: django-compressor compresses while requests are served"),
        (
            {"Procfile": "web: true\n", "views.py": SASS},
            "fungible: views.py:4: libsass compiles where a process does it",
        ),
    ],
    ids=["flask-assets", "django-compressor", "libsass"],
)
def test_an_app_that_compiles_at_run_time_is_refused(home: Home, files: dict[str, str], said: str) -> None:
    home.write(files)
    assert build(home, code=1).splitlines()[-1].startswith(said)
    assert not list(home.base.glob("state/fungible/builds/*")), "nothing half-done"


def compiled(tmp_path: Path, files: dict[str, str], *roots: str) -> None:
    folder = write(tmp_path / "build", files)
    done = compile_assets(folder, roots or ("static",), "/assets/", "fungible.toml")
    prove_references(folder, roots or ("static",), done.manifest)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"static/a.css": "p {}\nb { src: url(no.png) }"},
            "static/a.css:2: no.png names no asset: there is no static/no.png",
        ),
        ({"static/a.css": '@import "b.css";'}, "static/a.css:1: b.css names no asset"),
        ({"static/a.css": "x{y:url(/assets/no.png)}"}, "static/a.css:1: /assets/no.png names no asset"),
        ({"static/a.css": "x{y:url(../../x.png)}"}, "static/a.css:1: ../../x.png names no asset"),
        (
            {"static/a.css": "@import 'b.css'", "static/b.css": "\n@import 'a.css'"},
            "static/b.css:2: a.css refers back to what refers to it",
        ),
        (
            {"static/a.js": "\nimport { b } from './b.js'", "static/b.js": ""},
            "static/a.js:2: it imports ./b.js by a name",
        ),
        ({"static/a.css": "", "t/x.html": "\n{{ asset('no.css') }}"}, 't/x.html:2: "no.css" names no asset'),
        ({"static/aa.css": "", "t/x.html": '{{ asset_tags("ab.css") }}'}, 'Did you mean "aa.css"?'),
        (
            {"static/a.css": "", "t/x.html": "{% load fungible %}\n\n{% asset 'no.css' %}"},
            't/x.html:3: "no.css" names no asset',
        ),
        (
            {"static/a.css": "", "shop/x.py": "from fungible_kit import asset as a\nu = a('no.css')\n"},
            'shop/x.py:2: "no.css" names no asset',
        ),
        (
            {"static/a.css": "", "x.py": "import fungible_kit.assets\n\nfungible_kit.assets.asset_tags('no.js')"},
            'x.py:3: "no.js" names no asset',
        ),
        (
            {"static/a.css": "", "templates/x.html": "{{ url_for('static', filename='no.css') }}"},
            'templates/x.html:1: "no.css" names no file: there is no static/no.css',
        ),
        ({"static/index.html": "\n<script src=no.js></script>"}, "index.html:2: the page loads no.js"),
        ({"other/a.css": ""}, "fungible.toml: assets.roots[0]: there is no folder static"),
        ({"static/staticfiles.json": "{"}, "static/staticfiles.json: this is no JSON"),
        (
            {"static/staticfiles.json": '{"version": "1.1", "paths": {"a.css": "a.1.css"}}'},
            "static/staticfiles.json: it names a.1.css, which is not there",
        ),
        (
            {"static/manifest.json": '{"src/m.js": {"file": "../../m.js", "isEntry": true}}'},
            "static/manifest.json: it names ../../m.js",
        ),
    ],
)
def test_a_reference_to_nothing_is_named_with_its_line(tmp_path: Path, files: dict[str, str], said: str) -> None:
    with pytest.raises(Problem) as raised:
        compiled(tmp_path, files)
    assert said in raised.value.message
    assert raised.value.exit is Exit.NO


def test_a1_a_link_out_of_its_root_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "build", {"static/a.css": "", "secret.py": "KEY = 'x'"})
    (folder / "static/b.css").symlink_to("../secret.py")
    with pytest.raises(Problem, match=r"static/b\.css: this leads out of static"):
        compile_assets(folder, ["static"], "/assets/", "fungible.toml")
    (folder / "static/b.css").unlink()
    (folder / "static/inner").symlink_to(tmp_path)
    with pytest.raises(Problem, match="static/inner: a link to a folder"):
        compile_assets(folder, ["static"], "/assets/", "fungible.toml")


def test_two_roots_may_not_have_one_address(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"b/x\.css and a/x\.css would have one address"):
        compiled(tmp_path, {"a/x.css": "", "b/x.css": ""}, "a", "b")


def test_comments_raw_blocks_and_other_peoples_calls_name_nothing(tmp_path: Path) -> None:
    compiled(
        tmp_path,
        {
            "static/a.css": "/* url(no.png) */ @namespace url(no.svg); x { y: url(data:x) url(#z) url(//e.org/x) }",
            "static/a.js": "// import './no.js'\n/* import './no.js' */\n//# sourceMappingURL=no.js.map\n",
            "t/x.html": "{# {{ asset('no') }} #}{% raw %}{{ asset('no') }}{% endraw %}{{ my.asset('no') }}",
            "t/y.html": "{% comment %}{{ asset('no') }}{% endcomment %}{% asset 'no' %}{{ asset('a.' ~ kind) }}",
            "x.py": "def asset(name): ...\nasset('no')\n",
        },
    )


def test_names_made_at_run_time_are_told_not_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, {"static/a.css": "x{y:url(/elsewhere.png)}", "t/x.html": "\n{{ asset(name) }}"})
    done = compile_assets(folder, ["static"], "/assets/", "fungible.toml")
    assert done.unproved == ("static/a.css:1: /elsewhere.png is outside /assets/",)
    (told,) = prove_references(folder, ["static"], done.manifest)
    assert told == "t/x.html:2: the name of the asset is made at run time"


SERVES = "web: python app.py\n"
SERVER = (
    "import http.server, os, subprocess\n"
    "class Handler(http.server.SimpleHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "{body}"
    "        self.send_response(200)\n"
    "        self.send_header('Content-Type', 'text/html')\n"
    "        self.end_headers()\n"
    "        self.wfile.write(page)\n"
    "http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), Handler).serve_forever()\n"
)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "        if self.path != '/': return self.send_error(404)\n"
            "        page = b'<p>\\n<script src=/no.js></script>'\n",
            "/ (line 2) loads /no.js, which answers 404",
        ),
        (
            "        page = b'<link rel=stylesheet href=/a.css>'\n",
            "/ (line 1) loads /a.css, which answers with the type text/html",
        ),
        (
            "        tool = ' '.join(['sass', 'a.scss'])\n"
            "        subprocess.call(tool, shell=True)\n        page = b'<p>hello'\n",
            "the web process runs `sass` while it serves",
        ),
    ],
    ids=["missing", "page-for-everything", "packager"],
)
def test_what_pages_load_has_to_be_there(home: Home, body: str, said: str) -> None:
    home.write({"Procfile": SERVES, "app.py": SERVER.format(body=body)})
    assert f"proof: {said}" in build(home, code=1).splitlines()[-1]


@pytest.mark.parametrize(("at", "level"), [("boot", "full"), ("request", "full"), ("request", "copy")])
def test_an_app_that_writes_into_its_own_folder_is_named_with_its_line(home: Home, at: str, level: str) -> None:
    text = FLASK_WITH_KIT["app.py"]
    write = "open('static/out.css', 'w')\n"
    text = text + write if at == "boot" else text.replace("    return render", f"    {write}    return render")
    home.write({**FLASK_WITH_KIT, "app.py": text})
    said = build(home, "--isolation", level, code=1).splitlines()[-1]
    line = 9 if at == "boot" else 8
    assert f"app.py:{line} writes into the app's folder" in said


def test_an_app_that_keeps_a_database_in_its_folder_is_told_the_file(home: Home) -> None:
    keeps = "import sqlite3\nsqlite3.connect('shop.db').execute('create table if not exists orders (id)')\n"
    home.write({**FLASK_WITH_KIT, "app.py": keeps + FLASK_WITH_KIT["app.py"]})
    said = build(home, code=1).splitlines()[-1]
    assert "the web process does not boot on a read-only disk, and boots where the app may write shop.db" in said


def test_an_app_that_answers_but_is_not_ready_is_told_its_answer(home: Home) -> None:
    settings = FLASK_WITH_KIT["fungible.toml"] + '[types.web]\nboot_timeout = "5s"\nready = "/no/such"\n'
    home.write({**FLASK_WITH_KIT, "fungible.toml": settings})
    said = build(home, code=1).splitlines()[-1]
    assert (
        "it is not ready at $PORT within 5 s (GET /no/such is answered 404, and only 2xx and 3xx are ready)" in said
    )


def test_a_stream_that_a_page_links_to_ends_the_proof_no_less(home: Home) -> None:
    body = (
        "        page = b'<a href=/events>live</a>'\n"
        "        if self.path == '/events':\n"
        "            self.wfile.write(b'HTTP/1.0 200 OK\\r\\nContent-Type: text/event-stream\\r\\n\\r\\n')\n"
        "        while self.path == '/events':\n"
        "            self.wfile.write(b'data: 1\\n\\n')\n"
    )
    server = SERVER.format(body=body).replace("http.server.HTTPServer", "http.server.ThreadingHTTPServer")
    home.write({"Procfile": SERVES, "app.py": server})
    done = build(home)
    assert (done["boot"]["pages"], done["unproved"]) == (1, [])
