"""A line chart as SVG text. Pure. Presentation attributes only, so that it needs no style of its own."""

import math
from collections.abc import Sequence
from html import escape

_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 16, 32


def line_chart(points: Sequence[tuple[int, float]], title: str, width: int = 720, height: int = 280) -> str:
    """Draw (year, value) points, in order of years, as a line of `width` by `height` pixels.

    Gaps between years stay gaps in scale; a single point is drawn as a dot.
    """
    if not points:
        return ""
    years, values = [year for year, _ in points], [value for _, value in points]
    ticks = _ticks(min(values), max(values))
    low, high = ticks[0], ticks[-1]
    first, span = years[0], max(1, years[-1] - years[0])
    inner_width, inner_height = width - _LEFT - _RIGHT, height - _TOP - _BOTTOM

    def x(year: float) -> float:
        return _LEFT + (year - first) / span * inner_width

    def y(value: float) -> float:
        return _TOP + (high - value) / ((high - low) or 1) * inner_height

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" role="img" viewBox="0 0 {width} {height}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="#5b6472">',
        f"<title>{escape(title)}</title>",
    ]
    for tick in ticks:
        parts.append(
            f'<line x1="{_LEFT}" x2="{width - _RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="#e3e6ea"/>'
            f'<text x="{_LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{number(tick)}</text>'
        )
    step = max(1, math.ceil(span / 8))
    for year in range(first, years[-1] + 1, step):
        parts.append(f'<text x="{x(year):.1f}" y="{height - 10}" text-anchor="middle">{year}</text>')
    line = " ".join(f"{x(year):.1f},{y(value):.1f}" for year, value in points)
    parts.append(f'<polyline points="{line}" fill="none" stroke="#1f6f78" stroke-width="2" stroke-linejoin="round"/>')
    if len(points) <= 60:
        parts += [
            f'<circle cx="{x(year):.1f}" cy="{y(value):.1f}" r="3" fill="#1f6f78">'
            f"<title>{year}: {number(value)}</title></circle>"
            for year, value in points
        ]
    return "\n".join([*parts, "</svg>"])


def number(value: float) -> str:
    """Write a number with four digits that matter."""
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e9:
        return f"{value:.3g}"
    digits = max(0, 3 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _ticks(low: float, high: float) -> list[float]:
    """Round values from below `low` to above `high`, at most seven."""
    spread = high - low
    if spread <= max(abs(low), abs(high), 1e-290) * 1e-9 or not math.isfinite(spread):
        room = 1 if low == high == 0 else max(abs(low), abs(high)) / 2
        return [low - room, high + room]
    size = 10.0 ** math.floor(math.log10(spread / 4))
    step = next(size * factor for factor in (1, 2, 5, 10) if spread / (size * factor) <= 5)
    start = math.floor(low / step)
    count = math.ceil(high / step) - start
    return [float(f"{(start + i) * step:.12g}") for i in range(count + 1)]
