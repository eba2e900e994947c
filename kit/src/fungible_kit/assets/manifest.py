"""The manifest that the build wrote, read once in a process and never written."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

FOLDER = ".fungible/assets"
VARIABLE = "FUNGIBLE_ASSETS"
_SUFFIXES = {"br": ".br", "gzip": ".gz", "zstd": ".zstd"}


class AssetsMissing(RuntimeError):
    """No manifest: this process does not run on a build."""


class UnknownAsset(KeyError):
    """An app names an asset that its build does not have."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Asset:
    """A file that is served: its `path` below the URL, its media type, its `integrity` (Subresource Integrity), and
    whether its name changes with its content; `encodings` are those it is there in besides."""

    path: str
    type: str
    integrity: str
    hashed: bool
    encodings: tuple[str, ...]


class Assets:
    """The assets of a build: `folder` holds its `manifest.json`, and in `files` what is served.

    Raises AssetsMissing where there is no manifest or it is none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            data = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            self.url: str = data["url"]
            self._names: dict[str, str] = data["names"]
            self.files: Mapping[str, Asset] = {path: _asset(path, file) for path, file in data["files"].items()}
            self._entries: dict[str, dict[str, list[str]]] = data["entries"]
        except FileNotFoundError:
            raise AssetsMissing(
                f"{folder / 'manifest.json'}: there is no such file. Assets are compiled in the build "
                f"stage, which `fungible start` runs where `roots` under [tool.fungible.assets] names their folders; "
                f"elsewhere run in what `fungible build --out DIR` wrote, or set "
                f"{VARIABLE} to its {FOLDER}"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise AssetsMissing(f"{folder / 'manifest.json'}: this is no manifest of assets ({error!r})") from None
        self.previous: Mapping[str, Asset] = read_files(folder / "previous.json")
        self._addresses: dict[str, str] = {name: self.url + quote(path) for name, path in self._names.items()}

    def address(self, name: str) -> str:
        """The URL of the asset that the app calls `name`. Raises UnknownAsset."""
        try:
            return self._addresses[name]
        except KeyError:
            return self._addresses[self._known(name)]

    def find(self, name: str) -> Asset:
        """The file of the asset that the app calls `name`. Raises UnknownAsset."""
        return self.files[self._names[self._known(name)]]

    def companions(self, name: str) -> tuple[tuple[Asset, ...], tuple[Asset, ...]]:
        """Style sheets, and modules to preload, that go with a bundler's entry."""
        entry = self._entries.get(self._known(name), {})
        css, imports = (tuple(self.files[path] for path in entry.get(key, ())) for key in ("css", "imports"))
        return css, imports

    def _known(self, name: str) -> str:
        if name in self._names:
            return name
        bare = name.lstrip("/")
        if bare in self._names:
            return bare
        near = get_close_matches(name, self._names, n=1)
        hint = f' Did you mean "{near[0]}"?' if near else ""
        raise UnknownAsset(f'no asset is called "{name}".{hint}')


@cache
def assets() -> Assets:
    """The assets of the build that this process runs on: where FUNGIBLE_ASSETS says, or else in `.fungible` of the
    working folder or of one above it. Raises AssetsMissing."""
    said = os.environ.get(VARIABLE)
    if said:
        return Assets(Path(said))
    here = Path.cwd()
    found = next(
        (each / FOLDER for each in (here, *here.parents) if (each / FOLDER / "manifest.json").is_file()), None
    )
    return Assets(found or here / FOLDER)


def variants(asset: Asset) -> tuple[str, ...]:
    """What is appended to the file's name for its compressed copies."""
    return tuple(_SUFFIXES[coding] for coding in asset.encodings)


def read_files(path: Path) -> dict[str, Asset]:
    """The `files` that a document tells of, by path; none where it is not there."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {path: _asset(path, file) for path, file in data["files"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _asset(path: str, file: Mapping[str, Any]) -> Asset:
    encodings = tuple(str(coding) for coding in file["encodings"] if coding in _SUFFIXES)
    return Asset(path, file["type"], file["integrity"], bool(file["hashed"]), encodings)
