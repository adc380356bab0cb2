"""What becomes of a test: a breach fails it, a missing verdict skips it, and both are recorded."""

from __future__ import annotations

import pytest

MIXED = {
    "good": "faithfulness=0.9 relevancy=0.8",
    "wrong": "faithfulness=0.4 relevancy=0.496",
    "unsure": "faithfulness=0.9 relevancy=none",
    "both": "faithfulness=none relevancy=0.1",
    "broken": "no-disk",
    "declined": {"question": "refusal=0.9", "answerable": False},
    "invented": {"question": "refusal=0.2", "answerable": False},
}


def test_strict(project, how, errors, summary):
    """Each question comes to what its scores say, in words; every one of them is recorded."""
    project.ask(**MIXED)
    result = project.run("-rs", "-v", *how)
    result.assert_outcomes(passed=2, skipped=1, failed=4)
    assert result.ret == 1
    assert sorted(errors(result)) == sorted(
        [
            "rag_evals.evals.base.errors.BreachError: faithfulness 0.40 < 0.50",
            "relevancy 0.496 < 0.500",
            "rag_evals.evals.base.errors.BreachError: relevancy 0.10 < 0.50",
            "faithfulness unscored: the fake judge gives no verdict",
            "rag_evals.evals.base.errors.BreachError: pipeline baseline raised OSError: no disk",
            "rag_evals.evals.base.errors.BreachError: refusal 0.20 < 0.50",
        ]
    )
    (skipped,) = [line for line in result.outlines if line.startswith("SKIPPED [")]
    assert skipped.endswith(": relevancy unscored: the fake judge gives no verdict")
    assert sorted(summary(result)) == sorted(
        [
            # The breaches are pytest's failures; only what is unscored is listed here.
            "baseline unsure: relevancy unscored: the fake judge gives no verdict",
            "baseline both: faithfulness unscored: the fake judge gives no verdict",
            "",
            "pipeline  questions  passed  failed  unscored  "
            "faithfulness  relevancy  refusal  s/question  tokens/question",
            "baseline          7       2       4         1  "
            "        0.73       0.47     0.55         0.0                0",
            "",
        ]
    )
    result.stdout.fnmatch_lines(
        [
            "2 of 7 evaluations have no verdict, more than evals_max_unscored = 0.1 allows: "
            "the run fails in every mode"
        ]
    )
    assert {line["question_id"]: (line["outcome"], line["error"]) for line in project.evaluations} == {
        "good": ("passed", None),
        "wrong": ("failed", None),
        "unsure": ("unscored", None),
        "both": ("failed", None),
        "broken": ("error", "OSError: no disk"),
        "declined": ("passed", None),
        "invented": ("failed", None),
    }


def test_report_mode(project, how, summary):
    """In report mode nothing fails and nothing is skipped, but the summary lists every breach."""
    project.ask(**MIXED)
    result = project.run("--evals-mode", "report", "--evals-max-unscored", "0.3", *how)
    result.assert_outcomes(passed=7)
    assert result.ret == 0
    lines = summary(result)
    assert sorted(lines[: lines.index("")]) == [
        "baseline both: faithfulness unscored: the fake judge gives no verdict",
        "baseline both: relevancy 0.10 < 0.50",
        "baseline broken: pipeline baseline raised OSError: no disk",
        "baseline invented: refusal 0.20 < 0.50",
        "baseline unsure: relevancy unscored: the fake judge gives no verdict",
        "baseline wrong: faithfulness 0.40 < 0.50",
        "baseline wrong: relevancy 0.496 < 0.500",
    ]
    assert lines[-2:] == [
        "baseline          7       2       4         1          0.73       0.47     0.55         0.0"
        "                0",
        "",
    ]


@pytest.mark.parametrize("mode", ["strict", "report"])
def test_budget_of_unscored(project, mode):
    """More without a verdict than allowed fails the run in every mode, though no test fails."""
    project.ask(a="faithfulness=0.9", b="faithfulness=none", c="faithfulness=0.9", d="faithfulness=none")
    project.append("pytest.ini", f"evals_mode = {mode}\nevals_max_unscored = 0.4")
    result = project.run()
    result.assert_outcomes(**({"passed": 2, "skipped": 2} if mode == "strict" else {"passed": 4}))
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "2 of 4 evaluations have no verdict, more than evals_max_unscored = 0.4 allows: "
            "the run fails in every mode"
        ]
    )


