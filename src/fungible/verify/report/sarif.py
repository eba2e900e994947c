"""The report as SARIF 2.1.0 (OASIS standard), for code scanning: a result for every difference. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from fungible.app import sarif
from fungible.app.mend import CLASSES
from fungible.verify.blame.culprit import Culprit
from fungible.verify.findings import Difference, Findings
from fungible.verify.report.answers import outcome
from fungible.verify.report.fingerprint import fingerprint
from fungible.verify.report.mend import advice, mend_class
from fungible.verify.report.redaction import Mask, redact, unmasked
from fungible.verify.report.words import endpoint, holder, how_held, letters, places, title

_LONGEST_FIRST_SENTENCE = 600


def to_sarif(
    found: Sequence[Findings],
    mask: Mask = unmasked,
    own: Callable[[str], bool] = lambda _: True,
    prefix: str = "",
) -> dict[str, Any]:
    """One log with a run for every workload.

    `own(path)` says whether a file, relative to the app's folder, is the app's; others are a library's. `prefix` is
    the app's folder as seen from the root of the checkout (`shop/`), since viewers resolve paths from there.
    """
    return sarif.log([_Run(redact(each, mask), own, prefix).to_json() for each in found])


class _Run:
    def __init__(self, findings: Findings, own: Callable[[str], bool], prefix: str) -> None:
        self.findings = findings
        self.own = own
        self.prefix = prefix.strip("/") + "/" if prefix.strip("/.") else ""
        self.classes = list(CLASSES)

    def to_json(self) -> dict[str, Any]:
        findings = self.findings
        run = sarif.run(
            "verify",
            f"{findings.source or findings.app}/",
            rules=[self.rule(name) for name in self.classes],
            results=[self.result(each) for each in findings.differences],
            notices=self.notices(),
            successful=findings.verdict != "not_judged",
            bases={"PACKAGES": {"description": {"text": "The folder of installed packages."}}},
        )
        properties = {
            "verdict": findings.verdict,
            "isolation": findings.isolation,
            "pairs": list(findings.coverage.pairs),
            "triples": list(findings.coverage.triples),
            "notCovered": list(findings.not_covered),
        }
        return {**run, "properties": properties}

    def notices(self) -> list[dict[str, Any]]:
        said = [
            ("error" if self.findings.verdict == "not_judged" else "note", text) for text in self.findings.reasons
        ]
        said += [("warning", text) for text in self.findings.warnings]
        said += [("warning", f"{each.endpoint} was not judged: {each.reason}") for each in self.findings.not_judged]
        return [{"level": level, "message": {"text": text}} for level, text in said]

    def rule(self, name: str) -> dict[str, Any]:
        return {
            "id": name,
            "name": "".join(word.title() for word in name.split("-")),
            "shortDescription": {"text": CLASSES[name][0].upper() + CLASSES[name][1:] + "."},
            "fullDescription": {"text": f"Found by experiment: {CLASSES[name]}. Another process answers otherwise."},
            "help": {"text": f"How to mend it: {advice(name)}"},
            "defaultConfiguration": {"level": "error"},
            "properties": {"tags": ["stateless-processes"], "precision": "very-high"},
        }

    def result(self, difference: Difference) -> dict[str, Any]:
        name = mend_class(difference)
        primary, others = self.located(difference.culprit)
        result: dict[str, Any] = {
            "ruleId": name,
            "ruleIndex": self.classes.index(name),
            "level": "error",
            "message": {"text": self.message(difference)},
            "locations": [{**primary, "logicalLocations": [self.logical(difference)]}],
            "codeFlows": [self.story(difference)],
            "relatedLocations": [
                {"id": number, **each} for number, each in enumerate(others, start=1) if "physicalLocation" in each
            ],
            "partialFingerprints": {
                "fungibleDifference/v1": hashlib.sha256("\0".join(fingerprint(difference)).encode()).hexdigest()[:32]
            },
            "properties": {"endpoint": endpoint(difference), "confirmedCulprit": difference.culprit.confirmed},
        }
        if difference.known:
            result["baselineState"] = "unchanged"
            result["suppressions"] = [{"kind": "external", "justification": "Known in the baseline."}]
        return result

    def message(self, difference: Difference) -> str:
        where = difference.requests[-1] if difference.requests else endpoint(difference)
        text = f"{where}: {title(difference)} when another process answers: {outcome(difference.deviation)}."
        held = holder(difference.culprit)
        if held:
            sure = "" if difference.culprit.confirmed else " (not confirmed)"
            text += f" {how_held(difference.culprit).capitalize()} {held}{sure}."
        return f"{text[:_LONGEST_FIRST_SENTENCE]} How to mend it: {advice(mend_class(difference))}"

    def located(self, culprit: Culprit) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The line that wrote it, or the nearest line of the app's own; then the other lines."""
        lines = [(label, *_split(place)) for label, place in places(culprit)]
        ordered = sorted(lines, key=lambda each: not self.own(each[1]))
        located = [self.location(path, line, label) for label, path, line in ordered]
        if culprit.file and self.own(culprit.file):
            located.append(self.location(culprit.file, None, "the file that held it"))
        if not located:
            return self.in_workload("the workload that shows it"), []
        return located[0], located[1:]

    def location(self, path: str, line: int | None, message: str) -> dict[str, Any]:
        ours = self.own(path)
        artifact = {
            "uri": quote((self.prefix if ours else "") + path.lstrip("/")),
            "uriBaseId": "%SRCROOT%" if ours else "PACKAGES",
        }
        physical: dict[str, Any] = {"artifactLocation": artifact}
        if line is not None:
            physical["region"] = {"startLine": line}
        return {"physicalLocation": physical, "message": {"text": message}}

    def in_workload(self, message: str) -> dict[str, Any]:
        """The workload's file, where it lies in the app's folder."""
        source = self.findings.source
        if source is None or not self.own(source):
            return {"message": {"text": message}}
        return self.location(source, None, message)

    def logical(self, difference: Difference) -> dict[str, Any]:
        if difference.culprit.object:
            return {"fullyQualifiedName": difference.culprit.object, "kind": "variable"}
        return {"fullyQualifiedName": endpoint(difference), "kind": "resource"}

    def story(self, difference: Difference) -> dict[str, Any]:
        """The requests in order, each with its process, and the line that keeps the state before the last."""
        steps: list[dict[str, Any]] = []
        last = len(difference.requests) - 1
        primary, _ = self.located(difference.culprit)
        for index, (text, letter) in enumerate(zip(difference.requests, letters(difference), strict=False)):
            where = "no process" if letter is None else f"process {letter}"
            if index == last and difference.culprit.object and "physicalLocation" in primary:
                kept = f"{difference.culprit.object} keeps it, in one process only"
                steps.append({"location": {**primary, "message": {"text": kept}}, "importance": "essential"})
            said = f"{text} → {where}"
            if index == last:
                said += f": {outcome(difference.deviation)}"
            steps.append({"location": self.in_workload(said), "importance": "essential"})
        for order, each in enumerate(steps, start=1):
            each["executionOrder"] = order
        return {"message": {"text": title(difference)}, "threadFlows": [{"locations": steps}]}


def _split(place: str) -> tuple[str, int | None]:
    path, colon, line = place.rpartition(":")
    return (path, int(line)) if colon and line.isdigit() and int(line) > 0 else (place, None)
