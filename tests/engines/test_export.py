"""`fungible export` as a user runs it: what stands where, what is said, what is refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

WEB = "web: gunicorn --bind 127.0.0.1:$PORT shop:app\nrelease: true\n"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A folder with an app in it."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "Procfile").write_text(WEB)
    (folder / "shop.py").write_text("app = None\n")
    return folder


def fungible(app: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in the app's folder, with a state of its own."""
    environment = {**os.environ, "XDG_STATE_HOME": str(app.parent / "state")}
    command = [str(Path(sys.executable).with_name("fungible")), *arguments]
    return subprocess.run(command, cwd=app, env=environment, capture_output=True, text=True)


def test_a_systemd_release_is_named_by_its_code(app: Path) -> None:
    def folder() -> str:
        done = fungible(app, "export", "systemd", "--out", "units", "--first-port", "21000")
        assert done.returncode == 0, done.stderr
        (found,) = set(re.findall(r"^WorkingDirectory=(.*)$", unit.read_text(), re.MULTILINE))
        return found

    unit = app / "units/etc/systemd/system/shop-web@.service"
    first = folder()
    assert re.fullmatch(r"/opt/shop/[0-9a-f]{8}-[0-9a-f]{6}", first)
    assert "/etc/shop/port free 21000 %i" in unit.read_text()
    assert folder() == first
    (app / "shop.py").write_text("app = 1\n")
    assert folder() != first


def test_a_secret_is_asked_for_and_not_written(app: Path) -> None:
    fungible(app, "config", "set", "SECRET_KEY=hush-hush-hush", "RATE=3")
    done = fungible(app, "export", "kubernetes", "--image", "r.example/shop:v3", "--policy", "--out", "k8s")
    assert done.returncode == 0, done.stderr
    assert "write k8s/secrets.env, a NAME=VALUE a line without quotes, for SECRET_KEY" in done.stderr
    written = {path.name: path.read_text() for path in (app / "k8s").rglob("*") if path.is_file()}
    assert {"kustomization.yaml", "formation.yaml", "policy.yaml", ".gitignore"} <= written.keys()
    assert written["config.env"] == "RATE=3\n"
    assert not any("hush" in text for text in (*written.values(), done.stderr, done.stdout))
    (app / "k8s/secrets.env").write_text("SECRET_KEY=hush\n")
    again = fungible(app, "export", "kubernetes", "--image", "r.example/shop:v3", "--out", "k8s")
    assert again.returncode == 0, again.stderr
    assert not (app / "k8s/policy.yaml").exists() and (app / "k8s/secrets.env").exists()


def test_what_an_engine_does_not_know_is_refused(app: Path) -> None:
    for words, sentence in {
        ("kubernetes", "--port", "80"): "--port: it is for swarm and systemd, and says nothing to kubernetes",
        ("swarm", "--policy"): "--policy: it is for kubernetes, and says nothing to swarm",
        ("systemd", "--image", "a:1"): "--image: it is for kubernetes and swarm, and says nothing to systemd",
        ("swarm", "--image", "Bad Image"): '--image: "Bad Image" is no name of an image; write it as in '
        "registry.example/shop:v3",
    }.items():
        done = fungible(app, "export", *words)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", f"fungible: {sentence}\n")


def test_the_router_of_an_image_by_its_digest_has_a_name_of_its_own(app: Path) -> None:
    digest = f"sha256:{'0' * 64}"
    for image, repository in {
        f"r.example/c@{digest}": "r.example/c",
        f"r.example:5000/c:v1@{digest}": "r.example:5000/c",
        "r.example:5000/c": "r.example:5000/c",
    }.items():
        done = fungible(app, "export", "swarm", "--image", image)
        assert done.returncode == 0, done.stderr
        assert f"image: {repository}-router:" in done.stdout.replace('"', "")


def test_an_export_is_no_part_of_the_app_and_no_other_engines(app: Path, tmp_path: Path) -> None:
    assert fungible(app, "export", "kubernetes", "--image", "a:1", "--out", "k8s").returncode == 0
    (app / "k8s/secrets.env").write_text("SECRET_KEY=hush\n")
    other = fungible(app, "export", "swarm", "--image", "a:1", "--out", "k8s")
    assert (other.returncode, other.stderr) == (
        2,
        f"fungible: --out {app / 'k8s'}: this is an export for kubernetes; name another folder\n",
    )
    assert (app / "k8s/.gitignore").is_file()
    (app / ".env").write_text("SECRET_KEY=hush\n")
    built = fungible(app, "build", "--no-boot", "--out", str(tmp_path / "built"))
    assert built.returncode == 0, built.stderr
    assert {path.name for path in (tmp_path / "built").iterdir()} >= {"Procfile", "shop.py"}
    assert not (tmp_path / "built/k8s").exists()
    assert not (tmp_path / "built/.env").exists()


def test_an_image_has_to_be_named_or_made(app: Path) -> None:
    done = fungible(app, "export", "swarm")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "fungible: --image: name the app's image, or make one first (`fungible image --tag REF`)\n"
