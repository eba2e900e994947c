"""Packagers of Python apps, run for real: in the build stage they are proved, in the run stage refused.

What the source says is named with its line before anything is built. Where a setting hides it, the proof by booting
finds the compiler that is run, or the file that is written.
"""

from __future__ import annotations

import pytest

from tests.build.apps import DJANGO_COMPRESSOR, DJANGO_PIPELINE, FLASK_ASSETS, FLASK_WITH_KIT
from tests.build.test_front_ends import build, content, home, manifest
from tests.runtime.harness import Home

__all__ = ["home"]

SETTINGS = "site_settings.py"
HIDDEN = "os.environ.get('COMPILE_BEFOREHAND') == 'yes'"


def with_text(files: dict[str, str], name: str, old: str, new: str) -> dict[str, str]:
    assert old in files[name]
    return {**files, name: files[name].replace(old, new)}


def test_django_pipeline_builds_in_collectstatic(home: Home) -> None:
    home.write(DJANGO_PIPELINE)
    done = build(home)
    assert (done["boot"]["pages"], done["boot"]["assets"], done["unproved"]) == (1, 2, [])
    named = manifest(home, done)["names"]["built/site.css"]
    assert "color: teal" in (content(home, done) / "staticfiles" / named).read_text()
    with home.start() as formation:
        answer = formation.get(f"/static/{named}")
        assert "color: teal" in answer.text and "immutable" in answer.headers["cache-control"]
        assert formation.stop() == 0


def test_django_compressor_compresses_offline(home: Home) -> None:
    home.write(DJANGO_COMPRESSOR)
    done = build(home)
    assert (done["boot"]["pages"], done["boot"]["assets"], done["unproved"]) == (1, 2, [])
    (made,) = (content(home, done) / "staticfiles/CACHE/css").glob("output.*.css")
    assert "teal" in made.read_text() and "navy" in made.read_text()


PIPELINE_AT_RUN_TIME = with_text(DJANGO_PIPELINE, SETTINGS, "'PIPELINE_ENABLED': True", "'PIPELINE_ENABLED': False")
COMPRESSOR_AT_RUN_TIME = with_text(DJANGO_COMPRESSOR, SETTINGS, "COMPRESS_OFFLINE = True", "COMPRESS_OFFLINE = False")
FLASK_AT_RUN_TIME = with_text(FLASK_ASSETS, "app.py", "AUTO_BUILD'] = False", "AUTO_BUILD'] = True")
SASS = "def home():\n    import sass\n    sass.compile(dirname=('static', 'static/built'))\n"
SASS_AT_RUN_TIME = with_text(FLASK_WITH_KIT, "app.py", "def home():\n", SASS) | {"static/a.scss": "a { b: c }"}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (PIPELINE_AT_RUN_TIME, f"{SETTINGS}:18: django-pipeline compiles while requests are served"),
        (COMPRESSOR_AT_RUN_TIME, f"{SETTINGS}:17: django-compressor compresses while requests are served"),
        (FLASK_AT_RUN_TIME, "app.py:4: Flask-Assets compiles while requests are served"),
        (SASS_AT_RUN_TIME, "app.py:9: libsass compiles where a process does it"),
    ],
    ids=["django-pipeline", "django-compressor", "flask-assets", "libsass"],
)
def test_one_that_compiles_at_run_time_is_refused_with_its_line(home: Home, files: dict[str, str], said: str) -> None:
    home.write(files)
    assert said in build(home, code=1).splitlines()[-1]
    started = home.run("start", "--port", "0")
    assert (started.returncode, started.stdout) == (1, "")
    assert said in started.stderr


NO_BUILD = {"fungible.toml": ""}
COLLECTED = {"fungible.toml": DJANGO_COMPRESSOR["fungible.toml"].replace(', "python manage.py compress"', "")}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            with_text(PIPELINE_AT_RUN_TIME, SETTINGS, "'PIPELINE_ENABLED': False", f"'PIPELINE_ENABLED': {HIDDEN}"),
            "proof: the web process runs `pysassc` while it serves",
        ),
        (
            with_text(COMPRESSOR_AT_RUN_TIME, SETTINGS, "COMPRESS_OFFLINE = False", f"COMPRESS_OFFLINE = {HIDDEN}")
            | COLLECTED,
            "proof: the web process runs `pysassc` while it serves",
        ),
        (
            with_text(
                with_text(
                    COMPRESSOR_AT_RUN_TIME, SETTINGS, "COMPRESS_OFFLINE = False", f"COMPRESS_OFFLINE = {HIDDEN}"
                ),
                "templates/home.html",
                '<link rel="stylesheet" type="text/x-scss" href="{% static \'site.scss\' %}">',
                "",
            )
            | COLLECTED,
            "proof: GET / fails on a read-only disk, and is answered where the app may write staticfiles/CACHE/css/",
        ),
        (
            with_text(FLASK_AT_RUN_TIME, "app.py", "= True", f"= not __import__('os').{HIDDEN[3:]}") | NO_BUILD,
            "proof: GET / fails on a read-only disk: templates/home.html:1 writes into the app's folder while a page",
        ),
        (
            with_text(SASS_AT_RUN_TIME, "app.py", "import sass\n", "sass = __import__('sass')\n"),
            "proof: GET / fails on a read-only disk: app.py:9 writes into the app's folder while a page is made",
        ),
    ],
    ids=["django-pipeline", "django-compressor-sass", "django-compressor", "flask-assets", "libsass"],
)
def test_one_that_hides_it_is_found_by_booting(home: Home, files: dict[str, str], said: str) -> None:
    home.write(files)
    assert said in build(home, code=1).splitlines()[-1]
