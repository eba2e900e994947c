"""A process that fails at every start: explained once, then quiet."""

from __future__ import annotations

import io

import pytest

from fungible.runtime.events import Event
from fungible.runtime.logs.console import Console
from fungible.runtime.logs.repeats import HELD, Repeats

pytestmark = pytest.mark.pure

WHY = "a program of `gunicornn` is not found"


class Told:
    """Attempts of processes, and what was shown of them."""

    def __init__(self) -> None:
        self.repeats = Repeats()
        self.now = 1000.0
        self.shown: list[tuple[str, str | None]] = []
        self._attempts = 0

    def tell(self, kind: str, name: str, instance: str, **data: object) -> None:
        for event in self.repeats.tell(Event(kind, name, instance, "v1", data, self.now)):
            self.shown.append((event.kind, event.process))

    def begin(self, name: str) -> str:
        self._attempts += 1
        instance = f"i{self._attempts}"
        self.tell("process.started", name, instance, pid=1)
        self.tell("log.line", name, instance, stream="stderr", text="sh: 1: gunicornn: not found")
        return instance

    def fail(self, name: str, delay: float = 1.0, why: str = WHY) -> None:
        instance = self.begin(name)
        self.tell("process.ended", name, instance, status=127, crashed=True, cannot_start=why)
        self.tell("process.backoff", name, instance, crashes=3, delay_s=delay)

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        self.shown += [(event.kind, event.process) for event in self.repeats.due(self.now)]

    def taken(self) -> list[tuple[str, str | None]]:
        shown, self.shown = self.shown, []
        return shown


FIRST = ["process.started", "log.line", "process.ended"]


def test_the_first_attempt_is_shown_and_no_other() -> None:
    told = Told()
    told.fail("web.1")
    assert told.taken() == [(kind, "web.1") for kind in FIRST]
    for _ in range(5):
        told.fail("web.1")
    assert told.taken() == []


def test_a_long_delay_is_told_by_the_one_that_explained() -> None:
    told = Told()
    told.fail("web.1")
    told.fail("web.2")
    told.taken()
    told.fail("web.1", delay=30)
    told.fail("web.2", delay=30)
    assert told.taken() == [("process.backoff", "web.1")]


def test_one_that_starts_at_last_is_shown_whole_and_explained_again_when_it_fails_again() -> None:
    told = Told()
    told.fail("web.1")
    told.taken()
    instance = told.begin("web.1")
    assert told.taken() == []
    told.pass_by(HELD / 2)
    assert told.taken() == []
    told.pass_by(HELD / 2)
    assert told.taken() == [("process.started", "web.1"), ("log.line", "web.1")]
    told.tell("log.line", "web.1", instance, text="hello")
    assert told.taken() == [("log.line", "web.1")]
    told.fail("web.1")
    assert told.taken() == [(kind, "web.1") for kind in FIRST]


def test_another_end_is_shown_with_all_that_led_to_it() -> None:
    told = Told()
    told.fail("web.1")
    told.taken()
    instance = told.begin("web.1")
    told.tell("process.ended", "web.1", instance, status=1, crashed=True)
    assert told.taken() == [(kind, "web.1") for kind in FIRST]


def test_an_attempt_that_is_stopped_is_not_shown() -> None:
    told = Told()
    told.fail("web.1")
    told.taken()
    instance = told.begin("web.1")
    told.tell("process.ended", "web.1", instance, status=-15)
    assert told.taken() == []


def test_another_reason_is_explained() -> None:
    told = Told()
    told.fail("web.1")
    told.taken()
    told.fail("web.1", why="it cannot be executed")
    assert told.taken() == [(kind, "web.1") for kind in FIRST]


def test_much_output_is_not_held() -> None:
    told = Told()
    told.fail("web.1")
    told.taken()
    instance = told.begin("web.1")
    for _ in range(100):
        told.tell("log.line", "web.1", instance, text="hello")
    assert len(told.taken()) == 102


