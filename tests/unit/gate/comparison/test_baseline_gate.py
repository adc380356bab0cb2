"""A run held to a baseline: pairs, rows, verdict, and what is said before the numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rag_evals.evals.gate.comparison.baseline_gate import (
    LEAST_OF_A_TAG,
    BaselineRow,
    hold_to_baseline,
    verdict_of_rows,
)
from rag_evals.evals.gate.comparison.pairing import pair_up
from rag_evals.evals.gate.paired import Difference
from rag_evals.evals.gate.verdict import Verdict
from rag_evals.evals.questions.question import Question, Source
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import ComponentInfo, RunHeader
from rag_evals.evals.runs.run import Run
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer

PASS, INCONCLUSIVE, BLOCK = Verdict


def about(kind="pipeline", name="one", fingerprint="a" * 64, **identity) -> ComponentInfo:
    return ComponentInfo(kind, name, fingerprint, identity=identity)


JUDGE = about("judge", "fake", "f" * 64)


def evaluation(name="a", value: float | None = 0.9, pipeline="one", repeat=0, **changes) -> Evaluation:
    reason = None if value is not None else "no key"
    given = {
        "question": Question(name, f"How many {name}?"),
        "pipeline": pipeline,
        "answer": Answer("Two."),
        "scores": (Score("faithfulness", value, reason),),
        "thresholds": {"faithfulness": 0.5},
        "repeat": repeat,
        **changes,
    }
    return Evaluation(**given)


def broken(name="a") -> Evaluation:
    return evaluation(name, answer=None, scores=(), error="OSError: no disk", thresholds={})


def run(*evaluations: Evaluation, name="new", abouts=(JUDGE,), notes=()) -> Run:
    return Run(name, RunHeader(), tuple(abouts), evaluations, notes)


def base(*evaluations: Evaluation, **changes) -> Run:
    return run(*evaluations, **{"name": "main", **changes})


def many(values, **changes) -> list[Evaluation]:
    return [evaluation(f"q{n:03}", value, **changes) for n, value in enumerate(values)]


def held(after, before, **changes):
    return hold_to_baseline(run(*after), base(*before), **changes)


# --- verdicts ---


def test_a_clear_drop_blocks():
    """Pass rate and scores fall on the same questions: each is a row, and Holm's correction is over both."""
    gate = held(many([0.3] * 20 + [0.9] * 20), many([0.9] * 40))
    assert (gate.name, gate.verdict, gate.notes, gate.margin) == ("main", BLOCK, (), 0.05)
    assert [(row.pipeline, row.metric, row.tag, row.verdict) for row in gate.rows] == [
        ("one", "pass_rate", None, BLOCK),
        ("one", "faithfulness", None, BLOCK),
    ]
    rate, score = gate.rows
    assert (rate.difference.count, rate.difference.before, rate.difference.after) == (40, 1.0, 0.5)
    assert score.difference.value == pytest.approx(-0.3)
    p_values = [row.difference.p_worse for row in gate.rows]
    assert [row.p_adjusted for row in gate.rows] == pytest.approx(
        [max(2 * min(p_values), p) if p == max(p_values) else 2 * p for p in p_values]
    )


def test_no_change_passes():
    gate = held(many([0.9] * 100), many([0.9] * 100))
    assert (gate.verdict, gate.notes) == (PASS, ())


ONE = about()
OTHER = about(name="other", fingerprint="b" * 64)


def test_nothing_changed():
    """Where pipeline, judge and answers are the baseline's, three questions are enough."""
    few = many([0.9, 0.3, None])
    gate = hold_to_baseline(run(*few, abouts=(JUDGE, ONE)), base(*few, abouts=(JUDGE, ONE)))
    assert gate.verdict == PASS
    assert gate.notes[-1] == ("one: PASS by identity: pipeline, judge and every answer are the baseline's")
    assert gate.detectable is None


@pytest.mark.parametrize(
    ("after", "abouts"),
    [
        (many([0.9, 0.9, 0.8]), (JUDGE, ONE)),
        (many([0.9, 0.9, 0.9], answer=Answer("Three.")), (JUDGE, ONE)),
        (many([0.9, 0.9, 0.9]), (JUDGE, about(fingerprint="c" * 64))),
        (many([0.9, 0.9, 0.9]), (about("judge", "fake", "e" * 64), ONE)),
        (many([0.9, 0.9, 0.9]), (JUDGE, replace(ONE, versioned=False))),
        (many([0.9, 0.9, 0.9]), (JUDGE,)),
    ],
    ids=["score", "answer", "pipeline", "judge", "unversioned", "unknown"],
)
def test_something_changed(after, abouts):
    """Whatever differs, or might, is for statistics to tell."""
    gate = hold_to_baseline(run(*after, abouts=abouts), base(*many([0.9] * 3), abouts=(JUDGE, ONE)))
    assert gate.verdict == INCONCLUSIVE
    assert not any("by identity" in note for note in gate.notes)


