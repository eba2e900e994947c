"""Brings the blame agent into a Python process, and leaves the app's world as it would be without it."""

import os
import sys


def _leave() -> None:
    """Take our folder off the app's path; children still inherit it, as PYTHONPATH stays in the C environment."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if not entry or os.path.abspath(entry) != here]
    sys.path_importer_cache.pop(here, None)
    environment = os.environ._data  # type: ignore[attr-defined]  # not unsetenv: see above
    kept = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry != here]
    if any(kept):
        environment[b"PYTHONPATH"] = os.fsencode(os.pathsep.join(kept))
    else:
        environment.pop(b"PYTHONPATH", None)
    for name in (b"", b"_ROOT", b"_LINES", b"_CHANCE", b"_HASHES"):
        environment.pop(b"FUNGIBLE_AGENT" + name, None)


def _next() -> None:
    """Load the `sitecustomize` that the app would have had."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is None or spec.loader is None:
        # `site` takes exactly this for "there is none", and the import system forgets us.
        raise ImportError("No module named 'sitecustomize'", name="sitecustomize")
    module = module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


try:
    if os.environ.get("FUNGIBLE_AGENT"):
        import _fungible_agent  # type: ignore[import-not-found]  # it is on the app's path alone

        _fungible_agent.start(
            os.environ["FUNGIBLE_AGENT"],
            os.environ.get("FUNGIBLE_AGENT_ROOT", ""),
            bool(os.environ.get("FUNGIBLE_AGENT_LINES")),
            os.environ.get("FUNGIBLE_AGENT_CHANCE", ""),
            os.environ.get("FUNGIBLE_AGENT_HASHES", ""),
        )
except Exception:
    # The app comes first: without the agent there is only no blame.
    if os.environ.get("FUNGIBLE_AGENT_DEBUG"):
        import traceback

        traceback.print_exc()
_leave()
_next()
