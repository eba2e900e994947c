"""`python -S .../agent CONTROL_FD SANDBOX_FOLDER`: a fork server, under the app's own interpreter.

Without `site` at first: what the app's environment runs at start (`.pth` files, sitecustomize) shall run inside the
sandbox.
"""

import sys

_HERE = sys.path.pop(0)  # before any other import: the folder would hide modules of the same name

import importlib  # noqa: E402
import importlib.util  # noqa: E402
import os  # noqa: E402


def _load(name, folder):  # type: ignore[no-untyped-def]
    found = importlib.util.spec_from_file_location(
        name, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    package = importlib.util.module_from_spec(found)
    sys.modules[name] = package
    found.loader.exec_module(package)


if __name__ == "__main__":
    sys.dont_write_bytecode, _given = True, sys.dont_write_bytecode  # not into our own folder
    _load("fungible_sandbox", sys.argv[2])
    _load("fungible_fork", os.path.dirname(os.path.abspath(__file__)))
    _host = importlib.import_module("fungible_fork.host")
    sys.dont_write_bytecode = _given
    sys.exit(_host.main(int(sys.argv[1])))
