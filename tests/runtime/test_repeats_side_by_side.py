"""Processes of one type that fail in the same way, side by side: the first is shown, each other one is a line."""

from __future__ import annotations

import io
import random

from fungible.runtime.events import Event
from fungible.runtime.logs.console import Console
from fungible.runtime.logs.repeats import AHEAD, HELD, Repeats
from tests.runtime.harness import Home, wait_until

TRACEBACK = ["[{0}] [INFO] Starting", "[{0}] [ERROR] Exception", "  File app.py, line 3", "ImportError: no shop"]
LATE = ["[{0}] [INFO] Control socket listening", "[{0}] [ERROR] Reason: Worker failed to boot"]


class Told:
    """What processes of one type do, and what was shown of it."""

    def __init__(self) -> None:
        self.repeats = Repeats()
        self.now = 1000.0
        self.shown: list[Event] = []
        self.starts = 0

    def tell(self, kind: str, name: str, instance: str, **data: object) -> None:
        self.shown += self.repeats.tell(Event(kind, name, instance, "v1", data, self.now))

    def begin(self, name: str) -> str:
        self.starts += 1
        self.tell("process.started", name, f"{name} {self.starts}", pid=self.starts)
        return f"{name} {self.starts}"

    def say(self, instance: str, *lines: str) -> None:
        for line in lines:
            self.now += 0.01
            self.tell("log.line", instance.split()[0], instance, stream="stderr", text=line.format(self.starts))

    def ready(self, instance: str, **data: object) -> None:
        self.tell("process.ready", instance.split()[0], instance, boot_s=1, **data)

    def fail(self, instance: str, status: int = 3, delay: float = 0) -> None:
        name, _, start = instance.partition(" ")
        self.tell("process.ended", name, instance, status=status, crashed=True)
        if delay:
            self.tell("process.backoff", name, instance, crashes=int(start), delay_s=delay)

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        self.shown += self.repeats.due(self.now)

    def taken(self) -> list[str]:
        """The shown events, a word and a name each: how the end was told, where it was by another one's name."""
        shown, self.shown = self.shown, []
        words = {"log.line": "line", "process.started": "started", "process.ready": "ready"}
        words |= {"process.ended": "ended", "process.backoff": "rests"}
        return [f"{words[e.kind]}{' as ' + e.data['as'] if 'as' in e.data else ''} {e.process}" for e in shown]


def whole(name: str, lines: int) -> list[str]:
    return [*(f"line {name}" for _ in range(lines)), f"ended {name}"]


def test_of_three_that_boot_at_once_one_is_shown_and_the_others_are_a_line() -> None:
    told = Told()
    three = [told.begin(f"web.{number}") for number in (1, 2, 3)]
    assert told.taken() == ["started web.1", "started web.2", "started web.3"]
    for line in (*TRACEBACK, *LATE):
        for instance in three:
            told.say(instance, line)
    for instance in three:
        told.fail(instance)
    assert told.taken() == [*whole("web.1", 6), "ended as web.1 web.2", "ended as web.1 web.3"]
    told.pass_by(100)
    assert told.taken() == []


def test_one_that_fails_before_the_one_that_is_shown_waits_for_it() -> None:
    told = Told()
    first, second = told.begin("web.1"), told.begin("web.2")
    told.taken()
    told.say(first, *TRACEBACK[:2])
    told.say(second, *TRACEBACK)
    told.fail(second)
    again = told.begin("web.2")
    told.say(again, *TRACEBACK)
    assert told.taken() == ["line web.1"] * 2
    told.say(first, *TRACEBACK[2:])
    told.fail(first)
    assert told.taken() == ["line web.1", "line web.1", "ended web.1", "ended as web.1 web.2"]
    told.fail(again, delay=1)
    assert told.taken() == [], "web.1 speaks for both"


def test_what_a_server_says_in_another_order_is_the_same() -> None:
    told = Told()
    chance = random.Random(7)
    for attempt in range(8):
        lines = [*TRACEBACK, *LATE]
        chance.shuffle(lines)
        instance = told.begin("web.1")
        told.say(instance, *lines)
        told.fail(instance)
        assert told.taken() == (["started web.1", *whole("web.1", 6)] if attempt == 0 else [])
    instance = told.begin("web.1")
    told.say(instance, *TRACEBACK, *LATE, "[{0}] [INFO] Handling signal: term")
    told.fail(instance)
    assert told.taken() == [], "a word more of its progress changes nothing"


def test_another_error_is_shown_whole() -> None:
    told = Told()
    first, second = told.begin("web.1"), told.begin("web.2")
    told.taken()
    told.say(second, "PermissionError: cart")
    told.say(first, "Starting")
    assert told.taken() == ["line web.1"], "the first one may say it in a moment"
    told.pass_by(AHEAD)
    assert told.taken() == ["line web.2"], "it has not"
    told.fail(second)
    told.fail(first)
    assert told.taken() == ["ended web.2", "ended web.1"]


