"""Which differences are one, and which are not."""

from __future__ import annotations

import pytest

from fungible.verify.alike import distinct_first, elsewhere, signature
from fungible.verify.blame.culprit import Culprit, container_of
from fungible.verify.compare import Deviation
from fungible.verify.schedule.schedule import NOWHERE
from fungible.verify.shrink.case import Case
from fungible.verify.workload.steps import Quiet, Request, Step, Workload

pytestmark = pytest.mark.pure

LOGIN = Request("POST", "/login", form=(("user", "ann"),))
ACCOUNT = Request("GET", "/account")


def work(*steps: Step) -> Workload:
    return Workload(steps)


def gone(step: int, place: str = "status") -> Deviation:
    return Deviation(step, None, place, "equal", 200, 303, "lost")


def test_the_same_requests_in_the_same_places_are_one_difference() -> None:
    workload = work(LOGIN, ACCOUNT, Request("GET", "/x"), LOGIN, ACCOUNT)
    first = signature(workload, Case((0, 1), (0, 1)), gone(1))
    assert signature(workload, Case((3, 4), (7, 2)), gone(4)) == first
    assert signature(workload, Case((0, 4), (0, 1)), gone(4)) == first
    assert signature(workload, Case((3, 4), (0, 0)), gone(4)) != first
    assert signature(workload, Case((3, 4), (0, 1)), gone(4, "body.name")) != first


def test_what_is_sent_tells_requests_apart_and_members_do_not() -> None:
    one, other = Request("GET", "/items/7"), Request("GET", "/items/8", save={"id": "json:$.id"}, jar="bob")
    tab = Request("GET", "/items/7?tab=2")
    query = [Request("POST", "/graphql", json={"query": text}) for text in ("{basket}", "{profile}")]
    workload = work(LOGIN, one, other, tab, *query)
    signatures = [signature(workload, Case((0, step), (0, 1)), gone(step)) for step in range(1, 6)]
    assert signatures[0] == signatures[1]
    assert len(set(signatures)) == 4


def test_positions_in_lists_do_not_tell_places_apart() -> None:
    workload = work(LOGIN, ACCOUNT)
    case = Case((0, 1), (0, 1))
    assert signature(workload, case, gone(1, "body[0].name")) == signature(workload, case, gone(1, "body[3].name"))


def test_writers_are_tried_again_and_what_looks_like_them_nearest() -> None:
    workload = work(LOGIN, ACCOUNT, LOGIN, Quiet(), ACCOUNT, LOGIN, ACCOUNT)
    known = Case((0, 1), (0, 1))
    assert [case.kept for case in elsewhere(workload, known, 4)] == [(0, 4), (2, 3, 4)]
    assert [case.slots for case in elsewhere(workload, known, 4)] == [(0, 1), (0, NOWHERE, 1)]
    assert [case.kept for case in elsewhere(workload, known, 6)] == [(0, 6), (5, 6)]
    assert [case.slots for case in elsewhere(workload, known, 6)] == [(0, 1), (0, 1)]
    assert [case.kept for case in elsewhere(workload, Case((5, 6), (0, 1)), 4)] == [(2, 3, 4)]
    assert list(elsewhere(workload, Case((5, 6), (0, 1)), 0)) == []


def test_every_endpoint_has_its_turn_before_what_repeats_it() -> None:
    workload = work(LOGIN, ACCOUNT, ACCOUNT, Request("GET", "/items/1"), Request("GET", "/items/2"), LOGIN)
    assert distinct_first(workload, [4, 2, 1, 3]) == [1, 3, 2, 4]


def held(object: str | None = None, written: str = "a.py:5", called: str = "a.py:5", **more: object) -> Culprit:
    return Culprit(object, more.get("file"), "a.py:1", written, called, bool(more.get("confirmed", True)))  # type: ignore[arg-type]


def test_one_object_is_one_culprit_whoever_wrote_it() -> None:
    assert held("a.HITS").is_same(held("a.HITS", "a.py:9", "a.py:9"))
    assert held("a.LOGINS['x']").is_same(held("a.LOGINS['y']"))
    assert held("a.LOGINS['x']").is_same(held("a.LOGINS"))
    assert held(file="up/a.csv").is_same(held(file="up/b.csv"))


def test_what_a_library_keeps_in_one_object_for_one_line_is_one_culprit() -> None:
    jobs = held("a.jobs.stores['a'].list[0]", "lib.py:43", "a.py:5")
    assert jobs.is_same(held("a.jobs.stores['a'].index['x.y']", "lib.py:44", "a.py:5"))
    assert held("a.breaker.count", "lib.py:4").is_same(held("a.breaker.opened", "lib.py:9"))
    assert not jobs.is_same(held("a.jobs.stores['b'].list[0]", "lib.py:44", "a.py:5"))
    assert not jobs.is_same(held("a.jobs.stores['a'].index['x']", "lib.py:44", "a.py:8"))
    assert not held("a.shop.baskets", "a.py:4").is_same(held("a.shop.logins", "a.py:5"))


def test_distinct_leaks_are_never_one() -> None:
    one = held("a.STATE['login']")
    assert not one.is_same(held("a.STATE['basket']", "a.py:9", "a.py:9"))
    assert not held("lib._caches['x']", "lib.py:7", "a.py:5").is_same(held("lib._caches['y']", "lib.py:7", "a.py:9"))
    assert not one.is_same(held("a.OTHER['login']"))
    assert not one.is_same(held(file="a.STATE"))
    assert not one.is_same(held("a.STATE['login']", confirmed=False))
    assert not Culprit(where="memory", confirmed=True).is_same(Culprit(where="memory", confirmed=True))


def test_the_container_of_an_object() -> None:
    assert container_of("shop.views.CARTS['ann'].items[0]") == "shop.views.CARTS"
    assert container_of("shop.row.<cached 7>") == "shop.row"
    assert container_of("shop.make.<locals>.view.<closure carts>") == "shop.make.<locals>.view.<closure carts>"
