"""A file of what is known and accepted, to be committed: `{"version": 1, KIND: [{...}, ...]}`, sorted, texts alone.

An entry is a `NamedTuple` of texts; its fields are the keys.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from fungible.app.problem import Problem

VERSION = 1
_COMMANDS = {"differences": "verify", "findings": "check"}
_ANEW = "remove it, and write it anew with --update-baseline"
_LARGEST = 16 * 1024 * 1024

Entry = TypeVar("Entry", bound=tuple[str, ...])


def read_entries(path: Path, kind: str, entry: type[Entry]) -> frozenset[Entry]:
    """The entries under `kind` (`differences` of verify, `findings` of check).

    Raises `Problem` where the file is missing or is no such baseline.
    """
    fields: tuple[str, ...] = entry._fields  # type: ignore[attr-defined]
    try:
        data = json.loads(path.read_bytes()[: _LARGEST + 1])
    except FileNotFoundError:
        raise Problem(f"{path}: there is no such baseline; write it with --update-baseline") from None
    except OSError as error:
        raise Problem(f"{path}: the baseline cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise Problem(f"{path}: the baseline is not JSON: {error}; {_ANEW}") from error
    for other in _COMMANDS.keys() - {kind}:
        if isinstance(data, dict) and other in data:
            command, own = _COMMANDS[other], _COMMANDS[kind]
            raise Problem(f"{path}: this is a baseline of `fungible {command}`; `fungible {own}` has one of its own")
    if not isinstance(data, dict) or data.get("version") != VERSION or not isinstance(data.get(kind), list):
        raise Problem(f"{path}: this is no baseline of version {VERSION}; {_ANEW}")
    found = set()
    for index, each in enumerate(data[kind]):
        values = [each.get(name) if isinstance(each, dict) else None for name in fields]
        if not all(isinstance(value, str) for value in values):
            raise Problem(f"{path}: {kind}[{index}] must have the texts {', '.join(fields)}")
        found.add(entry(*map(str, values)))
    return frozenset(found)


def entries_text(kind: str, entries: Iterable[Any]) -> str:
    """The baseline that holds these entries under `kind`, one a line."""
    lines = ",\n".join("  " + json.dumps(each._asdict(), ensure_ascii=False) for each in sorted(set(entries)))
    body = f"[\n{lines}\n ]" if lines else "[]"
    return f'{{\n "version": {VERSION},\n "{kind}": {body}\n}}\n'