def test_another_exit_code_is_shown_whole() -> None:
    told = Told()
    first, second = told.begin("web.1"), told.begin("web.2")
    for instance in (first, second):
        told.say(instance, *TRACEBACK)
    told.taken()
    told.fail(first)
    told.fail(second, status=4)
    assert told.taken() == ["ended web.1", *whole("web.2", 4)]


def test_those_that_become_ready_are_shown_whole() -> None:
    told = Told()
    first, second, third = (told.begin(f"web.{number}") for number in (1, 2, 3))
    for instance in (first, second, third):
        told.say(instance, "Starting", "Listening")
    told.taken()
    told.ready(second, answered=True)
    assert told.taken() == ["line web.2", "line web.2", "ready web.2"]
    told.ready(first, answered=True)
    assert told.taken() == ["ready web.1", "line web.3", "line web.3"], "there is nobody to be like any more"
    told.say(third, "hello")
    assert told.taken() == ["line web.3"]


def test_one_that_starts_once_others_serve_is_not_held() -> None:
    told = Told()
    told.ready(told.begin("web.1"), answered=True)
    told.taken()
    told.say(told.begin("web.2"), "Starting")
    assert told.taken() == ["started web.2", "line web.2"]


def test_a_process_that_nobody_asks_is_not_held_for_long() -> None:
    told = Told()
    first, second = told.begin("worker.1"), told.begin("worker.2")
    for instance in (first, second):
        told.ready(instance)
        told.say(instance, "working")
    told.taken()
    told.pass_by(HELD)
    assert told.taken() == ["ready worker.2", "line worker.2"]
    third = told.begin("worker.3")
    told.ready(third)
    told.say(third, "working")
    assert told.taken() == ["started worker.3", "ready worker.3", "line worker.3"]


def test_one_that_waits_for_a_silent_one_is_shown_in_time() -> None:
    told = Told()
    first, second = told.begin("web.1"), told.begin("web.2")
    for instance in (first, second):
        told.say(instance, *TRACEBACK)
    told.fail(second)
    told.taken()
    told.pass_by(HELD + 1)
    assert told.taken() == whole("web.2", 4)
    told.fail(first)
    assert told.taken() == ["ended web.1"]


def test_when_the_speaker_recovers_another_one_speaks() -> None:
    told = Told()
    for name in ("web.1", "web.2"):
        instance = told.begin(name)
        told.say(instance, *TRACEBACK)
        told.fail(instance)
    told.taken()
    told.ready(told.begin("web.1"), answered=True)
    assert told.taken() == ["started web.1", "ready web.1"]
    for delay in (1, 9):
        instance = told.begin("web.2")
        told.say(instance, *TRACEBACK)
        told.fail(instance, delay=delay)
    assert told.taken() == ["rests web.2"]


def test_stopped_while_it_boots() -> None:
    told = Told()
    first, second = told.begin("web.1"), told.begin("web.2")
    told.say(second, "Starting")
    told.taken()
    for instance in (first, second):
        told.tell("process.ended", instance.split()[0], instance, status=-15)
    assert told.taken() == ["ended web.1", "line web.2", "ended web.2"]
    assert not told.repeats.holds


def test_people_read_it_so() -> None:
    stream = io.StringIO()
    console = Console(stream, as_json=False, mask=lambda text: text)
    for name in ("web.1", "web.2"):
        console(Event("process.started", name, name, "v1", {"pid": 7}))
    for name in ("web.1", "web.2"):
        console(Event("log.line", name, name, "v1", {"stream": "stderr", "text": "ImportError"}))
        console(Event("process.ended", name, name, "v1", {"status": 3, "crashed": True}))
    console.close()
    assert [line.partition("  ")[0][9:] + line.partition("|")[2] for line in stream.getvalue().splitlines()] == [
        "web.1 started (pid 7, v1)",
        "web.2 started (pid 7, v1)",
        "web.1 ImportError",
        "web.1 crashed: exited with 3",
        "web.2 crashed: exited with 3, as web.1",
    ]


def test_the_import_error_of_a_server_is_read_once_and_the_log_keeps_all(home: Home) -> None:
    home.write({"Procfile": "web: gunicorn -b 127.0.0.1:$PORT shop:app\n", "shop.py": "import no_such_module\n"})
    with home.start("web=3", as_json=False) as formation:
        wait_until(lambda: home.run("logs", "-n", "5000").stdout.count("ModuleNotFoundError: ") >= 6)
        formation.stop()
    read = [line for line in formation.errors if "ModuleNotFoundError: " in line]
    assert len(read) == 1, formation.say()
    assert sum(", as web." in line for line in formation.errors) == 2
