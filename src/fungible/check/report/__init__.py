"""What a check shows: as text, as JSON, as SARIF, as annotations of GitHub."""

from fungible.check.report.explain import explained
from fungible.check.report.github import to_github
from fungible.check.report.json import to_json
from fungible.check.report.sarif import to_sarif
from fungible.check.report.text import to_text

__all__ = ["explained", "to_github", "to_json", "to_sarif", "to_text"]
