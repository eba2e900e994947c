"""What an export gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Exported:
    """The `files` of an export, text by path inside its folder, and what the user has to know of them: `notes`, a
    sentence each."""

    files: Mapping[str, str]
    notes: tuple[str, ...] = ()
