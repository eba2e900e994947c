"""The timeline of worlds as an SVG: a row for a world, a column for a step, a colour and letter for a slot. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape as _escape

from fungible.verify.findings import WorldRow

MOST_ROWS = 80
MOST_COLUMNS = 400
COLOURS = 8
_HEAD = 20


def escaped(value: object) -> str:
    """Text for HTML or SVG; lone surrogates and control characters, which no page may hold, become U+FFFD."""
    text = "".join(c if c in "\n\t" or (c >= " " and not "\ud800" <= c <= "\udfff") else "\ufffd" for c in str(value))
    return _escape(text)


def picture(rows: Sequence[WorldRow], steps: Sequence[str]) -> str:
    """`steps` name the columns (`#0 GET /items`), told when a pointer rests on a cell. Rows and columns beyond the
    first 80 and 400 are not drawn. An outlined cell is a step at which the world deviated from the warm ones."""
    shown = rows[:MOST_ROWS]
    columns = min(MOST_COLUMNS, max((len(row.placement) for row in shown), default=0))
    wide = 22 if columns <= 40 else 12 if columns <= 120 else 7
    tall = 20 if wide > 10 else 14
    left = 16 + 7 * max((len(_name(row)) for row in shown), default=0)
    width, height = left + columns * wide + 6, _HEAD + len(shown) * tall + 6
    every = 1 if wide > 20 else 5 if wide > 10 else 10
    parts = [
        f'<svg role="img" aria-label="Which process served each request, in {len(rows)} worlds" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}">'
    ]
    for step in range(0, columns, every):
        parts.append(f'<text class="axis middle" x="{left + step * wide + wide / 2:g}" y="13">{step}</text>')
    rings: list[str] = []
    for number, row in enumerate(shown):
        y = _HEAD + number * tall
        parts.append(f'<text x="2" y="{y + tall / 2 + 4:g}">{escaped(_name(row))}</text>')
        for step, slot in enumerate(row.placement[:columns]):
            x = left + step * wide
            parts.append(_cell(x, y, wide, tall, slot, f"{row.world}: {steps[step] if step < len(steps) else step}"))
        for step in row.deviating:
            if step < columns:
                x = left + step * wide
                rings.append(
                    f'<rect class="deviates" x="{x + 1}" y="{y + 1}" width="{wide - 2}" height="{tall - 2}" rx="3"/>'
                )
    return "".join((*parts, *rings, "</svg>"))


def _name(row: WorldRow) -> str:
    return row.world if len(row.world) <= 24 else row.world[:23] + "…"


def _cell(x: int, y: int, wide: int, tall: int, slot: int, told: str) -> str:
    where = "no process" if slot < 0 else f"process {_letter(slot)}"
    colour = "none" if slot < 0 else f"p{slot % COLOURS}"
    cell = (
        f'<g><title>{escaped(f"{told}, {where}")}</title><rect class="{colour}" x="{x + 1}" y="{y + 1}" '
        f'width="{wide - 2}" height="{tall - 2}" rx="3"/>'
    )
    if wide > 20 and 0 <= slot < 26:
        cell += f'<text class="inside" x="{x + wide / 2:g}" y="{y + tall / 2 + 4:g}">{_letter(slot)}</text>'
    return cell + "</g>"


def _letter(slot: int) -> str:
    return chr(65 + slot) if slot < 26 else str(slot + 1)
