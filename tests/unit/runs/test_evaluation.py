"""Evaluations: what they come to, what `require` says, and their JSON."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from itertools import count
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints
from unittest import SkipTest

import pytest
from rag_evals.evals.base.errors import BreachError, UnscoredError, UsageError
from rag_evals.evals.questions.question import Question, Source
from rag_evals.evals.runs.evaluation import (
    NOT_IN_A_LINE,
    Evaluation,
    evaluation_from_json,
    evaluation_to_json,
)
from rag_evals.evals.runs.score import ClaimScore, Score
from rag_evals.rag.answer import Answer, Context, Span, Tokens
from rag_evals.rag.identity import canonical

QUESTION = Question("experts", "How many experts?")
UNANSWERABLE = Question("who", "Who paid?", answerable=False)
FULL = Evaluation(
    question=Question(
        "größe",
        "Wie groß?\u2028",
        reference="Zwölf 🦜.",
        sources=(Source("maße.pdf", 3, 5, 19, "Es sind zwölf."),),
        tags=("fact",),
        answerable=True,
    ),
    pipeline="baseline",
    answer=Answer(
        'Zwölf, "etwa" \x1b[31m.',
        (Context("Es sind zwölf.", "maße.pdf", page=3, start=5, end=19, score=0.25), Context("Kein Ort.")),
        seconds={"generate": 1.5},
        tokens={"generate": Tokens(7, 8, 9)},
        omitted=2,
        finished=False,
        stages={"candidates": (Span("maße.pdf", 3, 5, 19),)},
    ),
    scores=(
        Score(
            "faithfulness",
            0.25,
            evidence='"Zwölf" is not supported',
            least=0.25,
            mean=0.625,
            claims=(
                ClaimScore("Zwölf", 0.25, 0, 5, Context("Es sind zwölf.", "maße.pdf", page=3)),
                ClaimScore('"etwa"', None, 7, 13, reason="unclear"),
            ),
            graded=False,
            spread=0.5,
            repeats=(0.5, None),
        ),
        Score("relevancy", None, reason="the answer is empty"),
        Score("tone", 1.0),
    ),
    thresholds={"faithfulness": 0.5, "relevancy": 0.75},
    seconds={"generate": 1.5, "judge": 0.5},
    tokens={"generate": Tokens(7, 8, 9), "judge": Tokens(3, 12, 21)},
    repeat=1,
    cached=("answer",),
    usd=0.25,
    conditions=("pass_rate >= 0.9",),
    test="t.py::t[q]",
    keys={"answer": "a1", "scores": "s1"},
)
BARE = {
    "reason": None,
    "evidence": None,
    "least": None,
    "mean": None,
    "claims": [],
    "graded": True,
    "spread": None,
    "again": [],
}
FULL_JSON = {
    "type": "evaluation",
    "question_id": "größe",
    "pipeline": "baseline",
    "repeat": 1,
    "question": "Wie groß?\u2028",
    "reference": "Zwölf 🦜.",
    "answerable": True,
    "tags": ["fact"],
    "sources": [{"document": "maße.pdf", "page": 3, "start": 5, "end": 19, "quote": "Es sind zwölf."}],
    "answer": 'Zwölf, "etwa" \x1b[31m.',
    "finished": False,
    "omitted": 2,
    "contexts": [
        {
            "text": "Es sind zwölf.",
            "document": "maße.pdf",
            "page": 3,
            "start": 5,
            "end": 19,
            "score": 0.25,
        },
        {"text": "Kein Ort.", "document": "", "page": None, "start": None, "end": None, "score": None},
    ],
    "retrieved": {"candidates": [{"document": "maße.pdf", "page": 3, "start": 5, "end": 19}]},
    "scores": {
        "faithfulness": {
            "value": 0.25,
            "threshold": 0.5,
            "reason": None,
            "evidence": '"Zwölf" is not supported',
            "least": 0.25,
            "mean": 0.625,
            "claims": [
                {
                    "text": "Zwölf",
                    "value": 0.25,
                    "start": 0,
                    "end": 5,
                    "closest": {
                        "text": "Es sind zwölf.",
                        "document": "maße.pdf",
                        "page": 3,
                        "start": None,
                        "end": None,
                        "score": None,
                    },
                    "reason": None,
                },
                {
                    "text": '"etwa"',
                    "value": None,
                    "start": 7,
                    "end": 13,
                    "closest": None,
                    "reason": "unclear",
                },
            ],
            "graded": False,
            "spread": 0.5,
            "again": [0.5, None],
        },
        "relevancy": {**BARE, "value": None, "threshold": 0.75, "reason": "the answer is empty"},
        "tone": {**BARE, "value": 1.0, "threshold": None},
    },
    "outcome": "failed",
    "error": None,
    "seconds": {"generate": 1.5, "judge": 0.5},
    "tokens": {
        "evaluated": 10,
        "reused": 20,
        "generated": 30,
        "stages": {
            "generate": {"evaluated": 7, "reused": 8, "generated": 9},
            "judge": {"evaluated": 3, "reused": 12, "generated": 21},
        },
    },
    "cached": ["answer"],
    "usd": 0.25,
    "conditions": ["pass_rate >= 0.9"],
    "test": "t.py::t[q]",
    "keys": {"answer": "a1", "scores": "s1"},
}


def evaluation(*scores: Score, question=QUESTION, error=None, enforced=True, threshold=0.5) -> Evaluation:
    thresholds = {score.metric: threshold for score in scores}
    answer = None if error else Answer("Two.")
    return Evaluation(question, "base", answer, scores, thresholds, error=error, enforced=enforced)


def refusal(evaluation: Evaluation, *metrics: str) -> str:
    """Return the text of the AssertionError that `require` raises."""
    with pytest.raises(BreachError) as caught:
        evaluation.require(*metrics)
    assert isinstance(caught.value, AssertionError)
    return str(caught.value)


# --- JSON ---


def test_line_of_an_evaluation():
    """The record holds everything about the evaluation, in plain JSON."""
    assert evaluation_to_json(FULL) == FULL_JSON


def test_line_reads_back_as_it_was():
    """Text of any script, None and quotes survive writing and reading."""
    line = canonical(evaluation_to_json(FULL))
    assert len(line.split("\n")) == 1
    read = evaluation_from_json(json.loads(line))
    assert evaluation_to_json(read) == FULL_JSON
    # The stages of answer and judge are together in the record; nothing else is lost.
    assert read == replace(FULL, answer=replace(FULL.answer, seconds={}, tokens={}))


def test_copies_are_in_the_line():
    """A passage says where else its text stands; a line of a passage without copies is as ever."""
    passage = Context("x", "a.md", copies=(Span("b.pdf", 2, 5, 6, 3), Span("c.md")))
    evaluation = replace(FULL, answer=Answer("x", (passage, Context("y"))))
    line = evaluation_to_json(evaluation)
    assert line["contexts"][0]["copies"] == [
        {"document": "b.pdf", "page": 2, "start": 5, "end": 6, "page_end": 3},
        {"document": "c.md", "page": None, "start": None, "end": None},
    ]
    assert "copies" not in line["contexts"][1]
    assert evaluation_from_json(line).answer.contexts == (passage, Context("y"))


def filled(kind: Any, numbers: Iterator[int]) -> Any:
    """Return a value of a type: no field of it has its default, and no two the same number or text.

    Texts are in the order of their numbers, as a line has scores in the order of their metrics.
    """
    origin, of = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        given = {f.name: filled(hints[f.name], numbers) for f in fields(kind)}
        given |= {f.name: not f.default for f in fields(kind) if hints[f.name] is bool}
        return kind(**given)
    if origin is tuple:
        return tuple(filled(one, numbers) for one in (of[:1] * 2 if of[-1] is Ellipsis else of))
    if origin is Mapping:
        return {f"key{next(numbers)}": filled(of[1], numbers)}
    if origin is UnionType:
        return filled(of[0], numbers)
    number = next(numbers)
    return number + 0.5 if kind is float else number if kind is int else f"text {number:03}"


def differences(given: Any, read: Any, name: str = "") -> list[str]:
    """Return the dotted names of the fields that are not the same."""
    if not is_dataclass(given) or type(given) is not type(read):
        return [] if given == read else [name]
    parts = [field.name for field in fields(given)]
    found = [differences(getattr(given, n), getattr(read, n), f"{name}.{n}" if name else n) for n in parts]
    return [path for paths in found for path in paths]


def test_a_line_loses_only_what_is_listed():
    """Every field of every part, those that are to come as well."""
    whole = filled(Evaluation, count(1))
    whole = replace(whole, thresholds={score.metric: 0.5 for score in whole.scores})
    read = evaluation_from_json(json.loads(canonical(evaluation_to_json(whole))))
    assert sorted(differences(whole, read)) == list(NOT_IN_A_LINE)
    assert evaluation_to_json(read) == evaluation_to_json(whole)


def test_line_of_an_error_reads_back():
    """An evaluation without an answer survives writing and reading."""
    failed = evaluation(Score("faithfulness", None, reason="there is no answer"), error="ValueError: boom")
    line = evaluation_to_json(failed)
    assert (line["answer"], line["contexts"], line["outcome"]) == (None, [], "error")
    assert evaluation_from_json(line) == failed


def test_unknown_keys_are_passed_over():
    """A reader of today reads what a writer of tomorrow adds, at every level."""
    line = json.loads(json.dumps(FULL_JSON))
    line["mood"] = "good"
    line["tokens"]["imagined"] = 1
    line["contexts"][0]["colour"] = "red"
    line["scores"]["tone"]["colour"] = "red"
    line["scores"]["faithfulness"]["claims"][0]["colour"] = "red"
    line["scores"]["faithfulness"]["claims"][0]["closest"]["colour"] = "red"
    assert evaluation_to_json(evaluation_from_json(line)) == FULL_JSON


def test_keys_of_later_schemas_may_be_missing():
    """What a question need not have, its record need not have."""
    line = {key: value for key, value in FULL_JSON.items() if key not in ("reference", "tags", "answerable")}
    question = evaluation_from_json(line).question
    assert (question.reference, question.tags, question.answerable) == (None, (), True)


def test_line_without_what_all_have_is_refused():
    """A line that is no evaluation is an error that names the key."""
    with pytest.raises(KeyError, match=r"^'scores'$"):
        evaluation_from_json({key: value for key, value in FULL_JSON.items() if key != "scores"})


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_nan_is_refused(value):
    """A NaN or an infinity never reaches a record: it is an error that names the metric."""
    with pytest.raises(ValueError, match=r"is no score") as caught:
        evaluation_to_json(evaluation(Score("faithfulness", value)))
    assert str(caught.value) == (
        f"faithfulness = {value} is no score: a judge without a verdict gives None and says the reason"
    )


def test_evaluations_pickle():
    """An evaluation can cross to another process, whatever its question holds."""
    question = Question("a", "Why?", sources=(Source("a.pdf", page=1),), thresholds=(("relevancy", 0.5),))
    crossed = replace(FULL, question=question)
    assert pickle.loads(pickle.dumps(crossed)) == crossed


# --- outcome ---


@pytest.mark.parametrize(
    ("scores", "outcome"),
    [
        ([Score("faithfulness", 0.5), Score("relevancy", 0.51)], "passed"),
        ([Score("faithfulness", 0.0), Score("relevancy", 1.0)], "failed"),
        ([Score("faithfulness", None, reason="?"), Score("relevancy", 1.0)], "unscored"),
        ([Score("faithfulness", None, reason="?"), Score("relevancy", 0.4)], "failed"),
        ([Score("faithfulness", None, reason="?")], "unscored"),
    ],
)
def test_outcome(scores, outcome):
    """A score on the threshold passes, one below it fails, and unscored is neither."""
    assert evaluation(*scores).outcome == outcome


def test_outcome_of_an_error():
    """Without an answer there is an error, whatever the scores say."""
    assert evaluation(Score("faithfulness", 1.0), error="ValueError: boom").outcome == "error"


def test_metric_without_a_threshold_never_breaches():
    """A metric of one's own that has no threshold is only recorded, whatever its scale."""
    own = Evaluation(QUESTION, "base", Answer("Two."), (Score("margin", -3.0),), {})
    assert (own.outcome, own.breaches) == ("passed", ())


