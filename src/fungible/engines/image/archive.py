"""Layers as an archive that engines load: an image layout of OCI, which is a `docker save` archive as well.

The same content gives the same bytes: entries in order, no time of making, owners root. Sources: the OCI image format
specification 1.1 (image-layout, manifest, config), and the Docker image specification 1.2 (`manifest.json`).
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fungible.engines.image.content import File, Layer, Link

_SHOWN = 12
_BLOBS = "blobs/sha256"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Image:
    """An image: its `reference` (None: none but the next), the `repository` in which it is `pinned` as well, with its
    digest for a tag (None: it is not), its `layers`, lowest first, and how an engine starts it."""

    reference: str | None
    repository: str | None
    layers: tuple[Layer, ...]
    architecture: str
    entrypoint: Sequence[str]
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: str
    user: str
    stop_signal: str = "SIGTERM"
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Written:
    """An image in an archive: the `digest` of its manifest, and the reference that no other image has (`pinned`)."""

    digest: str
    pinned: str


@dataclass(frozen=True)
class _Blob:
    digest: str
    size: int
    content: bytes | Path


def write_archive(path: Path, images: Sequence[Image]) -> tuple[Written, ...]:
    """Write the images to one archive at `path`, which appears when it is whole. Raises OSError."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        made: dict[Layer, _Blob] = {}
        for image in images:
            for each in image.layers:
                if each not in made:
                    made[each] = _layer(each, Path(folder) / str(len(made)))
        draft = Path(folder) / "archive"
        with draft.open("wb") as file, tarfile.open(fileobj=file, mode="w") as archive:
            for blob in made.values():
                _add(archive, f"{_BLOBS}/{blob.digest}", blob.content)
            index, saved, written = [], [], []
            for image in images:
                blobs = [made[each] for each in image.layers]
                config, manifest = _described(image, blobs)
                for blob in (config, manifest):
                    _add(archive, f"{_BLOBS}/{blob.digest}", blob.content)
                pinned = f"{image.repository}:{manifest.digest[:_SHOWN]}" if image.repository else None
                references = [each for each in (pinned, image.reference) if each is not None]
                index += [{**_descriptor(_MANIFEST, manifest), "annotations": _names(each)} for each in references]
                saved.append(
                    {
                        "Config": f"{_BLOBS}/{config.digest}",
                        "RepoTags": references,
                        "Layers": [f"{_BLOBS}/{each.digest}" for each in blobs],
                    }
                )
                written.append(Written(f"sha256:{manifest.digest}", references[0]))
            _add(archive, "index.json", _json({"schemaVersion": 2, "manifests": index}).content)
            _add(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
            _add(archive, "manifest.json", _json(saved).content)
        draft.replace(path)
    return tuple(written)


def _described(image: Image, blobs: Sequence[_Blob]) -> tuple[_Blob, _Blob]:
    """Its configuration and its manifest."""
    config = _json(_configuration(image, blobs))
    layers = [_descriptor(_LAYER, each) for each in blobs]
    whole = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": _descriptor(_CONFIG, config), "layers": layers}
    return config, _json(whole)


def _configuration(image: Image, blobs: Sequence[_Blob]) -> dict[str, Any]:
    return {
        "architecture": image.architecture,
        "os": "linux",
        "config": {
            "User": image.user,
            "Env": [f"{name}={value}" for name, value in image.environment.items()],
            "Entrypoint": list(image.entrypoint),
            "Cmd": list(image.command),
            "WorkingDir": image.folder,
            "StopSignal": image.stop_signal,
            "Labels": dict(image.labels),
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{each.digest}" for each in blobs]},
        "history": [{"created_by": f"fungible: {each.about}"} for each in image.layers],
    }


def _layer(layer: Layer, path: Path) -> _Blob:
    with path.open("wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for entry in layer.entries:
            member = tarfile.TarInfo(entry.path.lstrip("/"))
            if isinstance(entry, Link):
                member.type, member.linkname, member.mode = tarfile.SYMTYPE, entry.target, 0o777
                tar.addfile(member)
            elif isinstance(entry, File):
                member.mode, member.mtime = 0o755 if entry.executable else 0o644, entry.modified
                if entry.source is None:
                    member.size = len(entry.content)
                    tar.addfile(member, io.BytesIO(entry.content))
                else:
                    with entry.source.open("rb") as source:
                        member.size = source.seek(0, 2)
                        source.seek(0)
                        tar.addfile(member, source)
            else:
                member.type, member.mode = tarfile.DIRTYPE, 0o1777 if entry.shared else 0o755
                tar.addfile(member)
    with path.open("rb") as made:
        digest = hashlib.file_digest(made, "sha256").hexdigest()
    return _Blob(digest, path.stat().st_size, path)


def _add(archive: tarfile.TarFile, name: str, content: bytes | Path) -> None:
    member = tarfile.TarInfo(name)
    member.mode = 0o644
    if isinstance(content, bytes):
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
        return
    member.size = content.stat().st_size
    with content.open("rb") as file:
        archive.addfile(member, file)


def _json(value: object) -> _Blob:
    content = json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
    return _Blob(hashlib.sha256(content).hexdigest(), len(content), content)


def _descriptor(kind: str, blob: _Blob) -> dict[str, Any]:
    return {"mediaType": kind, "digest": f"sha256:{blob.digest}", "size": blob.size}


def _names(reference: str) -> dict[str, str]:
    return {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference.rpartition(":")[2]}
