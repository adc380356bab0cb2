"""Lines no wider than a terminal."""

from __future__ import annotations

import pytest
from rag_evals.evals.reports.text import aligned, cut, display_width, one_line, table, wrapped


@pytest.mark.parametrize(
    ("text", "columns"), [("", 0), ("abc", 3), ("専門", 4), ("e\u0301", 1), ("é", 1), ("\uff46", 2)]
)
def test_columns(text, columns):
    assert display_width(text) == columns


def test_one_line():
    assert one_line(" a\n\n b\t\x1b[2J\u202e") == "a b \N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("text", "columns", "said"),
    [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("専門家", 5, "専門…"), ("専門家", 4, "専…"), ("", 1, "")],
)
def test_cut(text, columns, said):
    assert cut(text, columns) == said


def test_wide_characters_take_two_columns():
    assert [display_width(text) for text in ("ab", "大b", "é", "🦜", "")] == [2, 3, 1, 2, 0]
    assert [cut("大大大大", width) for width in range(9)] == [
        "", "…", "…", "大…", "大…", "大大…", "大大…", "大大大…", "大大大大",
    ]  # fmt: skip


def test_wrapped():
    """Between words; within a word only where it is longer than a line."""
    assert wrapped("one two three", 9, first="- ", rest="  ") == ["- one two", "  three"]
    assert wrapped("a bbbbbbbbbbbbbbbb", 10) == ["a", "bbbbbbbbbb", "bbbbbb"]
    assert wrapped("専門家専門家", 8) == ["専門家専", "門家"]
    assert wrapped("", 10, first="- ") == ["-"]


ROWS = [("name", "n", "value"), ("baseline", "3", "0.5"), ("a-very-long-name", "12", "0.25")]


def test_table():
    assert table(ROWS, 40, left=1) == [
        "name               n  value",
        "baseline           3    0.5",
        "a-very-long-name  12   0.25",
    ]


def test_wide_characters_are_aligned():
    """By the columns that they take, to the left and to the right."""
    rows = [("name", "n", "値"), ("専門家", "12", "0.5"), ("ab", "3", "x")]
    assert aligned(rows) == ["name     n   値", "専門家  12  0.5", "ab       3    x"]
    assert aligned(rows, left=3) == ["name    n   値", "専門家  12  0.5", "ab      3   x"]


def test_a_narrow_table():
    """Names are cut where that is enough; else a row is a paragraph."""
    assert table(ROWS, 24, left=1) == [
        "name            n  value",
        "baseline        3    0.5",
        "a-very-long-…  12   0.25",
    ]
    assert table(ROWS, 20, left=1) == [
        "baseline",
        "  n 3, value 0.5",
        "a-very-long-name",
        "  n 12, value 0.25",
    ]
