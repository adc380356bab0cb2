"""Rules on the form: one question, in English, with a reference that answers and does not decline."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rag_evals.evals.generation.candidate import Candidate
from rag_evals.evals.generation.rules.rule import ANSWERED, Criterion, Measured
from rag_evals.evals.generation.text.words import english_share
from rag_evals.evals.judges.claims.declines import declines
from rag_evals.evals.judges.claims.words import stems

FEWEST_WORDS, MOST_WORDS = 3, 40
MOST_REFERENCE_WORDS = 60
# Questions are short, and their content words are not among the common ones: the good questions written for
# the bundled corpus and for the Mixtral paper have 0.18 or more, German and French ones up to 0.13.
LEAST_ENGLISH = 0.15

CRITERION = Criterion(
    name="well-formed",
    description=f"One question in English of {FEWEST_WORDS} to {MOST_WORDS} words that begins and ends as "
    "one, without markup, and a reference that does not decline and is not given away.",
    threshold=0,
    side="at most",
    why="flaws of form; one is enough for a question that is not as people ask",
)

_ASKS = (
    r"(?:who|whom|whose|what|which|when|where|why|how|do|does|did|is|are|was|were|has|have|had|can|could|will"
    r"|would|should|may|might|must)"
)
# An adverbial phrase may come first: "In which layers", "According to Liu, where", "If a ..., what".
_BEGINS = re.compile(
    rf"(?:{_ASKS}\b|(?:[\w'\u2019.-]+,? ){{1,3}}?{_ASKS}\b|[^?]{{3,120}}, {_ASKS}\b)", re.IGNORECASE
)
_PREPOSITION = re.compile(
    r"(?:in|on|at|by|to|of|for|from|with|into|under|over|during|through|within|among|between|compared|according"
    r"|against|against|as|after|before|based|if|when|given|besides|apart|unlike|like|and|until|without|about|despite)\b",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"[{}<>|\\\ufffd]|\*\*|__|\$\$|```|\"\s*[:,]\s*\"")
_ENDS = re.compile(r"(?<!\w\.)\?[\"'\u201d\u2019)]?\Z")
# A second question: of two things that are compared it belongs to the first.
_ALSO = re.compile(r",? and (?:how|what|why|which|who|when|where)\b", re.IGNORECASE)
_TWICE = re.compile(r"\b(\w+) \1\b", re.IGNORECASE)


def flaws(candidate: Candidate) -> list[str]:
    """Return what is wrong with the form of a candidate, a phrase each."""
    question = candidate.question
    found = list(_of_question(question.question))
    if candidate.kind != "comparison" and _ALSO.search(question.question):
        found.append("asks two things")
    if candidate.kind in ANSWERED:
        found += _of_reference(question.question, question.reference or "", candidate.kind)
    return found


def well_formed(candidate: Candidate, _kept: Sequence[Candidate]) -> Measured:
    """Count the flaws of form."""
    found = flaws(candidate)
    return Measured(float(len(found)), "; ".join(found))


def _of_question(question: str) -> Iterator[str]:
    words = len(question.split())
    if not FEWEST_WORDS <= words <= MOST_WORDS:
        yield f"{words} words, not {FEWEST_WORDS} to {MOST_WORDS}"
    if not _ENDS.search(question) or question.count("?") > 1:
        yield "does not end with the one question mark in it"
    if re.search(r"[.!;:] [A-Z]", re.sub(r"\b(?:[A-Z]|vs|al|Dr|Mr|St|No)\.", "", question)):
        yield "more than one sentence"
    if not _begins_as_one(question):
        yield "does not begin as a question"
    if english_share(question) < LEAST_ENGLISH:
        yield "not in English"
    if _MARKUP.search(question) or _is_open(question):
        yield "holds markup, or brackets that do not close"
    if _TWICE.search(question):
        yield f'says "{_TWICE.search(question)[0]}"'  # type: ignore[index]


def _begins_as_one(question: str) -> bool:
    """Return whether an interrogative stands where one does: first, or behind an adverbial phrase."""
    if re.match(rf"[\"'“]?{_ASKS}\b", question, re.IGNORECASE):
        return True
    return bool(_PREPOSITION.match(question)) and bool(_BEGINS.match(question))


def _is_open(question: str) -> bool:
    pairs = (("(", ")"), ("[", "]"), ("\u201c", "\u201d"))
    return question.count('"') % 2 == 1 or any(question.count(a) != question.count(b) for a, b in pairs)


def _of_reference(question: str, reference: str, kind: str) -> Iterator[str]:
    words = len(reference.split())
    if not words:
        yield "has no reference"
    elif words > MOST_REFERENCE_WORDS:
        yield f"a reference of {words} words, more than {MOST_REFERENCE_WORDS}"
    elif declines(reference):
        yield "the reference declines"
    told = set(stems(reference))
    offers = " or " in question or kind in ("comparison", "definition")
    if told and not offers and told <= set(stems(question)):
        yield "the question gives its answer away"
    if _MARKUP.search(reference):
        yield "a reference with markup"