# --- require ---


def test_passing_says_nothing():
    """Scores on or above their thresholds raise nothing."""
    evaluation(Score("faithfulness", 0.5), Score("relevancy", 0.9)).require()


def test_every_breach_and_everything_unscored_is_listed():
    """One error lists every breach with score, threshold and evidence, then everything unscored."""
    judged = evaluation(
        Score(
            "faithfulness", 0.401, evidence='"Four." is not supported by the contexts (best ranked: a.pdf)'
        ),
        Score("relevancy", 0.0),
        Score("tone", None, reason="the answer is empty"),
        Score("style", None, reason="the judge raised TimeoutError"),
        Score("length", 0.9),
    )
    assert refusal(judged) == (
        'faithfulness 0.40 < 0.50: "Four." is not supported by the contexts (best ranked: a.pdf)\n'
        "relevancy 0.00 < 0.50\n"
        "tone unscored: the answer is empty\n"
        "style unscored: the judge raised TimeoutError"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.494, "0.49 < 0.50"),
        (0.496, "0.496 < 0.500"),
        (0.4996, "0.4996 < 0.5000"),
        (0.49996, "0.49996 < 0.50000"),
        (0.5 - 1e-9, "0.499999999 < 0.500000000"),
    ],
)
def test_close_misses_show_enough_digits(value, text):
    """A score just below its threshold never reads as if it were on it."""
    assert refusal(evaluation(Score("faithfulness", value))) == f"faithfulness {text}"


