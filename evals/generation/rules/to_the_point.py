"""Rules on what is asked for: the source counts or measures it, or speaks of the relation.

Small models ask for "the main difference" or "the advantages" where a sentence has none, count what it does
not count, and take the size of a context for a number of tokens; asked whether that is right, they say yes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import takewhile

from rag_evals.evals.generation.candidate import Candidate
from rag_evals.evals.generation.rules.rule import ANSWERED, Criterion, Measured
from rag_evals.evals.generation.text.words import names_in
from rag_evals.evals.judges.claims.words import stems
from rag_evals.evals.questions.sources.quotes import find_words

CRITERION = Criterion(
    name="to-the-point",
    description="The source speaks of what is asked for: of the things that are counted or measured, and of "
    "the difference, the advantage or the like.",
    threshold=0,
    side="at most",
    why="things asked for that the source has no word of; one is enough",
    kinds=ANSWERED - {"comparison"},  # two sentences differ without saying so
)
# What a source says that has one, besides the word itself.
_CONTRAST = r"differ|contrast|unlike|wherea|while|than|instead|but|however|rather|compare|versus"
_GAIN = (
    r"benefit|advantag|better|improv|fast|cheap|less|fewer|lower|higher|more|reduc|gain|save|allow|enabl|help"
)
_RELATIONS = {
    "difference": _CONTRAST,
    "distinction": _CONTRAST,
    "comparison": _CONTRAST,
    "advantage": _GAIN,
    "benefit": _GAIN,
    "disadvantage": r"disadvantag|drawback|weak|limit|cost|worse|slow|but|however|fail",
    "drawback": r"drawback|disadvantag|weak|limit|cost|worse|slow|but|however|fail",
    "significance": r"signific|import|key|crucial|essential|central",
    "importance": r"signific|import|key|crucial|essential|central",
    "feature": r"featur|characteri|key|propert|with",
    "limitation": r"limit|weak|drawback|cannot|fail|but|however|only",
}
_RELATION = re.compile(
    r"\b(?:what|which) (?:is|are|was|were) (?:the |an? |some )?(?:[\w-]+ ){0,2}?"
    rf"(?P<noun>{'|'.join(_RELATIONS)})s?\b",
    re.IGNORECASE,
)
_KNOWN_FOR = re.compile(r"\b(?:known|famous|noted|renowned) for\b", re.IGNORECASE)
_BETWEEN = re.compile(r"\bbetween (?P<one>[^?,]+?) and (?P<other>[^?,]+)", re.IGNORECASE)
_VERB = r"(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|must|should|may|might|there)"
_LINK = r"(?:in|of|per|on|for|from|with|at|to|by|that|each|it)"
_COUNTED = re.compile(
    rf"\bhow many (?P<things>(?:[\w'-]+ ){{0,4}}?[\w'-]+)(?= {_VERB}\b| {_LINK}\b|\?|,)", re.IGNORECASE
)


def to_the_point(candidate: Candidate, _kept: Sequence[Candidate]) -> Measured:
    """Count the things asked for that the source has no word of."""
    for found, reason in _flaws(candidate):
        if found:
            return Measured(float(len(found)), f"{reason} {', '.join(found)}")
    return Measured(0.0)


def _flaws(candidate: Candidate) -> Iterator[tuple[Sequence[str], str]]:
    """Yield what each check finds, and what is to be said of it."""
    asked, reference = candidate.question.question, candidate.question.reference or ""
    source = " ".join(source.quote or "" for source in candidate.question.sources)
    yield missing(asked, source), "the source says nothing of:"
    yield misnamed(asked, reference, source), "the source gives the number of something else:"
    yield passed_over(asked, reference, source), "the source says it of"
    yield strangers(asked, source), "the source names none of:"
    if not re.search(r"\d", reference):  # of two numbers one is asked for
        yield left_out(reference, source), "the reference leaves out:"
    if candidate.kind == "definition":
        yield unexplained(asked, source), "the source explains another term:"
    if is_evaded(asked, reference):
        yield ["what it does"], "asked what something is, the reference says"


def missing(question: str, source: str) -> list[str]:
    """Return the things that `question` asks for and `source` has no word of."""
    return [*_uncounted(question, set(stems(source))), *_unrelated(question, source)]


def _uncounted(question: str, said: set[str]) -> Iterator[str]:
    for found in _COUNTED.finditer(question):
        things = stems(found["things"])
        if things and things[-1] not in said:
            yield found["things"]


def _unrelated(question: str, source: str) -> Iterator[str]:
    for found in _RELATION.finditer(question):
        if not re.search(rf"\b(?:{_RELATIONS[found['noun'].lower()]})", source, re.IGNORECASE):
            yield found["noun"]
    for found in _BETWEEN.finditer(question) if _RELATION.search(question) else ():
        one, other = set(stems(found["one"])), set(stems(found["other"]))
        theirs = set(stems(source))
        for side, mine in ((found["one"], one - other), (found["other"], other - one)):
            if mine and not mine & theirs:
                yield side
    for found in _KNOWN_FOR.finditer(question):
        if not _KNOWN_FOR.search(source):
            yield found[0]


# What a number may be called that a source gives without a name.
_MEASURES = frozenset(
    """
    percentage percent share proportion fraction portion ratio rate number amount quantity size length width
    height depth dimension distance weight mass volume area age duration time period year date day month
    speed temperature price cost total sum count value range minimum maximum average mean median limit
    difference increase decrease reduction improvement gain drop change score by
    """.split()  # noqa: SIM905
)
_MEASURED = re.compile(
    r"\bwhat (?:is|are|was|were) the (?P<name>(?:[\w'-]+ ){0,4}?[\w'-]+)"
    r"(?= (?:of|for|between|in|on|with|at|per|by|that|when|used)\b|\?)",
    re.IGNORECASE,
)
# "a context of 32,768 tokens": the number is that of the context.
_ATTRIBUTE = r"\b(?P<name>(?![a-z-]+ed )[a-z-]{3,})s? of (?:about |up to |at least |only |over |around )?"


def misnamed(question: str, number: str, source: str) -> list[str]:
    """Return the names of `number` that only one of `question` and `source` has; none of what is no number.

    Those are what the question calls it, where the source has no word of that, and what the source says it
    is the size of, where the question has no word of that.
    """
    value = re.search(r"\d[\d,.]*\d|\d", number)
    if not value:
        return []
    asked, said = set(stems(question)), set(stems(source))
    names = [found["name"] for found in _MEASURED.finditer(question)]
    strange = [name for name in names if not (set(stems(name)) & (said | _MEASURES))]
    found = re.search(_ATTRIBUTE + re.escape(value[0]), source)
    if found and not set(stems(found["name"])) <= (asked | _MEASURES):
        strange.append(found["name"])
    return strange


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
    """Return whom a source tells apart from others, where neither question nor reference names it."""
    apart = _APART.search(source)
    name = _NAME.search(source, 0, apart.start()) if apart else None
    if not name or set(stems(name[0])) & set(stems(f"{question} {reference}")):
        return []
    return [name[0]]


def strangers(question: str, source: str) -> list[str]:
    """Return the names in `question` that `source` has nothing of; none where it is a single one.

    A single one may be what the passage of the source is about.
    """
    said = set(stems(source))
    found = [name for name in names_in(question) if not set(stems(name)) & said]
    return found if len(found) > 1 else []


def left_out(reference: str, source: str) -> list[str]:
    """Return what `source` goes on with behind `reference`, where that is more of the same: "and a ..."."""
    found = find_words(reference.rstrip(" ."), source)
    more = _MORE.match(source, found.end) if found else None
    return [more["more"]] if more else []


def unexplained(question: str, source: str) -> list[str]:
    """Return the term that `source` explains, where `question` does not ask for it."""
    found = _EXPLAINED.match(source)
    term = stems(found["term"]) if found else []
    if not found or not term or len(set(term) & set(stems(question))) * 2 > len(set(term)):
        return []
    return [found["term"].strip()]


def is_evaded(question: str, reference: str) -> bool:
    """Return whether a question asks what something is, and the reference says what that does."""
    asked = _WHAT_IS.search(question)
    thing = set(stems(asked["thing"])) if asked else set()
    words = _ARTICLE.sub("", reference).split()
    named = list(takewhile(lambda word: set(stems(word)) <= thing, words))
    is_named = bool(thing) and thing <= set(stems(" ".join(named)))
    return is_named and len(named) < len(words) and not any(map(_IS.fullmatch, named))
