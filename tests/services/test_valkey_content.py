"""Whatever an app keeps in Valkey comes back: every type, any bytes, times to live, databases, functions."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import valkey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fungible.services.valkey import ValkeyServer

keys = st.binary(min_size=1, max_size=20)
texts = st.binary(max_size=30)
commands = st.one_of(
    st.tuples(st.just("SET"), keys, texts),
    st.tuples(st.just("RPUSH"), keys, texts),
    st.tuples(st.just("SADD"), keys, texts),
    st.tuples(st.just("HSET"), keys, texts, texts),
    st.tuples(st.just("ZADD"), keys, st.floats(allow_nan=False).map(str), texts),
    st.tuples(st.just("XADD"), keys, st.just("*"), texts, texts),
    st.tuples(st.just("EXPIRE"), keys, st.integers(1000, 10_000)),
    st.tuples(st.just("SELECT"), st.integers(0, 3)),
)


class Running:
    """A server and the loop it lives in, for tests that call it many times."""

    def __init__(self, folder: Path) -> None:
        self.server = ValkeyServer("CACHE_URL", folder, durable=False)
        self._loop = asyncio.new_event_loop()
        self.do(self.server.start())

    def do(self, step: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(step)

    def close(self) -> None:
        self.do(self.server.stop())
        self._loop.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    made = Running(tmp_path_factory.mktemp("valkey") / "CACHE_URL")
    yield made
    made.close()


def fill(url: str, content: list[Any]) -> None:
    connection = valkey.Valkey.from_url(url, single_connection_client=True)
    for command in content:
        with contextlib.suppress(valkey.ResponseError):  # a key of another type
            connection.execute_command(*command)
    connection.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(commands, max_size=25), st.lists(commands, max_size=10))
def test_any_content_comes_back(running: Running, content: list[Any], later: list[Any]) -> None:
    valkey.Valkey.from_url(running.server.url).flushall()
    fill(running.server.url, content)
    before, taken = running.do(running.server.dump()), running.do(running.server.snapshot())
    json.dumps(before, allow_nan=False).encode()
    fill(running.server.url, later)
    running.do(running.server.restore(taken))
    assert running.do(running.server.dump()) == before
    again = running.do(running.server.snapshot())

    def values(snapshot: Any) -> dict[Any, Any]:
        return {(number, key): value for number, entries in snapshot.content.keys for key, _, value in entries}

    assert set(values(again)) == set(values(taken))


def test_what_a_dump_shows(running: Running) -> None:
    client = valkey.Valkey.from_url(running.server.url)
    client.flushall()
    client.set("s", "text", ex=1000)
    client.set("b", b"\x80\x00")
    client.hset("h", mapping={"b": "2", "a": "1"})
    client.rpush("l", "z", "a")
    client.sadd("set", "b", "a")
    client.zadd("z", {"high": 2.5, "low": -1})
    client.xadd("x", {"f": "v"}, id="5-1")
    valkey.Valkey.from_url(running.server.url.removesuffix("0") + "3").set("far", "away")
    assert running.do(running.server.dump()) == {
        "key b": [{"type": "string", "expires": False, "value": {"base64": "gAA="}}],
        "key h": [{"type": "hash", "expires": False}, {"field": "a", "value": "1"}, {"field": "b", "value": "2"}],
        "key l": [{"type": "list", "expires": False}, {"value": "z"}, {"value": "a"}],
        "key s": [{"type": "string", "expires": True, "value": "text"}],
        "key set": [{"type": "set", "expires": False}, {"member": "a"}, {"member": "b"}],
        "key x": [{"type": "stream", "expires": False}, {"id": "5-1", "fields": ["f", "v"]}],
        "key z": [
            {"type": "zset", "expires": False},
            {"member": "low", "score": "-1"},
            {"member": "high", "score": "2.5"},
        ],
        "key 3/far": [{"type": "string", "expires": False, "value": "away"}],
    }


def test_times_to_live_start_again_from_the_snapshot(running: Running) -> None:
    client = valkey.Valkey.from_url(running.server.url)
    client.flushall()
    client.set("session", "x", px=2000)
    taken = running.do(running.server.snapshot())
    while client.exists("session"):
        pass
    running.do(running.server.restore(taken))
    assert client.exists("session") and 0 < int(client.pttl("session")) <= 2000  # type: ignore[arg-type]


def test_functions_come_back_and_scripts_are_forgotten(running: Running) -> None:
    client = valkey.Valkey.from_url(running.server.url)
    client.function_load("#!lua name=ours\nserver.register_function('f', function() return 1 end)")
    taken = running.do(running.server.snapshot())
    client.function_flush()
    known = client.script_load("return 1")
    running.do(running.server.restore(taken))
    assert client.fcall("f", 0) == 1
    assert client.script_exists(known) == [False]
    client.function_flush()


def test_a_left_over_client_cannot_take_what_the_next_world_pushes(running: Running) -> None:
    taken = running.do(running.server.snapshot())
    waiting = valkey.Valkey.from_url(running.server.url, retry=None)
    ended: list[object] = []

    def wait() -> None:
        try:
            ended.append(waiting.blpop(["jobs"], timeout=20))
        except valkey.ConnectionError as error:
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    client = valkey.Valkey.from_url(running.server.url)
    while not int(client.info("clients")["blocked_clients"]):  # type: ignore[index]
        pass
    running.do(running.server.restore(taken))
    thread.join(60)
    assert isinstance(ended[0], valkey.ConnectionError)
