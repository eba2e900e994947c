"""What the tools of others say of an export: the schemas of Kubernetes, kubectl's kustomize, HAProxy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from fungible.engines.files import put
from fungible.engines.kubernetes.export import Options, export_folder, export_stream
from fungible.engines.kubernetes.manifest import Manifest, stream
from fungible.runtime.router.binary import find
from tests.engines.formations import CONFIG, shop
from tests.engines.kubernetes.test_kubernetes_export import objects

needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl")


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """The folder with these files in it."""
    put(folder, files)
    return folder


def kustomized(folder: Path) -> list[dict[str, Any]]:
    """The objects that `kubectl apply -k` would send."""
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=True)
    return objects(done.stdout)


@pytest.mark.parametrize("version", ["1.30", "1.36"])
def test_the_schemas_of_kubernetes_take_all_of_it(tmp_path: Path, version: str) -> None:
    described = shop(tmp_path)
    files = {"stream.yaml": export_stream(described, Options(policy=True)).files["formation.yaml"]}
    folder = write(tmp_path / "out", files)
    command = [sys.executable, "-m", "kubernetes_validate", "--strict", "-k", f"{version}.0", folder / "stream.yaml"]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = (done.stdout + done.stderr).splitlines()
    assert done.returncode == 0, lines
    assert len(lines) == len(objects(files["stream.yaml"]))
    assert all(line.startswith("INFO ") and " passed for resource " in line for line in lines), lines


@needs_kubectl
def test_kubectl_makes_the_configuration_and_wants_the_secrets(tmp_path: Path) -> None:
    nasty = {"SPACE": ' "x" # y $HOME ', "CARRIAGE": "a\r", "EMPTY": "", "LONG": "x" * 70_000, "PEM_KEY": "a\nb"}
    described = shop(tmp_path, {**CONFIG, **nasty})
    folder = write(tmp_path / "out", export_folder(described, Options(policy=True)).files)
    refused = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True)
    assert refused.returncode != 0
    assert "secrets.env" in refused.stderr
    write(folder, {"secrets.env": "SECRET_KEY=hush\n", "secrets/PEM_KEY": "a\nb"})
    found = kustomized(folder)
    maps = {each["metadata"]["name"]: each for each in found if each["kind"] in ("ConfigMap", "Secret")}
    config, router, secrets = sorted(maps)
    assert maps[config]["data"] == dict(described.config)
    assert sorted(maps[router]["data"]) == ["answers.map", "cause.map", "haproxy.cfg"]
    assert sorted(maps[secrets]["data"]) == ["PEM_KEY", "SECRET_KEY"]
    for each in found:
        if each["kind"] in ("Deployment", "Job"):
            only = each["spec"]["template"]["spec"]["containers"][0]
            names = [name for source in only.get("envFrom", ()) for name in source.values()]
            assert names in ([{"name": config}, {"name": secrets}], [])
            assert only["image"] in ("registry.example/shop:v3", "haproxy:2.8-alpine")


@needs_kubectl
@pytest.mark.parametrize(
    ("image", "entry"),
    [
        ("registry.example/shop:v3", {"newTag": "v4"}),
        ("localhost:5000/shop", {"newTag": "v4"}),
        ("shop", {"newTag": "v4"}),
        ("shop@sha256:" + "0" * 64, {"digest": "sha256:" + "1" * 64}),
        ("localhost:5000/shop:v1@sha256:" + "0" * 64, {"digest": "sha256:" + "1" * 64}),
    ],
)
def test_another_image_is_one_line_of_the_kustomization(tmp_path: Path, image: str, entry: dict[str, str]) -> None:
    described = replace(shop(tmp_path, {}), image=image)
    folder = write(tmp_path / "out", export_folder(described, Options()).files)
    path = folder / "kustomization.yaml"
    body = yaml.safe_load(path.read_text())
    (own,) = body["images"]
    assert own.keys() == {"name", *entry}
    own.update(entry)
    path.write_text(yaml.safe_dump(body))
    images = {
        each["spec"]["template"]["spec"]["containers"][0]["image"]
        for each in kustomized(folder)
        if each["kind"] in ("Deployment", "Job")
    }
    joined = ":v4" if "newTag" in entry else f"@{entry['digest']}"
    assert images == {own["name"] + joined, "haproxy:2.8-alpine"}


@needs_kubectl
def test_text_is_text_for_readers_of_other_yaml_too(tmp_path: Path) -> None:
    words = "1e3 0o17 0x1F 017 1_000 .5 +1 yes No on y ~ null .inf NaN - ? 1:30 2001-01-01 a:b %x @x `x !x &x *x"
    values = {
        f"V{number}": word for number, word in enumerate([*words.split(), "", " a ", "a\nb", "\n", "a \nb\t\n\n"])
    }
    values |= {
        "CONTROL": "\x01\u2028\ufeff",
        "COLON": "a: b",
        "HASH": "a #b",
        "QUOTE": "'\"\\",
        "WIDE": "ü€😀",
    }
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": values}
    files = {"x.yaml": stream([Manifest(body)], "head"), "kustomization.yaml": "resources: [x.yaml]\n"}
    (read,) = kustomized(write(tmp_path, files))
    assert read["data"] == values


def test_haproxy_takes_the_configuration_of_the_router(tmp_path: Path) -> None:
    files = export_folder(shop(tmp_path), Options()).files
    folder = write(tmp_path / "out", {path: text for path, text in files.items() if path.startswith("router/")})
    haproxy = find()
    environment = {**os.environ, **haproxy.environment, "NAMESPACE": "shop", "CLUSTER_DOMAIN": "cluster.local"}
    command = [haproxy.path, "-c", "-C", str(folder / "router"), "-f", "haproxy.cfg"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "web-processes.${NAMESPACE}" in files["router/haproxy.cfg"]
