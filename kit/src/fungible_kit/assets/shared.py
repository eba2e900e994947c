"""Hashed files of other releases, in a folder that the run stage shows to every process and fills before a roll."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from fungible_kit.assets.manifest import Asset, read_files

VARIABLE = "FUNGIBLE_SHARED_ASSETS"
_INDEX = "index.json"


class Shared:
    """What is in the folder that FUNGIBLE_SHARED_ASSETS names; its index is read again when it has changed."""

    def __init__(self) -> None:
        said = os.environ.get(VARIABLE)
        self.folder = Path(said) if said else None
        self._seen: tuple[int, int] | None = None
        self._files: Mapping[str, Asset] = {}

    def find(self, path: str) -> Asset | None:
        """The file that is served as `path` below the URL of assets, None where no release has it."""
        if self.folder is None:
            return None
        try:
            status = os.stat(self.folder / _INDEX)
        except OSError:
            return None
        seen = (status.st_ino, status.st_mtime_ns)
        if seen != self._seen:
            self._files = read_files(self.folder / _INDEX)
            self._seen = seen
        return self._files.get(path)
