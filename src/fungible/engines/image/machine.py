"""Which machines an image of this one runs on."""

from __future__ import annotations

import platform
import sys

from fungible.app.problem import Exit, Problem

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture() -> str:
    """As engines call it (GOARCH). Raises Problem where this machine's programs run on no engine's node."""
    found = _ARCHITECTURES.get(platform.machine())
    if sys.platform != "linux" or found is None:
        raise Problem(
            f"an image is made of this machine's programs, and this one is {sys.platform} on {platform.machine()}; "
            "make it on Linux (x86_64 or aarch64)",
            Exit.NOT_ALLOWED,
        )
    return found
