"""Figures of ranks: those of trec_eval where a passage is a document; never above 1, nor out of reach."""

from __future__ import annotations

from dataclasses import replace

import ir_measures
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import AP, RR, P, R, Success, nDCG
from rag_evals.evals.questions.question import Source
from rag_evals.evals.retrieval.scores import retrieval_scores
from rag_evals.rag.answer import Context, Span

from rag_evals import Question

NAMES = ["retrieval.ndcg@10", "retrieval.mrr", "retrieval.map", "retrieval.recall@8", "retrieval.hit@5"]
THEIRS = {
    "retrieval.ndcg@10": nDCG @ 10,
    "retrieval.ndcg@3": nDCG @ 3,
    "retrieval.mrr": RR,
    "retrieval.map": AP,
    "retrieval.recall@8": R @ 8,
    "retrieval.hit@5": Success @ 5,
    "retrieval.precision@5": P @ 5,
    "retrieval.precision@20": P @ 20,
}


def values(sources, passages, names=NAMES, tau=0.5) -> dict[str, float | None]:
    question = Question("q", "?", sources=tuple(sources))
    scores = retrieval_scores(question, {"contexts": passages}, names, tau)
    return {score.metric: score.value for score in scores}


@settings(max_examples=300, deadline=None)
@given(
    grades=st.dictionaries(st.integers(0, 30), st.integers(0, 4), min_size=1, max_size=20),
    ranking=st.lists(st.integers(0, 30), unique=True, min_size=1, max_size=25),
)
def test_of_documents_the_figures_are_those_of_trec_eval(grades, ranking):
    """One source a document, one document a passage: four digits and more agree."""
    if not any(grades.values()):
        grades = {**grades, 31: 1}
    sources = [Source(f"d{n}", start=0, end=50, relevance=grade) for n, grade in grades.items()]
    ours = values(sources, [Span(f"d{n}", start=0, end=50) for n in ranking], list(THEIRS))
    run = {"q": {f"d{n}": 100.0 - rank for rank, n in enumerate(ranking)}}
    qrels = {"q": {f"d{n}": grade for n, grade in grades.items()}}
    theirs = ir_measures.calc_aggregate(list(THEIRS.values()), qrels, run)
    assert ours == {name: pytest.approx(theirs[measure], abs=1e-9) for name, measure in THEIRS.items()}


sources_of_a_text = st.lists(
    st.tuples(
        st.integers(0, 300),
        st.integers(1, 120),
        st.sampled_from([None, 0, 1, 2.5]),
        st.sampled_from([None, "a"]),
    ),
    min_size=1,
    max_size=5,
).map(lambda found: [Source("t", start=s, end=s + n, relevance=g, any_of=a) for s, n, g, a in found])
chunks_of_a_text = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 150)), max_size=12).map(
    lambda found: [Span("t", start=s, end=s + n) for s, n in found]
)
ANY_NAMES = [
    *NAMES,
    "retrieval.recall",
    "retrieval.precision",
    "retrieval.iou",
    "retrieval.precision@4",
    "retrieval.unjudged@4",
]


@settings(max_examples=300, deadline=None)
@given(sources=sources_of_a_text, chunks=chunks_of_a_text, tau=st.sampled_from([0.1, 0.5, 1.0]))
def test_figures_stay_between_0_and_1(sources, chunks, tau):
    """Whatever overlaps, repeats or covers several sources at once."""
    if not any(source.relevance != 0 for source in sources):
        return
    found = values(sources, chunks, ANY_NAMES, tau)
    assert [name for name, value in found.items() if value is None or not 0 <= value <= 1] == []


@settings(max_examples=200, deadline=None)
@given(sources=sources_of_a_text, chunks=chunks_of_a_text, tau=st.sampled_from([0.1, 0.5, 1.0]))
def test_what_is_found_again_earns_nothing(sources, chunks, tau):
    """The same passages once more behind the list change no figure of the whole list."""
    if not any(source.relevance != 0 for source in sources):
        return
    whole = [
        "retrieval.ndcg@30",
        "retrieval.mrr",
        "retrieval.map",
        "retrieval.recall@30",
        "retrieval.recall",
        "retrieval.iou",
    ]
    assert values(sources, [*chunks, *chunks], whole, tau) == values(sources, chunks, whole, tau)


WHOLE = ["retrieval.ndcg@99", "retrieval.mrr", "retrieval.map", "retrieval.recall@99"]


