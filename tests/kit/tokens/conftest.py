"""Real stores, one of each kind for all tests, and both faces of `Tokens`: for threads and for event loops."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from fungible.services.attach import open_services
from fungible_kit.tokens import Tokens
from tests.examples.example_apps import valkey_server

STORES = ("sqlite", "postgres", "valkey")
_numbers = itertools.count(1)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = float(int(time.time()))

    def __call__(self) -> float:
        return self.now


class Loop:
    """An event loop in a thread, for what lives longer than a test."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


class Face:
    """The methods of `Tokens` by one of its two faces, called alike."""

    def __init__(self, tokens: Tokens, runner: asyncio.Runner | None) -> None:
        self.tokens, self._runner = tokens, runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if self._runner is None:
            return getattr(self.tokens, name)  # type: ignore[no-any-return]
        twin = getattr(self.tokens, f"a{name}")
        return lambda *arguments, **words: self._runner.run(twin(*arguments, **words))  # type: ignore[union-attr]


@pytest.fixture(scope="session")
def background() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.end()


@pytest.fixture(scope="session")
def postgres_url(background: Loop) -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="tok-"))
    (service,) = open_services({"STORE_URL": "postgres"}, environment={}, folder=folder, durable=False)
    background.run(service.start())
    try:
        yield service.url
    finally:
        background.run(service.stop())
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="tok-"))  # a socket's path must be short
    try:
        with valkey_server(folder) as url:
            yield url
    finally:
        shutil.rmtree(folder)


@pytest.fixture(params=STORES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if kind == "sqlite":
        return f"sqlite:///{tmp_path}/tokens.db"
    return str(request.getfixturevalue(f"{kind}_url"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def name() -> str:
    """A table, or a prefix of keys, of the test's own."""
    return f"tokens{next(_numbers)}"


@pytest.fixture
def make(url: str, clock: Clock, name: str) -> Iterator[Callable[..., Tokens]]:
    """A function that makes `Tokens` on the store, which has its table."""
    made: list[Tokens] = []

    def new(**words: Any) -> Tokens:
        tokens = Tokens(url, **{"prefix": "acme", "name": name, "clock": clock, "deadline": "10s"} | words)
        tokens.create()
        made.append(tokens)
        return tokens

    yield new
    for tokens in made:
        tokens.close()


@pytest.fixture(params=["threads", "loop"])
def face(request: pytest.FixtureRequest, make: Callable[..., Tokens]) -> Iterator[Face]:
    tokens = make(kinds=("login", "api"))
    if request.param == "threads":
        yield Face(tokens, None)
        return
    with asyncio.Runner() as runner:
        yield Face(tokens, runner)
        runner.run(tokens.aclose())
