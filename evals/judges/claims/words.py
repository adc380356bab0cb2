"""Words of texts as evidence compares them: without endings, numbers by value, any script."""

# ruff: noqa: RUF001 - separators of digits look alike

from __future__ import annotations

import re
import unicodedata

# A number that is stated: not that of a list's item ("1. Router"), nor part of a name ("8x7B").
NUMBER = re.compile(
    r"(?<![\w.,-])\d[\d.,]*+(?<!\.)[kmbt]?(?!\w)|\b(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven"
    r"|twelve|\w+teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|hundreds?|(?:thous|dozen|[mb]illion)\w*"
    r"|half|twice|both)\b"
)
# What is written without blanks between words (Chinese, Japanese kana, Thai, Lao, Khmer, Burmese) is compared
# letter by letter; marks that belong to letters (vowel signs, points) are part of their word.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_MARKS = "\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670\u0900-\u0963\u0971-\u0dff"
_WORD = re.compile(
    rf"\d+(?:[.,'’٫٬\u00a0\u202f]\d+)*(?:(?![{_UNSPACED}])(?:[^\W_]|[{_MARKS}]))*"
    rf"|[{_UNSPACED}]|(?:(?![{_UNSPACED}])(?:[^\W_]|[{_MARKS}]))+(?:[.,]\d+)*"
)
_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be been but by did do does for from had has have he her his how i in is it its no"
        " not of on or our she so than that the their then there these they this those to was we were what"
        " when where which who will with you your",
    )
)
# What two copies of a sentence may differ in.
_JOINTS = frozenset({"a", "an", "the", "and", "but", "so", "also", "then", "thus"})
_NUMBER_WORDS = re.findall(r"\w+", "zero one two three four five six seven eight nine ten eleven twelve")
_NUMBERS = {word: str(number) for number, word in enumerate(_NUMBER_WORDS)}
_ENDINGS = ("ings", "ing", "ies", "ied", "es", "ed", "ly", "s")
_FIGURES = re.compile(r"\d+(?:[.,'’٫٬\u00a0\u202f]\d+)+(?!\w)")
# Groups of three digits that are parted throughout: 1,024 and 1.234.567 and 12'000.
_THOUSANDS = re.compile(
    r"[1-9]\d{0,2}(?:,\d{3})+|[1-9]\d{0,2}(?:\.\d{3}){2,}|[1-9]\d{0,2}(?:['’٬\u00a0\u202f]\d{3})+"
)


def stems(text: str) -> list[str]:
    """Return the content words of `text` without their endings, in order; numbers are figures."""
    return [_stem(word) for word in _words(text) if word not in _FUNCTION_WORDS]


def wording(text: str) -> tuple[str, ...]:
    """Return all that copies of a sentence have in common: each of its words, but those that join it on."""
    return tuple(word for word in _words(text) if word not in _JOINTS)


def _words(text: str) -> list[str]:
    found = (figures(word) for word in _WORD.findall(text.lower()))
    return [_NUMBERS.get(word, word) for word in found]


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) > len(ending) + 3:
            return word[: -len(ending)]
    return word


def figures(word: str) -> str:
    """Return the number that `word` begins with in one spelling: 1,5 is 1.5, and 1,024 is 1024.

    A comma before three digits parts thousands, before more or fewer it is a decimal comma; a single point is
    a decimal point.
    """
    if not word[:1].isdigit():
        return word
    word = "".join(str(unicodedata.decimal(letter, letter)) for letter in word)
    parted = _FIGURES.match(word)
    return _value(parted[0]) + word[parted.end() :] if parted else word


def _value(number: str) -> str:
    if _THOUSANDS.fullmatch(number):
        return re.sub(r"\D", "", number)
    mark = max(number.rfind(separator) for separator in ".,٫")
    whole, decimals = number[:mark], number[mark + 1 :]
    if number.count(number[mark]) > 1:  # a version, a date: 1.2.3
        return number
    if not whole.isdigit() and not _THOUSANDS.fullmatch(whole) and not re.fullmatch(r"\d{1,3}\.\d{3}", whole):
        return number
    return f"{re.sub(r'[^0-9]', '', whole)}.{decimals}"
