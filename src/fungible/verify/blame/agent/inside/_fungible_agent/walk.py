"""The walk from modules to everything that they hold: the shortest path to each object, the app's modules first."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Iterable
from types import FunctionType, ModuleType
from typing import Any

from . import kinds, loops, places, say
from .facets import LEAVES, Facet, Step, module_space
from .process import PROCESS

_FOREIGN_LEVEL = 2
"""A library's object must be this much nearer to its own module than to the app's to be named by it."""
_FRAME_LEVEL = 6
_BOUND_ANEW_LEVELS = 4
"""So much further away is what a running loop binds anew: something else keeps it, and leads to it longer."""
_LEVELS = 64

_NOISE = (
    "_fungible_agent", "linecache", "importlib", "_frozen_importlib", "_frozen_importlib_external", "zipimport", "re",
    "sre_compile", "sre_parse", "abc", "_abc", "_weakrefset", "encodings", "gc", "site", "tokenize", "warnings",
    "_warnings", "copyreg", "pkgutil", "inspect", "ast", "traceback", "tracemalloc", "typing", "threading", "posix",
)  # fmt: skip
"""Modules whose own state is a memory of the interpreter's work, never of an answer."""

_APPLICATIONS = (
    "flask.app.Flask", "flask.sansio.app.App", "quart.app.Quart", "starlette.applications.Starlette",
    "litestar.app.Litestar", "django.core.handlers.base.BaseHandler", "pyramid.router.Router", "falcon.app.App",
    "bottle.Bottle", "sanic.app.Sanic", "tornado.web.Application", "aiohttp.web_app.Application",
    "cherrypy._cptree.Tree",
    "morepath.app.App", "web.application.application", "connexion.apps.abstract.AbstractApp",
)  # fmt: skip
"""What a server holds when the app is made by a factory: no module leads to it."""


class Node:
    """An object that was met: how, and its contents, one for each facet (None where it could not be read)."""

    __slots__ = ("app", "contents", "facets", "parent", "step", "thing")

    def __init__(self, thing: Any, parent: Node | None, step: Step | None, facets: tuple[Facet, ...], app: bool):
        self.thing = thing
        self.parent = parent
        self.step = step
        self.facets = facets
        self.app = app
        self.contents: list[Any] = []

    def read(self) -> list[Any]:
        """The contents now."""
        found: list[Any] = []
        for facet in self.facets:
            try:
                found.append(facet.read(self.thing))
            except Exception:
                found.append(None)
        return found

    def steps(self) -> list[Step]:
        """The path to the object."""
        found: list[Step] = []
        node: Node | None = self
        while node is not None:
            if node.step is not None:
                found.append(node.step)
            node = node.parent
        return found[::-1]

    def last_step(self) -> Step:
        """The last of these."""
        node = self
        while node.step is None and node.parent is not None:
            node = node.parent
        return node.step or ("c", "")


class Walk:
    """A finished walk: nodes by the id of their object. It holds all of them."""

    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {}
        self.modules: dict[str, Node] = {}
        self.truncated = False
        self.seconds = 0.0
        self.contexts: list[Any] = []
        self.module_names: set[str] = set()


class standstill:  # noqa: N801
    """No other thread runs and nothing is collected meanwhile: what is seen is of one moment."""

    def __enter__(self) -> None:
        self._interval = sys.getswitchinterval()
        self._collecting = gc.isenabled()
        gc.disable()
        sys.setswitchinterval(60.0)

    def __exit__(self, *_: Any) -> None:
        sys.setswitchinterval(self._interval)
        if self._collecting:
            gc.enable()


def is_noise(module: str) -> bool:
    """Whether a module is left out."""
    return module in _NOISE or module.split(".")[0] in _NOISE


def _file_of(module: Any) -> Any:
    return module_space(module).get("__file__")


def _modules() -> list[tuple[str, Any]]:
    return [
        (name, module)
        for name, module in list(dict.items(sys.modules))
        if type(name) is str and any(base is ModuleType for base in say.mro(type(module))) and not is_noise(name)
    ]


def walk(roots: str, limit: int, seconds: float) -> Walk:
    """Walk from the app's modules ("app") or from all ("all"), to at most `limit` objects in about `seconds`."""
    with standstill():
        return _walk(roots, limit, seconds)


