"""A page of the documentation whose tables are made by a script: written, or with `--check` compared."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*out, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


def filled(page: Path, blocks: Mapping[str, str]) -> str:
    """The text of `page` with each block between its markers. Exits with 2 where one has no place there."""
    text = page.read_text()
    for name, block in blocks.items():
        shown = f"<!-- {name} -->\n{block}\n<!-- /{name} -->"
        text, count = re.subn(
            f"<!-- {name} -->.*?<!-- /{name} -->", lambda _, shown=shown: shown, text, flags=re.DOTALL
        )
        if count != 1:
            print(f"{page.name}: put <!-- {name} --> and <!-- /{name} --> once", file=sys.stderr)
            raise SystemExit(2)
    return text


def settled(wanted: Mapping[Path, str], script: str) -> int:
    """Write these files (one without content is removed), or with `--check` say which are not so: the exit code."""
    if "--check" not in sys.argv[1:]:
        for path, content in wanted.items():
            path.write_text(content) if content else path.unlink(missing_ok=True)
        return 0
    drifted = [
        path.name for path, content in wanted.items() if (path.read_text() if path.exists() else "") != content
    ]
    if drifted:
        print(f"{', '.join(drifted)}: not what it is made of; run {script}", file=sys.stderr)
    return 1 if drifted else 0
