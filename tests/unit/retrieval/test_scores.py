"""Scores of retrieval: what they say of what was missed, and of what cannot be told."""

from __future__ import annotations

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.questions.question import Source
from rag_evals.evals.retrieval.scores import retrieval_scores
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Context, Span

from rag_evals import Question

GOLD = Source("primer.pdf", page=3, start=120, end=310, quote="Two experts process a token.")
QUESTION = Question("q", "How many?", sources=(GOLD,))
HIT = Context("... Two experts process\na token. ...", "primer.pdf", 3, 100, 400)


def elsewhere(count, document="primer.pdf"):
    return [Context("...", document, 9, 1000 * n, 1000 * n + 100) for n in range(1, count + 1)]


def evidence(stages, metric="retrieval.recall@8", question=QUESTION):
    (score,) = retrieval_scores(question, stages, [metric])
    return score.value, score.evidence or score.reason


def test_what_holds_complains_of_nothing():
    """A figure of 1 has no evidence."""
    found = retrieval_scores(QUESTION, {"contexts": [HIT]}, ["retrieval.recall@8", "retrieval.recall"])
    assert found == (Score("retrieval.recall@8", 1.0), Score("retrieval.recall", 1.0))


@pytest.mark.parametrize(
    "metric",
    [
        "retrieval.recall@8",
        "retrieval.hit@5",
        "retrieval.mrr",
        "retrieval.ndcg@10",
        "retrieval.map",
        "retrieval.recall",
    ],
)
def test_the_stage_that_lost_a_source(metric):
    """It is named, with the place that the source had before."""
    candidates = [*elsewhere(13), HIT]
    stages = {
        "candidates": candidates,
        "merged": candidates,
        "reranked": elsewhere(8),
        "contexts": elsewhere(8),
    }
    assert evidence(stages, metric) == (
        0.0,
        "primer.pdf p.3 (characters 120 to 310) is not among the 8 passages: "
        "reranked lost it, it was 14th of the merged passages",
    )
    del stages["merged"]
    assert evidence(stages, metric) == (
        0.0,
        "primer.pdf p.3 (characters 120 to 310) is not among the 8 passages: "
        "reranked lost it, it was 14th of the candidates",
    )


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ({"contexts": elsewhere(3)}, "{} is not among the 3 passages"),
        ({"contexts": elsewhere(1)}, "{} is not among the 1 passage"),
        (
            {"candidates": elsewhere(40), "contexts": elsewhere(3)},
            "{} is not among the 3 passages, nor among the 40 candidates",
        ),
        ({"contexts": []}, "no passage was found, so that {} is missing"),
        (
            {"candidates": [HIT], "contexts": []},
            "no passage was found, so that {} is missing: contexts lost it, it was 1st of the candidates",
        ),
        (
            {"contexts": [*elsewhere(8), HIT]},
            "{} is not among the first 8 passages: it is 9th of the 9 passages",
        ),
        ({"contexts": [Span("primer.pdf", 3, 300, 400)]}, "only 5% of {} is among the 1 passage"),
        (
            {"reranked": [HIT], "contexts": [Span("primer.pdf", 3, 300, 400)]},
            "only 5% of {} is among the 1 passage: contexts lost it, it was 1st of the reranked passages",
        ),
    ],
)
def test_where_a_source_is_missing(stages, said):
    """What was found of it, and where."""
    assert evidence(stages) == (0.0, said.format("primer.pdf p.3 (characters 120 to 310)"))


@pytest.mark.parametrize(
    ("metric", "value", "said"),
    [
        ("retrieval.mrr", 1 / 3, "primer.pdf p.3 (characters 120 to 310) is 3rd of the 3 passages"),
        ("retrieval.ndcg@10", 0.5, "primer.pdf p.3 (characters 120 to 310) is 3rd of the 3 passages"),
        (
            "retrieval.precision@2",
            0.0,
            "primer.pdf p.3 (characters 120 to 310) is not among the first 2 passages: "
            "it is 3rd of the 3 passages",
        ),
        ("retrieval.precision@3", 1 / 3, "1 of the first 3 passages helped to find a source"),
        ("retrieval.precision", 190 / 500, "310 of 500 characters of the 3 passages are of no source"),
        ("retrieval.iou", 190 / 500, "310 of 500 characters of the 3 passages are of no source"),
        ("retrieval.unjudged@3", 2 / 3, "no source says anything of 2 of the first 3 passages: 1, 2"),
    ],
)
def test_what_was_found_late_or_with_much_beside(metric, value, said):
    """Nothing is missing, and the figure is not 1."""
    assert evidence({"contexts": [*elsewhere(2), HIT]}, metric) == (pytest.approx(value), said)


def test_parts_that_are_missing():
    """A source that is there in part has its missing share named."""
    half = {"contexts": [Context("...", "primer.pdf", 3, 120, 215)]}
    assert evidence(half, "retrieval.recall") == (
        0.5,
        "50% of primer.pdf p.3 (characters 120 to 310) is not among the 1 passage",
    )
    assert evidence(half)[0] == 1.0


def test_many_missing_sources_are_counted():
    """Three are named."""
    sources = tuple(Source(f"d{n}.md", start=0, end=9) for n in range(5))
    question = Question("q", "?", sources=sources)
    named = "; ".join(f"d{n}.md (characters 0 to 9) is not among the 2 passages" for n in range(3))
    assert evidence({"contexts": elsewhere(2)}, question=question) == (0.0, f"{named}; and 2 more")
    one = Question(
        "q",
        "?",
        sources=(
            Source("a", start=0, end=9, any_of="x"),
            Source("b", page=2, quote="Yes, it is.", any_of="x"),
        ),
    )
    assert evidence({"contexts": elsewhere(2)}, question=one) == (
        0.0,
        "a (characters 0 to 9) or 1 other place is not among the 2 passages",
    )


