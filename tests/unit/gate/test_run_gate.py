"""The run-level gate: what each condition says of a run, and what it does with too little or odd data."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from rag_evals.evals.base.intervals import (
    Interval,
    Sample,
    least_for_quantile,
    mean_interval,
    quantile_interval,
    questions_needed,
    rate_interval,
)
from rag_evals.evals.gate.condition import ConditionError, parse_condition
from rag_evals.evals.gate.run_gate import ConditionResult, check_conditions
from rag_evals.evals.gate.verdict import Verdict, worst
from rag_evals.evals.questions.question import Question, Source
from rag_evals.evals.runs.evaluation import Evaluation, evaluation_from_json, evaluation_to_json
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer, Tokens

NO_SCOPE = "no evaluation is in its scope"


def evaluation(name: str = "q", value: float | None = 0.9, **changes) -> Evaluation:
    """Return an evaluation of one metric with a threshold of 0.5."""
    question = Question(
        name,
        "Why?",
        tags=changes.pop("tags", ()),
        sources=tuple(Source(document) for document in changes.pop("documents", ())),
    )
    given = {
        "question": question,
        "pipeline": "baseline",
        "answer": Answer("So."),
        "scores": (Score("faithfulness", value, reason="no key" if value is None else None),),
        "thresholds": {"faithfulness": 0.5},
        "seconds": {"generate": 2.0, "judge": 1.0},
        "tokens": {"generate": Tokens(90, 50, 10)},
        **changes,
    }
    return Evaluation(**given)


def run_of(*values: float | None, **changes) -> list[Evaluation]:
    return [evaluation(f"q{n:03}", value, **changes) for n, value in enumerate(values)]


def held(text: str, evaluations: list[Evaluation]) -> ConditionResult:
    (one,) = check_conditions([parse_condition(text)], evaluations)
    return one


def sample(values: list[float], **changes) -> Sample:
    return Sample(tuple(values), changes.pop("clusters", ("",) * len(values)), **changes)


# --- verdicts ---


@pytest.mark.parametrize(
    ("bound", "verdict"),
    [(">= 0.7", "PASS"), (">= 0.9", "INCONCLUSIVE"), (">= 0.97", "BLOCK"), ("<= 0.97", "PASS")],
)
def test_an_interval_beyond_the_bound_decides_and_one_across_does_not(bound: str, verdict: str) -> None:
    one = held(f"pass_rate {bound}", run_of(*[0.9] * 85, *[0.1] * 15))
    assert one.interval == rate_interval(sample([1.0] * 85 + [0.0] * 15))
    assert (one.verdict, one.count, one.notes) == (Verdict(verdict), 100, ())


def test_inconclusive_says_how_many_more_questions_would_tell() -> None:
    one = held("pass_rate >= 0.8", run_of(*[0.9] * 85, *[0.1] * 15))
    assert one.verdict is Verdict.INCONCLUSIVE
    assert one.interval
    assert one.needed == questions_needed(one.interval, 100, 0.8, is_rate=True)
    more = run_of(*[0.9] * 85 * 10, *[0.1] * 15 * 10)[: 100 + (one.needed or 0)]
    assert 50 < len(more) - 100 < 300


def test_a_decided_condition_needs_no_more_questions() -> None:
    assert held("pass_rate >= 0.5", run_of(*[0.9] * 100)).needed is None


def test_a_strict_bound_is_itself_too_little() -> None:
    evaluations = run_of(0.5, 0.6, 0.7)
    assert held("faithfulness.min >= 0.5", evaluations).verdict is Verdict.PASS
    assert held("faithfulness.min > 0.5", evaluations).verdict is Verdict.BLOCK
    assert held("faithfulness.max <= 0.7", evaluations).verdict is Verdict.PASS
    assert held("faithfulness.max < 0.7", evaluations).verdict is Verdict.BLOCK


def test_at_the_bound_no_number_of_questions_would_tell() -> None:
    one = held("pass_rate >= 0.5", run_of(*[0.9] * 50, *[0.1] * 50))
    assert (one.verdict, one.needed) == (Verdict.INCONCLUSIVE, None)
    assert one.notes == ("the value is the bound: more questions like these would not tell",)


def test_the_worst_verdict_is_that_of_the_gate() -> None:
    conditions = [parse_condition(f"pass_rate >= {bound}") for bound in (0.5, 0.8, 0.99)]
    found = check_conditions(conditions, run_of(*[0.9] * 85, *[0.1] * 15))
    assert [one.verdict for one in found] == ["PASS", "INCONCLUSIVE", "BLOCK"]
    assert worst(one.verdict for one in found) is Verdict.BLOCK


# --- measures ---


def test_pass_rate_counts_errors_as_failed_and_leaves_out_what_has_no_verdict() -> None:
    evaluations = [
        *run_of(0.9, 0.9, 0.1, None),
        evaluation("broken", None, answer=None, error="ValueError: no"),
    ]
    one = held("pass_rate >= 0.9", evaluations)
    assert one.interval == rate_interval(sample([1.0, 1.0, 0.0, 0.0]))
    assert (one.count, one.notes) == (4, ("1 of 5 without a verdict left out",))


def test_a_metric_has_mean_quantiles_and_a_share_above_its_threshold() -> None:
    values = [n / 100 for n in range(100)]
    evaluations = run_of(*values)
    assert held("faithfulness.mean >= 0", evaluations).interval == mean_interval(sample(values))
    assert held("faithfulness.p10 >= 0", evaluations).interval == quantile_interval(sample(values), 0.1)
    assert held("faithfulness.median >= 0", evaluations).interval == quantile_interval(sample(values), 0.5)
    rate = held("faithfulness.pass_rate >= 0", evaluations).interval
    assert rate == rate_interval(sample([0.0] * 50 + [1.0] * 50))


def test_questions_that_a_metric_does_not_apply_to_are_none_of_its_business() -> None:
    unanswerable = evaluation("none", scores=(Score("refusal", 1.0),))
    one = held("faithfulness.mean >= 0.5", [*run_of(0.8, 0.9, 0.7), unanswerable])
    assert (one.count, one.notes) == (3, ())


def test_seconds_and_tokens_are_of_all_stages_and_have_no_upper_limit() -> None:
    evaluations = run_of(*[0.9] * 20, seconds={"generate": 0.25, "judge": 0.25})
    latency = held("latency.mean <= 20s", evaluations).interval
    assert latency
    assert latency == mean_interval(sample([0.5] * 20, limits=(0.0, math.inf)))
    assert latency.high == math.inf
    tokens = held("tokens.max <= 100", evaluations)
    assert tokens.interval == Interval(100.0, 100.0, 100.0)
    assert tokens.verdict is Verdict.PASS


def test_without_an_answer_there_are_no_seconds_to_count() -> None:
    broken = evaluation("broken", None, answer=None, seconds={}, tokens={}, error="ValueError: no")
    one = held("latency.min >= 1s", [*run_of(0.9, 0.9), broken])
    assert one.interval == Interval(3.0, 3.0, 3.0)
    assert (one.count, one.notes) == (2, ("1 of 3 without an answer left out",))


def test_coverage_is_counted_and_judged_exactly() -> None:
    evaluations = run_of(*[0.9] * 19, None)
    one = held("coverage >= 95%", evaluations)
    assert one == ConditionResult(
        parse_condition("coverage >= 0.95"),
        "baseline",
        20,
        Interval(0.95, 0.95, 0.95),
        Verdict.PASS,
        None,
        (),
    )
    assert held("coverage >= 0.951", evaluations).verdict is Verdict.BLOCK


def test_coverage_wants_every_score_of_an_evaluation() -> None:
    half = evaluation("half", scores=(Score("faithfulness", 0.1), Score("relevancy", None, reason="no key")))
    error = evaluation("error", None, answer=None, error="ValueError: no")
    interval = held("coverage >= 0.9", [*run_of(0.9, 0.1), half, error]).interval
    assert interval
    assert interval.value == 0.5


def test_a_quantile_needs_so_many_questions_that_both_ends_are_known() -> None:
    evaluations = [replace(e, seconds={"generate": 1 + n % 7}) for n, e in enumerate(run_of(*[0.9] * 20))]
    one = held("latency.p95 <= 20s", evaluations)
    assert one.interval
    assert one.interval.high == math.inf
    assert (one.verdict, one.needed) == (Verdict.INCONCLUSIVE, least_for_quantile(0.95) - 20)


def test_with_enough_questions_a_quantile_is_extrapolated_like_all_others() -> None:
    one = held("faithfulness.p10 >= 0.09", run_of(*[n / 200 for n in range(200)]))
    assert one.interval
    assert one.needed == questions_needed(one.interval, 200, 0.09)
    assert one.needed


def test_equal_seconds_have_no_end_that_could_be_extrapolated() -> None:
    one = held("latency.mean <= 20s", run_of(*[0.9] * 20))
    assert (one.verdict, one.needed) == (Verdict.INCONCLUSIVE, None)
    assert one.notes == ("how many questions would tell cannot be said",)


# --- scopes ---


def test_each_pipeline_is_held_apart() -> None:
    evaluations = [*run_of(*[0.9] * 50, pipeline="b"), *run_of(*[0.1] * 50, pipeline="a")]
    found = check_conditions([parse_condition("pass_rate >= 0.5")], evaluations)
    assert [(one.pipeline, one.verdict, one.text) for one in found] == [
        ("a", Verdict.BLOCK, "[a] pass_rate >= 0.5"),
        ("b", Verdict.PASS, "[b] pass_rate >= 0.5"),
    ]


def test_a_scope_chooses_pipeline_and_tags() -> None:
    evaluations = [
        evaluation("one", 0.1, tags=("numbers", "short")),
        evaluation("two", 0.9, tags=("numbers",)),
        evaluation("one", 0.5, tags=("numbers", "short"), pipeline="other"),
    ]
    (one,) = check_conditions([parse_condition("[baseline, tag:numbers] faithfulness.max <= 1")], evaluations)
    assert (one.count, one.interval) == (2, Interval(0.9, 0.9, 0.9))
    both = check_conditions([parse_condition("[tag:numbers, tag:short] faithfulness.max <= 1")], evaluations)
    assert [(one.pipeline, one.count) for one in both] == [("baseline", 1), ("other", 1)]


@pytest.mark.parametrize("scope", ["baselin", "tag:letters", "baseline, tag:letters"])
def test_a_scope_with_nothing_in_it_is_inconclusive(scope: str) -> None:
    one = held(f"[{scope}] pass_rate >= 0.5", run_of(0.9, 0.9))
    pipeline = None if scope.startswith("tag") else scope.partition(",")[0]
    assert one == ConditionResult(
        parse_condition(f"[{scope}] pass_rate >= 0.5"),
        pipeline,
        0,
        None,
        Verdict.INCONCLUSIVE,
        None,
        (NO_SCOPE,),
    )
    assert one.text == f"[{scope}] pass_rate >= 0.5"


def test_an_empty_run_is_inconclusive() -> None:
    assert [held(text, []).notes for text in ("pass_rate >= 0.5", "coverage >= 0.5")] == [(NO_SCOPE,)] * 2


# --- repeats and documents ---


def test_repeats_are_averaged_before_anything_else() -> None:
    evaluations = [
        evaluation("one", 0.4),
        evaluation("one", 0.8, repeat=1),
        evaluation("one", None, repeat=2),
        evaluation("two", 0.9),
        evaluation("two", 1.0, repeat=1),
    ]
    mean = held("faithfulness.mean >= 0.5", evaluations)
    assert mean.interval == mean_interval(sample([0.6000000000000001, 0.95]))
    assert (mean.count, mean.notes) == (2, ("1 of 5 without a verdict left out",))
    rate = held("pass_rate >= 0.5", evaluations)
    assert rate.interval == rate_interval(sample([0.5, 1.0]))


def test_questions_on_one_document_are_a_cluster_and_those_without_stand_alone() -> None:
    draw = random.Random(3)
    level = [draw.random() for _ in range(8)]
    values = [level[n % 8] for n in range(80)]
    evaluations = [
        evaluation(f"q{n:03}", value, documents=(f"{n % 8}.md", "all.md")) for n, value in enumerate(values)
    ]
    clusters = tuple(f"{n % 8}.md" for n in range(80))
    clustered = held("faithfulness.mean >= 0.5", evaluations).interval
    assert clustered == mean_interval(sample(values, clusters=clusters))
    alone = held("faithfulness.mean >= 0.5", run_of(*values)).interval
    assert clustered
    assert alone
    assert clustered.high - clustered.low > 2 * (alone.high - alone.low)


def test_the_order_in_which_evaluations_were_finished_changes_nothing() -> None:
    draw = random.Random(1)
    evaluations = [
        evaluation(f"q{n}", draw.random(), pipeline=name, conditions=("coverage>=.9", "pass_rate > .1"))
        for n in range(40)
        for name in ("a", "b")
    ]
    conditions = [parse_condition("faithfulness.mean >= 0.5"), parse_condition("faithfulness.p10 >= 0.5")]
    first = check_conditions(conditions, evaluations)
    draw.shuffle(evaluations)
    assert check_conditions(conditions, evaluations) == first


# --- conditions of marks ---


def test_a_condition_of_a_mark_is_held_on_the_tests_so_marked() -> None:
    marked = run_of(*[0.9] * 30, conditions=("faithfulness.min>=80%",))
    others = [evaluation(f"other{n}", 0.1) for n in range(30)]
    found = check_conditions([parse_condition("faithfulness.min >= 0.8")], [*marked, *others])
    assert [(one.count, one.verdict, one.notes) for one in found] == [
        (60, Verdict.BLOCK, ()),
        (30, Verdict.PASS, ("of the tests marked with it",)),
    ]


def test_one_condition_in_two_spellings_is_one() -> None:
    one = evaluation("one", conditions=("coverage >= 90%", "coverage>=.9"))
    two = evaluation("two", None, conditions=("coverage >= 0.9",), pipeline="other")
    assert [(h.text, h.verdict, h.notes) for h in check_conditions((), [two, one])] == [
        ("[baseline] coverage >= 0.9", Verdict.PASS, ("of the tests marked with it",)),
        ("[other] coverage >= 0.9", Verdict.BLOCK, ("of the tests marked with it",)),
    ]


def test_notes_of_a_mark_come_first() -> None:
    (one,) = check_conditions((), run_of(0.9, None, conditions=("pass_rate >= 0.9",)))
    assert one.notes == (
        "of the tests marked with it",
        "one question says nothing of others",
        "1 of 2 without a verdict left out",
    )


def test_conditions_of_marks_are_sorted_as_tests_may_end_in_any_order() -> None:
    evaluations = [
        evaluation("a", conditions=("pass_rate > 0",)),
        evaluation("b", conditions=("coverage > 0",)),
    ]
    assert [h.condition.measure for h in check_conditions((), evaluations)] == ["coverage", "pass_rate"]


def test_a_mark_that_is_no_condition_is_said() -> None:
    with pytest.raises(ConditionError, match="condition 'pass_rate', character 10: expected one of"):
        check_conditions((), [evaluation(conditions=("pass_rate",))])


# --- too little, and odd, data ---


@pytest.mark.parametrize("text", ["pass_rate >= 0.5", "faithfulness.mean >= 0", "faithfulness.p10 <= 1"])
def test_one_question_says_nothing(text: str) -> None:
    one = held(text, run_of(0.9))
    assert (one.verdict, one.needed) == (Verdict.INCONCLUSIVE, None)
    assert (one.count, one.notes) == (1, ("one question says nothing of others",))


def test_what_is_counted_is_decided_with_one_question() -> None:
    assert held("coverage >= 1", run_of(0.9)).verdict is Verdict.PASS
    assert held("faithfulness.min >= 0.95", run_of(0.9)).verdict is Verdict.BLOCK


@pytest.mark.parametrize("text", ["pass_rate >= 0.5", "faithfulness.mean >= 0.5", "faithfulness.min >= 0.5"])
def test_all_unscored_is_inconclusive_and_never_zero(text: str) -> None:
    one = held(text, run_of(None, None))
    assert (one.verdict, one.interval, one.count) == (Verdict.INCONCLUSIVE, None, 0)
    assert one.notes == ("there is no value", "2 of 2 without a verdict left out")


def test_all_unscored_has_no_coverage() -> None:
    assert held("coverage >= 0.5", run_of(None, None)).verdict is Verdict.BLOCK


def test_a_metric_that_was_not_scored_is_said() -> None:
    one = held("correctness.mean >= 0.5", run_of(0.9, 0.9))
    assert (one.verdict, one.pipeline, one.notes) == (
        Verdict.INCONCLUSIVE,
        "baseline",
        ("correctness was not scored",),
    )


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_no_number_is_no_verdict_and_said(odd: float) -> None:
    line = evaluation_to_json(evaluation("odd"))
    line["scores"]["faithfulness"]["value"] = odd  # as a file from elsewhere may have it
    evaluations = [*run_of(*[0.9] * 30), evaluation_from_json(line)]
    notes = ("1 of 31 without a verdict left out", "1 with NaN or an infinity for a score")
    for text in ("faithfulness.mean >= 0.5", "faithfulness.pass_rate >= 0.5", "pass_rate >= 0.5"):
        one = held(text, evaluations)
        assert (one.verdict, one.count, one.notes) == (Verdict.PASS, 30, notes)
    coverage = held("coverage >= 1", evaluations)
    assert (coverage.verdict, coverage.notes) == (Verdict.BLOCK, ("1 with NaN or an infinity for a score",))
    assert held("tokens.max <= 1000", evaluations).notes == ()


def test_seconds_that_are_no_number_are_left_out() -> None:
    odd = evaluation("odd", seconds={"generate": math.nan})
    one = held("latency.max <= 3s", [*run_of(0.9, 0.9), odd])
    assert (one.verdict, one.notes) == (Verdict.PASS, ("1 of 3 without an answer left out",))


def test_a_score_without_a_threshold_neither_holds_it_nor_misses_it() -> None:
    one = held("faithfulness.pass_rate >= 0.5", [*run_of(*[0.9] * 30), evaluation("free", thresholds={})])
    assert (one.count, one.notes) == (30, ("1 of 31 without a verdict left out",))


# --- conversations ---


def talk(name: str, *values: float | None, repeat: int = 0) -> list[Evaluation]:
    """Return the turns of a conversation."""
    return [
        evaluation(
            question=Question(f"{name}-{n}", "Why?", conversation=name, turn=n),
            value=value,
            repeat=repeat,
        )
        for n, value in enumerate(values, 1)
    ]


def test_the_share_of_conversations_all_of_whose_turns_passed() -> None:
    """The unit is the conversation; a question without one does not count."""
    talks = [turn for n in range(30) for turn in talk(f"c{n}", 0.9, 0.9, 0.1 if n < 3 else 0.9)]
    one = held("conversations >= 80%", [*talks, evaluation("alone", 0.1)])
    assert one.text == "[baseline] conversations >= 0.8"
    assert (one.count, one.interval) == (30, rate_interval(sample([1.0] * 27 + [0.0] * 3)))
    assert one.verdict is Verdict.INCONCLUSIVE


def test_a_conversation_without_a_verdict_is_left_out_unless_it_failed() -> None:
    """What is not known is never 0; one turn that failed is enough to know."""
    one = held("conversations >= 0.1", [*talk("a", 0.9, None), *talk("b", 0.1, None), *talk("c", 0.9)])
    assert one.count == 2
    assert one.interval is not None
    assert one.interval.value == 0.5
    assert one.notes[-1] == "2 of 5 without a verdict left out"


def test_repeats_of_a_conversation_are_averaged() -> None:
    """Half of its repeats passed: it counts as half."""
    again = talk("a", 0.9, 0.1, repeat=1)
    one = held("conversations >= 0.1", [*talk("a", 0.9, 0.9), *again, *talk("b", 0.9)])
    assert one.interval is not None
    assert (one.count, one.interval.value) == (2, 0.75)


def test_a_run_without_conversations_does_not_decide_on_them() -> None:
    one = held("conversations >= 0.9", run_of(0.9, 0.9))
    assert (one.verdict, one.notes) == (Verdict.INCONCLUSIVE, (NO_SCOPE,))


def test_turns_of_a_conversation_are_no_independent_questions() -> None:
    """The interval of a rate is that of as many conversations, not of as many turns."""
    alike = [turn for n in range(10) for turn in talk(f"c{n}", *[0.9 if n < 8 else 0.1] * 6)]
    one = held("pass_rate >= 0.5", alike)
    clusters = tuple(f"conversation c{n}" for n in range(10) for _ in range(6))
    assert one.interval == rate_interval(sample([1.0] * 48 + [0.0] * 12, clusters=clusters))
    alone = held("pass_rate >= 0.5", run_of(*[0.9] * 48, *[0.1] * 12))
    assert one.interval is not None
    assert alone.interval is not None
    assert one.interval.high - one.interval.low > 2 * (alone.interval.high - alone.interval.low)
