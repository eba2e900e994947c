"""Run a program until it would serve, and take the app that it would have served.

For commands that hide their callable (`python app.py`, a console script of the app's own): the functions by which
known servers begin are replaced when their modules are imported. A program that binds its port by other means is
not known.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import re
import runpy
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NoReturn

Then = Callable[[Any, str], NoReturn]


class Unknown(Exception):
    """The program serves in a way that is not known, or not at all."""


_then: Then | None = None


def prepare() -> None:
    """Replace the beginnings of servers wherever they are loaded from now on: whoever imports one by its name (`from
    werkzeug.serving import run_simple`) then has ours. To be called before packages are loaded ahead."""
    if not any(isinstance(each, _Finder) for each in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _take(application: Any, kind: str) -> NoReturn:
    """What the beginning of every server does instead."""
    if _then is None:
        raise Unknown("a package would serve when it is loaded")
    _then(application, kind)


def run(finder: str, program: str, path: Sequence[str], then: Then, refuse: Callable[[str], NoReturn]) -> NoReturn:
    """Run a `script` by its path or a `module` by its name; `then` gets the app and its kind where it would serve,
    in the middle of the program's own frames. `refuse` is told where it binds a port by itself. Raises Unknown."""
    global _then
    _then = then
    prepare()
    _watch_ports(refuse)
    try:
        if finder == "module":
            sys.path[:0] = path
            runpy.run_module(program, run_name="__main__", alter_sys=True)
        else:
            sys.path.insert(0, os.path.dirname(program))
            runpy.run_path(program, run_name="__main__")
    except SystemExit as error:
        raise Unknown(f"the program ended ({error.code}) before it served") from error
    raise Unknown("the program ended before it served")


def _watch_ports(refuse: Callable[[str], NoReturn]) -> None:
    ours = os.getpid()
    # The port may have been written into the command before this process had one of its own.
    ports = {os.environ.get("PORT", ""), *re.findall(r"\d+", " ".join(sys.argv[1:]))} - {"", "0"}

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "socket.bind" or os.getpid() != ours or not isinstance(arguments[1], tuple):
            return
        if arguments[0].type == socket.SOCK_STREAM and str(arguments[1][1]) in ports:
            refuse("it serves in a way that is not known")

    sys.addaudithook(heard)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds what the others find, and replaces the beginnings of known servers once they are loaded."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in _SERVERS:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            found = finder.find_spec(name, path, target)
            if found is not None and found.loader is not None:
                self._wrap(found.loader, name)
                return found
        return None

    def _wrap(self, loader: Any, name: str) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _SERVERS[name](module)

        loader.exec_module = exec_module


def _uvicorn(module: Any) -> None:
    def run(self: Any, sockets: Any = None) -> NoReturn:
        if sockets:
            raise Unknown("uvicorn was given a socket")
        if not self.config.loaded:
            self.config.load()
        _take(self.config.loaded_app, "asgi")

    module.Server.run = run


def _werkzeug(module: Any) -> None:
    def run_simple(hostname: Any, port: Any, application: Any, *_: Any, **__: Any) -> NoReturn:
        _take(application, "wsgi")

    module.run_simple = run_simple


def _waitress(module: Any) -> None:
    def serve(app: Any, **_: Any) -> NoReturn:
        _take(app, "wsgi")

    module.serve = serve


def _wsgiref(module: Any) -> None:
    def make_server(host: Any, port: Any, app: Any, *_: Any, **__: Any) -> _Prepared:
        return _Prepared(app)

    module.make_server = make_server


class _Prepared:
    """What `make_server` gives: serving begins with one of its methods."""

    def __init__(self, application: Any) -> None:
        self._application = application

    def __enter__(self) -> _Prepared:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def set_app(self, application: Any) -> None:
        self._application = application

    def serve_forever(self, *_: Any, **__: Any) -> NoReturn:
        _take(self._application, "wsgi")


def _cheroot(module: Any) -> None:
    prepare = module.Server.prepare

    def taken(self: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            # CherryPy's bus, say: what runs beside it is not known.
            prepare(self)
            return
        _take(self.wsgi_app, "wsgi")

    module.Server.prepare = taken


def _gunicorn(module: Any) -> None:
    def run(self: Any) -> NoReturn:
        _take(self.wsgi(), "auto")

    module.BaseApplication.run = run


_SERVERS: dict[str, Callable[[Any], None]] = {
    "uvicorn.server": _uvicorn,
    "werkzeug.serving": _werkzeug,
    "waitress": _waitress,
    "wsgiref.simple_server": _wsgiref,
    "cheroot.wsgi": _cheroot,
    "gunicorn.app.base": _gunicorn,
}
