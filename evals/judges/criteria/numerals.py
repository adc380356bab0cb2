"""Numbers in texts, in whatever notation: digits with separators, per cent, powers of ten, units, words.

The rule, which docs/criteria.md states for users:

- Of several separators the last one may be the decimal point; the others part groups of three digits.
- A single separator before exactly three digits is read both ways: `1.250` is a good thousand, and one and a
  quarter. As a decimal it is only ever equal to a number that is written with a decimal point itself; `1.000`
  and `1,000` are a thousand.
- `5 %` is 5 and 0.05; `1.2e5`, `1.2 x 10^5`; `5k`, `3.5M`, `2 million`, `1,5 Mio.`
- English words from zero up, "one" in a reference only where more follows: it is a pronoun as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

_THOUSAND, _MILLION, _BILLION, _TRILLION = (Decimal(10) ** power for power in (3, 6, 9, 12))
_SCALES = {
    "k": _THOUSAND,
    "K": _THOUSAND,
    "M": _MILLION,
    "B": _BILLION,
    **dict.fromkeys(("thousand", "thousands", "tausend", "tsd"), _THOUSAND),
    **dict.fromkeys(("million", "millions", "millionen", "mio", "mn"), _MILLION),
    **dict.fromkeys(("billion", "billions", "bn", "milliarde", "milliarden", "mrd"), _BILLION),
    **dict.fromkeys(("trillion", "trillions", "billionen", "tn"), _TRILLION),
}
_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"),
    *("twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_WORDS = {word: Decimal(value) for value, word in enumerate(_UNITS)} | {
    word: Decimal(10 * tens) for tens, word in enumerate(_TENS, 2)
}
_HUNDRED = {"hundred": Decimal(100)}
_LARGE = {name: _SCALES[name] for name in ("thousand", "million", "billion", "trillion")}

# Superscripts and look-alikes as they are typed; Arabic separators; every blank that parts digits.
_TYPED = str.maketrans(
    {
        "\u2212": "-",
        "\u066b": ".",
        "\u066c": ",",
        "\u2019": "'",
        **dict.fromkeys("\u00a0\u2007\u2009\u202f", " "),
    }
)
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_POWER = re.compile(r"10([⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
_BARE_POWER = re.compile(r"(?<![\w.,^x\u00d7*\u00b7])(?<![x\u00d7*\u00b7]\s)10\^")
_UNIT = "|".join(sorted((name for name in _SCALES if len(name) > 1), key=len, reverse=True))
# At most so many digits: beyond, it is an identifier that nobody compares.
_MOST_DIGITS = 400
_NUMBER = re.compile(
    rf"""
    (?P<sign>(?<![\w.)\]])[-+](?=\.?\d))?
    (?P<digits>\d{{1,3}}(?:[ ']\d{{3}})+(?!\d)(?:[.,]\d+)?|\d+(?:[.,]\d+)*|(?<![\w.])\.\d+)
    (?:[eE](?P<exponent>[-+]?\d{{1,4}})(?!\w)|\s?[x\u00d7*\u00b7]\s?10\^(?P<power>[-+]?\d{{1,4}}))?
    (?:(?P<letter>[kKMB])(?!\w)|\s?(?P<unit>(?i:{_UNIT}))\b)?
    (?P<percent>\s?(?:%|(?i:per\s?cent|prozent)\b))?
    """,
    re.VERBOSE,
)
_WORD = re.compile(
    rf"\b(?:(?:{'|'.join((*_WORDS, *_HUNDRED, *_LARGE))})\b(?:[\s-]+(?:and\s+)?)?)+", re.IGNORECASE
)
_PER_CENT = re.compile(r"\s*(?:%|per\s?cent\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Numeral:
    """A number as it stands in a text.

    Attributes:
        text: How it is written.
        values: What it may mean.
        decimals: What it may mean as a number with a decimal point.
    """

    text: str
    values: frozenset[Decimal]
    decimals: frozenset[Decimal] = frozenset()


def missing_numbers(reference: str, answer: str) -> list[str]:
    """Return the numbers of `reference` that `answer` has in no notation, as they are written there."""
    said = numbers_of(answer)
    values = {value for number in said for value in number.values}
    decimals = {value for number in said for value in number.decimals}
    return [
        number.text
        for number in numbers_of(reference, is_reference=True)
        if values.isdisjoint(number.values) and decimals.isdisjoint(number.decimals)
    ]


def numbers_of(text: str, *, is_reference: bool = False) -> list[Numeral]:
    """Return the numbers of `text`; each once, in its order.

    Args:
        text: The text.
        is_reference: Whether each of them is looked for: then a lone "one" is none.
    """
    typed = _POWER.sub(lambda found: f"10^{found[1].translate(_RAISED)}", text.translate(_TYPED))
    typed = _BARE_POWER.sub("1x10^", typed)
    found = [*_in_digits(typed), *_in_words(typed, is_reference=is_reference)]
    return list(dict.fromkeys(numeral for _, numeral in sorted(found, key=lambda one: one[0])))


def _in_digits(text: str) -> Iterator[tuple[int, Numeral]]:
    for found in _NUMBER.finditer(text):
        digits = found["digits"]
        readings = _readings(digits) if len(digits) <= _MOST_DIGITS else None
        if readings is None:
            # A date, a version, a list: each part is a number.
            for part in re.finditer(r"\d+", digits):
                if len(part[0]) <= _MOST_DIGITS:
                    yield found.start() + part.start(), Numeral(part[0], frozenset({Decimal(part[0])}))
            continue
        whole, decimal = readings
        yield (
            found.start(),
            Numeral(found[0].strip(), _scaled(found, whole), _scaled(found, decimal)),
        )


def _readings(digits: str) -> tuple[frozenset[Decimal], frozenset[Decimal]] | None:
    """Return what digits with separators mean, as a number of whichever kind and as one with a decimal point.

    None where they are no number: groups of another length than three.
    """
    plain = re.sub(r"[ ']", "", digits)
    head, *groups = re.split(r"[.,]", plain)
    signs = re.findall(r"[.,]", plain)
    whole = frozenset({Decimal(head + "".join(groups))})
    if not groups:
        return whole, frozenset()
    decimal = frozenset({Decimal(f"{head or 0}{''.join(groups[:-1])}.{groups[-1]}")})
    is_grouped = 0 < len(head) <= 3 and head[0] != "0" and all(len(group) == 3 for group in groups[:-1])
    ends_in_group = is_grouped and len(groups[-1]) == 3
    if len(groups) == 1:
        if not ends_in_group:
            return decimal, decimal
        return whole, frozenset() if groups == ["000"] else decimal
    if len(set(signs)) == 1:
        return (whole, frozenset()) if ends_in_group else None
    is_one_point = len(set(signs[:-1])) == 1 and signs[-1] != signs[0]
    return (decimal, decimal) if is_grouped and is_one_point else None


def _scaled(found: re.Match[str], values: frozenset[Decimal]) -> frozenset[Decimal]:
    """Return what a number means with its sign, its power of ten, its unit; per cent as both."""
    power = Decimal(10) ** int(found["exponent"] or found["power"] or 0)
    unit = found["unit"]
    scale = _SCALES[found["letter"]] if found["letter"] else _SCALES[unit.lower()] if unit else Decimal(1)
    factor = power * scale * (-1 if found["sign"] == "-" else 1)
    scaled = {(value * factor).normalize() for value in values}
    return frozenset(scaled | ({value / 100 for value in scaled} if found["percent"] else set()))


def _in_words(text: str, *, is_reference: bool) -> Iterator[tuple[int, Numeral]]:
    for found in _WORD.finditer(text):
        # "2 million" was read with its digits.
        if re.search(r"\d\s?$", text[max(0, found.start() - 2) : found.start()]):
            continue
        words = [word for word in re.findall(r"[a-z]+", found[0].lower()) if word != "and"]
        for said in _numbers_in(words):
            if said == ["one"] and is_reference:
                continue
            values = {_value(said)}
            if _PER_CENT.match(text, found.end()):
                values |= {value / 100 for value in values}
            yield found.start(), Numeral(" ".join(said), frozenset(values))


def _numbers_in(words: list[str]) -> list[list[str]]:
    """Part words into numbers: "two three" are two, "twenty three" and "two hundred" one each."""
    numbers: list[list[str]] = []
    for word in words:
        last = numbers[-1][-1] if numbers else ""
        goes_on = bool(last) and (
            word in _HUNDRED
            or word in _LARGE
            or last in _HUNDRED
            or last in _LARGE
            or (last in _WORDS and word in _WORDS and _WORDS[last] >= 20 and 0 < _WORDS[word] < 10)
        )
        if goes_on:
            numbers[-1].append(word)
        else:
            numbers.append([word])
    return numbers


def _value(words: list[str]) -> Decimal:
    total, part = Decimal(0), Decimal(0)
    for word in words:
        if word in _WORDS:
            part += _WORDS[word]
        elif word in _HUNDRED:
            part = max(part, Decimal(1)) * 100
        else:
            total, part = total + max(part, Decimal(1)) * _LARGE[word], Decimal(0)
    return (total + part).normalize()
