"""What a packager has already named: the manifests of Vite, esbuild and Django's ManifestStaticFilesStorage.

Vite, `build.manifest`: https://vite.dev/guide/backend-integration; esbuild, metafile:
https://esbuild.github.io/api/#metafile; Django: `ManifestFilesMixin`, django/contrib/staticfiles/storage.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fungible.app.problem import Exit, Problem
from fungible.app.wording import plain
from fungible.build.assets.manifest import Entry

_MANIFESTS = (".vite/manifest.json", "manifest.json", "staticfiles.json", "meta.json", "metafile.json")
_LARGEST = 64 << 20
_VITE_HASH = re.compile(r"[-.][A-Za-z0-9_-]{8,}\.[^/]+\Z")
_ESBUILD_HASH = re.compile(r"(^|[-._/])[A-Z2-7]{8}\.[^/]+\Z")


@dataclass(frozen=True)
class Bundled:
    """A packager's own names, all below its root: what an app calls a file -> the file; which files' names change
    with their content; what goes with an entry. `manifest` is its file, as messages name it."""

    by: str
    manifest: str
    names: Mapping[str, str] = field(default_factory=dict)
    hashed: frozenset[str] = frozenset()
    entries: Mapping[str, Entry] = field(default_factory=dict)


def read_bundled(content: Path, root: str) -> Bundled | None:
    """What a packager says of the files below `root`, None where none left a manifest.

    Raises Problem for a manifest that is damaged or names a file that is not there.
    """
    for name in _MANIFESTS:
        path = content / root / name
        if not path.is_file() or path.stat().st_size > _LARGEST:
            continue
        where = plain(f"{root}/{name}")
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError):
            if name in ("manifest.json", "meta.json"):  # may be the app's own, of whatever kind
                continue
            raise Problem(f"{where}: this is no JSON; let the packager write it anew.", Exit.NO) from None
        found = _read(data, where, content, root)
        if found is not None:
            _check(found, content / root)
            return found
    return None


def _read(data: Any, where: str, content: Path, root: str) -> Bundled | None:
    if not isinstance(data, dict):
        return None
    if isinstance(data.get("paths"), dict) and "version" in data:
        return _django(data, where)
    if isinstance(data.get("outputs"), dict) and isinstance(data.get("inputs"), dict):
        return _esbuild(data["outputs"], where, root)
    chunks = {
        key: chunk for key, chunk in data.items() if isinstance(chunk, dict) and isinstance(chunk.get("file"), str)
    }
    return _vite(chunks, where) if chunks and len(chunks) == len(data) else None


def _django(data: Mapping[str, Any], where: str) -> Bundled:
    names = {str(name): str(path) for name, path in data["paths"].items()}
    return Bundled("Django", where, names, frozenset(path for name, path in names.items() if path != name))


def _vite(chunks: Mapping[str, Any], where: str) -> Bundled:
    names = {key: str(chunk["file"]) for key, chunk in chunks.items()}
    files = set(names.values())
    entries = {}
    for key, chunk in chunks.items():
        files.update(_texts(chunk, "css"), _texts(chunk, "assets"))
        if chunk.get("isEntry"):
            imported = _imported(chunks, key)
            css = dict.fromkeys(css for each in (*imported, key) for css in _texts(chunks[each], "css"))
            entries[key] = Entry(tuple(css), tuple(names[each] for each in imported))
    return Bundled("Vite", where, names, frozenset(f for f in files if _VITE_HASH.search(f)), entries)


def _imported(chunks: Mapping[str, Any], key: str) -> list[str]:
    """The chunks that `key` imports at once, whatever these import included, in the order of their need."""
    found: dict[str, None] = {}
    waiting = [key]
    while waiting:
        for each in _texts(chunks[waiting.pop()], "imports"):
            if each in chunks and each not in found and each != key:
                found[each] = None
                waiting.append(each)
    return list(found)


def _esbuild(outputs: Mapping[str, Any], where: str, root: str) -> Bundled:
    names, files, entries = {}, set(), {}
    inside = root + "/"
    for output, told in outputs.items():
        if not output.startswith(inside) or not isinstance(told, dict):
            continue
        path = output[len(inside) :]
        files.add(path)
        entry = told.get("entryPoint")
        if isinstance(entry, str):
            names[entry] = path
            css = told.get("cssBundle")
            static = [each for each in told.get("imports", ()) if each.get("kind") == "import-statement"]
            imports = [each["path"][len(inside) :] for each in static if each["path"].startswith(inside)]
            bundle = [css[len(inside) :]] if isinstance(css, str) and css.startswith(inside) else []
            entries[entry] = Entry(tuple(bundle), tuple(imports))
    return Bundled("esbuild", where, names, frozenset(f for f in files if _ESBUILD_HASH.search(f)), entries)


def _texts(chunk: Mapping[str, Any], key: str) -> list[str]:
    value = chunk.get(key, ())
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _check(bundled: Bundled, folder: Path) -> None:
    beside = (path for entry in bundled.entries.values() for path in (*entry.css, *entry.imports))
    named = {*bundled.names.values(), *beside}
    for path in sorted(named | bundled.hashed):
        if path.startswith("/") or ".." in path.split("/") or not (folder / path).is_file():
            raise Problem(
                f"{bundled.manifest}: it names {plain(path)}, which is not there; let {bundled.by} build anew, and "
                "keep its output out of the hands of later commands.",
                Exit.NO,
            )