def test_only_what_changed_is_tested():
    """The rows of an unchanged pipeline cost those of another nothing of their power."""
    same = [*many([0.9] * 40)]
    abouts = (JUDGE, ONE, OTHER)
    gate = hold_to_baseline(
        run(*same, *many([0.3] * 20 + [0.9] * 20, pipeline="other"), abouts=abouts),
        base(*same, *many([0.9] * 40, pipeline="other"), abouts=abouts),
    )
    alone = held(many([0.3] * 20 + [0.9] * 20), many([0.9] * 40))
    assert gate.verdict == BLOCK
    changed = [row for row in gate.rows if row.pipeline == "other"]
    assert [row.p_adjusted for row in changed] == [row.p_adjusted for row in alone.rows]
    assert {row.verdict for row in gate.rows if row.pipeline == "one"} == {PASS}


def test_too_few_to_tell():
    gate = held(many([0.3] * 2 + [0.9] * 8), many([0.9] * 10))
    assert gate.verdict == INCONCLUSIVE


def test_the_margin():
    """A drop that is sure but small blocks only where so little is too much."""
    after, before = many([0.89, 0.88] * 50), many([0.9] * 100)
    assert held(after, before, margin=0.05).verdict == PASS
    assert held(after, before, margin=0.01).verdict == BLOCK


def test_repeats_are_averaged():
    """Four repeats of a question are one observation."""
    after = [e for n in range(4) for e in many([0.9 if n < 2 else 0.3] * 10, repeat=n)]
    gate = held(after, many([0.9] * 10))
    rate, score = gate.rows
    assert (rate.difference.count, rate.difference.after) == (10, 0.5)
    assert score.difference.after == pytest.approx(0.6)


def test_an_error_fails_and_unscored_is_left_out():
    """An error counts in the pass rate, and has no scores; no verdict counts nowhere."""
    after = [broken("a"), evaluation("b"), evaluation("c", None), evaluation("d")]
    gate = held(after, [evaluation(name) for name in "abcd"])
    rate, score = gate.rows
    assert (rate.difference.count, rate.difference.after) == (3, pytest.approx(2 / 3))
    assert (score.difference.count, score.difference.after) == (2, 0.9)
    assert gate.notes == ("one: 1 question has no verdict in one of the runs: not in the pass rate",)


def test_pipelines_have_rows_of_their_own():
    names = ["b", "a"]
    after = [e for name in names for e in many([0.9] * 3, pipeline=name)]
    gate = held(after, after)
    assert [(row.pipeline, row.metric) for row in gate.rows] == [
        ("a", "pass_rate"), ("a", "faithfulness"), ("b", "pass_rate"), ("b", "faithfulness"),
    ]  # fmt: skip


def tagged(values, *tags: str) -> list[Evaluation]:
    questions = [Question(f"{tags}{n}", "How many?", tags=tags) for n in range(len(values))]
    return [evaluation(value=value, question=q) for q, value in zip(questions, values, strict=True)]


def test_tags_have_rows_where_they_are_large():
    """A tag of all questions, or of so few that it could never block, has none."""
    small, large = LEAST_OF_A_TAG - 1, LEAST_OF_A_TAG
    after = tagged([0.9] * large, "fact", "all") + tagged([0.9] * small, "list", "all")
    gate = held(after, after)
    assert {row.tag for row in gate.rows} == {None, "fact"}


def test_a_tag_blocks():
    """A drop that only one tag has is not hidden by the others."""
    before = tagged([0.9] * 30, "number") + tagged([0.9] * 600, "text")
    after = tagged([0.3] * 12 + [0.9] * 18, "number") + tagged([0.9] * 600, "text")
    gate = held(after, before)
    verdicts = {(row.metric, row.tag): row.verdict for row in gate.rows}
    assert verdicts["pass_rate", None] == PASS
    assert verdicts["pass_rate", "number"] == BLOCK
    assert gate.verdict == BLOCK


