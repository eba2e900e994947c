"""Assets of the builds before, for pages that were loaded before: a browser asks for them after the roll."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable
from pathlib import Path

from fungible.build.assets.manifest import FILES, FOLDER, SUFFIXES, File, read_manifest
from fungible.build.links import link_or_copy

KEPT = 2
"""How many builds before this one keep their assets."""
PREVIOUS = f"{FOLDER}/previous.json"


def keep_previous(content: Path, earlier: Iterable[Path], roots: Iterable[str]) -> int:
    """Put the hashed files of `earlier` builds, newest first, beside those of the release in `content`; only the last
    `KEPT` builds with other assets count. Returns how many files.

    A file that was kept for them is not kept again. Where `roots` held such a file in place, it is put there too.
    Raises OSError.
    """
    now = read_manifest(content)
    if now is None:
        return 0
    roots = tuple(root.strip("/") for root in roots)
    kept: dict[str, File] = {}
    seen = [set(now.files)]
    for other in earlier:
        manifest = read_manifest(other)
        if manifest is None or set(manifest.files) in seen:
            continue
        if len(seen) > KEPT:
            break
        seen.append(set(manifest.files))
        for path, file in manifest.files.items():
            if file.hashed and path not in now.files and path not in kept:
                _keep(content, other, path, file, roots)
                kept[path] = file
    if kept:
        plain = {path: {**vars(file), "encodings": list(file.encodings)} for path, file in sorted(kept.items())}
        text = json.dumps({"version": 1, "files": plain}, indent=1, sort_keys=True) + "\n"
        (content / PREVIOUS).write_text(text, encoding="utf-8")
        (content / PREVIOUS).chmod(0o444)
    return len(kept)


def _keep(content: Path, other: Path, path: str, file: File, roots: tuple[str, ...]) -> None:
    for suffix in ("", *(SUFFIXES[coding] for coding in file.encodings)):
        source = other / FILES / (path + suffix)
        places = [FILES, *(root for root in roots if (other / root / path).is_file())]
        for place in places:
            target = content / place / (path + suffix)
            if source.is_file() and not target.exists():
                (content / place / posixpath.dirname(path)).mkdir(parents=True, exist_ok=True)
                link_or_copy(source, target)
