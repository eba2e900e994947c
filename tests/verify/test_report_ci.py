"""The report for CI servers: SARIF and JUnit."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from fungible.verify.blame.culprit import Culprit
from fungible.verify.compare import NotJudged
from fungible.verify.report import CLASSES, to_junit, to_sarif
from tests.verify.report_findings import BASKET, STATUS, differing, findings

pytestmark = pytest.mark.pure


def _run(*differences: Any, **options: Any) -> dict[str, Any]:
    log = to_sarif([findings(*differences)], **options)
    json.dumps(log)
    assert log["version"] == "2.1.0" and len(log["runs"]) == 1
    run: dict[str, Any] = log["runs"][0]
    return run


def _uri(location: dict[str, Any]) -> tuple[str, str, int | None]:
    physical = location["physicalLocation"]
    artifact = physical["artifactLocation"]
    return artifact["uriBaseId"], artifact["uri"], physical.get("region", {}).get("startLine")


def test_sarif_has_a_rule_for_every_class() -> None:
    rules = _run()["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(CLASSES)
    result = _run(BASKET)["results"][0]
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == "session-in-memory"


def test_sarif_points_at_the_line_that_wrote_it() -> None:
    result = _run(BASKET)["results"][0]
    assert _uri(result["locations"][0]) == ("%SRCROOT%", "shop/views.py", 41)
    assert [_uri(each) for each in result["relatedLocations"]] == [("%SRCROOT%", "shop/views.py", 9)]
    assert result["level"] == "error" and "`two` is missing" in result["message"]["text"]


def test_sarif_prefers_the_apps_own_line_and_counts_from_the_checkout() -> None:
    library = replace(BASKET, culprit=Culprit("x.y", None, "x/z.py:1", "x/y.py:3", "views/a b.py:5", True))
    result = _run(library, own=lambda path: path.startswith("views/"), prefix="shop")["results"][0]
    assert _uri(result["locations"][0]) == ("%SRCROOT%", "shop/views/a%20b.py", 5)
    assert _uri(result["relatedLocations"][0]) == ("PACKAGES", "x/y.py", 3)


def test_sarif_without_a_line_points_at_the_workload_or_the_file() -> None:
    assert _uri(_run(STATUS)["results"][0]["locations"][0]) == ("%SRCROOT%", "tests/workload.yaml", None)
    file = replace(BASKET, culprit=Culprit(None, "uploads/a.txt"))
    assert _uri(_run(file)["results"][0]["locations"][0]) == ("%SRCROOT%", "uploads/a.txt", None)


def test_sarif_tells_the_story() -> None:
    flow = _run(BASKET)["results"][0]["codeFlows"][0]["threadFlows"][0]["locations"]
    told = [each["location"]["message"]["text"] for each in flow]
    assert told[0] == "#1 POST /items → process A"
    assert told[1].startswith("shop.views.CARTS['ann'] keeps it")
    assert told[2].startswith("#4 GET /items → process B: body.items: 2 items expected")
    assert [each["executionOrder"] for each in flow] == [1, 2, 3]


def test_sarif_fingerprints_do_not_depend_on_values() -> None:
    def key(difference: Any) -> Any:
        return _run(difference)["results"][0]["partialFingerprints"]

    other = differing("body.items", "x", "y", "lost", replace(BASKET.culprit, object="shop.views.CARTS['bob']"))
    assert key(other) == key(BASKET) != key(STATUS)


def test_sarif_of_known_differences_and_of_what_was_not_judged() -> None:
    result = _run(replace(BASKET, known=True))["results"][0]
    assert result["baselineState"] == "unchanged" and result["suppressions"][0]["kind"] == "external"
    run = to_sarif([findings(verdict="not_judged", reasons=("it did not boot",))])["runs"][0]
    invocation = run["invocations"][0]
    assert invocation["executionSuccessful"] is False
    assert invocation["toolExecutionNotifications"][0]["message"]["text"] == "it did not boot"


def _suite(text: str) -> ElementTree.Element:
    root = ElementTree.fromstring(text.encode())
    assert root.tag == "testsuites"
    return root[0]


def test_junit_has_a_case_for_every_endpoint_and_difference() -> None:
    suite = _suite(to_junit([findings(BASKET, STATUS)]))
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert set(cases) == {
        *("POST /login", "POST /items", "GET /items/{}", "GET /report", "GET /items", "GET /about", "GET /clock")
    }
    failure = cases["GET /items"].find("failure")
    assert failure is not None and failure.get("type") == "session-in-memory"
    assert "#1 POST /items  process A" in (failure.text or "") and "shop/views.py:41" in (failure.text or "")
    assert cases["GET /items/{}"].find("failure") is not None  # the same state is seen there
    assert cases["GET /clock"].find("skipped") is not None
    assert len(cases["GET /about"]) == 0
    counted = [suite.get(name) for name in ("tests", "failures", "errors", "skipped")]
    assert counted == ["7", "3", "0", "1"]


def test_junit_of_two_differences_at_one_endpoint_known_ones_and_none() -> None:
    suite = _suite(to_junit([findings(BASKET, replace(BASKET, known=True))]))
    names = [case.get("name") for case in suite.iter("testcase")]
    assert names[:2] == ["GET /items", "GET /items (2)"]
    assert suite.get("failures") == "2" and suite.get("skipped") == "2"
    assert _suite(to_junit([findings(not_judged=())])).get("failures") == "0"
    nothing = _suite(to_junit([findings(verdict="not_judged", reasons=("no boot",))]))
    assert nothing.get("errors") == "1" and nothing.find("testcase/error").get("message") == "no boot"  # type: ignore[union-attr]


def test_junit_is_xml_whatever_the_app_said() -> None:
    evil = '</failure>\x00\x1b\ud800\uffff]]>&"'
    made = differing("body", evil, "x", requests=(f"#0 GET /{evil}", f"#1 GET /{evil}"))
    text = to_junit([findings(made, app=evil, not_judged=(NotJudged(evil, (1,), evil),))])
    assert _suite(text).get("failures") == "1"
