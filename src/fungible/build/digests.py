"""Digests of files: what went into a build, what came out, and whether what came out depends on where it was made."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fungible.build.seal import Tree

FORMAT = 2
"""Changes when a build of the same input comes out differently by a change of ours."""
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Contents:
    """Files below a folder: `files` by relative path, each as `mode:SHA-256` (a link as `link:TARGET`); `digest` is
    that of all of it. `placed` are files that hold one of the texts that were looked for."""

    files: Mapping[str, str]
    digest: str
    placed: tuple[str, ...] = ()


def contents_of(folder: Path, *, without: Collection[str] = (), looking_for: Iterable[str] = ()) -> Contents:
    """Read all files below `folder`, but none in folders `without` (relative paths). Raises OSError."""
    wanted = tuple(os.fsencode(text) for text in looking_for)
    files: dict[str, str] = {}
    placed: list[str] = []
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        for entry in os.scandir(folder / inside):
            path = f"{inside}/{entry.name}" if inside else entry.name
            if entry.is_symlink():
                target = os.readlink(entry.path)
                files[path] = f"link:{target}"
                if any(text in os.fsencode(target) for text in wanted):
                    placed.append(path)
            elif entry.is_dir(follow_symlinks=False):
                if path not in without:
                    waiting.append(path)
            elif entry.is_file(follow_symlinks=False):
                digest, found = _read(entry.path, wanted)
                executable = entry.stat(follow_symlinks=False).st_mode & stat.S_IXUSR
                files[path] = f"{'755' if executable else '644'}:{digest}"
                if found:
                    placed.append(path)
    ordered = dict(sorted(files.items()))
    return Contents(ordered, digest_of_mapping(ordered), tuple(placed))


def input_key(tree: Tree, said: Mapping[str, object]) -> tuple[str, dict[str, str]]:
    """The key of a build: what is in the files of `tree`, and what is `said` besides; with the files' digests.

    `said` is plain data (JSON). Files that have gone are passed over. Raises OSError.
    """
    files = {}
    for path in tree.files:
        full = tree.folder / path
        try:
            if full.is_symlink():
                files[path] = f"link:{os.readlink(full)}"
                continue
            digest, _ = _read(str(full), ())
            files[path] = f"{'755' if os.stat(full).st_mode & stat.S_IXUSR else '644'}:{digest}"
        except FileNotFoundError:
            continue
    text = json.dumps([FORMAT, files, sorted(tree.folders), said], sort_keys=True)
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest(), files


def digest_of_mapping(files: Mapping[str, str]) -> str:
    """SHA-256 of paths with what they hold, in the order of the paths."""
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(os.fsencode(path) + b"\0" + os.fsencode(files[path]) + b"\0")
    return digest.hexdigest()


def _read(path: str, wanted: tuple[bytes, ...]) -> tuple[str, bool]:
    digest, found, kept = hashlib.sha256(), False, b""
    longest = max(map(len, wanted), default=0)
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            if wanted and not found:
                window = kept + chunk
                found = any(text in window for text in wanted)
                kept = window[-longest:]
    return digest.hexdigest(), found
