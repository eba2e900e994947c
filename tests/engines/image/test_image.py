"""An image of a real app, unpacked and run as a root of its own: of this machine it has nothing but what it holds."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.engines.image.app import Shop, shop

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may change its root"),
    pytest.mark.xdist_group("image"),
]


_CHROOT = shutil.which("chroot", path="/usr/sbin:/sbin:/usr/bin") or "chroot"

_TAC = ("--include", "/usr/bin/tac")


class Root:
    """The image's layers as a folder; `made` is what the command said, `config` how it wants to be run."""

    def __init__(self, made: Mapping[str, object], archive: Path, folder: Path) -> None:
        self.made = made
        self.folder = folder
        with tarfile.open(archive) as whole:
            images = json.load(whole.extractfile("manifest.json"))  # type: ignore[arg-type]
            self.references = [each for image in images for each in image["RepoTags"]]
            self.config = json.load(whole.extractfile(images[0]["Config"]))["config"]  # type: ignore[arg-type]
            for name in images[0]["Layers"]:
                with tarfile.open(fileobj=whole.extractfile(name)) as layer:
                    layer.extractall(folder, filter="fully_trusted")

    def command(self, *words: str) -> list[str]:
        user = self.config["User"]
        inside = [*self.config["Entrypoint"], *words]
        return [
            _CHROOT,
            f"--userspec={user}",
            str(self.folder),
            "/usr/bin/env",
            "-C",
            self.config["WorkingDir"],
            *inside,
        ]

    def environment(self, **more: str) -> dict[str, str]:
        return {**dict(each.split("=", 1) for each in self.config["Env"]), **more}

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        environment = self.environment(**more)
        return subprocess.run(self.command(*words), env=environment, capture_output=True, text=True, timeout=60)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def app() -> Iterator[Shop]:
    with shop() as made:
        yield made


@pytest.fixture(scope="module")
def root(app: Shop, tmp_path_factory: pytest.TempPathFactory) -> Root:
    folder = tmp_path_factory.mktemp("image")
    made = app.image("--out", str(folder / "image.tar"), *_TAC)
    return Root(made, folder / "image.tar", folder / "root")


def test_the_release_command_finds_all_that_it_imports(root: Root) -> None:
    done = root.run("release")
    assert (done.returncode, done.stdout) == (0, "migrated to Europe/Paris\n"), done.stderr


def test_the_web_process_answers_at_an_address_that_others_reach(root: Root) -> None:
    port = _free_port()
    with subprocess.Popen(
        root.command("web"), env=root.environment(PORT=str(port), FUNGIBLE_LAME_DUCK="0")
    ) as process:
        try:
            for _ in range(100):
                ready = root.run("ready", PORT=str(port), FUNGIBLE_READY_PATH="/healthz")
                if ready.returncode == 0:
                    break
                assert process.poll() is None
                time.sleep(0.1)
            assert ready.returncode == 0, ready.stderr
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", "/tries")
            answer = connection.getresponse().read().decode()
            assert answer.startswith("Permission denied, Permission denied, written, written, 10001,")
            listens = Path(f"/proc/{process.pid}/net/tcp").read_text()
            assert f"00000000:{port:04X}" in listens
            process.terminate()
            assert process.wait(30) == 128 + 15
        finally:
            process.kill()


def test_it_holds_the_build_and_nothing_that_is_for_this_machine_alone(root: Root, app: Shop) -> None:
    inside = root.folder / str(app.folder).lstrip("/")
    assert (inside / "server.py").is_file()
    assert not (inside / ".env").exists()
    library = next((root.folder).rglob("lib/python3.*/zoneinfo"))
    assert not (library.parent / "idlelib").exists()
    assert not (root.folder / "root" / ".ssh").exists()
    assert root.run("sh", "-c", "type ls").returncode != 0


def test_the_same_build_is_the_same_image_whatever_its_name(app: Shop, root: Root, tmp_path: Path) -> None:
    made = app.image("--out", str(tmp_path / "image.tar"), *_TAC, "--tag", "registry.example:5000/shop:9")
    assert made["digest"] == root.made["digest"]
    assert [root.made["image"], root.made["router"]] == root.references
    assert made["image"] == "registry.example:5000/shop:9"
    digest = str(made["digest"]).removeprefix("sha256:")[:12]
    assert made["pinned"] == f"registry.example:5000/shop:{digest}"
    assert root.made["image"] == root.made["pinned"] == f"shop:{digest}"
    assert str(made["router"]).startswith("registry.example:5000/shop-router:")
    exported = app.fungible("export", "kubernetes").stdout  # of the one that was made last
    assert f"image: {made['image']}" in exported
    assert f"image: {made['router']}" in exported


def test_programs_that_are_asked_for_come_with_their_libraries(root: Root) -> None:
    done = root.run("tac", "/fungible/entry.py")
    assert done.stdout.startswith("    sys.exit(main(sys.argv[1:]))\n"), done.stderr


def test_what_cannot_be_is_one_sentence(app: Shop, tmp_path: Path) -> None:
    out = str(tmp_path / "image.tar")
    for words, sentence in {
        ("--out", str(tmp_path / "none" / "image.tar")): f"there is no folder {tmp_path / 'none'}",
        ("--include", "/no/such", "--out", out): "--include /no/such: there is no such file or folder",
        ("--load", "lxc"): "--load lxc: the engines are docker and podman",
    }.items():
        done = app.fungible("image", "--no-boot", *words, code=2)
        assert done.stderr.startswith("fungible: ")
        assert done.stderr.endswith(f"{sentence}\n")
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    done = app.fungible("image", "--no-boot", "--include", str(tmp_path / "tool"), "--out", out, code=2)
    hidden = f"{tmp_path / 'tool'}: every container has a /tmp of its own; keep this elsewhere"
    assert done.stderr.splitlines()[-1] == f"fungible: {hidden}"
    assert os.listdir(tmp_path) == ["tool"]