def test_budget_that_is_kept(project, how, summary):
    """A share without a verdict that is just within the budget does not fail the run."""
    project.ask(a="faithfulness=0.9", b="faithfulness=none")
    result = project.run("--evals-max-unscored", "0.5", *how)
    result.assert_outcomes(passed=1, skipped=1)
    assert result.ret == 0
    assert summary(result)[-1] == ""


def test_judge_that_raises(project):
    """A judge that raises leaves the question unscored with the reason, and the record says so."""
    project.write(
        "test_it.py",
        """
import pytest

@pytest.fixture
def judge():
    from rag_evals.testing import FakeJudge
    def score(question, answer):
        raise TimeoutError("60 s")
    return FakeJudge(score)

async def test_answer(evaluate, pipeline, question):
    evaluation = await evaluate(pipeline, question)
    evaluation.require("relevancy")
""",
    )
    result = project.run("-v")
    result.assert_outcomes(skipped=1)
    (line,) = project.evaluations
    assert line["outcome"] == "unscored"
    assert {metric: (s["value"], s["reason"]) for metric, s in line["scores"].items()} == {
        "faithfulness": (None, "the judge raised TimeoutError: 60 s"),
        "relevancy": (None, "the judge raised TimeoutError: 60 s"),
        "refusal": (None, "the judge raised TimeoutError: 60 s"),
    }


@pytest.mark.parametrize("score", ["nan", "inf"])
def test_nan_fails_that_very_test(project, errors, score):
    """A judge that gives NaN fails that test, and no other: it is written as lost, and the run ends."""
    project.ask(bad=f"faithfulness={score} relevancy=0.9", good="faithfulness=0.9 relevancy=0.8")
    result = project.run()
    result.assert_outcomes(passed=1, failed=1)
    assert errors(result) == [
        f"ValueError: faithfulness = {score} is no score: "
        "a judge without a verdict gives None and says the reason"
    ]
    assert [line["type"] for line in project.lines] == [
        "run",
        "asked",
        "pipeline",
        "judge",
        "evaluation",
        "evaluation",
        "ruling",
        "end",
    ]
    assert [(line["question_id"], line["outcome"]) for line in project.evaluations] == [
        ("bad", "unscored"),
        ("good", "passed"),
    ]


def test_run_of_nothing_but_nan_ends(project):
    """A run whose only evaluation could not be recorded says so, and has its last line."""
    project.ask(bad="faithfulness=nan")
    result = project.run_apart()
    result.assert_outcomes(failed=1)
    types = [line["type"] for line in project.lines]
    assert types == ["run", "asked", "pipeline", "judge", "evaluation", "ruling", "end"]
    assert [line["outcome"] for line in project.evaluations] == ["unscored"]
    assert result.ret == 1
    assert result.stderr.str() == ""


def test_hostile_text_does_not_reach_the_terminal(project):
    """An answer with control characters fails its test without driving the terminal; the record keeps it."""
    project.write(
        "test_it.py",
        """
import pytest
from rag_evals.evals.judges.choice.scorer import ChoiceScorer
from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge
from rag_evals.testing import FakePipeline, ScriptedLLM
from rag_evals import Answer, Context

@pytest.fixture
def judge():
    low, high = {"yes": 0.1, "no": 0.9}, {"yes": 0.9, "no": 0.1}
    return CalibratedJudge(ChoiceScorer(ScriptedLLM(low, high, low)))

@pytest.fixture(scope="session")
def hostile():
    text = "\\x1b]0;owned\\x07Four." + chr(0xd800)
    return FakePipeline(lambda _: Answer(text, (Context("Two."),)), name="hostile")

def test_answer(evaluate, pipeline, question):
    evaluate(pipeline, question).result().require()
""",
    )
    for arguments in ((), ("-n", "2"), ("--evals-mode", "report")):
        result = project.run("--evals-pipelines", "hostile", *arguments)
        assert not any(character in result.stdout.str() for character in "\x1b\x07")
        result.stdout.fnmatch_lines(
            [
                '*faithfulness 0.10 < 0.50: "�]0;owned�Four.�" is not supported by the contexts '
                "(unsupported: 0, owned, Four)"
            ]
        )
    assert {_answer(run) for run in project.runs} == {"\x1b]0;owned\x07Four.\ud800"}


def _answer(run) -> str:
    import json

    lines = [json.loads(line) for line in (run / "records.jsonl").read_text("utf-8").split("\n") if line]
    return next(line["answer"] for line in lines if line["type"] == "evaluation")