def row(verdict: Verdict, tag: str | None = None) -> BaselineRow:
    return BaselineRow("one", "pass_rate", tag, Difference(1, 1, 1, 0, -1, 1, 1, None), 1, verdict)


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([], PASS),
        ([row(PASS), row(INCONCLUSIVE, "x")], PASS),
        ([row(PASS), row(BLOCK, "x")], BLOCK),
        ([row(INCONCLUSIVE), row(PASS, "x")], INCONCLUSIVE),
        ([row(INCONCLUSIVE), row(BLOCK)], BLOCK),
    ],
)
def test_what_rows_say_together(rows, verdict):
    assert verdict_of_rows(rows) == verdict


def test_detectable():
    """That of the pass rate, of the pipeline in which least can be seen."""
    noisy = [0.3 if n % 3 else 0.9 for n in range(60)]
    turned = [0.3 if n % 5 else 0.9 for n in range(60)]
    after = many([0.9] * 60, pipeline="a") + many(turned, pipeline="b")
    gate = held(after, many([0.9] * 60, pipeline="a") + many(noisy, pipeline="b"))
    found = [row.difference.detectable for row in gate.rows if row.metric == "pass_rate"]
    assert gate.detectable == max(found)
    assert held(many([0.9]), many([0.9])).detectable is None


# --- what is said first ---


def test_notes_of_both_runs():
    after, before = run(*many([0.9]), notes=("odd",)), base(*many([0.9]), notes=("half",))
    assert hold_to_baseline(after, before).notes[:2] == ("main: half", "new: odd")


def test_questions_in_one_run_only():
    """They are counted and named; the others are compared."""
    gate = held(many([0.9] * 12)[3:], many([0.9] * 4)[1:])
    assert gate.notes == (
        "2 questions are in the baseline and not in the run: q001, q002",
        "8 questions are in the run and not in the baseline: q004, q005, q006, q007, q008 and 3 more",
        "one: one question only: chance cannot be told from change",
    )
    assert gate.rows[0].difference.count == 1
    assert gate.verdict == INCONCLUSIVE


def test_one_question_only():
    gate = held(many([0.1]), many([0.9]))
    assert (gate.verdict, gate.notes) == (
        INCONCLUSIVE,
        ("one: one question only: chance cannot be told from change",),
    )


def test_all_unscored():
    gate = held(many([None] * 3), many([0.9] * 3))
    assert (gate.verdict, gate.rows, gate.detectable) == (INCONCLUSIVE, (), None)
    assert gate.notes == ("one: none of its 3 questions has a verdict in both runs: no pass rate to compare",)
    assert held(many([None]), many([None])).notes == (
        "one: its question has no verdict in one of the runs: no pass rate to compare",
    )


def test_an_empty_run():
    gate = hold_to_baseline(run(notes=("there is no evaluation in it",), abouts=()), base(*many([0.9])))
    assert (gate.verdict, gate.rows) == (INCONCLUSIVE, ())
    assert gate.notes == ("new: there is no evaluation in it", "nothing to compare")


def test_other_pipelines():
    gate = held(many([0.9], pipeline="c"), many([0.9], pipeline="b") + many([0.9], pipeline="a"))
    assert (gate.verdict, gate.rows) == (INCONCLUSIVE, ())
    assert gate.notes == ("the baseline has pipelines a, b; the run has c: nothing to compare",)


def test_some_pipelines():
    same = many([0.9] * 200)
    gate = held(same + many([0.9], pipeline="c"), same + many([0.9], pipeline="b"))
    assert gate.notes == (
        "only the baseline has pipeline b: not compared",
        "only the run has pipeline c: not compared",
    )
    assert gate.verdict == PASS


def test_no_question_in_both():
    gate = held([evaluation("a")], [evaluation("b")])
    assert gate.verdict == INCONCLUSIVE
    assert gate.notes == (
        "no question is in both: nothing to compare",
        "1 question is in the baseline and not in the run: b",
        "1 question is in the run and not in the baseline: a",
    )


def test_a_changed_question():
    """The id is the same and the question another: it is left out."""
    other = replace(evaluation("b"), question=Question("b", "How few?"))
    unanswerable = replace(evaluation("c"), question=Question("c", "How many c?", answerable=False))
    gate = held([evaluation("a"), other, unanswerable], [evaluation(name) for name in "abc"])
    assert gate.notes[0] == "2 questions ask something else under the same id, and are left out: b, c"
    assert gate.rows[0].difference.count == 1
    alone = held([other], [evaluation("b")])
    assert alone.notes == (
        "no question is in both and asks the same: nothing to compare",
        "1 question asks something else under the same id, and is left out: b",
    )
    pairing = pair_up(run(other), base(evaluation("b")))
    assert (pairing.added, pairing.removed) == ((other,), (evaluation("b"),))