def test_error_of_the_pipeline_is_named():
    """Without an answer `require` says what the pipeline raised; named metrics change nothing."""
    failed = evaluation(
        Score("faithfulness", None, reason="there is no answer"), error="ValueError: no such index"
    )
    text = "pipeline base raised ValueError: no such index"
    assert refusal(failed) == text
    assert refusal(failed, "relevancy") == text


def test_unscored_is_skipped_with_every_reason():
    """Without a breach, what could not be judged skips the test and says why."""
    judged = evaluation(
        Score("faithfulness", None, reason="the answer is empty"),
        Score("relevancy", 0.9),
        Score("tone", None, reason="no key"),
    )
    with pytest.raises(UnscoredError) as caught:
        judged.require()
    assert isinstance(caught.value, SkipTest)
    assert str(caught.value) == "faithfulness unscored: the answer is empty; tone unscored: no key"


def test_named_metrics_only():
    """Metrics that are not named are not held, neither for a breach nor for a missing verdict."""
    judged = evaluation(
        Score("faithfulness", 0.9), Score("relevancy", 0.1), Score("tone", None, reason="no key")
    )
    judged.require("faithfulness")
    assert refusal(judged, "relevancy", "faithfulness") == "relevancy 0.10 < 0.50"
    with pytest.raises(UnscoredError, match=r"^tone unscored: no key$"):
        judged.require("tone")


