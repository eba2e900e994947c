from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.kit.sessions.servers import running

STORES = ("valkey", "redis", "memcached", "postgres", "sqlite")


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The URLs of all stores; each is started when it is first asked for."""
    with contextlib.ExitStack() as stack:

        class Urls(dict[str, str]):
            def __missing__(self, kind: str) -> str:
                url = self[kind] = stack.enter_context(running(kind, tmp_path_factory.mktemp(kind)))
                return url

        yield Urls()


@pytest.fixture(params=STORES)
def url(request: pytest.FixtureRequest, servers: dict[str, str]) -> str:
    """Every store in turn."""
    return servers[request.param]


@pytest.fixture
def valkey_url(servers: dict[str, str]) -> str:
    return servers["valkey"]


@pytest.fixture
def sqlite_url(servers: dict[str, str]) -> str:
    return servers["sqlite"]
