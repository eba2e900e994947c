"""What Jinja and Django templates name: calls of `asset`, `asset_tags`, `url_for('static', …)` and `static`.

Found by the delimiters that both languages have, with comments and raw blocks left out; neither is needed to do that,
and an app's own filters and tags are none of our business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

SUFFIXES = (".html", ".htm", ".jinja", ".jinja2", ".j2", ".djhtml", ".xhtml")
ASSET, TAGS, STATIC, FLASK = "asset", "asset_tags", "static", "url_for"


@dataclass(frozen=True)
class Call:
    """A call of `function` in a line (from 1) with the literal `name`, None for one that is made at run time."""

    function: str
    name: str | None
    line: int


_PART = re.compile(
    r"\{#.*?#\}"
    r"|\{%-?\s*raw\s*-?%\}.*?\{%-?\s*endraw\s*-?%\}"
    r"|\{%\s*verbatim(?P<tail>\s[^%]*)?%\}.*?\{%\s*endverbatim"
    r"|\{%\s*comment\b.*?\{%\s*endcomment\s*%\}"
    r"|\{\{(?P<print>.*?)\}\}"
    r"|\{%[-+]?(?P<tag>.*?)%\}",
    re.DOTALL,
)
_TEXT = r"""(?:"(?P<double>[^"\\]*)"|'(?P<single>[^'\\]*)')"""
_CALL = re.compile(rf"(?<![\w.])(?P<function>asset_tags|asset)\s*\(\s*(?:{_TEXT}\s*(?P<end>[,)])|(?P<dynamic>\S))")
_URL_FOR = re.compile(rf"""(?<![\w.])url_for\(\s*["']static["']\s*,\s*filename\s*=\s*{_TEXT}\s*[,)]""")
_TAG = re.compile(rf"\s*(?P<function>asset_tags|asset|static)\s+(?:{_TEXT}|(?P<dynamic>\S+))")
_LOADED = re.compile(r"\{%\s*load\s[^%]*\bfungible\b")


def template_calls(text: str) -> Iterator[Call]:
    """The calls in a template, in their order."""
    loaded = _LOADED.search(text) is not None
    for part in _PART.finditer(text):
        group = "print" if part["print"] is not None else "tag"
        inside = part[group]
        if inside is None:
            continue
        start = part.start(group)
        for call in _CALL.finditer(inside):
            name = _name(call) if call["end"] else None
            yield Call(call["function"], name, _line(text, start + call.start()))
        for call in _URL_FOR.finditer(inside):
            yield Call(FLASK, _name(call), _line(text, start + call.start()))
        tag = _TAG.match(inside) if group == "tag" else None
        if tag is not None and (loaded or tag["function"] == STATIC) and not _CALL.match(inside.lstrip()):
            yield Call(tag["function"], _name(tag) if tag["dynamic"] is None else None, _line(text, start))


def _name(match: re.Match[str]) -> str:
    return str(match["double"] if match["double"] is not None else match["single"])


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
