"""Which paths need no token. Pure."""

from __future__ import annotations

from collections.abc import Collection


def is_public(path: str, public: Collection[str]) -> bool:
    """Whether `path` is one of these, or below one that ends with `/`. A path with a `.` segment never is below."""
    if path in public:
        return True
    if any(part in (".", "..") for part in path.split("/")):
        return False
    return any(path.startswith(each) for each in public if each.endswith("/") and each != "/")