@settings(max_examples=200, deadline=None)
@given(size=st.integers(10, 700), count=st.integers(1, 4), tau=st.sampled_from([0.2, 0.5, 1.0]))
def test_1_can_be_reached_with_chunks_of_any_size(size, count, tau):
    """The chunks that it takes and no others are the best ranking there is, in any order."""
    sources = [Source("t", start=n * 300, end=n * 300 + 200) for n in range(count)]
    chosen: list[Span] = []
    for source in sources:
        for start in range(source.start // size * size, source.end, size):
            chunk = Span("t", start=start, end=start + size)
            is_found = values([source], chosen, ["retrieval.hit@99"], tau)["retrieval.hit@99"] == 1
            if chunk not in chosen and not is_found:
                chosen.append(chunk)
    assert values(sources, chosen, WHOLE, tau)["retrieval.recall@99"] == 1
    useful = [
        one
        for one in chosen
        if values(sources, [x for x in chosen if x != one], WHOLE, tau)["retrieval.recall@99"] < 1
    ]
    if len(useful) == len(chosen):
        assert values(sources, chosen, WHOLE, tau) == dict.fromkeys(WHOLE, 1.0)


@settings(max_examples=200, deadline=None)
@given(covered=st.lists(st.lists(st.sampled_from([1, 2, 3]), min_size=1, max_size=3), min_size=1, max_size=5))
def test_1_can_be_reached_whatever_each_passage_covers(covered):
    """Passages that cover several sources of any worth, the one with the best source first."""
    sources, passages = [], []
    for n, grades in enumerate(sorted(covered, key=max, reverse=True)):
        passages.append(Span("t", start=1000 * n, end=1000 * n + 900))
        sources += [
            Source("t", start=1000 * n + 300 * m, end=1000 * n + 300 * m + 100, relevance=g)
            for m, g in enumerate(grades)
        ]
    assert values(sources, passages, WHOLE) == dict.fromkeys(WHOLE, 1.0)


A, B, C = (Source("t", start=s, end=s + 100) for s in (0, 200, 400))


def chunk(start, end):
    return Context("...", "t", start=start, end=end)


def test_a_passage_that_covers_two_sources_earns_both():
    """They stand at places 1 and 2, as in two passages; what comes behind keeps its rank."""
    both = values([A, B], [chunk(0, 300)])
    assert both == dict.fromkeys(NAMES, 1.0)
    third = values([A, B, C], [chunk(0, 300), chunk(600, 700), chunk(700, 800), chunk(400, 500)])
    assert third["retrieval.map"] == pytest.approx((1 + 1 + 3 / 4) / 3)
    close = values([A, B, C], [chunk(0, 300), chunk(400, 500)])
    assert close == dict.fromkeys(NAMES, 1.0)


def test_what_is_worth_more_is_not_held_up():
    """The second passage's source has the second place, worth more than the first one's second source."""
    worth = [replace(source, relevance=grade) for source, grade in ((A, 3), (B, 1), (C, 2))]
    assert values(worth, [chunk(0, 300), chunk(400, 500)]) == dict.fromkeys(NAMES, 1.0)


def test_passages_that_cover_a_source_together_find_it():
    """At tau 0.5 a fifth is not enough, three fifths are; the source is found with the third passage."""
    fifths = [chunk(20 * n, 20 * n + 20) for n in range(5)]
    found = values(
        [A],
        fifths,
        [
            "retrieval.hit@1",
            "retrieval.hit@2",
            "retrieval.hit@3",
            "retrieval.mrr",
            "retrieval.ndcg@3",
            "retrieval.ndcg@2",
        ],
    )
    assert found == {
        "retrieval.hit@1": 0.0,
        "retrieval.hit@2": 0.0,
        "retrieval.hit@3": 1.0,
        "retrieval.mrr": 1.0,  # none of the passages before was of no use
        "retrieval.ndcg@3": 1.0,
        "retrieval.ndcg@2": 0.0,
    }


def test_alternatives_count_once():
    """One of them suffices; a better one that comes later earns what it is better by."""
    one, other = (Source("t", start=s, end=s + 100, any_of="x", relevance=r) for s, r in ((0, 1), (200, 3)))
    assert values([one, other], [chunk(200, 300)]) == dict.fromkeys(NAMES, 1.0)
    names = ["retrieval.recall@8", "retrieval.map", "retrieval.ndcg@10"]
    assert values([one, other], [chunk(0, 100)], names) == {
        "retrieval.recall@8": 1.0,
        "retrieval.map": 1.0,
        "retrieval.ndcg@10": pytest.approx(1 / 3),
    }
    late = values([one, other], [chunk(0, 100), chunk(200, 300)], names)
    assert late["retrieval.ndcg@10"] == pytest.approx((1 + 2 * 0.6309297535714575) / 3)


def test_copies_count_where_the_source_stands():
    """A passage whose text stands elsewhere, too, is found by any place, and its characters count once."""
    copy = Context("...", "u", start=0, end=100, copies=(Span("t", start=0, end=100),))
    names = [*NAMES, "retrieval.recall", "retrieval.precision", "retrieval.iou"]
    assert values([A], [copy], names) == dict.fromkeys(names, 1.0)
