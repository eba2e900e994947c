"""What a store holds, as bounded JSON-ready values."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping
from typing import Any

LONGEST_BYTES = 4096
LONGEST_TEXT = 65_536
MOST_ROWS = 50_000
"""Rows kept of one table or collection; the rest is counted in a last row (`rows_not_shown`)."""


def json_value(value: object) -> Any:
    """`value` as JSON can hold it.

    Bytes become `{"base64": ...}`, or `{"sha256": ..., "bytes": N}` above `LONGEST_BYTES`; a text above
    `LONGEST_TEXT` characters `{"sha256": ..., "characters": N}`; a float without a number its name.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            return json_value(value.encode("utf-8", "surrogateescape"))
        if len(value) <= LONGEST_TEXT:
            return value
        return {"sha256": hashlib.sha256(value.encode()).hexdigest(), "characters": len(value)}
    if isinstance(value, bytes | bytearray | memoryview):
        content = bytes(value)
        if len(content) <= LONGEST_BYTES:
            return {"base64": base64.b64encode(content).decode("ascii")}
        return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    if isinstance(value, Mapping):
        return {str(key): json_value(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(entry) for entry in value]
    return str(value)


def text_or_bytes(content: bytes) -> Any:
    """Bytes that are UTF-8 text without control characters as that text, else as `json_value` has bytes."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return json_value(content)
    return json_value(text) if is_plain(text) else json_value(content)


def is_plain(text: str) -> bool:
    """Whether a text has no control characters but tab and line ends."""
    return all(character >= " " or character in "\t\r\n" for character in text)
