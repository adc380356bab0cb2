"""Is a question on what its source is about? By names, and by the term that is explained."""

from __future__ import annotations

import re
from itertools import takewhile

from evals.evidence import stems
from evals.generation.names import names_in
from evals.quotes import find_words

# "Mixtral has the architecture of Mistral 7B, except that ...": what follows is said of the first.
_APART = re.compile(r"\b(?:except|with the difference|with one difference|but with)\b", re.IGNORECASE)
_NAME = re.compile(r"\b[A-Z][\w-]*(?: \d+[A-Z]?)?\b")
# "A hard negative is a wrong passage", "Hard negative: a wrong passage": what is explained.
_EXPLAINED = re.compile(
    r"(?:an? |the )?(?P<term>[^,:;(]{2,60}?)(?:,[^,]*,| \([^)]*\))?"
    r"(?::| is| are| means?\b| refers?\b| denotes?\b)",
    re.IGNORECASE,
)
_WHAT_IS = re.compile(
    r"\bwhat (?:is|are|was|were) (?P<thing>[^?]+?)(?: (?:of|in|for|with|by|on|to|that|which)\b[^?]*)?\?\Z",
    re.IGNORECASE,
)
# Another thing; a verb behind "and" begins something else.
_MORE = re.compile(r",? and (?P<more>(?:an?|the|more|less) [^,.;:]+)")
_ARTICLE = re.compile(r"\A(?:the|an?) ", re.IGNORECASE)
_IS = re.compile(r"(?:is|are|was|were|means?|consists?|refers?)", re.IGNORECASE)


def passed_over(question: str, reference: str, source: str) -> list[str]:
    """Give whom a source tells apart from others, where neither question nor reference names it."""
    apart = _APART.search(source)
    name = _NAME.search(source, 0, apart.start()) if apart else None
    if not name or set(stems(name[0])) & set(stems(f"{question} {reference}")):
        return []
    return [name[0]]


def strangers(question: str, source: str) -> list[str]:
    """Give the names in `question` that `source` has nothing of; none where it is a single one.

    A single one may be what the passage of the source is about.
    """
    said = set(stems(source))
    found = [name for name in names_in(question) if not set(stems(name)) & said]
    return found if len(found) > 1 else []


def left_out(reference: str, source: str) -> list[str]:
    """Give what `source` goes on with behind `reference`, where that is more of the same: "and a ..."."""
    found = find_words(reference.rstrip(" ."), source)
    more = _MORE.match(source, found.end) if found else None
    return [more["more"]] if more else []


def unexplained(question: str, source: str) -> list[str]:
    """Give the term that `source` explains, where `question` does not ask for it."""
    found = _EXPLAINED.match(source)
    term = stems(found["term"]) if found else []
    if not found or not term or len(set(term) & set(stems(question))) * 2 > len(set(term)):
        return []
    return [found["term"].strip()]


def is_evaded(question: str, reference: str) -> bool:
    """Tell whether a question asks what something is, and the reference says what that does."""
    asked = _WHAT_IS.search(question)
    thing = set(stems(asked["thing"])) if asked else set()
    words = _ARTICLE.sub("", reference).split()
    named = list(takewhile(lambda word: set(stems(word)) <= thing, words))
    is_named = bool(thing) and thing <= set(stems(" ".join(named)))
    return is_named and len(named) < len(words) and not any(map(_IS.fullmatch, named))
