"""The pure parts of almanac: what is read from a CSV file, and how it is drawn."""

import math
import sys
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples.example_apps import ALMANAC

sys.path.insert(0, str(ALMANAC))
from almanac.plot import line_chart, number
from almanac.summary import SummaryError, summarise

pytestmark = pytest.mark.pure
numbers = st.floats(-1e300, 1e300)


def test_columns_of_numbers_are_summarised_by_year() -> None:
    summary = summarise(["Date,station,level,", "2020-01-01,a,2,", "2020-07-01,b,4,", "2021-01-01,a,x,7", ""])
    assert summary.rows == 3
    level, unnamed = summary.columns
    assert (level.name, level.count, level.mean, level.minimum, level.maximum) == ("level", 2, 3, 2, 4)
    assert level.years == ((2020, 3.0),)
    assert (unnamed.name, unnamed.years) == ("column 4", ((2021, 7.0),))


def test_without_dates_there_are_no_years() -> None:
    assert summarise(["a,b", "1,2"]).columns[0].years == ()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "empty"),
        (["a,b"], "no column of numbers"),
        (["a,b", "x,nan", "y,inf"], "no column of numbers"),
        ([",".join("abcdefghij" * 5)], "50 columns"),
        (["a", "x" * 20_000], "no CSV"),
        (["a", "1e308", "1e308"], "too large"),
    ],
)
def test_what_cannot_be_summarised_is_said(lines: list[str], said: str) -> None:
    with pytest.raises(SummaryError, match=said):
        summarise(lines)


def test_a_file_that_is_not_text_is_said(tmp_path) -> None:
    (tmp_path / "a").write_bytes(b"a,b\n\xff\xfe,1\n")
    with (tmp_path / "a").open(encoding="utf-8", newline="") as lines, pytest.raises(SummaryError, match="UTF-8"):
        summarise(lines)


@given(st.lists(st.text(alphabet='a1,"2.-\0e\n ', max_size=30)))
def test_no_text_breaks_the_summary(lines: list[str]) -> None:
    try:
        summary = summarise(lines)
    except SummaryError:
        return
    for column in summary.columns:
        assert column.minimum <= column.maximum
        assert 0 < column.count <= summary.rows


@given(st.dictionaries(st.integers(0, 9999), numbers, max_size=80))
def test_every_chart_is_finite_svg(points: dict[int, float]) -> None:
    chart = line_chart(sorted(points.items()), "a < b & 'c'")
    if not points:
        assert chart == ""
        return
    root = ElementTree.fromstring(chart)
    line = root.find("{http://www.w3.org/2000/svg}polyline")
    assert line is not None
    drawn = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
    assert len(drawn) == len(points)
    assert all(56 <= x <= 704 and 16 <= y <= 248 for x, y in drawn)
    assert len(root) < 200


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234.5678, "1,235"), (10.336, "10.34"), (-0.4, "-0.4"), (1e12, "1e+12"), (0.00012345, "0.0001234")],
)
def test_numbers_have_four_digits_that_matter(value: float, text: str) -> None:
    assert number(value) == text


@given(numbers)
def test_every_number_is_written_near_its_value(value: float) -> None:
    assert math.isclose(float(number(value).replace(",", "")), value, rel_tol=0.01)
