"""One-off processes side by side, and beside a formation, that share embedded services."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.runtime.harness import WEB, Home

SERVICES = '[services]\nVALKEY_URL = "valkey"\n'
COUNT = (
    "import os, sys, valkey\n"
    "client = valkey.Valkey.from_url(os.environ['VALKEY_URL'])\n"
    "for line in sys.stdin: print(client.incr('n'), flush=True)\n"
    "sys.exit(int(sys.argv[1]))\n"
)
WAITS = "fungible: another `fungible run` uses these services"


class OneOff:
    """A `fungible run` that counts up in Valkey for every line it is given, and exits with `code` at their end."""

    def __init__(self, home: Home, code: int) -> None:
        self.process = home.one_off("python", "count.py", str(code))

    def count(self) -> int:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def close(self) -> None:
        """Let its command end."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def said(self) -> str:
        """Its next line on stderr."""
        assert self.process.stderr is not None
        return self.process.stderr.readline()

    def end(self) -> int:
        self.close()
        return self.process.wait(60)


@contextmanager
def one_off(home: Home, code: int = 0) -> Iterator[OneOff]:
    made = OneOff(home, code)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()
        for stream in (made.process.stdin, made.process.stdout, made.process.stderr):
            assert stream is not None
            stream.close()


@contextmanager
def two(home: Home) -> Iterator[tuple[OneOff, OneOff]]:
    """The first was there first; both have counted once."""
    with one_off(home, 3) as first:
        assert first.count() == 1
        with one_off(home, 4) as second:
            assert second.count() == 2
            yield first, second


@pytest.fixture
def app(home: Home) -> Home:
    home.write({"Procfile": WEB, "count.py": COUNT, "fungible.toml": SERVICES})
    return home


def test_two_one_offs_share_the_services_and_the_second_may_end_first(app: Home) -> None:
    with two(app) as (first, second):
        assert first.count() == 3
        assert second.end() == 4
        assert first.count() == 4
        assert first.end() == 3
    app.wait_until_gone()
    assert app.left == []


def test_the_first_keeps_the_services_for_the_second(app: Home) -> None:
    with two(app) as (first, second):
        first.close()
        assert first.said().startswith(WAITS)
        assert [second.count(), second.count()] == [3, 4]
        assert second.end() == 4
        assert first.process.wait(60) == 3, "its own command's"
    with one_off(app) as third:
        assert third.count() == 5, "the data is kept"
        assert third.end() == 0
    assert app.left == []


def test_one_that_waits_for_another_can_be_interrupted(app: Home) -> None:
    with two(app) as (first, second):
        first.close()
        assert first.said().startswith(WAITS)
        first.process.send_signal(signal.SIGINT)
        assert first.process.wait(60) == 3
        second.close()
        second.process.wait(60)
    assert app.left == []


def test_one_that_comes_while_the_first_waits_gets_its_own(app: Home) -> None:
    with two(app) as (first, second):
        first.close()
        assert first.said().startswith(WAITS)
        with one_off(app) as third:
            assert second.end() == 4
            assert first.process.wait(60) == 3
            assert third.count() == 3
            assert third.end() == 0


def test_a_formation_does_not_start_beside_a_one_off_that_runs_the_services(app: Home) -> None:
    with one_off(app) as first:
        assert first.count() == 1
        done = app.run("start", "--port", "0")
        assert (done.returncode, done.stdout) == (3, "")
        last = done.stderr.splitlines()[-1]
        assert last == (
            f"fungible: a one-off process of this app (`fungible run`, pid {first.process.pid}) runs its backing "
            "services: end it first"
        )
        assert first.count() == 2
        assert first.end() == 0
    with app.start("web=1") as formation:
        assert formation.get().status_code == 200
        assert formation.stop() == 0


def test_one_offs_beside_a_formation_come_and_go(app: Home) -> None:
    with app.start("web=1") as formation:
        with two(app) as (first, second):
            assert [first.end(), second.end()] == [3, 4]
        with one_off(app) as third:
            assert third.count() == 3
            assert third.end() == 0
        assert formation.get().status_code == 200
        assert formation.stop() == 0
    assert app.left == []