QUOTE_ONLY = Source("primer.pdf", quote="Two  experts process a token.")
PAGE_ONLY = Source("primer.pdf", page=3)


@pytest.mark.parametrize(
    ("source", "passage", "value"),
    [
        (QUOTE_ONLY, HIT, 1.0),
        (QUOTE_ONLY, Context("Two experts process a token.", "other.pdf"), 0.0),
        (QUOTE_ONLY, Context("Two experts process a token."), 1.0),  # a pipeline that names no documents
        (QUOTE_ONLY, Context("Two experts", "primer.pdf"), 0.0),
        (QUOTE_ONLY, Context("Two experts process a token.", "copy.pdf", copies=(Span("primer.pdf"),)), 1.0),
        (PAGE_ONLY, Context("...", "primer.pdf", 3), 1.0),
        (PAGE_ONLY, Context("...", "primer.pdf", 2, page_end=3), 1.0),
        (PAGE_ONLY, Context("...", "primer.pdf", 4), 0.0),
        (PAGE_ONLY, Context("...", "other.pdf", 3), 0.0),
        (Source("primer.pdf"), Context("...", "primer.pdf", 8), 1.0),
        (Source("primer.pdf"), Context("...", "other.pdf", 8), 0.0),
        (GOLD, Context("Two experts process a token.", "primer.pdf"), 1.0),  # no offsets: by the quote
        (Source("primer.pdf", page=3, start=1, end=9), Context("...", "primer.pdf", 3), 1.0),
        (Source("primer.pdf", start=5, end=5, quote="experts"), HIT, 1.0),  # offsets of nothing are none
    ],
)
def test_by_what_a_source_is_found(source, passage, value):
    """By offsets, else its quote, else its page, else its document."""
    assert evidence({"contexts": [passage]}, question=Question("q", "?", sources=(source,)))[0] == value


@pytest.mark.parametrize(
    ("source", "passage", "reason"),
    [
        (
            QUOTE_ONLY,
            Span("primer.pdf", 3, 0, 9),
            'passage 1 tells no text, by which primer.pdf "Two experts process a token." is found',
        ),
        (
            PAGE_ONLY,
            Span("primer.pdf", None, 0, 9),
            "passage 1 tells no page, by which primer.pdf p.3 is found",
        ),
        (
            Source("primer.pdf", start=1, end=9),
            Context("...", "primer.pdf"),
            "passage 1 tells no character offsets, by which primer.pdf (characters 1 to 9) is found",
        ),
        (Source("primer.pdf"), Context("..."), "passage 1 tells no document, by which primer.pdf is found"),
    ],
)
def test_what_cannot_be_told_is_unscored(source, passage, reason):
    """A passage that does not tell where it stands is no miss."""
    assert evidence({"contexts": [passage]}, question=Question("q", "?", sources=(source,))) == (None, reason)


@pytest.mark.parametrize(
    ("source", "passage", "reason"),
    [
        (QUOTE_ONLY, HIT, 'primer.pdf "Two experts process a token." has no character offsets'),
        (GOLD, Context("Two experts process a token.", "primer.pdf"), "passage 1 has no character offsets"),
    ],
)
@pytest.mark.parametrize("metric", ["retrieval.recall", "retrieval.precision", "retrieval.iou"])
def test_characters_need_offsets(source, passage, reason, metric):
    """Figures of characters are unscored without them, those of ranks are not."""
    question = Question("q", "?", sources=(source,))
    assert evidence({"contexts": [passage]}, metric, question) == (None, reason)
    assert evidence({"contexts": [passage]}, question=question)[0] == 1.0


def test_questions_without_sources():
    """They are unscored; of those that are not to be answered nothing is scored."""
    stages = {"contexts": elsewhere(2)}
    assert evidence(stages, question=Question("q", "?")) == (None, "the question has no source")
    worthless = Question("q", "?", sources=(Source("primer.pdf", relevance=0),))
    assert evidence(stages, question=worthless) == (
        None,
        "the question has no source with a relevance above 0",
    )
    assert retrieval_scores(Question("q", "?", answerable=False), stages, ["retrieval.mrr"]) == ()


def test_judged_to_be_of_no_use():
    """A source with a relevance of 0 earns nothing, and its passages are judged."""
    bad = Source("other.pdf", page=9, start=1000, end=1100, relevance=0)
    question = Question("q", "?", sources=(GOLD, bad))
    stages = {"contexts": [*elsewhere(2, "other.pdf"), HIT]}
    names = ["retrieval.mrr", "retrieval.unjudged@3", "retrieval.precision", "retrieval.unjudged@9"]
    assert [score.value for score in retrieval_scores(question, stages, names)] == [
        1 / 3,
        1 / 3,
        190 / 500,
        1 / 3,
    ]
    assert evidence({"contexts": []}, "retrieval.unjudged@3") == (0.0, None)


@pytest.mark.parametrize("tau", [0, -0.5, 1.01, float("nan")])
def test_tau_is_a_share(tau):
    """Anything else is an error."""
    with pytest.raises(UsageError) as caught:
        retrieval_scores(QUESTION, {"contexts": []}, ["retrieval.mrr"], tau)
    assert (
        str(caught.value)
        == f"tau = {tau:g}: it is the share of a source to be covered, above 0 and at most 1"
    )


def test_text_of_documents_drives_no_terminal():
    """Names and quotes are fit for one."""
    source = Source("a\x1b[2Jb.md", quote="\x07 rings")
    said = evidence({"contexts": elsewhere(1)}, question=Question("q", "?", sources=(source,)))[1]
    assert said == 'a�[2Jb.md "� rings" is not among the 1 passage'
