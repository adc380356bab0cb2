"""Noise of judge and pipeline, and questions whose verdict flips, in evaluations and in runs."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path
from statistics import pstdev, stdev

import pytest
from rag_evals.evals.gate.flakiness import Flaky, Noise, flaky_questions, groups_of, groups_of_runs, noise_of
from rag_evals.evals.questions.question import Question
from rag_evals.evals.reports.terminal.flakiness import flaky_lines, noise_lines
from rag_evals.evals.runs.evaluation import Evaluation, evaluation_to_json
from rag_evals.evals.runs.run import Run, read_run
from rag_evals.evals.runs.run_folder import RunFolder
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer, Context
from rag_evals.rag.identity import canonical

BOTH = ("answer", "scores")
STANDARD = "standard deviations: judge, of one answer judged again; pipeline, of a question answered again"


def evaluation(
    value: float | None = 0.9, repeat: int = 0, text: str = "So.", name: str = "why", **changes
) -> Evaluation:
    """Return an evaluation of one metric with a threshold of 0.5."""
    again = tuple(changes.pop("again", ()))
    given = {
        "question": Question(name, f"{name}?"),
        "pipeline": "baseline",
        "answer": Answer(text),
        "scores": (Score("faithfulness", value, repeats=again, reason="no key" if value is None else None),),
        "thresholds": {"faithfulness": 0.5},
        "repeat": repeat,
        **changes,
    }
    return Evaluation(**given)


def broken(repeat: int = 0) -> Evaluation:
    return evaluation(None, repeat, answer=None, error="ValueError: no")


def noise(*evaluations: Evaluation) -> Noise:
    (one,) = noise_of(groups_of(evaluations))
    return one


def flaky(*evaluations: Evaluation) -> list[tuple[str, int, float]]:
    return [(f.question, f.count, f.passed) for f in flaky_questions(groups_of(evaluations))]


# --- noise ---


def test_judge_noise_is_within_answers_and_pipeline_noise_between_them() -> None:
    evaluations = [
        evaluation(0.8, 0, "One.", again=(0.6,)),
        evaluation(0.4, 1, "Two.", again=(0.4,)),
    ]
    judge = math.sqrt((2 * 0.1**2 + 0) / 2)
    between = 2 * 0.15**2  # of the means 0.7 and 0.4
    found = noise(*evaluations)
    assert (found.metric, found.judged, found.answered) == ("faithfulness", 2, 1)
    assert found.judge == pytest.approx(judge)
    assert found.pipeline == pytest.approx(math.sqrt(between - judge**2 / 2))


def test_the_two_noises_are_told_apart() -> None:
    draw = random.Random(5)

    def drawn(name: str, repeat: int) -> Evaluation:
        true = draw.gauss(0, 0.05)
        values = [0.7 + true + draw.gauss(0, 0.1) for _ in range(3)]
        return evaluation(values[0], repeat, f"Answer {repeat}.", name, again=values[1:])

    found = noise(*[drawn(f"q{n}", repeat) for n in range(300) for repeat in range(4)])
    assert found.judge == pytest.approx(0.1, rel=0.05)
    assert found.pipeline == pytest.approx(0.05, rel=0.1)
    assert (found.judged, found.answered) == (1200, 300)


def test_a_wavering_judge_is_not_the_pipelines_fault() -> None:
    draw = random.Random(6)
    same = [evaluation(0.7 + draw.gauss(0, 0.1), n % 4, "Same.", f"q{n // 4}") for n in range(400)]
    found = noise(*same)
    assert found.judge == pytest.approx(0.1, rel=0.1)
    assert found.pipeline == 0.0


def test_where_no_answer_was_judged_twice_the_judges_noise_is_in_the_pipelines() -> None:
    found = noise(evaluation(0.8, 0, "One."), evaluation(0.6, 1, "Two."))
    assert found == Noise("faithfulness", None, 0, pytest.approx(stdev([0.8, 0.6])), 1)


def test_the_same_words_from_other_passages_are_another_answer() -> None:
    other = replace(evaluation(0.6, 1), answer=Answer("So.", (Context("A passage."),)))
    assert noise(evaluation(0.8), other).judged == 0


def test_retrieval_is_another_measurement() -> None:
    """That of a question whose answer is evaluated as well is no repeat of it."""
    found = replace(evaluation(0.5), scores=(Score("retrieval.mrr", 0.5),))
    assert [len(group.measurements) for group in groups_of([evaluation(0.8), found])] == [1]


def test_deviations_are_pooled_over_questions() -> None:
    found = noise(
        *(evaluation(v, n, f"{n}.", "one") for n, v in enumerate((0.2, 0.4, 0.6))),
        *(evaluation(v, n, f"{n}.", "two") for n, v in enumerate((0.9, 0.9))),
        evaluation(0.1, 0, "0.", "three"),
    )
    assert found.answered == 2
    assert found.pipeline == pytest.approx(math.sqrt(3 * pstdev((0.2, 0.4, 0.6)) ** 2 / 3))


def test_what_has_no_verdict_is_no_measurement_of_noise() -> None:
    odd = replace(evaluation(0.5, 2, "Three."), scores=(Score("faithfulness", math.nan),))
    found = noise(evaluation(0.8, 0, "One.", again=(None, 0.8)), evaluation(None, 1, "Two."), odd, broken(3))
    assert found == Noise("faithfulness", 0.0, 1, None, 0)


def test_metrics_stand_in_the_order_of_reports_and_own_ones_behind() -> None:
    scores = tuple(Score(name, 1.0) for name in ("tone", "relevancy", "brevity", "faithfulness"))
    names = [n.metric for n in noise_of(groups_of([evaluation(scores=scores)]))]
    assert names == ["faithfulness", "relevancy", "brevity", "tone"]


# --- replays ---


def test_a_replay_is_no_measurement() -> None:
    first = evaluation(0.9)
    assert noise(first, replace(first, cached=BOTH)) == Noise("faithfulness", None, 0, None, 0)
    assert noise_lines([first, replace(first, cached=BOTH)])[0].startswith("no question was measured more")


def test_replays_of_what_is_not_here_count_once() -> None:
    one, two = evaluation(0.9, 0, "One.", cached=BOTH), evaluation(0.1, 1, "Two.", cached=BOTH)
    assert flaky(one, two, one, two, one) == [("why", 2, 0.5)]
    assert noise(one, two, one).answered == 1


def test_a_rejudged_answer_counts_for_the_judge_only() -> None:
    found = noise(evaluation(0.9), evaluation(0.3, cached=("answer",)))
    assert found == Noise("faithfulness", pytest.approx(stdev([0.9, 0.3])), 1, None, 0)
    assert flaky(evaluation(0.9), evaluation(0.3, cached=("answer",))) == [("why", 2, 0.5)]


def test_an_answer_that_came_out_the_same_counts_for_the_pipeline_only() -> None:
    found = noise(evaluation(0.9), evaluation(0.9, cached=("scores",)))
    assert found == Noise("faithfulness", None, 0, 0.0, 1)


# --- flips ---


def test_a_question_that_passes_and_fails_is_flaky_the_most_even_first() -> None:
    def measured(name: str, *values: float | None) -> list[Evaluation]:
        return [evaluation(v, n, f"{n}.", name) for n, v in enumerate(values)]

    found = flaky(
        *measured("steady", 0.9, 0.8, 0.7),
        *measured("low", 0.1, 0.2),
        *measured("seldom", 0.9, 0.9, 0.9, 0.1),
        *measured("even", 0.9, 0.1, None),
        *measured("evener", 0.9, 0.1, 0.8, 0.2),
    )
    assert found == [("evener", 4, 0.5), ("even", 2, 0.5), ("seldom", 4, 0.75)]


def test_a_pipeline_that_raises_now_and_then_is_flaky() -> None:
    assert flaky(evaluation(0.9), broken(1)) == [("why", 2, 0.5)]
    assert flaky(broken(0), broken(1)) == []


def test_no_verdict_is_no_flip() -> None:
    assert flaky(evaluation(0.9), evaluation(None, 1)) == []


def test_a_raised_threshold_or_another_metric_flips_nothing() -> None:
    raised = evaluation(0.6, 1, "Two.", thresholds={"faithfulness": 0.7})
    assert flaky(evaluation(0.6), raised) == []
    more = evaluation(0.9, 1, "Two.", scores=(Score("faithfulness", 0.9), Score("relevancy", 0.1)))
    assert flaky(evaluation(0.9), replace(more, thresholds={"faithfulness": 0.5, "relevancy": 0.5})) == []


def test_the_spread_is_over_all_judgings() -> None:
    groups = groups_of([evaluation(0.9, again=(0.3,)), evaluation(0.2, 1, "Two.")])
    (found,) = flaky_questions(groups)
    assert found == Flaky("baseline", "why", "", 2, 0.5, {"faithfulness": (0.2, 0.9)})


# --- runs ---


@pytest.fixture
def run(tmp_path):
    """Write a run; give it as it is read."""
    names = iter(f"20260701-12000{n}-abcdef" for n in range(10))

    def written(*evaluations: Evaluation, pipeline="p1", judge="j1", extra: tuple[str, ...] = ()) -> Run:
        folder = RunFolder(tmp_path)
        folder.run_id = next(names)
        folder.path = tmp_path / "runs" / folder.run_id
        folder.start({})
        for kind, name, fingerprint in (("pipeline", "baseline", pipeline), ("judge", "fake", judge)):
            if fingerprint:
                folder.append(canonical({"type": kind, "name": name, "fingerprint": fingerprint}))
        for line in (*(canonical(evaluation_to_json(e)) for e in evaluations), *extra):
            folder.append(line)
        folder.finish({})
        return read_run(folder.path, strict=True)

    return written


def versions(*runs: Run) -> list[int]:
    """Return the number of measurements of each group."""
    return sorted(len(group.measurements) for group in groups_of_runs(runs))


def test_past_runs_of_the_same_are_measurements(run) -> None:
    runs = [run(evaluation(0.9)), run(evaluation(0.1, seconds={"generate": 2.0}))]
    assert versions(*runs) == [2]
    assert [f.passed for f in flaky_questions(groups_of_runs(runs))] == [0.5]


def test_only_like_is_compared_with_like(run) -> None:
    first = run(evaluation(0.9))
    assert versions(first, run(evaluation(0.1), pipeline="p2")) == [1, 1]
    assert versions(first, run(evaluation(0.1), judge="j2")) == [1, 1]
    assert versions(first, run(evaluation(0.1, question=Question("why", "Why then?")))) == [1, 1]
    assert versions(run(evaluation(0.9), judge=""), run(evaluation(0.1), judge="")) == [1, 1]


def test_thresholds_are_those_of_the_newest_run_in_whatever_order_runs_are_given(run) -> None:
    strict = {"faithfulness": 0.7}
    old = run(evaluation(0.6, thresholds=strict), evaluation(0.8, 1, "Two.", thresholds=strict))
    assert len(flaky_questions(groups_of_runs([old]))) == 1
    new = run(evaluation(0.65, seconds={"generate": 2.0}))
    assert flaky_questions(groups_of_runs([new, old])) == ()


def test_a_merged_run_and_its_parts_count_once(run) -> None:
    part = run(evaluation(0.9), evaluation(0.1, 1, "Two."))
    lines = [line for line, event in part.records.events() if event["type"] == "evaluation"]
    assert versions(part, run(extra=tuple(lines))) == [2]


# --- lines ---


def test_nothing_was_measured_twice() -> None:
    said = ["no question was measured more than once: give --evals-repeat N or --evals-judge-repeat N"]
    assert noise_lines([]) == said
    assert noise_lines([evaluation(0.9), evaluation(0.1, name="other")]) == said


def test_every_repeat_agreed() -> None:
    repeats = [evaluation(0.1 + 0.2, n, name=name) for n in range(3) for name in ("a", "b")]
    assert noise_lines(repeats) == ["every repeat agreed: 2 questions were measured more than once"]
    again = [evaluation(0.9, again=(0.9, 0.9))]
    assert noise_lines(again) == ["every repeat agreed: 1 question was measured more than once"]
    assert noise_lines([broken(0), broken(1)]) == [
        "every repeat agreed: 1 question was measured more than once"
    ]


def test_noise_and_flips_are_shown() -> None:
    evaluations = [
        evaluation(0.9, 0, "One.", "experts", again=(0.8,)),
        evaluation(0.2, 1, "Two.", "experts", again=(0.2,)),
        evaluation(0.9, 0, "One.", "steady"),
        evaluation(0.8, 1, "Two.", "steady"),
    ]
    assert noise_lines(evaluations) == [
        "noise         judge  answers  pipeline  questions",
        "faithfulness  0.050        2     0.326          2",
        STANDARD,
        "questions whose verdict flips: 1 of 2 measured more than once",
        "pipeline  question  scores                     measured  passed",
        "baseline  experts   faithfulness 0.20 to 0.90         2     50%",
    ]


def test_without_flips_that_is_said() -> None:
    assert noise_lines([evaluation(0.9, 0, "One."), evaluation(0.8, 1, "Two.")]) == [
        "noise         judge  answers  pipeline  questions",
        "faithfulness      -        0     0.071          1",
        f"{STANDARD}, which has the judge's noise in it where no answer was judged again",
        "no verdict flips: of 1 measured more than once",
    ]


def test_where_only_errors_come_and_go_there_is_no_table_of_noise() -> None:
    assert noise_lines([evaluation(0.9), broken(1)]) == [
        "questions whose verdict flips: 1 of 1 measured more than once",
        "pipeline  question  scores  measured  passed",
        "baseline  why                      2     50%",
    ]


def test_a_summary_lists_the_first_of_many() -> None:
    evaluations = [evaluation(v, n, f"{n}.", f"q{q:02}") for q in range(12) for n, v in enumerate((0.9, 0.1))]
    lines = noise_lines(evaluations)
    assert lines[-2].startswith("baseline  q09 ")
    assert lines[-1] == "and 2 more: rag-evals flaky lists them"
    assert flaky_lines(groups_of(evaluations))[-1].startswith("baseline  q11 ")


def test_versions_of_a_pipeline_stand_apart(run) -> None:
    runs = [
        run(evaluation(0.9), evaluation(0.1, 1, "Two."), pipeline=fingerprint) for fingerprint in ("p1", "p2")
    ]
    groups = groups_of_runs([runs[0], run(evaluation(0.8, 0, "x"), evaluation(0.2, 1, "y"), pipeline="p2")])
    names = sorted(f"baseline {group.version[:8]}" for group in groups)
    assert sorted(line[:17] for line in flaky_lines(groups)[-2:]) == names


@pytest.mark.parametrize("width", [20, 40, 80])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    evaluations = [evaluation(v, n, f"{n}.", "q" * 100, pipeline="p" * 100) for n, v in enumerate((0.9, 0.1))]
    assert max(map(len, noise_lines(evaluations, width=width))) <= width


def test_names_cannot_drive_the_terminal() -> None:
    lines = noise_lines([evaluation(v, n, f"{n}.", "\x1b[31m") for n, v in enumerate((0.9, 0.1))])
    assert lines[-1].startswith("baseline  \N{REPLACEMENT CHARACTER}[31m ")


def test_runs_are_read_in_a_stream(run, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = run(evaluation(0.9), evaluation(0.1, 1, "Two."))
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("a whole file was read"))
    assert versions(stored) == [2]
