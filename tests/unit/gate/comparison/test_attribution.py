"""At which stage an answer was lost: by offsets, quotes, pages or documents, whatever both sides tell."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rag_evals.evals.gate.comparison.attribution import is_in_contexts, stage_of
from rag_evals.evals.questions.question import Question, Source
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer, Context, Span

GOLD = Source("a.pdf", 4, 100, 200)
QUOTE = "eight experts, of which two process each token"
CORPUS = {"a.pdf", "b.pdf"}
FAILING = {"relevancy": 0.1}


def context(start=None, end=None, *, text="x", document="a.pdf", page=None, page_end=None) -> Context:
    return Context(text, document, page, start, end, page_end=page_end)


def evaluation(*contexts: Context, sources=(GOLD,), candidates=(), scores=FAILING, **changes) -> Evaluation:
    given = {
        "question": Question("q", "How many?", "Two.", tuple(sources)),
        "pipeline": "one",
        "answer": Answer("Three.", tuple(contexts), stages={"candidates": tuple(candidates)}),
        "scores": tuple(Score(name, value) for name, value in scores.items()),
        "thresholds": dict.fromkeys(scores, 0.5),
        **changes,
    }
    return Evaluation(**given)


OTHER = context(900, 1000)
HERE = context(90, 210)
COPY = Context("x", "b.pdf", 1, 0, 120, copies=(Span("a.pdf", 4, 90, 210),))


@pytest.mark.parametrize(
    ("given", "stage"),
    [
        (evaluation(OTHER, sources=[Source("gone.pdf", 1)]), "not in the corpus"),
        (evaluation(OTHER, candidates=[Span("a.pdf", 9, 900, 1000)]), "not retrieved"),
        (evaluation(OTHER), "not in the contexts"),
        (evaluation(), "not in the contexts"),
        (evaluation(OTHER, candidates=[Span("a.pdf", 4, 90, 210)]), "lost in merging or reranking"),
        (evaluation(HERE), "in the contexts, not used"),
        # The passage is from another document, in which the same text stands.
        (evaluation(COPY), "in the contexts, not used"),
        (evaluation(COPY, candidates=[Span("a.pdf", 9, 900, 1000)]), "in the contexts, not used"),
        (evaluation(HERE, scores={"refusal": 0.1}), "in the contexts, not used"),
        (evaluation(HERE, scores={"refusal": 0.1, "faithfulness": 0.2}), "contradicted"),
        # One of two alternatives is enough, and what is of no use is not missed.
        (
            evaluation(HERE, sources=[replace(GOLD, any_of="x"), Source("b.pdf", 1, 0, 50, any_of="x")]),
            "in the contexts, not used",
        ),
        (
            evaluation(OTHER, sources=[Source("gone.pdf", any_of="x"), replace(GOLD, any_of="x")]),
            "not in the contexts",
        ),
        (evaluation(HERE, sources=[GOLD, Source("gone.pdf", relevance=0)]), "in the contexts, not used"),
        (evaluation(OTHER, sources=[Source("gone.pdf", relevance=0)]), None),
        # What the retriever found in small chunks is in the merged parent.
        (evaluation(context(0, 5000), candidates=[Span("a.pdf", 4, 900, 950)]), "in the contexts, not used"),
    ],
)
def test_stages(given, stage):
    assert stage_of(given, CORPUS) == stage


@pytest.mark.parametrize(
    "given",
    [
        evaluation(OTHER, scores={"relevancy": 0.9}),
        evaluation(OTHER, sources=[]),
        evaluation(OTHER, question=Question("q", "How many?", sources=(GOLD,), answerable=False)),
        evaluation(OTHER, answer=None, error="OSError: no disk"),
        evaluation(OTHER, scores={"relevancy": None}),
        # The contexts hold every source: that they hold much else is no fault of the answer.
        evaluation(HERE, scores={"context_relevancy": 0.1}),
    ],
)
def test_no_stage(given):
    assert stage_of(given, CORPUS) is None


def test_an_unknown_corpus():
    """What is not told is not held against the corpus."""
    assert stage_of(evaluation(OTHER, sources=[Source("gone.pdf")]), None) == "not in the contexts"


def test_every_source_is_needed():
    """The stage is that of the source that was lost first."""
    more = Source("a.pdf", 9, 500, 600)
    both = [GOLD, more]
    assert stage_of(evaluation(HERE, sources=both), CORPUS) == "not in the contexts"
    lost, found = Span("a.pdf", 9, 500, 600), Span("a.pdf", 4, 100, 200)
    assert (
        stage_of(evaluation(HERE, sources=both, candidates=[lost]), CORPUS) == "lost in merging or reranking"
    )
    assert stage_of(evaluation(sources=both, candidates=[found]), CORPUS) == "not retrieved"
    assert stage_of(evaluation(HERE, sources=[GOLD, Source("gone.pdf")]), CORPUS) == "not in the corpus"


@pytest.mark.parametrize(
    ("spans", "is_there"),
    [
        ([(100, 150)], True),
        ([(101, 150)], False),
        ([(90, 130), (170, 220)], True),
        ([(90, 130), (100, 131)], False),  # what overlaps counts once
        ([(90, 130), (100, 150)], True),
        ([(0, 100), (200, 300)], False),
        ([(0, 1000), (50, 60)], True),
        ([], False),
    ],
)
def test_half_of_a_source(spans, is_there):
    """Counted in characters over all contexts together."""
    contexts = [context(*span) for span in spans]
    assert is_in_contexts(GOLD, contexts) is is_there
    assert not is_in_contexts(GOLD, [context(*span, document="b.pdf") for span in spans])


@pytest.mark.parametrize(
    ("text", "is_there"),
    [
        (f"There are {QUOTE}.", True),
        ("eight\n experts,  of which\ttwo process each token", True),
        ("... eight experts, of which", True),  # cut within the quote: its first half
        ("which two process each token. And", True),
        ("eight experts", False),
        ("experts, of which two process", True),  # the passage is shorter than the quote
        ("", False),
        ("nothing of it", False),
    ],
)
def test_quotes(text, is_there):
    """White space counts for nothing, and half of the quote is enough."""
    for place in ({}, {"start": 1, "end": 2}):
        found = is_in_contexts(Source("a.pdf", 4, quote=QUOTE), [context(text=text, page=9, **place)])
        assert found is is_there


def test_offsets_are_finer_than_quotes():
    source = Source("a.pdf", 4, 100, 200, QUOTE)
    assert is_in_contexts(source, [context(100, 200)])
    assert not is_in_contexts(source, [context(300, 400, text=QUOTE)])
    # Where a passage does not tell its place, the quote is looked for.
    assert is_in_contexts(source, [context(300, 400), context(text=QUOTE)])


def test_pages_and_documents():
    """The coarsest that both sides tell."""
    page, document = Source("a.pdf", 4), Source("a.pdf")
    assert is_in_contexts(page, [context(page=4)])
    assert is_in_contexts(page, [context(page=2, page_end=4)])
    assert not is_in_contexts(page, [context(page=5)])
    assert not is_in_contexts(page, [context(page=2, page_end=3)])
    assert is_in_contexts(page, [context()])
    assert is_in_contexts(document, [context(page=5)])
    assert not is_in_contexts(document, [context(document="b.pdf")])
    assert is_in_contexts(GOLD, [context(page=4)])
    assert is_in_contexts(Source("a.pdf", 4, quote=" "), [context(page=4)])


def test_candidates_by_page():
    """A candidate on the page that is still among the contexts was not lost: it is another passage."""
    source = Source("a.pdf", 4, quote=QUOTE)
    kept, gone = Span("a.pdf", 4, 900, 1000), Span("a.pdf", 4, 2000, 2100)
    given = evaluation(OTHER, sources=[source], candidates=[kept])
    assert stage_of(given, CORPUS) == "not retrieved"
    given = evaluation(OTHER, sources=[source], candidates=[kept, gone])
    assert stage_of(given, CORPUS) == "lost in merging or reranking"
    given = evaluation(OTHER, sources=[source], candidates=[Span("a.pdf", 5, 2000, 2100)])
    assert stage_of(given, CORPUS) == "not retrieved"
    given = evaluation(OTHER, sources=[source], candidates=[Span("a.pdf")])
    assert stage_of(given, CORPUS) == "lost in merging or reranking"
