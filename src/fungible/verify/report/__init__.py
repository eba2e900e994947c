"""The report of an experiment, made of findings alone: text, JSON, HTML, SARIF and JUnit.

Every form takes a `mask` that hides secrets and machine paths, see `redaction.mask_of`.
"""

from fungible.app.mend import CLASSES, page
from fungible.verify.report.explanation import explanation
from fungible.verify.report.html import to_html
from fungible.verify.report.json import to_json
from fungible.verify.report.junit import to_junit
from fungible.verify.report.mend import advice, mend_class
from fungible.verify.report.redaction import Mask, mask_of, redact, unmasked
from fungible.verify.report.sarif import to_sarif
from fungible.verify.report.text import to_text

__all__ = [
    "CLASSES",
    "Mask",
    "advice",
    "explanation",
    "mask_of",
    "mend_class",
    "page",
    "redact",
    "to_html",
    "to_json",
    "to_junit",
    "to_sarif",
    "to_text",
    "unmasked",
]
