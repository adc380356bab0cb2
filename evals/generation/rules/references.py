"""Rules on references, by words: they say what the sources say, and more than the question says already.

A small model that adds a word of its own to a reference has mostly made it up, and one that has nothing to
tell says the question again. Asked whether that is so, it says that all is well.
"""

from __future__ import annotations

from collections.abc import Sequence

from rag_evals.evals.generation.candidate import Candidate
from rag_evals.evals.generation.rules.rule import ANSWERED, Criterion, Measured
from rag_evals.evals.generation.text.words import names_in
from rag_evals.evals.judges.claims.words import stems

# Of a reference; one with fewer words of content may share half of them with its question.
LONG = 4

IN_ITS_WORDS = Criterion(
    name="in-its-words",
    description="The reference is said in words of its sources.",
    threshold=0.8,
    side="at least",
    why="share of words of content; of 60 right references one has less than 0.83, of references that were "
    "made up half have less",
    kinds=ANSWERED,
)
TELLS = Criterion(
    name="tells-something",
    description=f"Of a reference with {LONG} words of content or more, the question holds less than half.",
    threshold=0.45,
    side="at most",
    why="share of words of content; of 60 references that answer none has more, of 5 that say the question "
    "again 4",
    kinds=ANSWERED - {"number", "comparison"},
)
NEEDS_BOTH = Criterion(
    name="needs-both",
    description="A comparison names what each of its two sources is on, and each gives a part of the "
    "reference that neither the other one nor the question gives.",
    threshold=1,
    side="at least",
    why="words of content of the source that gives fewer; with none, one source is enough",
    kinds=frozenset({"comparison"}),
)

# Words that join what a source says to an answer.
_JOINING = frozenset(
    {"because", "while", "wherea", "against", "take", "taken", "takes", "mean", "means", "compar", "s", "it"}
    | {"both", "other", "respective"}
)
# What tells nothing by itself: "most benchmarks", asked on which benchmarks.
_AMOUNTS = frozenset(
    ("most", "many", "more", "less", "fewer", "some", "several", "all", "few", "various", "certain", "better")
)


def in_its_words(candidate: Candidate, _kept: Sequence[Candidate]) -> Measured:
    """Measure which share of a reference's words of content its sources have."""
    said = _content(candidate.question.reference or "")
    theirs = {stem for source in candidate.question.sources for stem in stems(source.quote or "")}
    if not said:
        return Measured(1.0)
    added = sorted(said - theirs)
    share = 1 - len(added) / len(said)
    return Measured(share, f"the reference has words that its source has not: {', '.join(added)}")


def tells_something(candidate: Candidate, _kept: Sequence[Candidate]) -> Measured:
    """Measure which share of a reference's words of content its question has; 0 of few, or with a number."""
    question, said = candidate.question, _content(candidate.question.reference or "")
    asked = set(stems(question.question))
    if said and said <= asked | _AMOUNTS:
        return Measured(1.0, "the question gives all of the reference but how much")
    if len(said) < LONG or any(stem[0].isdigit() for stem in said):
        return Measured(0.0)
    share = len(said & asked) / len(said)
    return Measured(share, f"{share:.0%} of the reference's words are in the question already")


def needs_both(candidate: Candidate, _kept: Sequence[Candidate]) -> Measured:
    """Count the words of a reference that only one source gives, for the source that gives fewer."""
    question = candidate.question
    if not _names_both(question.question, [source.quote or "" for source in question.sources]):
        return Measured(0.0, "it does not name what each of its two sources is on")
    said = set(stems(question.reference or "")) - set(stems(question.question))
    given = [set(stems(source.quote or "")) for source in question.sources]
    others = [set().union(*(given[:n] + given[n + 1 :])) for n in range(len(given))]
    counts = [len(said & (ours - theirs)) for ours, theirs in zip(given, others, strict=True)]
    return Measured(float(min(counts, default=0)), "one of its two sources is enough for the reference")


def _names_both(question: str, quotes: Sequence[str]) -> bool:
    """Return whether a question has a name, or else a word, of each source that the others have not."""
    asked, named = set(stems(question)), set(names_in(question))
    names, words = [set(names_in(quote)) for quote in quotes], [set(stems(quote)) for quote in quotes]
    for place in range(len(quotes)):
        own = names[place].difference(*names[:place], *names[place + 1 :])
        if not (own & named if own else words[place].difference(*words[:place], *words[place + 1 :]) & asked):
            return False
    return True


def _content(text: str) -> set[str]:
    return {stem for stem in stems(text) if stem not in _JOINING}
