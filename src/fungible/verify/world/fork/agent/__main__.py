"""`python -S .../agent CONTROL_FD SANDBOX_FOLDER`: a fork server, under the app's own interpreter.

Without `site` at first: what the app's environment runs at start (`.pth` files, sitecustomize) shall run inside the
sandbox.
"""

import sys

if sys.version_info < (3, 9):  # noqa: UP036 - it is the app's Python, not ours
    sys.exit(97)

sys.path.pop(0)  # before any other import: the folder would hide modules of the same name

import importlib
import importlib.util
import os


def _load(name: str, folder: str) -> None:
    found = importlib.util.spec_from_file_location(
        name, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    if found is None or found.loader is None:
        sys.exit("there is no package in " + folder)
    package = importlib.util.module_from_spec(found)
    sys.modules[name] = package
    found.loader.exec_module(package)


if __name__ == "__main__":
    _given, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # not into our own folder
    _load("fungible_sandbox", sys.argv[2])
    _load("fungible_fork", os.path.dirname(os.path.abspath(__file__)))
    _host = importlib.import_module("fungible_fork.host")
    sys.dont_write_bytecode = _given
    sys.exit(_host.main(int(sys.argv[1])))
