"""A unit file as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fungible.engines.readable import comment

Section = Sequence[tuple[str, str]]
"""Settings in their order, of which a name may come more than once; what is named `#` is a comment."""


def unit(why: str, sections: Mapping[str, Section]) -> str:
    """The text of a unit, `why` it is as it is above it."""
    parts = [comment(why)]
    for name, settings in sections.items():
        lines = [_line(key, value) for key, value in settings]
        parts.append(f"\n[{name}]\n{''.join(lines)}")
    return "".join(parts)


def _line(key: str, value: str) -> str:
    return comment(value) if key == "#" else f"{key}={value}\n"
