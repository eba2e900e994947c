"""Charts as SVG text: horizontal bars in panels, and lines. Pure functions of their data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

# Okabe and Ito's colours, which people with colour blindness tell apart.
BLUE, ORANGE, VERMILION, SKY, GREEN, GREY = "#0072B2", "#E69F00", "#D55E00", "#56B4E9", "#009E73", "#9AA5B1"
_INK, _FAINT = "#1F2933", "#E4E7EB"
_WIDTH, _LABEL, _NOTE, _ROW, _HEAD = 860, 236, 176, 24, 44


@dataclass(frozen=True)
class Row:
    """A bar: its parts as pairs of value and colour, from left to right; `low` and `high` are its whisker."""

    label: str
    parts: Sequence[tuple[float, str]]
    note: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Panel:
    """Bars on one axis, which ends at `most` (default: the longest bar); what is longer is cut off there."""

    title: str
    rows: Sequence[Row]
    most: float | None = None


@dataclass(frozen=True)
class Line:
    """Points joined by a line; `spread` are pairs of low and high at each; `marked` points get a ring."""

    label: str
    points: Sequence[tuple[float, float]]
    colour: str
    spread: Sequence[tuple[float, float]] = ()
    marked: Sequence[float] = field(default=())
    dashed: bool = False


def bars(title: str, panels: Sequence[Panel], legend: Sequence[tuple[str, str]] = ()) -> str:
    """Panels of horizontal bars, one below the other; `legend` are pairs of text and colour."""
    out: list[str] = []
    y = 34
    if legend:
        out += _legend(legend, y)
        y += 22
    for panel in panels:
        y += 12
        out.append(_text(12, y + 10, panel.title, size=13, weight="600"))
        y += 22
        room = _WIDTH - _LABEL - _NOTE
        longest = max([row.high or sum(value for value, _ in row.parts) for row in panel.rows] + [0])
        most = min(longest, panel.most or longest) or 1.0
        for row in panel.rows:
            middle = y + _ROW / 2
            out.append(_text(_LABEL - 8, middle + 4, row.label, anchor="end"))
            out.append(_rect(_LABEL, y + 4, room, _ROW - 8, _FAINT, 0.5))
            x = float(_LABEL)
            for value, colour in row.parts:
                width = min(room * value / most, _LABEL + room - x)
                if width > 0:
                    out.append(_rect(x, y + 4, max(width, 1), _ROW - 8, colour))
                x += width
            end = x
            if row.low is not None and row.high is not None:
                left, end = _LABEL + room * row.low / most, max(x, _LABEL + room * row.high / most)
                out += [_line(left, middle, _LABEL + room * row.high / most, middle, _INK)]
                out += [_line(at, middle - 4, at, middle + 4, _INK) for at in (left, _LABEL + room * row.high / most)]
            out.append(_text(end + 6, middle + 4, row.note, size=11))
            y += _ROW
        y += 6
    return _svg(title, y + 10, out)


def lines(title: str, x_title: str, y_title: str, all_of: Sequence[Line], height: int = 380) -> str:
    """Lines over an x axis of powers of two, as numbers of processes are, and a y axis from 0."""
    left, right, top, bottom = 76, _WIDTH - 24, _HEAD + 46, height - 52
    xs = sorted({x for line in all_of for x, _ in line.points})
    most = max([y for line in all_of for _, y in line.points] + [h for line in all_of for _, h in line.spread])
    step = _step(most)
    most = math.ceil(most / step) * step

    def at(x: float, y: float) -> tuple[float, float]:
        share = (math.log2(x) - math.log2(xs[0])) / (math.log2(xs[-1]) - math.log2(xs[0]) or 1)
        return left + 24 + (right - left - 48) * share, bottom - (bottom - top) * y / most

    out: list[str] = []
    for number in range(round(most / step) + 1):
        _, y = at(xs[0], number * step)
        out += [_line(left, y, right, y, _FAINT), _text(left - 8, y + 4, f"{number * step:,.0f}", anchor="end")]
    for x in xs:
        place, _ = at(x, 0)
        out.append(_text(place, bottom + 18, f"{x:g}", anchor="middle"))
    out.append(_text((left + right) / 2, bottom + 38, x_title, anchor="middle"))
    out.append(_text(left - 64, top - 16, y_title))
    for line in all_of:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in line.points))
        dash = ' stroke-dasharray="5 5"' if line.dashed else ""
        out.append(f'<polyline points="{path}" fill="none" stroke="{line.colour}" stroke-width="2"{dash}/>')
        for (x, y), (low, high) in zip(line.points, line.spread, strict=False):
            (px, _), (_, y0), (_, y1) = at(x, y), at(x, low), at(x, high)
            out.append(_line(px, y0, px, y1, line.colour))
        for x, y in () if line.dashed else line.points:
            px, py = at(x, y)
            out.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="{line.colour}"/>')
            if x in line.marked:
                out.append(
                    f'<circle cx="{px:.1f}" cy="{py:.1f}" r="9" fill="none" stroke="{line.colour}" stroke-width="2"/>'
                )
    return _svg(title, height, [*_legend([(line.label, line.colour) for line in all_of], 34), *out])


def _step(most: float) -> float:
    """A round distance of grid lines: four to eight of them."""
    size = 10 ** math.floor(math.log10(most or 1))
    return next(size * part for part in (0.2, 0.5, 1.0, 2.0) if most / (size * part) <= 8)


def _legend(entries: Sequence[tuple[str, str]], y: float) -> list[str]:
    out, x = [], 12.0
    for text, colour in entries:
        out += [_rect(x, y, 12, 12, colour), _text(x + 18, y + 10, text)]
        x += 36 + 6.6 * len(text)
    return out


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" width="{_WIDTH}" '
        f'height="{height:.0f}" role="img" font-family="system-ui, Segoe UI, Helvetica, Arial, sans-serif">'
    )
    # A ground of its own: the page behind may be dark.
    ground = f'<rect width="100%" height="100%" rx="6" fill="#FFFFFF"/><title>{escape(title)}</title>'
    return "\n".join([head, ground, _text(12, 23, title, size=15, weight="700"), *parts, "</svg>"]) + "\n"


def _text(x: float, y: float, text: str, size: int = 12, weight: str = "400", anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}"'
    more = (f' font-weight="{weight}"' if weight != "400" else "") + (
        f' text-anchor="{anchor}"' if anchor != "start" else ""
    )
    return f'<text {place} fill="{_INK}"{more}>{escape(text)}</text>'


def _rect(x: float, y: float, width: float, height: float, colour: str, opacity: float = 1) -> str:
    faint = f' opacity="{opacity:g}"' if opacity != 1 else ""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"{faint}/>'


def _line(x0: float, y0: float, x1: float, y1: float, colour: str) -> str:
    return f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{colour}" stroke-width="1.5"/>'
