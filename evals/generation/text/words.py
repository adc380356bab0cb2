"""English told from other languages: prompts and rules are English, and small models mix languages up."""

from __future__ import annotations

import re

from rag_evals.rag.retrieval.text.sentences import split_sentences

# English text has about 0.4 of these; German, French, Spanish or Italian text 0.02 to 0.1.
LEAST = 0.2
# A single sentence may have few. Of 387 in three papers two have fewer than this, one of them a formula.
LEAST_OF_SENTENCE = 0.07
# Why such text is left out.
NOT_ENGLISH = "text that is not English"
# Fewer letters of another script are a formula or a name.
FEWEST_FOREIGN = 8
_WORD = re.compile(r"[^\W\d_]+")
_LATIN = re.compile(r"[A-Za-z\u00aa-\u024f]")
# Chinese and Japanese put no blanks between words: each character counts as one.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "the of and to a in is that for it as was with be by on not he his but at are this have from or "
        "had an they which you were their one all we can been has there when more if no would who will "
        "its do does than these into two may other some such each only also between where how most so "
        "because while both what about any then them over use used uses using after before",
    )
)


def english_share(text: str) -> float:
    """Return the share of the words of `text` that are among the commonest English ones; 0 without words."""
    words = _WORD.findall(text.lower())
    return sum(word in _COMMON for word in words) / len(words) if words else 0.0


def words_in(text: str) -> int:
    """Count the words of `text`, in any script."""
    return len(_UNSPACED.sub(" x ", text).split()) if _UNSPACED.search(text) else len(text.split())


def is_of_other_script(text: str) -> bool:
    """Return whether most letters of `text` are not Latin ones."""
    letters = sum(map(str.isalpha, text))
    foreign = 0 if text.isascii() else letters - len(_LATIN.findall(text))
    return foreign >= FEWEST_FOREIGN and foreign > letters / 2


def is_english(text: str) -> bool:
    """Return whether `text` is written in English."""
    return english_share(text) >= LEAST


_RUN = re.compile(r"\b[A-Z][\w-]*(?:[ ][A-Z\d][\w.-]*)*|\b[a-z]+[A-Z]\w*")
_SURE = re.compile(r"[A-Z\d]")


def names_in(text: str) -> tuple[str, ...]:
    """Return the names in `text`, each once, in order.

    A capital letter at the beginning of a sentence makes none: there it takes another one, or a digit.
    """
    found = [name for span in split_sentences(text) for name in _names(span.text)]
    return tuple(dict.fromkeys(found))


def _names(sentence: str) -> list[str]:
    names = []
    for match in _RUN.finditer(sentence):
        words = match[0].split()
        if match.start() == 0 and not _SURE.search(words[0][1:]):
            words = words[1:]
        if words and not words[0].isdigit():
            names.append(" ".join(words).rstrip(".,"))
    return names
