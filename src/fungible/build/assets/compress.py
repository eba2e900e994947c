"""Compressed copies, made once instead of with each answer."""

from __future__ import annotations

import gzip
from pathlib import Path

import brotli
import zstandard

from fungible.build.assets.manifest import SUFFIXES

SMALLER = 0.9
"""A copy is kept where it is at most this part of the file: less is not worth its place, nor its `Vary`."""
_LARGEST = 64 << 20
_LARGE = 1 << 20
_DENSE = frozenset(
    {
        *(".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".jxl", ".heic", ".woff", ".woff2", ".mp3", ".mp4"),
        *(".m4a", ".m4v", ".ogg", ".ogv", ".opus", ".webm", ".mov", ".flac", ".aac", ".zip", ".gz", ".br", ".zst"),
        *(".zstd", ".bz2", ".xz", ".7z", ".rar", ".tgz", ".jar", ".pdf", ".docx", ".xlsx", ".pptx", ".epub"),
    }
)
"""What is compressed already."""


def compressed(path: str, data: bytes) -> dict[str, bytes]:
    """Copies of a file by content coding, only those that are at least a tenth smaller.

    The same bytes give the same copies: gzip has neither time nor name in its header (RFC 1952, 2.3).
    """
    if Path(path).suffix.lower() in _DENSE or not 64 <= len(data) <= _LARGEST:
        return {}
    trial = gzip.compress(data, compresslevel=9, mtime=0)
    if len(trial) > len(data) * SMALLER:
        return {}
    quality, level = (11, 19) if len(data) <= _LARGE else (9, 12)
    copies = {
        "br": brotli.compress(data, mode=brotli.MODE_TEXT, quality=quality),
        "gzip": trial,
        "zstd": zstandard.ZstdCompressor(level=level).compress(data),
    }
    return {coding: copy for coding, copy in copies.items() if len(copy) <= len(data) * SMALLER}


assert set(SUFFIXES) == {"br", "gzip", "zstd"}
