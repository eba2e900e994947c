"""The report as JUnit XML: a test case for every endpoint that was judged, and one for every difference. Pure.

The elements and attributes are those that CI servers read (the Jenkins xunit plugin's junit-10.xsd).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from fungible.verify.findings import Difference, Findings
from fungible.verify.report.answers import outcome
from fungible.verify.report.mend import advice, mend_class
from fungible.verify.report.redaction import Mask, redact, unmasked
from fungible.verify.report.words import endpoint, holder, how_held, letters, places, route, step_text, title
from fungible.verify.workload.steps import Request

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(found: Sequence[Findings], mask: Mask = unmasked) -> str:
    """One document; a test suite for every workload. `mask` hides secrets (see `redaction.mask_of`)."""
    suites = [_suite(redact(each, mask)) for each in found]
    return '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n' + "".join(suites) + "</testsuites>\n"


def _suite(findings: Findings) -> str:
    name = f"fungible verify: {findings.app}" + (f", {findings.source}" if findings.source else "")
    cases = list(_cases(findings))
    failures = sum("<failure" in case for case in cases)
    errors = sum("<error" in case for case in cases)
    skipped = sum("<skipped" in case for case in cases)
    out = "; ".join(findings.not_covered)
    return (
        f'<testsuite name={_attribute(name)} tests="{len(cases)}" failures="{failures}" errors="{errors}" '
        f'skipped="{skipped}" time="{findings.seconds:.3f}">\n'
        + "".join(cases)
        + f"<system-out>{_text(f'not covered: {out}')}</system-out>\n</testsuite>\n"
    )


def _cases(findings: Findings) -> Iterator[str]:
    if findings.verdict == "not_judged":
        reason = "; ".join(findings.reasons) or "nothing was judged"
        yield _case(findings, "verdict", f"<error message={_attribute(reason)}/>")
    failed: dict[str, int] = {}
    for difference in findings.differences:
        where = endpoint(difference)
        failed[where] = failed.get(where, 0) + 1
        number = f" ({failed[where]})" if failed[where] > 1 else ""
        if difference.known:
            inner = f"<skipped message={_attribute(f'known in the baseline: {title(difference)}')}/>"
        else:
            kind, said = _attribute(mend_class(difference)), _attribute(outcome(difference.deviation))
            inner = f"<failure type={kind} message={said}>{_text(_story(findings, difference))}</failure>"
        yield _case(findings, where + number, inner)
    unjudged = {each.endpoint: each.reason for each in findings.not_judged}
    for where, reason in unjudged.items():
        yield _case(findings, where, f"<skipped message={_attribute(f'not judged: {reason}')}/>")
    if findings.verdict != "not_judged":
        fresh_last = sorted(findings.differences, key=lambda each: not each.known)
        again = {route(step_text(findings, step)): each for each in fresh_last for step in each.also}
        for where in _endpoints(findings):
            if where not in unjudged and where not in failed:
                yield _case(findings, where, _same_cause(again[where]) if where in again else "")


def _same_cause(difference: Difference) -> str:
    """What an endpoint gets at which a difference that is told elsewhere shows as well."""
    text = f"the same state shows here as at {endpoint(difference)}"
    if difference.known:
        return f"<skipped message={_attribute(f'known in the baseline: {text}')}/>"
    return f"<failure type={_attribute(mend_class(difference))} message={_attribute(text)}/>"


def _endpoints(findings: Findings) -> list[str]:
    """The endpoints of the workload, in its order."""
    if findings.workload is not None:
        steps = enumerate(findings.workload.steps)
        named = [route(step_text(findings, index)) for index, step in steps if isinstance(step, Request)]
        return list(dict.fromkeys(named))
    judged = None if findings.sensitivity is None else findings.sensitivity.by_endpoint
    return list(judged or ())


def _case(findings: Findings, name: str, inner: str) -> str:
    return f"<testcase classname={_attribute(f'{findings.app}.verify')} name={_attribute(name)}>{inner}</testcase>\n"


def _story(findings: Findings, difference: Difference) -> str:
    lines = [title(difference)]
    for text, letter in zip(difference.requests, letters(difference), strict=False):
        lines.append(f"  {text}  " + ("no process" if letter is None else f"process {letter}"))
    lines.append(outcome(difference.deviation))
    if difference.also:
        lines.append("also seen at " + ", ".join(step_text(findings, step) for step in difference.also[:10]))
    held = holder(difference.culprit)
    if held:
        sure = "" if difference.culprit.confirmed else " (not confirmed)"
        lines.append(f"{how_held(difference.culprit)} {held}{sure}")
    lines += [f"  {label} {place}" for label, place in places(difference.culprit)]
    lines.append(f"how to mend it: {advice(mend_class(difference))}")
    return "\n".join(lines)


def _text(text: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", text))


def _attribute(text: str) -> str:
    return quoteattr(_NOT_XML.sub("\ufffd", text))
