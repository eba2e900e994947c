"""`python -I -S .../sandbox SPEC_FD CONTROL_FD`: the launcher, loaded by path under any interpreter."""

import importlib
import importlib.util
import os
import sys


def _load() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    found = importlib.util.spec_from_file_location(
        "fungible_sandbox", os.path.join(here, "__init__.py"), submodule_search_locations=[here]
    )
    assert found is not None and found.loader is not None
    package = importlib.util.module_from_spec(found)
    sys.modules["fungible_sandbox"] = package
    found.loader.exec_module(package)


_load()
launch = importlib.import_module("fungible_sandbox.launch")
sys.exit(launch.main(int(sys.argv[1]), int(sys.argv[2])))
