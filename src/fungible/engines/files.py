"""Files that an engine's command line reads, put into a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fungible.services.place import write_whole


def put(folder: Path, files: Mapping[str, str], mode: int = 0o666) -> None:
    """Write each text at its path below `folder`, in one step each; `mode` is the files', less the umask. Raises
    OSError."""
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, text, mode)
