"""The rule on own words: a question that says its sentence again is found by any word search."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag_evals.evals.generation.candidate import Candidate
from rag_evals.evals.generation.rules.rule import EVERY_KIND, Criterion, Measured

# Words of a run that counts as copied, and how many of them may be parts of names or numbers.
RUN = 5
MOST_NAMES = 1

CRITERION = Criterion(
    name="own-words",
    description=f"The question is no copy of its sentence: of its words, those in runs of {RUN} or more that "
    "stand there too are few.",
    threshold=0.55,
    side="at most",
    why="share of words; of 64 questions that people would ask, none had more than 0.5, of six copies none "
    "less than 0.58",
    kinds=EVERY_KIND - {"unanswerable"},
)

_WORD = re.compile(r"[^\W_]+(?:[.,]\d+)*")


def own_words(candidate: Candidate, _kept: Sequence[Candidate]) -> Measured:
    """Measure which share of a question's words it took over from its sources."""
    sources = [source.quote or "" for source in candidate.question.sources]
    share = copied(candidate.question.question, sources)
    return Measured(share, f"{share:.0%} of its words are copied from its sentence")


def copied(question: str, sources: Sequence[str]) -> float:
    """Return the share of the words of `question` that stand in runs of `RUN` words that a source has too."""
    words = _WORD.findall(question)
    theirs = {run for source in sources for run in _runs(_WORD.findall(source))}
    taken = {
        place + n
        for place, run in enumerate(_runs(words))
        if run in theirs and not _is_of_names(words[place : place + RUN])
        for n in range(RUN)
    }
    return len(taken) / len(words) if words else 0.0


def _runs(words: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(word.lower() for word in words[n : n + RUN]) for n in range(len(words) - RUN + 1)]


def _is_of_names(words: Sequence[str]) -> bool:
    return sum(not word.islower() for word in words) > MOST_NAMES