def test_changed_references_sources_and_tags():
    question = Question("a", "How many a?", "Two.", (Source("a.md"),), ("x",))
    changed = Question("a", "How many a?", "Three.", (Source("b.md"),), ("y",))
    gate = held([evaluation(question=changed)], [evaluation(question=question)])
    assert gate.notes[:3] == (
        "1 question has other references than in the baseline: a",
        "1 question has other sources than in the baseline: a",
        "1 question has other tags than in the baseline: a",
    )


def test_changed_thresholds():
    """Both are held to those of the run: a threshold that was raised is no regression."""
    before = many([0.6] * 100)
    after = many([0.6] * 100, thresholds={"faithfulness": 0.7})
    gate = held(after, before)
    assert gate.notes == ("thresholds changed (faithfulness 0.5 -> 0.7): both are held to those of the run",)
    assert (gate.rows[0].difference.before, gate.rows[0].difference.after) == (0, 0)
    assert gate.verdict == PASS


def test_other_metrics():
    """A metric that only one run has makes no breach there."""
    more = (Score("faithfulness", 0.9), Score("relevancy", 0.1))
    after = many([0.9] * 100, scores=more, thresholds={"faithfulness": 0.5, "relevancy": 0.5})
    gate = held(after, many([0.9] * 100))
    assert gate.notes == ("only the run has scores of relevancy: no breach of it counts here",)
    assert [row.metric for row in gate.rows] == ["pass_rate", "faithfulness"]
    assert gate.rows[0].difference.after == 1
    assert held(many([0.9]), after[:1]).notes[0] == (
        "only the baseline has scores of relevancy: no breach of it counts here"
    )


def test_a_pipeline_that_only_raises():
    """It has no scores, which is not that it has no such metrics."""
    gate = held([broken(f"q{n:03}") for n in range(20)], many([0.9] * 20))
    assert (gate.verdict, gate.notes) == (BLOCK, ())
    assert [row.metric for row in gate.rows] == ["pass_rate"]


def test_a_changed_judge():
    """No verdict stands on scores of two judges."""
    other = about("judge", "fake", "e" * 64)
    after, before = run(*many([0.1] * 50), abouts=[other]), base(*many([0.9] * 50))
    gate = hold_to_baseline(after, before)
    assert gate.notes == (
        "the judge changed (fake ffffffffffff -> fake eeeeeeeeeeee): scores are not comparable; "
        "--evals-rejudge scores the old answers with the new judge",
    )
    assert gate.verdict == INCONCLUSIVE
    assert {row.verdict for row in gate.rows} == {INCONCLUSIVE}
    unknown = hold_to_baseline(run(*many([0.9]), abouts=[]), before).notes[0]
    assert unknown.startswith("the judge changed (fake ffffffffffff -> none): ")


def test_a_changed_corpus():
    """Documents by name; once when it is the same for all pipelines."""
    old = {"a.md": "1", "b.md": "2", "c.md": "3"}
    new = {"a.md": "1", "b.md": "9", "d.md": "4", "e.md": "5"}

    def abouts(*documents):
        return [about(name=f"p{n}", index={"documents": d}) for n, d in enumerate(documents)] + [JUDGE]

    after = [e for name in ("p0", "p1") for e in many([0.9] * 200, pipeline=name)]
    said = "2 documents added (d.md, e.md), 1 document removed (c.md), 1 document changed (b.md)"
    gate = hold_to_baseline(run(*after, abouts=abouts(new, new)), base(*after, abouts=abouts(old, old)))
    assert (gate.notes, gate.verdict) == ((f"the corpus changed: {said}",), PASS)
    gate = hold_to_baseline(run(*after, abouts=abouts(new, old)), base(*after, abouts=abouts(old, old)))
    assert gate.notes == (
        f"the corpus changed for p0: {said}",
        "p1: PASS by identity: pipeline, judge and every answer are the baseline's",
    )
    silent = [about(name="p0"), about(name="p1", index=3), JUDGE]
    assert hold_to_baseline(run(*after, abouts=silent), base(*after, abouts=abouts(old, old))).notes == ()


def test_the_same_input_gives_the_same_gate():
    """Also in another order."""
    after, before = many([0.3] * 10 + [0.9] * 20), many([0.9, 0.8, 0.4] * 10)
    assert held(after, before) == held(after[::-1], before[::-1])
