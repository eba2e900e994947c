"""Real front ends, built, proved, booted read-only and served: Vite, Tailwind, Django's admin, Flask-Assets."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.build.apps import DJANGO_ADMIN, FASTAPI_WITH_VITE, FLASK_ASSETS, FLASK_WITH_KIT
from tests.runtime.harness import Home, new_home

PACKAGES = Path(__file__).with_name("front_end")


@pytest.fixture
def home() -> Iterator[Home]:
    with a_home() as made:
        yield made


@contextlib.contextmanager
def a_home() -> Iterator[Home]:
    made = new_home()
    (made.app / "server.py").unlink()
    try:
        yield made
        made.wait_until_gone()
    finally:
        shutil.rmtree(made.base, ignore_errors=True)


def build(home: Home, *options: str, code: int = 0) -> Any:
    done = home.run("build", "--json", *options, timeout=280)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if code == 0 else done.stderr


def content(home: Home, document: Any) -> Path:
    return home.base / "state/fungible/builds" / document["digest"] / "app"


def manifest(home: Home, document: Any) -> Any:
    return json.loads((content(home, document) / ".fungible/assets/manifest.json").read_text())


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """What the front end's package-lock.json names, installed once, for this run and later ones."""
    if shutil.which("npm") is None:
        pytest.skip("no npm")
    digest = hashlib.sha256((PACKAGES / "package-lock.json").read_bytes()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"fungible-front-end-{os.geteuid()}-{digest}"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(PACKAGES / name, folder)
            installed = subprocess.run(
                ["npm", "ci", "--ignore-scripts"], cwd=folder, capture_output=True, timeout=280
            )
            assert installed.returncode == 0, installed.stderr.decode()
            (folder / "done").touch()
    return folder / "node_modules"


def with_packages(home: Home, modules: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PACKAGES / name, home.app)
    shutil.copytree(modules, home.app / "node_modules", symlinks=True, copy_function=os.link)


def test_vite_with_code_splitting_and_tailwind_is_the_same_on_another_path(home: Home, node_modules: Path) -> None:
    home.write(FASTAPI_WITH_VITE)
    with_packages(home, node_modules)
    first = build(home)
    assert (first["boot"]["pages"], first["unproved"]) == (1, [])
    assert first["boot"]["assets"] >= 5, "icon, entry, sheet, shared chunk, and what the entry imports later"
    assert first["tools"]["node"].startswith("v")
    told = manifest(home, first)
    assert set(told["entries"]) == {"src/main.js", "src/other.js"}
    entry = told["entries"]["src/main.js"]
    assert len(entry["imports"]) == 1 and len(entry["css"]) == 1
    assert all(told["files"][path]["hashed"] for path in (*entry["imports"], *entry["css"]))
    assert not told["files"]["favicon.svg"]["hashed"]
    files = content(home, first) / ".fungible/assets/files"
    assert ".underline" in (files / entry["css"][0]).read_text(), "Tailwind saw the class in app.py"
    assert not (content(home, first) / "node_modules/vite").exists()
    assert build(home)["reused"]
    with a_home() as elsewhere:
        elsewhere.write(FASTAPI_WITH_VITE)
        with_packages(elsewhere, node_modules)
        second = build(elsewhere, "--no-boot")
        assert (second["reused"], second["digest"]) == (False, first["digest"])


def test_djangos_admin_with_names_of_its_own_manifest(home: Home) -> None:
    home.write(DJANGO_ADMIN)
    done = build(home)
    assert (done["boot"]["pages"], done["boot"]["requests"]) == (4, 4), "the last two are behind the login"
    assert done["boot"]["assets"] > 30, "a form loads many times what the login page does"
    assert done["unproved"] == []
    told = manifest(home, done)
    named = json.loads((content(home, done) / "staticfiles/staticfiles.json").read_text())["paths"]
    assert told["names"]["admin/css/base.css"] == named["admin/css/base.css"]
    assert told["files"][named["admin/css/base.css"]]["hashed"]
    assert not told["files"]["admin/css/base.css"]["hashed"]
    beside = content(home, done) / "staticfiles" / (named["admin/css/base.css"] + ".br")
    assert beside.is_file(), "for servers that look beside the file"


def test_a5_a_build_that_asks_for_a_secret_of_the_run_stage_is_told_which(home: Home) -> None:
    settings = DJANGO_ADMIN["fungible.toml"].replace("SECRET_KEY=build ", "")
    home.write({**DJANGO_ADMIN, "fungible.toml": settings})
    home.environment["SECRET_KEY"] = "from-the-shell"
    said = build(home, code=1)
    assert "It speaks of SECRET_KEY, which only the run stage gets" in said
    home.write({"fungible.toml": 'build = ["env"]\n', ".env": "PLAIN=from-the-file\n", "Procfile": "worker: true\n"})
    home.environment |= {"SHOP_TOKEN": "from-the-shell", "VITE_TITLE": "a title", "VITE_API_KEY": "not-this-either"}
    assert home.run("config", "set", "SHOP_NAME=from-config").returncode == 0
    said = home.run("build").stderr
    assert "VITE_TITLE=a title" in said
    for text in ("from-the-file", "from-the-shell", "from-config", "SECRET_KEY", "not-this-either", "***"):
        assert text not in said


def test_flask_assets_built_beforehand(home: Home) -> None:
    home.write(FLASK_ASSETS)
    done = build(home)
    assert (done["boot"]["pages"], done["boot"]["assets"]) == (1, 2)
    assert "color:teal" in (content(home, done) / "static/built/site.css").read_text().replace(" ", "")


def test_npm_installs_in_the_build_stage_and_leaves_nothing_to_the_run_stage(home: Home) -> None:
    if shutil.which("npm") is None:
        pytest.skip("no npm")
    lock = {
        "name": "shop",
        "lockfileVersion": 3,
        "requires": True,
        "packages": {
            "": {"name": "shop", "dependencies": {"tone": "file:tone"}},
            "node_modules/tone": {"resolved": "tone", "link": True},
            "tone": {"version": "1.0.0"},
        },
    }
    home.write(
        {
            **FLASK_WITH_KIT,
            "fungible.toml": 'build = ["npm ci", "node make.mjs"]\n[assets]\nroots = ["static"]\n',
            "package.json": '{"name": "shop", "dependencies": {"tone": "file:tone"}}',
            "package-lock.json": json.dumps(lock),
            "tone/package.json": '{"name": "tone", "version": "1.0.0", "type": "module", "exports": "./index.js"}',
            "tone/index.js": "export const tone = 'teal'\n",
            "make.mjs": "import { tone } from 'tone'\nimport { writeFileSync } from 'node:fs'\n"
            "writeFileSync('static/site.css', `body { color: ${tone} }`)\n",
        }
    )
    done = build(home)
    assert not (content(home, done) / "node_modules").exists()
    assert (content(home, done) / "static/site.css").read_text() == "body { color: teal }"
    assert not (home.app / "node_modules").exists()
