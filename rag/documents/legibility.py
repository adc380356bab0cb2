"""How much of a text nobody can read: what a PDF gives whose fonts do not say which letters they draw."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache

# Above the first a page has no text; above the second a remark says how much is lost.
NO_TEXT = 0.2
REMARKABLE = 0.002
# Names of glyphs in the place of letters: "/g18/g152/g135", "(cid:12)(cid:7)".
_GLYPH_NAMES = re.compile(r"(?:/[A-Za-z_.]{1,12}\d{1,5}\s?){4,}|(?:\(cid:\d+\)\s?)+")
_LONG_WORD = re.compile(r"[^\W\d_]{4,}")
# Control, private use, surrogate, unassigned.
_NO_LETTERS = frozenset({"Cc", "Co", "Cs", "Cn"})
# Scripts that stand beside others within a word: signs of units, and text that has no blanks.
_GOES_WITH_ANY = frozenset(
    {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL", "BOPOMOFO", "FULLWIDTH", "HALFWIDTH"}
    | {"MODIFIER", "MICRO", "OHM", "KELVIN", "ANGSTROM", "FEMININE", "MASCULINE", "MATHEMATICAL", "SCRIPT"}
    | {"DOUBLE-STRUCK", "BLACK-LETTER", "THAI", "LAO", "KHMER", "MYANMAR"}
)


def illegible_share(text: str) -> float:
    """Return the share of the characters, from 0 to 1, that nobody can read; blanks do not count."""
    total = sum(not character.isspace() for character in text)
    if not total:
        return 0.0
    names = sum(sum(not c.isspace() for c in found[0]) for found in _GLYPH_NAMES.finditer(text))
    counts = Counter(_GLYPH_NAMES.sub(" ", text))
    signs = sum(count for one, count in counts.items() if _is_illegible(one))
    mixed = sum(len(word) for word in _LONG_WORD.findall(text) if _is_mixed(word))
    return min(1.0, (names + signs + mixed) / total)


def _is_illegible(character: str) -> bool:
    return character == "\ufffd" or (
        unicodedata.category(character) in _NO_LETTERS and not character.isspace()
    )


def _is_mixed(word: str) -> bool:
    """Return whether two letters or more of each of two scripts make the word."""
    if word.isascii():
        return False
    scripts = Counter(filter(None, map(_script, word)))
    return len(scripts) > 1 and min(scripts.values()) > 1


@lru_cache(maxsize=4096)
def _script(character: str) -> str:
    script = unicodedata.name(character, "").partition(" ")[0]
    return "" if script in _GOES_WITH_ANY else script
