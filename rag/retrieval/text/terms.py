"""Terms of texts as BM25 counts them: words, or pairs of letters in scripts without blanks between words."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from rag_evals.rag.retrieval.text.language import language_of

# Counts up when the same text gives other terms than before.
VERSION = 1
# Chinese, Japanese, Thai, Lao, Burmese and Khmer have no blanks between words; Korean has fewer than most, as
# particles are attached to a word.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
# Signs that are written above and below the letters of a word and belong to it.
_MARKS = "\u0300-\u036f\u0900-\u0963\u0971-\u0dff"
# Points of Hebrew and Arabic, which most texts leave out, and the stroke that stretches an Arabic word.
_POINTS = re.compile("[\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed\u00ad]")
_TERM = re.compile(
    rf"\d++(?:[.,]\d++)*+(?:(?![{_UNSPACED}])(?:[^\W_]|[{_MARKS}]))*+"
    rf"|[{_UNSPACED}]++|(?:(?![{_UNSPACED}])(?:[^\W_]|[{_MARKS}]))++"
)
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")

# The algorithms of Snowball, by the code of the language.
SNOWBALL = {
    "ar": "arabic",
    "cs": "czech",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "fa": "persian",
    "fi": "finnish",
    "fr": "french",
    "hi": "hindi",
    "hu": "hungarian",
    "id": "indonesian",
    "it": "italian",
    "nl": "dutch",
    "no": "norwegian",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sv": "swedish",
    "tr": "turkish",
}
# So many texts, spread evenly, tell the language of a corpus.
_SAMPLED = 25


def words_of(text: str) -> list[str]:
    """Return the words of `text` in order, folded; of what is written without blanks each pair of letters."""
    text = _POINTS.sub("", unicodedata.normalize("NFKC", text).casefold())
    words: list[str] = []
    for word in _TERM.findall(text):
        if _IS_UNSPACED.match(word):
            words += (word[at : at + 2] for at in range(max(1, len(word) - 1)))
        else:
            words.append(_THOUSANDS.sub("", word) if word[0].isdigit() else word)
    return words


def endless(words: Sequence[str], language: str) -> list[str]:
    """Return words without their endings, by Snowball's rules for a language; with "none" as they are."""
    if language == "none":
        return list(words)
    from Stemmer import Stemmer

    # One a call: they must not be shared by threads, and cost half a microsecond.
    stems: list[str] = Stemmer(language).stemWords(words)
    return stems


def function_words(language: str) -> frozenset[str]:
    """Return the words of a language that a question has whatever it is about; none for "none"."""
    from bm25s import stopwords

    name = "EN_PLUS" if language == "english" else language.upper()
    return frozenset(getattr(stopwords, f"STOPWORDS_{name}", ()))


def language_for(texts: Sequence[str]) -> str:
    """Return the language of most of `texts` as Snowball calls it; "none" where it knows no such language."""
    step = max(1, len(texts) // _SAMPLED)
    found = Counter(filter(None, (language_of(text) for text in texts[::step])))
    # most_common() keeps the order in which equal ones came.
    return next((SNOWBALL.get(code, "none") for code, _ in found.most_common(1)), "none")
