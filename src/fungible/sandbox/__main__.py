"""`python -I -S .../sandbox/__main__.py ORDERS_FD`: the zygote, loaded by path under any interpreter.

The file is run, not its folder, and the package made by hand: `runpy` and `importlib.util` would have to be loaded.
"""

import os
import sys


def _load() -> None:
    package = type(sys)("fungible_sandbox")
    package.__path__ = [os.path.dirname(os.path.abspath(__file__))]
    sys.modules["fungible_sandbox"] = package


_load()

from fungible_sandbox import zygote  # type: ignore[import-not-found]  # noqa: E402

sys.exit(zygote.main(int(sys.argv[1])))
