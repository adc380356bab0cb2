"""Numbers in texts: the same value in any notation is the same number."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest
from rag_evals.evals.judges.criteria.numerals import missing_numbers, numbers_of


def decimals(values) -> set[str]:
    return {f"{value:f}" for value in values}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1000", "1000"),
        ("1,000", "1000"),
        ("1.000", "1000"),
        ("1 000", "1000"),
        ("1\u202f000", "1000"),
        ("1'000", "1000"),
        ("1\u2019000", "1000"),
        ("1.000.000", "1000000"),
        ("1,234,567.89", "1234567.89"),
        ("1.234.567,89", "1234567.89"),
        ("3.14", "3.14"),
        ("3,14", "3.14"),
        (".5", "0.5"),
        ("0.125", "0.125"),
        ("1.50", "1.5"),
        ("-5", "-5"),
        ("\u22125", "-5"),
        ("+5", "5"),
        ("1.2e5", "120000"),
        ("1.2E-3", "0.0012"),
        ("1.2 x 10^5", "120000"),
        ("1.2 \u00d7 10\u2075", "120000"),
        ("10\u207b\u00b2", "0.01"),
        ("5k", "5000"),
        ("3.5M", "3500000"),
        ("2bn", "2000000000"),
        ("2 million", "2000000"),
        ("1,5 Mio.", "1500000"),
        ("3 Mrd. Euro", "3000000000"),
        ("\u0663", "3"),
        ("seven", "7"),
        ("twenty-five", "25"),
        ("two hundred and five", "205"),
        ("three million two hundred thousand", "3200000"),
        ("a hundred", "100"),
        ("a million", "1000000"),
    ],
)
def test_notations(text, value):
    """Each is read as this number."""
    (numeral,) = numbers_of(text, is_reference=True)
    assert value in decimals(numeral.values)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("2024-05-01", ["2024", "05", "01"]),
        ("3.2.1", ["3", "2", "1"]),
        ("1,2,3", ["1", "2", "3"]),
        ("2019-2020", ["2019", "2020"]),
        ("two, three", ["two", "three"]),
        ("one of them", []),
        ("nothing at all", []),
        ("20 EUR, 20 EUR", ["20"]),
    ],
)
def test_what_is_a_number(text, values):
    """A date, a version and a list are their parts; a lone "one" of a reference is a pronoun."""
    assert [numeral.text for numeral in numbers_of(text, is_reference=True)] == values


def test_per_cent_is_both():
    """The number that stands there, and its share."""
    for text in ("5 %", "5%", "5 percent", "5 per cent", "5 Prozent", "five percent"):
        (numeral,) = numbers_of(text)
        assert numeral.values == {Decimal(5), Decimal("0.05")}, text


@pytest.mark.parametrize(
    ("reference", "answer", "missing"),
    [
        ("1,000 EUR", "one thousand euros", []),
        ("1,250", "1.25", []),
        ("1.250", "1250", []),
        ("1", "1,000", ["1"]),
        ("1,000", "1", ["1,000"]),
        ("1,000", "1.0", ["1,000"]),
        ("85 %", "0.85", []),
        ("85 %", "85", []),
        ("-5 degrees", "5 degrees", ["-5"]),
        ("2 of 8 experts, 12.9B", "Two of eight experts: 12,900,000,000", []),
        ("2 of 8", "2 of 80", ["8"]),
        ("3.14", "3.1416", ["3.14"]),
        ("20 and 30 and 20", "none", ["20", "30"]),
    ],
)
def test_missing(reference, answer, missing):
    """What the answer has in no notation is named as the reference has it."""
    assert missing_numbers(reference, answer) == missing


@pytest.mark.parametrize(
    "text",
    [
        *("9" * 20_000, "1," * 10_000, "one " * 5_000, f"one{' ' * 20_000}", "1 000" * 4_000, "10^" * 6_000),
        *("1e" * 10_000, " 1 million" * 2_000, "-" * 20_000, "5e9999 " * 2_000),
    ],
)
def test_hostile_text(text):
    """The longest answer that is judged, of whatever it is made, takes no time."""
    start = time.perf_counter()
    numbers_of(text)
    assert time.perf_counter() - start < 5  # 0.3 s at most on an idle machine
