"""What a roll is judged by, how config vars change, which places for control groups there are; no process."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.app.problem import Problem
from fungible.control.metrics import formation_lines
from fungible.control.table import formation_table
from fungible.runtime.events import Event
from fungible.runtime.formation.standing import cause_of_none
from fungible.runtime.logs.console import format_event
from fungible.runtime.logs.tail import Tail
from fungible.runtime.process.control_group import Places, places_from
from fungible.runtime.roll.operations import changed_config
from fungible.runtime.roll.roll import Fall, Standing, Verdict, judge, judged_types
from fungible.runtime.router import Requests
from tests.runtime.access_lines import UPSTREAMS, line

pytestmark = pytest.mark.pure


def standing(instance: str, type: str = "web", *, up: bool = True, leaving: bool = False) -> Standing:
    return Standing(type, instance, up, leaving)


def fall(type: str = "web", *, booted: bool = False) -> Fall:
    return Fall(type, f"{type}.3", "x", booted, "exit code 1")


def test_a_roll_is_done_when_the_old_have_gone_and_the_new_are_up() -> None:
    goers = {"a"}
    assert judge({"web": 1}, [standing("a", leaving=True), standing("b")], [], goers, {"web"}) is Verdict.UNDER_WAY
    assert judge({"web": 1}, [standing("b", up=False)], [], goers, {"web"}) is Verdict.UNDER_WAY
    assert judge({"web": 1}, [standing("b")], [], goers, {"web"}) is Verdict.DONE
    assert judge({"web": 0}, [], [], goers, {"web"}) is Verdict.DONE
    assert judge({"web": 2}, [standing("b"), standing("c", leaving=True)], [], goers, {"web"}) is Verdict.UNDER_WAY


def test_one_newcomer_that_does_not_boot_fells_it_and_three_that_crash_later() -> None:
    up = [standing("b")]
    assert judge({"web": 1}, up, [fall()], set(), {"web"}) is Verdict.FALLEN
    assert judge({"web": 1}, up, [fall(booted=True)] * 2, set(), {"web"}) is Verdict.DONE
    assert judge({"web": 1}, up, [fall(booted=True)] * 3, set(), {"web"}) is Verdict.FALLEN


def test_what_failed_before_fells_nothing_unless_an_old_one_serves_by_now() -> None:
    wanted = {"web": 1, "worker": 1}
    falls = [fall("worker")]
    assert judge(wanted, [standing("b")], falls, {"w"}, {"web"}) is Verdict.DONE
    old = standing("w", "worker", leaving=True)
    assert judge(wanted, [standing("b"), old], falls, {"w"}, {"web"}) is Verdict.FALLEN
    down = standing("w", "worker", up=False, leaving=True)
    assert judge(wanted, [standing("b"), down], falls, {"w"}, {"web"}) is Verdict.UNDER_WAY


def test_types_that_were_up_or_are_new_are_judged_and_all_where_nothing_was_up() -> None:
    wanted = {"web": 2, "worker": 1, "new": 1, "none": 0}
    assert judged_types(wanted, {"web"}, {"web", "worker", "none"}) == {"web", "new"}
    assert judged_types({"web": 2, "worker": 1}, set(), {"web", "worker"}) == {"web", "worker"}


STANDINGS = st.lists(
    st.builds(Standing, st.sampled_from(["web", "worker"]), st.text("ab", max_size=3), st.booleans(), st.booleans()),
    max_size=6,
)


@given(STANDINGS, st.sets(st.text("ab", max_size=3)), st.integers(0, 3))
def test_nothing_is_done_while_a_goer_is_there_or_too_few_are_up(
    standings: list[Standing], goers: set[str], count: int
) -> None:
    if judge({"web": count}, standings, [], goers, {"web"}) is Verdict.DONE:
        assert not any(each.instance in goers for each in standings)
        assert sum(each.type == "web" and each.up for each in standings) >= count


@given(st.dictionaries(st.text("AB_", min_size=1, max_size=3), st.text(max_size=3)))
def test_config_vars_that_are_set_and_unset_again_are_as_before(config: dict[str, str]) -> None:
    changed = changed_config(config, {"NEW": "1"}, [])
    assert changed == {**config, "NEW": "1"}
    assert changed_config(changed, {}, ["NEW"]) == config


def test_what_is_not_set_cannot_be_unset() -> None:
    with pytest.raises(Problem, match=r'COLOUR is not set\. Did you mean "COLOURS"'):
        changed_config({"COLOURS": "1"}, {}, ["COLOUR"])


def test_why_nobody_answers() -> None:
    assert cause_of_none(0, set(), {}) == "no-process"
    assert cause_of_none(1, {1}, {}) == "starting"
    assert cause_of_none(1, {1}, {1: "crashed"}) == "crashed"
    assert cause_of_none(2, {1, 2}, {1: "crashed"}) == "starting"
    assert cause_of_none(1, {1}, {1: "boot-timeout"}) == "boot-timeout"
    assert cause_of_none(1, {1}, {1: "wrong-port"}) == "wrong-port"
    assert cause_of_none(1, {1}, {1: "memory"}) == "out-of-memory"


def test_two_processes_of_one_name_are_told_apart_and_counted_together() -> None:
    shared = {"name": "web.1", "type": "web", "release": "v1", "pid": 1, "uptime_s": 1, "restarts": 0}
    rest = {"last_end": None, "memory_bytes": 5 * 2**20, "requests": 1, "in_flight": 2}
    processes = [
        {**shared, **rest, "instance": "aaaaaaaaaaaa", "state": "draining"},
        {**shared, **rest, "instance": "bbbbbbbbbbbb", "state": "ready"},
    ]
    document = {"release": "v1", "url": None, "wanted": {"web": 1}, "processes": processes}
    document |= {"resting": [], "services": []}
    rows = [line.split()[0] for line in formation_table(document).splitlines()[2:]]
    assert rows == ["web.1/aaaaaa", "web.1/bbbbbb"]
    lines = list(formation_lines(document))
    assert 'fungible_in_flight{process="web.1"} 4' in lines
    assert f'fungible_process_memory_bytes{{process="web.1"}} {10 * 2**20}' in lines
    told = Event("log.line", "web.1", "aaaaaaaaaaaa", data={"text": "bye", "former": True})
    assert str(format_event(told, colour=False)).endswith(" web.1/aaaaaa | bye")
    other = Event("log.line", "web.1", "bbbbbbbbbbbb", data={"text": "bye"})
    assert str(format_event(other, colour=False)).endswith(" web.1        | bye"), "in the same column"


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"cause": "crashed", "status": 502, "end": "SH"}, "POST /orders: crashed (the client got 502)"),
        ({"status": -1, "end": "SH"}, "POST /orders: crashed (the client got no answer)"),
        ({"end": "SD"}, "POST /orders: interrupted (the client got a part of the answer)"),
        ({"end": "CD"}, None),
        ({}, None),
    ],
)
def test_a_request_that_was_lost_is_a_line_in_the_log(how: dict[str, object], said: str | None) -> None:
    requests = Requests([line(), line(method="POST", path="/orders", **how)], UPSTREAMS, 5.0)
    told = format_event(list(requests.events())[-1], colour=False)
    assert (told and told.partition("| ")[2]) == said
    tail = Tail(lambda text: text)
    tail.take_requests(requests)
    assert [event.data["path"] for event in tail.last(9)] == (["/orders"] if said else [])


def test_the_tail_is_bounded_hides_secrets_and_tells_followers_what_they_missed() -> None:
    async def scene() -> None:
        tail = Tail(lambda text: text.replace("hunter2", "***"), events=3, characters=10_000)
        for number in range(5):
            tail(Event("log.line", "web.1", "i", data={"text": f"{number} hunter2", "more": ["hunter2"]}))
        tail.take_requests(Requests([line()], UPSTREAMS, 5.0))
        assert [event.data["text"] for event in tail.last(9)] == ["2 ***", "3 ***", "4 ***"]
        assert tail.last(9)[0].data["more"] == ["***"]
        assert tail.lines_of("i", 1) == ["4 ***"]
        assert tail.last(9, "web") == tail.last(9, "web.1") == tail.last(9)
        assert tail.last(9, "we") == []
        following = tail.follow(1, "web")
        assert (await anext(following)).data["text"] == "4 ***"
        later = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0)
        for number in range(10_002):
            tail(Event("log.line", "web.2", "j", data={"text": str(number)}))
        assert (await later).data["text"] == "0"
        rest = [await anext(following) for _ in range(10_000)]
        assert (rest[-1].kind, rest[-1].data) == ("log.dropped", {"lines": 2})
        await following.aclose()

    asyncio.run(scene())


def test_places_for_groups_of_version_1_are_below_our_own(tmp_path: Path) -> None:
    own = tmp_path / "memory" / "ours"
    own.mkdir(parents=True)
    (own / "cgroup.procs").write_text("")
    mounts = [f"33 30 0:29 / {tmp_path}/memory rw - cgroup cgroup rw,memory"]
    assert places_from(mounts, ["4:memory:/ours", "0::/"]) == Places({"memory": own}, 1)
    assert places_from(mounts, ["4:memory:/elsewhere"]) == Places({}, 1)


def test_places_of_version_2_are_the_nearest_that_give_controllers_on(tmp_path: Path) -> None:
    scope = tmp_path / "user.slice" / "app.slice" / "shell.scope"
    scope.mkdir(parents=True)
    for folder in (scope, scope.parent, scope.parent.parent, tmp_path):
        (folder / "cgroup.procs").write_text("")
        (folder / "cgroup.subtree_control").write_text("memory pids\n" if folder == scope.parent else "")
    mounts = [f"30 23 0:26 / {tmp_path} rw - cgroup2 cgroup2 rw"]
    found = places_from(mounts, ["0::/user.slice/app.slice/shell.scope"])
    assert found == Places({"memory": scope.parent}, 2)
    assert (found.can("memory"), found.can("cpu")) == (True, False)
