"""Hashed files of all releases that are kept, in one folder that every process of the app sees.

While a release is rolled, a page of the new one may come from a process that has been replaced already, and what it
loads be asked of one that has not: that process serves it from here. The other way round as well. Names change with
content, so that files of several releases do not meet.
"""

from __future__ import annotations

import contextlib
import json
import os
import posixpath
import secrets
from collections.abc import Iterable
from pathlib import Path

from fungible.build.assets.manifest import FILES, SUFFIXES, File, read_manifest
from fungible.build.links import link_or_copy

INDEX = "index.json"
"""`{"version": 1, "files": …}`, files as in a manifest; replaced at once, after what it names is there."""


def share_assets(folder: Path, contents: Iterable[Path]) -> None:
    """Make `folder` hold the hashed files of the releases in `contents`, and no others. Raises OSError."""
    wanted: dict[str, tuple[File, Path]] = {}
    for content in contents:
        manifest = read_manifest(content)
        for path, file in manifest.files.items() if manifest is not None else ():
            if file.hashed and (content / FILES / path).is_file():
                wanted.setdefault(path, (file, content))
    (folder / "files").mkdir(mode=0o700, parents=True, exist_ok=True)
    present = {f"{path}{suffix}" for path, (file, _) in wanted.items() for suffix in _ends(file)}
    for path, (file, content) in wanted.items():
        (folder / "files" / posixpath.dirname(path)).mkdir(parents=True, exist_ok=True)
        for suffix in _ends(file):
            target = folder / "files" / (path + suffix)
            if not target.exists():
                link_or_copy(content / FILES / (path + suffix), target)
    plain = {path: {**vars(file), "encodings": list(file.encodings)} for path, (file, _) in sorted(wanted.items())}
    draft = folder / f"{INDEX}.{secrets.token_hex(3)}"
    draft.write_text(json.dumps({"version": 1, "files": plain}, sort_keys=True), encoding="utf-8")
    draft.replace(folder / INDEX)
    for inside, _, files in os.walk(folder / "files", topdown=False):
        for name in files:
            if os.path.relpath(os.path.join(inside, name), folder / "files") not in present:
                os.unlink(os.path.join(inside, name))
        with contextlib.suppress(OSError):
            os.rmdir(inside)


def _ends(file: File) -> tuple[str, ...]:
    return ("", *(SUFFIXES[coding] for coding in file.encodings))
