"""Texts and paths that are put together from pieces, of which some may not be known."""

from __future__ import annotations

from fungible.check.settings.values import UNKNOWN, Either, Environ, Mixed, Value


def joined(pieces: list[Value]) -> Value:
    """The pieces of a text joined, as far as they are known."""
    text = ""
    for piece in pieces:
        if isinstance(piece, Mixed):
            return Mixed(text + piece.start)
        if not isinstance(piece, str | int):
            return Mixed(text)
        text += str(piece)
    return text


def join_path(parts: list[Value]) -> Value:
    """The parts of a path joined, as os.path.join does."""
    if (parts and isinstance(parts[0], Environ | Either | Mixed)) or not parts:
        return Mixed(parts[0].start) if parts and isinstance(parts[0], Mixed) else Environ()
    if not isinstance(parts[0], str):
        return UNKNOWN
    text = parts[0]
    for part in parts[1:]:
        if not isinstance(part, str):
            return Mixed(text + "/")
        text = part if part.startswith("/") else f"{text.rstrip('/')}/{part}"
    return text


def parent(path: str) -> str:
    """The folder that a path is in; the current one where the path does not say."""
    return path.rstrip("/").rpartition("/")[0] or ("/" if path.startswith("/") else ".")
