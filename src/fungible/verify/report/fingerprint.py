"""What stays of a difference from run to run. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from fungible.verify.findings import Difference
from fungible.verify.report.words import endpoint

_KEY = re.compile(r"\[(?:b?'(?:[^'\\]|\\.)*'|b?\"(?:[^\"\\]|\\.)*\"|[^\[\]]*)\]")
_MEMBER = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,}|[0-9]+")


class Fingerprint(NamedTuple):
    """What stays of a difference from run to run: no value, no step number, no key or member of a container."""

    kind: str
    endpoint: str
    culprit: str


def fingerprint(difference: Difference) -> Fingerprint:
    """The fingerprint of a difference. Keys of containers and what names one file among many become `[]`, `{}`."""
    culprit = difference.culprit
    if culprit.object:
        held = _KEY.sub("[]", culprit.object)
    elif culprit.file:
        held = _MEMBER.sub("{}", culprit.file)
    else:
        held = culprit.where or ""
    return Fingerprint(difference.deviation.kind, endpoint(difference), held)
