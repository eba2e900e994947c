"""Objects of some kinds that live in this process, found without running code of theirs."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any


def objects_of(*kinds: type[Any]) -> Iterator[Any]:
    """All that the collector knows (containers and what may hold one). By their types: `isinstance` asks an object
    for its `__class__`, and a lazy one (Django's `admin.site`) then makes what it stands for."""
    for each in gc.get_objects():
        if issubclass(type(each), kinds):
            yield each
