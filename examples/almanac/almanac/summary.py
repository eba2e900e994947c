"""From the lines of a CSV file to what almanac stores of it. Pure: text in, a value out."""

import csv
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TextIO

MAX_COLUMNS = 40
MAX_FIELD = 10_000  # characters
MAX_LINE = 1_000_000  # characters
_DATE_NAMES = ("date", "year", "month", "day", "time", "timestamp")
_DATE = re.compile(r"(\d{4})(-\d{1,2}){0,2}([T ].*)?")


class SummaryError(ValueError):
    """The file is no CSV that almanac can read; the message says why, for the user."""


@dataclass(frozen=True)
class ColumnSummary:
    """`years` are (year, mean of that year), in order; empty where the file has no column of dates."""

    name: str
    count: int
    mean: float
    minimum: float
    maximum: float
    years: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Summary:
    rows: int
    columns: tuple[ColumnSummary, ...]


class _Tally:
    def __init__(self) -> None:
        self.count, self.total = 0, 0.0
        self.minimum, self.maximum = math.inf, -math.inf
        self.years: dict[int, tuple[int, float]] = {}

    def add(self, value: float, year: int | None) -> None:
        self.count += 1
        self.total += value
        self.minimum, self.maximum = min(self.minimum, value), max(self.maximum, value)
        if year is not None:
            count, total = self.years.get(year, (0, 0.0))
            self.years[year] = (count + 1, total + value)

    def summary(self, name: str) -> ColumnSummary:
        years = tuple((year, total / count) for year, (count, total) in sorted(self.years.items()))
        mean = self.total / self.count
        if not all(map(math.isfinite, (mean, *(value for _, value in years)))):
            raise SummaryError(f"the numbers of column {name!r} are too large to be added up")
        return ColumnSummary(name, self.count, mean, self.minimum, self.maximum, years)


def lines_of(file: TextIO) -> Iterator[str]:
    """The lines of a file, none of them longer than memory allows. Raises SummaryError."""
    while line := file.readline(MAX_LINE):
        if len(line) == MAX_LINE:
            raise SummaryError(f"the file has a line of more than {MAX_LINE:,} characters")
        yield line


def summarise(lines: Iterable[str]) -> Summary:
    """Summarise the numeric columns of a CSV file with a header line. Raises SummaryError."""
    try:
        return _summarise(lines)
    except UnicodeDecodeError:
        raise SummaryError("the file is not text in UTF-8") from None
    except csv.Error as error:
        raise SummaryError(f"the file is no CSV: {error}") from None


def _summarise(lines: Iterable[str]) -> Summary:
    csv.field_size_limit(MAX_FIELD)
    table = csv.reader(lines)
    header = [name.strip()[:80] for name in next(table, [])]
    if not any(header):
        raise SummaryError("the file is empty")
    if len(header) > MAX_COLUMNS:
        raise SummaryError(f"the file has {len(header)} columns; almanac reads up to {MAX_COLUMNS}")
    when = next((i for i, name in enumerate(header) if name.lower() in _DATE_NAMES), None)
    tallies = [_Tally() for _ in header]
    rows = 0
    for row in table:
        rows += bool(row)
        date = _DATE.fullmatch(row[when].strip()) if when is not None and when < len(row) else None
        year = int(date[1]) if date else None
        for index, text in enumerate(row[: len(header)]):
            if index != when and (value := _number(text)) is not None:
                tallies[index].add(value, year)
    columns = tuple(
        tally.summary(name or f"column {index + 1}")
        for index, (name, tally) in enumerate(zip(header, tallies, strict=True))
        if tally.count
    )
    if not columns:
        raise SummaryError("the file has no column of numbers under a header line")
    return Summary(rows, columns)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
