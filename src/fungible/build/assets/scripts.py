"""References in scripts: what a module imports by a relative name, and where its source map is.

Scripts are left as they are, their source map's name aside: what they import is a bundler's business. It is found by
its form, not by a parser, after comments have been blanked out.
"""

from __future__ import annotations

import re

from fungible.build.assets.css import Reference

_COMMENT = re.compile(r"/\*.*?\*/|^[ \t]*//[^\n]*", re.DOTALL | re.MULTILINE)
_IMPORT = re.compile(
    r"""(?:^|[;}\s])(?:import|export)\s*(?:[\w*${}\s,]+?\s*from\s*)?(["'])(\.{1,2}/[^"'\n]+)\1"""
    r"""|\bimport\(\s*(["'`])(\.{1,2}/[^"'`\n$]+)\3\s*[,)]""",
)
_MAP = re.compile(r"^//[#@]\s*sourceMappingURL=(\S+)\s*$", re.MULTILINE)


def script_imports(text: str) -> tuple[Reference, ...]:
    """Modules that a script imports by a relative name."""
    if "./" not in text:
        return ()
    bare = _COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    found = []
    for match in _IMPORT.finditer(bare):
        group = 2 if match[2] else 4
        line = bare.count("\n", 0, match.start(group)) + 1
        found.append(Reference(match[group], line, match.start(group), match.end(group), quoted=True))
    return tuple(found)


def source_map(text: str) -> tuple[Reference, ...]:
    """The last `sourceMappingURL` of a script, if it names a file (ECMA-426, 9.1)."""
    if "sourceMappingURL=" not in text:
        return ()
    last = None
    for match in _MAP.finditer(text):
        last = match
    if last is None or last[1].startswith("data:"):
        return ()
    return (Reference(last[1], text.count("\n", 0, last.start()) + 1, last.start(1), last.end(1)),)
