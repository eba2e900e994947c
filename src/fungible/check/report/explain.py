"""A rule explained."""

from __future__ import annotations

import textwrap

from fungible.app.mend import page
from fungible.check.finding import Rule


def explained(rule: Rule) -> str:
    """What a rule finds, why it matters and what to do, with an example of each, as Markdown."""
    title = rule.title[0].upper() + rule.title[1:]
    parts = [f"# {rule.id}: {title}", rule.why, f"**How to mend it.** {rule.mend}"]
    parts += [f"Wrong:\n\n{_indented(rule.wrong)}", f"Right:\n\n{_indented(rule.right)}"]
    if rule.topic:
        parts.append(f"More: {page(rule.topic)}, or `fungible verify --explain {rule.topic}`.")
    parts.append(f"Meant to be so? Say why at its line: `# fungible: local[{rule.id}](reason)`.")
    return "\n\n".join(parts) + "\n"


def _indented(text: str) -> str:
    return textwrap.indent(text.rstrip(), "    ")
