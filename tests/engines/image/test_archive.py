"""The archive of an image: what both formats say of it is in it, and the same content gives the same bytes."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.engines.image.archive import Image, write_archive
from fungible.engines.image.content import Entry, File, Folder, Link, layer

pytestmark = pytest.mark.pure

_NAME = st.text("abcXYZ._-é", min_size=1, max_size=12).filter(lambda name: name not in (".", ".."))
_PATH = st.lists(_NAME, min_size=1, max_size=4).map(lambda names: "/" + "/".join(names))
_ENTRY = st.one_of(
    st.builds(File, _PATH, st.none(), st.binary(max_size=600), st.booleans(), st.integers(0, 2**31 - 1)),
    st.builds(Link, _PATH, st.text("ab/.", min_size=1, max_size=9)),
    st.builds(Folder, _PATH, st.booleans()),
)


def _image(*layers: list[Entry], reference: str = "shop:1") -> Image:
    made = []
    for each in layers:
        made.append(layer("a layer", each, made))
    return Image(reference, None, tuple(made), "amd64", ("/python",), ("web",), {"A": "1"}, "/app", "10001:10001")


def _read(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {each.name: archive.extractfile(each).read() for each in archive}  # type: ignore[union-attr]


def _blob(files: dict[str, bytes], descriptor: dict[str, Any]) -> bytes:
    kind, digest = descriptor["digest"].split(":")
    content = files[f"blobs/{kind}/{digest}"]
    assert hashlib.sha256(content).hexdigest() == digest
    assert len(content) == descriptor["size"]
    return content


def test_both_formats_name_the_same_blobs(tmp_path: Path) -> None:
    (tmp_path / "program").write_text("#!/bin/sh\n")
    (tmp_path / "program").chmod(0o700)
    images = [
        _image(
            [File("/bin/program", tmp_path / "program", executable=True), Folder("/tmp", shared=True)],
            [Link("/x", "y")],
        ),
        _image([File("/a", content=b"a")], reference="host:5000/shop-router:2"),
    ]
    written = write_archive(tmp_path / "image.tar", images)
    files = _read(tmp_path / "image.tar")
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads(files["index.json"])["manifests"]
    saved = json.loads(files["manifest.json"])
    assert [each["digest"] for each in index] == [each.digest for each in written]
    assert [each["annotations"]["org.opencontainers.image.ref.name"] for each in index] == ["1", "2"]
    assert [each["RepoTags"] for each in saved] == [["shop:1"], ["host:5000/shop-router:2"]]
    for at, old in zip(index, saved, strict=True):
        manifest = json.loads(_blob(files, at))
        config = json.loads(_blob(files, manifest["config"]))
        layers = [_blob(files, each) for each in manifest["layers"]]
        assert [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in layers] == config["rootfs"]["diff_ids"]
        assert old["Layers"] == [f"blobs/sha256/{each['digest'][7:]}" for each in manifest["layers"]]
        assert old["Config"] == f"blobs/sha256/{manifest['config']['digest'][7:]}"
        assert config["config"]["User"] == "10001:10001"
    with tarfile.open(fileobj=io.BytesIO(_blob(files, json.loads(_blob(files, index[0]))["layers"][0]))) as first:
        modes = {each.name: (each.mode, each.uid, each.uname) for each in first}
    assert modes == {"bin": (0o755, 0, ""), "bin/program": (0o755, 0, ""), "tmp": (0o1777, 0, "")}


@given(st.lists(_ENTRY, max_size=12), st.lists(_ENTRY, max_size=6))
def test_the_same_content_gives_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, one: list[Entry], two: list[Entry]
) -> None:
    folder = tmp_path_factory.mktemp("archives")
    first = write_archive(folder / "a.tar", [_image(one, two)])
    assert write_archive(folder / "b.tar", [_image(one, two)]) == first
    assert (folder / "a.tar").read_bytes() == (folder / "b.tar").read_bytes()
    assert sorted(os.listdir(folder)) == ["a.tar", "b.tar"]


@given(st.lists(_ENTRY, max_size=12), st.lists(_ENTRY, max_size=6))
def test_every_folder_comes_before_what_is_in_it(one: list[Entry], two: list[Entry]) -> None:
    lowest = layer("lowest", one)
    upper = layer("upper", two, [lowest])
    seen: set[str] = set()
    for each in (lowest, upper):
        for entry in each.entries:
            parent = entry.path.rpartition("/")[0]
            assert not parent or parent in seen
            seen.add(entry.path)
    assert not set(upper.entries) & set(lowest.entries)


def test_nothing_is_left_where_it_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_archive(tmp_path / "image.tar", [_image([File("/a", tmp_path / "gone")])])
    assert os.listdir(tmp_path) == []


def test_an_image_that_is_pinned_has_its_digest_for_a_tag(tmp_path: Path) -> None:
    image = replace(_image([File("/a", content=b"a")], reference="host/shop:9"), repository="host/shop")
    (written,) = write_archive(tmp_path / "image.tar", [image])
    assert written.pinned == f"host/shop:{written.digest.removeprefix('sha256:')[:12]}"
    saved = json.loads(_read(tmp_path / "image.tar")["manifest.json"])
    assert saved[0]["RepoTags"] == [written.pinned, "host/shop:9"]