def _walk(roots: str, limit: int, seconds: float) -> Walk:
    began = time.monotonic()
    found = Walk()
    kinds.CONTEXT.refresh()
    found.contexts = kinds.CONTEXT.contexts
    kinds.SETTINGS.refresh(found.contexts)
    found.module_names = {name for name in dict.keys(sys.modules) if type(name) is str}
    levels: list[list[tuple[Any, Node | None, Step | None, Any, bool]]] = [[] for _ in range(_LEVELS + 1)]
    main = sys.modules.get("__main__")
    for name, module in _modules():
        own = places.is_app_file(_file_of(module))
        if (roots == "app" and not own) or (module is main and name != "__main__") or id(module) in found.nodes:
            continue
        node = Node(module, None, ("m", name), kinds.MODULE, own)
        found.nodes[id(module)] = found.modules[name] = node
        levels[0 if own else _FOREIGN_LEVEL].append((module, None, None, None, own))
    levels[_FOREIGN_LEVEL] += [(thing, None, step, None, True) for thing, step in _scan()]
    if roots == "all":
        levels[_FOREIGN_LEVEL].append((PROCESS, None, ("pr", ""), kinds.PROCESS_FACETS, False))
        for frame in frames():
            function = [str(frame.f_globals.get("__name__")), frame.f_code.co_name]
            levels[_FRAME_LEVEL].append((frame, None, ("fr", function), kinds.FRAME, False))
    environment = getattr(os.environ, "_data", None)
    skipped = {id(found.nodes), id(found), id(levels), id(sys.modules), id(sys.path_importer_cache)}
    for depth, level in enumerate(levels):
        following = levels[min(depth + 1, _LEVELS)]
        for thing, parent, step, facets, own in level:
            if parent is None and step is None:
                node = found.nodes[id(thing)]
            else:
                if id(thing) in found.nodes or id(thing) in skipped:
                    continue
                if thing is environment:
                    facets = kinds.ENVIRONMENT
                elif facets is None:
                    facets = kinds.facets_of(type(thing))
                if not facets:
                    continue
                if facets is kinds.CLASS or facets is kinds.FUNCTION or facets is kinds.MODULE:
                    if facets is kinds.MODULE and parent is not None and _is_known_module(thing):
                        continue
                    home = _home(thing, facets, found)
                    if home is not None:
                        parent, step = home
                        own = parent.app
                    elif roots == "app" and facets is not kinds.MODULE and _is_foreign(thing, facets):
                        continue
                node = found.nodes[id(thing)] = Node(thing, parent, step, facets, own)
                if len(found.nodes) >= limit or (not len(found.nodes) % 4096 and time.monotonic() - began > seconds):
                    found.truncated = True
            node.contents = node.read()
            further = levels[min(depth + _BOUND_ANEW_LEVELS, _LEVELS)]
            anew = loops.bound_anew(thing.f_code) if node.facets is kinds.FRAME else ()
            for facet, content in zip(facets or kinds.MODULE, node.contents):  # noqa: B905
                if content is None:
                    continue
                below = facet.child_facets
                space = getattr(facet, "space", None)
                if space is not None and below is None:
                    # An instance's dict is the instance, also for those who hold it by itself.
                    skipped.add(id(space(thing)))
                for way, child in facet.children(content):
                    if id(child) not in found.nodes:
                        # A cell is its variable: it is no further away.
                        on = level if way is None else further if anew and way[1] in anew else following
                        on.append((child, node, way, below, own))
            if found.truncated:
                break
        if found.truncated:
            break
        level.clear()
    found.seconds = time.monotonic() - began
    return found


def _is_known_module(module: Any) -> bool:
    name = module_space(module).get("__name__")
    return type(name) is str and (dict.get(sys.modules, name) is module or is_noise(name))


def _name_and_module(thing: Any, facets: tuple[Facet, ...]) -> tuple[Any, Any]:
    if facets is kinds.FUNCTION:
        return thing.__qualname__, thing.__module__
    return type.__dict__["__qualname__"].__get__(thing), say.namespace(thing).get("__module__")


def _home(thing: Any, facets: tuple[Facet, ...], found: Walk) -> tuple[Node, Step] | None:
    """A class or function is named by the module that defines it."""
    if facets is kinds.MODULE:
        return None
    name, module = _name_and_module(thing, facets)
    if type(name) is not str or type(module) is not str:
        return None
    node = found.modules.get(module)
    if node is None or module_space(node.thing).get(name) is not thing:
        return None
    return node, ("a", name)


def _is_foreign(thing: Any, facets: tuple[Facet, ...]) -> bool:
    _, module = _name_and_module(thing, facets)
    held = dict.get(sys.modules, module) if type(module) is str else None
    return held is not None and type(held) is ModuleType and not places.is_app_file(_file_of(held))


def _scan() -> list[tuple[Any, Step]]:
    """Functions within functions of the app that hold variables, and application objects: a factory's work, to
    which no module may lead."""
    found: list[tuple[Any, Step]] = []
    counts: dict[tuple[str, ...], int] = {}
    applications: dict[int, bool] = {}
    for thing in gc.get_objects():
        kind = type(thing)
        if kind is FunctionType:
            if (
                (thing.__closure__ or thing.__defaults__)
                and "<locals>" in thing.__qualname__
                and places.kind_of(thing.__code__.co_filename) == places.OWN
                and type(thing.__module__) is str
            ):
                found.append((thing, ("fn", _numbered([thing.__module__, thing.__qualname__], counts))))
            continue
        known = applications.get(id(kind))
        if known is None:
            known = applications[id(kind)] = _is_application(kind)
        if known:
            found.append((thing, ("ap", _numbered([say.type_name(kind)], counts))))
    return found


def _is_application(kind: type) -> bool:
    return any(say.type_name(base) in _APPLICATIONS for base in say.mro(kind) if id(base) not in LEAVES)


def _numbered(name: list[str], counts: dict[tuple[str, ...], int]) -> list[Any]:
    number = counts.get(tuple(name), 0)
    counts[tuple(name)] = number + 1
    return [*name, number] if number else list(name)


def scanned(step: Any) -> Any:
    """The object of a first step `fn` or `ap`, or None."""
    for thing, known in _scan():
        if known[0] == step[0] and list(known[1]) == list(step[1]):
            return thing
    return None


def frames() -> Iterable[Any]:
    """The running functions of all threads but ours, the outermost of each first."""
    for frame in list(sys._current_frames().values()):
        chain = []
        one: Any | None = frame
        while one is not None:
            chain.append(one)
            one = one.f_back
        if any(__package__ == one.f_globals.get("__package__") for one in chain):
            continue
        for one in reversed(chain):
            if one.f_code.co_name != "<module>":
                yield one
