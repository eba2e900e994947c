from __future__ import annotations

from tests.kit.scratch.conftest import base

__all__ = ["base"]