def test_the_others_are_not_touched() -> None:
    told = Told()
    told.fail("web.1")
    told.taken()
    told.tell("log.line", "worker.1", "other", text="hello")
    told.tell("process.backoff", "worker.1", "other", crashes=2, delay_s=1.0)
    assert [kind for kind, _ in told.taken()] == ["log.line", "process.backoff"]


TRACEBACK = ("[2026-11-28 00:32:{0}5 +0000] [{0}71] [INFO] Starting", "  File app.py, line 3", "ImportError: no shop")


def crash(told: Told, number: int, lines: tuple[str, ...] = TRACEBACK, status: int = 1, after: float = 3.0) -> None:
    """An attempt that says `lines`, `after` so many seconds, and then fails."""
    instance = f"c{number}"
    told.tell("process.started", "web.1", instance, pid=number)
    told.pass_by(after)
    for line in lines:
        told.tell("log.line", "web.1", instance, stream="stderr", text=line.format(number))
    told.tell("process.ended", "web.1", instance, status=status, crashed=True)
    if number > 1:
        told.tell("process.backoff", "web.1", instance, crashes=number, delay_s=2.0 ** (number - 2))


def test_a_traceback_is_shown_once_and_then_one_sentence() -> None:
    told = Told()
    crash(told, 1)
    assert told.taken() == [(kind, "web.1") for kind in ("process.started", *["log.line"] * 3, "process.ended")]
    crash(told, 2)
    assert told.taken() == [("process.backoff", "web.1")]
    for number in range(3, 6):
        crash(told, number, after=2.5 + number / 10)
        assert told.taken() == ([("process.backoff", "web.1")] if number == 5 else []), (
            "eight seconds are worth a line"
        )


def test_another_traceback_is_shown_whole_and_so_is_another_release() -> None:
    told = Told()
    crash(told, 1)
    told.taken()
    crash(told, 2, (*TRACEBACK[:2], "ImportError: no cart"))
    assert [kind for kind, _ in told.taken()].count("log.line") == 3
    crash(told, 3, status=2)
    assert len(told.taken()) > 1
    for event in (
        Event("process.started", "web.1", "new", "v2", {"pid": 1}, told.now),
        Event("log.line", "web.1", "new", "v2", {"stream": "stderr", "text": TRACEBACK[0]}, told.now),
    ):
        assert told.repeats.tell(event) == [event]


def test_one_that_is_ready_at_last_is_shown_at_once() -> None:
    told = Told()
    crash(told, 1)
    told.taken()
    told.tell("process.started", "web.1", "good", pid=9)
    assert told.taken() == []
    told.tell("process.ready", "web.1", "good", boot_s=0.1, pid=9)
    assert told.taken() == [("process.started", "web.1"), ("process.ready", "web.1")]


def test_people_read_it_so() -> None:
    stream = io.StringIO()
    console = Console(stream, as_json=False, mask=lambda text: text)
    for attempt in range(3):
        for name in ("web.1", "web.2"):
            told = {"status": 127, "crashed": True, "cannot_start": WHY}
            console(Event("process.started", name, f"{name}{attempt}", "v1", {"pid": 7}))
            console(Event("process.ended", name, f"{name}{attempt}", "v1", told))
    console(Event("process.backoff", "web.1", "x", "v1", {"crashes": 4, "delay_s": 9.5}))
    console(Event("process.started", "web.1", "last", "v1", {"pid": 8}))
    console.close()
    lines = [line.partition("| ")[2] for line in stream.getvalue().splitlines()]
    assert lines == [
        "started (pid 7, v1)",
        f"exited with 127: {WHY}",
        "started (pid 7, v1)",
        "exited with 127: as web.1",
        "still cannot start: next attempt in 9.5 s",
        "started (pid 8, v1)",
    ], "what is held at the end is written"
