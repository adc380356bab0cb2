"""Does the source speak of what a question asks for? What is counted or measured, and which relation.

Small models ask for "the main difference" or "the advantages" where a sentence has none, count what it does
not count, and take the size of a context for a number of tokens; asked whether that is right, they say yes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from evals.evidence import stems
from evals.generation.candidates import Candidate
from evals.generation.numbers import misnamed
from evals.generation.rules import ANSWERED, Criterion, Measured
from evals.generation.subjects import is_evaded, left_out, passed_over, strangers, unexplained

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


def to_the_point(candidate: Candidate, kept: Sequence[Candidate]) -> Measured:  # noqa: ARG001 - all rules alike
    """Count the things asked for that the source has no word of."""
    for found, reason in _flaws(candidate):
        if found:
            return Measured(float(len(found)), f"{reason} {', '.join(found)}")
    return Measured(0.0)


def _flaws(candidate: Candidate) -> Iterator[tuple[Sequence[str], str]]:
    """Give what each check finds, and what is to be said of it."""
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
    """Give the things that `question` asks for and `source` has no word of."""
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
