"""The rules that decide which candidates are kept, cheapest first: the first that drops one ends it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from rag_evals.evals.generation.examiner import Examiner
from rag_evals.evals.generation.rules import (
    answerable,
    corpus_wide,
    duplicates,
    own_words,
    references,
    self_contained,
    to_the_point,
    well_formed,
)
from rag_evals.evals.generation.rules.corpus_wide import Nearest
from rag_evals.evals.generation.rules.duplicates import Duplicates
from rag_evals.evals.generation.rules.rule import Criterion, Rule
from rag_evals.evals.questions.question import Question
from rag_evals.rag.llm.protocol import LLM
from rag_evals.rag.retrieval.embedder import Embedder

CRITERIA: tuple[Criterion, ...] = (
    well_formed.CRITERION,
    self_contained.CRITERION,
    own_words.CRITERION,
    to_the_point.CRITERION,
    references.IN_ITS_WORDS,
    references.TELLS,
    references.NEEDS_BOTH,
    duplicates.SAME,
    duplicates.CRITERION,
    answerable.GROUNDED,
    answerable.ANSWERABLE,
    answerable.NEEDS_DOCUMENTS,
    corpus_wide.UNSUPPORTED,
    corpus_wide.PREMISE_IS_FALSE,
    corpus_wide.TOLD_APART,
)


def default_rules(
    llm: LLM, embedder: Embedder, texts: Sequence[str], curated: Sequence[Question] = ()
) -> tuple[Rule, ...]:
    """Return the rules, in the order of `CRITERIA`.

    Args:
        llm: Answers and reads what the rules ask.
        embedder: Finds questions that are alike, and the passages that are closest to one.
        texts: All passages of the documents, those included that nobody asks about.
        curated: Questions that are not to be asked again.
    """
    examiner = Examiner(llm, embedder)
    nearest = Nearest(embedder, texts, examiner)
    alike = Duplicates(embedder, curated)
    return (
        Rule(well_formed.CRITERION, well_formed.well_formed),
        Rule(self_contained.CRITERION, self_contained.self_contained),
        Rule(own_words.CRITERION, own_words.own_words),
        Rule(to_the_point.CRITERION, to_the_point.to_the_point),
        Rule(references.IN_ITS_WORDS, references.in_its_words),
        Rule(references.TELLS, references.tells_something),
        Rule(references.NEEDS_BOTH, references.needs_both),
        Rule(duplicates.SAME, alike.to_original),
        Rule(duplicates.CRITERION, alike),
        Rule(answerable.GROUNDED, partial(answerable.grounded, examiner)),
        Rule(answerable.ANSWERABLE, partial(answerable.answerable, examiner)),
        Rule(answerable.NEEDS_DOCUMENTS, partial(answerable.needs_documents, examiner)),
        Rule(corpus_wide.UNSUPPORTED, nearest.unsupported),
        Rule(corpus_wide.PREMISE_IS_FALSE, nearest.premise_is_false),
        Rule(corpus_wide.TOLD_APART, partial(corpus_wide.told_apart, examiner)),
    )