def test_an_evaluation_with_some_of_its_scores():
    """What is not a score stays as it is, and the scores stay in their order."""
    relevancy, tone = FULL.scores[1:]
    assert FULL.only("tone", "relevancy") == replace(FULL, scores=(relevancy, tone))


def test_breached_scores():
    """Those below their thresholds: not those without a verdict, nor those without a threshold."""
    scores = (Score("relevancy", 0.5), Score("refusal", 0.4), Score("faithfulness", None), Score("tone", 0.0))
    thresholds = {"relevancy": 0.5, "refusal": 0.5, "faithfulness": 0.5}
    scored = replace(evaluation(*scores), thresholds=thresholds)
    assert [score.metric for score in scored.breached] == ["refusal"]
    assert replace(scored, thresholds={}).breached == ()


def test_unknown_metric_is_refused():
    """A metric that was not scored is an error, in report mode too, and names those that were."""
    for enforced in (True, False):
        judged = evaluation(Score("faithfulness", 0.9), Score("relevancy", 0.9), enforced=enforced)
        with pytest.raises(UsageError) as caught:
            judged.require("faithfulnes")
        assert str(caught.value) == (
            "require: unknown metric 'faithfulnes': scored are faithfulness, relevancy"
        )


def test_unanswerable_question_is_held_to_refusal():
    """A test that asks for faithfulness holds a question without an answer to `refusal`."""
    declined = evaluation(Score("refusal", 0.9), question=UNANSWERABLE)
    declined.require("faithfulness", "relevancy")
    answered = evaluation(Score("refusal", 0.2), question=UNANSWERABLE)
    assert refusal(answered, "faithfulness", "relevancy") == refusal(answered) == "refusal 0.20 < 0.50"


def test_report_mode_does_not_raise():
    """In report mode breaches, errors and missing verdicts raise nothing, but they are still there."""
    breach = evaluation(Score("relevancy", 0.1), enforced=False)
    breach.require()
    breach.require("relevancy")
    assert (breach.outcome, breach.breaches) == ("failed", ("relevancy 0.10 < 0.50",))
    evaluation(Score("relevancy", None, reason="no key"), enforced=False).require()
    evaluation(Score("relevancy", None, reason="?"), error="ValueError: boom", enforced=False).require()


def test_control_characters_do_not_reach_the_terminal():
    """Text of an answer, a judge or an exception cannot drive the terminal through a test's failure."""
    judged = evaluation(
        Score("faithfulness", 0.1, evidence='"\x1b[2J\x07Four.\nFive." is wrong'),
        Score("relevancy", None, reason="the judge raised ValueError: \x9b31m\ttab"),
    )
    assert refusal(judged) == (
        'faithfulness 0.10 < 0.50: "�[2J�Four. Five." is wrong\n'
        "relevancy unscored: the judge raised ValueError: �31m tab"
    )
    with pytest.raises(UnscoredError, match=r"^relevancy unscored: the judge raised ValueError: �31m tab$"):
        judged.require("relevancy")
    failed = evaluation(Score("relevancy", None, reason="?"), error="ValueError: \x1b[2J")
    assert refusal(failed) == "pipeline base raised ValueError: �[2J"
    # The record keeps what was said.
    assert evaluation_to_json(failed)["error"] == "ValueError: \x1b[2J"


def test_a_line_of_before_has_the_candidates_alone():
    """What retrieval found had a field of its own."""
    line = evaluation_to_json(FULL)
    line = {**line, "candidates": line["retrieved"]["candidates"]}
    del line["retrieved"]
    assert evaluation_from_json(line).answer.stages == FULL.answer.stages
