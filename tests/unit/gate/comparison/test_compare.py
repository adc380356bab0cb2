"""A run beside a baseline: flips, retrieval, pairs, and what is only in one."""

from __future__ import annotations

from rag_evals.evals.gate.comparison.compare import RetrievalChange, compare
from rag_evals.evals.gate.verdict import Verdict
from rag_evals.evals.questions.question import Question, Source
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import ComponentInfo, RunHeader
from rag_evals.evals.runs.run import Run
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer, Context

JUDGE = ComponentInfo("judge", "fake", "f" * 64)
HERE, OTHER = Context("x", "a.md", start=0, end=100), Context("y", "a.md", start=500, end=600)


def pipeline(*documents: str) -> ComponentInfo:
    identity = {"index": {"documents": dict.fromkeys(documents, "0")}}
    return ComponentInfo("pipeline", "one", "a" * 64, identity=identity)


def evaluation(
    name="a", value: float | None = 0.9, *contexts, document="a.md", repeat=0, **changes
) -> Evaluation:
    given = {
        "question": Question(name, f"How many {name}?", "Two.", (Source(document, start=10, end=60),)),
        "pipeline": "one",
        "answer": Answer("Two.", contexts or (HERE,)),
        "scores": (Score("relevancy", value),),
        "thresholds": {"relevancy": 0.5},
        "repeat": repeat,
        **changes,
    }
    return Evaluation(**given)


def compared(after, before, documents=("a.md",), old_documents=("a.md",)):
    return compare(
        Run("new", RunHeader(), (pipeline(*documents), JUDGE), tuple(after)),
        Run("main", RunHeader(), (pipeline(*old_documents), JUDGE), tuple(before)),
    )


def test_flips():
    """Newly failing first, each with its stage and its passages; what did not flip is not among them."""
    after = [
        evaluation("a", 0.9),
        evaluation("b", 0.1, OTHER),
        evaluation("c", 0.1, HERE),
        evaluation("d", 0.1),
        evaluation("e", None),
    ]
    before = [
        evaluation("a", 0.2, OTHER),
        evaluation("b", 0.9),
        evaluation("c", 0.9, HERE),
        evaluation("d", 0.3),
        evaluation("e", 0.1),
    ]
    found = compared(after, before)
    assert [(f.question.id, f.is_fixed, f.stage) for f in found.flips] == [
        ("b", False, "not in the contexts"),
        ("c", False, "in the contexts, not used"),
        ("a", True, "not in the contexts"),
    ]
    first = found.flips[0]
    assert (first.pipeline, first.before, first.after) == ("one", before[1], after[1])
    assert first.retrieval == RetrievalChange((OTHER,), (HERE,), 0)
    assert found.retrieval == (
        ("one", "a", RetrievalChange((HERE,), (OTHER,), 0)),
        ("one", "b", RetrievalChange((OTHER,), (HERE,), 0)),
    )
    assert found.pairs == tuple(zip(before, after, strict=True))
    assert (found.run, found.base, found.notes) == ("new", "main", found.gate.notes)


def test_each_side_has_its_own_corpus():
    """A document that was removed explains what fails now, not what failed before."""
    after, before = [evaluation("a", 0.1, OTHER)], [evaluation("a", 0.9)]
    assert compared(after, before, documents=["b.md"]).flips[0].stage == "not in the corpus"
    assert compared(before, after, documents=["b.md"]).flips[0].stage == "not in the contexts"


def test_flips_of_repeats():
    """A question fails when fewer than half of its repeats pass; shown is the first that does."""
    before = [evaluation("a", 0.9, repeat=n) for n in range(3)]
    after = [evaluation("a", value, repeat=n) for n, value in enumerate((0.9, 0.1, 0.2))]
    (flip,) = compared(after, before).flips
    assert (flip.before, flip.after) == (before[0], after[1])
    assert compared(after[:2], before).flips == ()
    assert compared(after[:2], before).pairs == tuple(zip(before[:2], after[:2], strict=True))


def test_a_pipeline_that_raised():
    broken = evaluation("a", answer=None, scores=(), thresholds={}, error="OSError: no disk")
    (flip,) = compared([broken], [evaluation("a")]).flips
    assert (flip.is_fixed, flip.stage, flip.after.outcome) == (False, None, "error")
    assert flip.retrieval == RetrievalChange((), (HERE,), 0)
    assert compared([broken], [evaluation("a")]).costs == ()


def test_added_and_removed():
    """Also a question that asks something else under the same id."""
    other = evaluation("c", question=Question("c", "How few?"))
    found = compared(
        [evaluation("a"), evaluation("b"), other], [evaluation("b"), evaluation("c"), evaluation("d")]
    )
    assert [e.question.id for e in found.added] == ["a", "c"]
    assert [e.question.question for e in found.removed] == ["How many c?", "How many d?"]
    assert [after.question.id for _, after in found.pairs] == ["b"]


def test_nothing_in_common():
    """Nothing is lost: all of it is added or removed."""
    found = compared([evaluation("a")], [])
    assert (found.gate.verdict, found.pairs, found.flips, found.costs) == (Verdict.INCONCLUSIVE, (), (), ())
    assert found.added == (evaluation("a"),)


def test_the_same_input_gives_the_same_comparison():
    """Also in another order."""
    after = [evaluation(f"q{n}", 0.1 * n, *([OTHER] if n % 2 else [HERE])) for n in range(10)]
    before = [evaluation(f"q{n}", 1 - 0.1 * n) for n in range(3, 12)]
    assert compared(after, before) == compared(after[::-1], before[::-1])
