"""The judge in a run: its metrics, its card, its thresholds, and what the summary says of it."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy  # noqa: F401 - pytester forgets what a run imported, and this cannot be imported twice
import pytest
import scipy.special  # noqa: F401
from rag_evals.evals.judges.calibration.labels.draw import draw
from rag_evals.evals.runs.run import read_run

# The judge sees in an answer what the answer says: "faithful" speaks for it by log odds of 3, "false" against
# it, and every metric sees the same. Its card is built here; its threshold for faithfulness is 0.8.
CONFTEST = '''
from pathlib import Path

import pytest
from rag_evals.evals.judges.calibration.accuracy import Accuracy
from rag_evals.evals.base.intervals import Interval
from rag_evals.evals.judges.calibration.judge_card import (
    Calibration,
    JudgeCard,
    MetricCard,
    card_to_json,
    load_card,
)
from rag_evals.evals.judges.build import judge_for
from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge
from rag_evals.evals.judges.judge import RawScore, RawScores
from rag_evals.testing import FakePipeline
from rag_evals import Answer, Context

ODDS = {"faithful": 3.0, "false": -3.0, "so": 0.9}
GOOD = Interval(0.85, 0.75, 0.92)

class Reader:
    name, fingerprint = "seer", "f" * 64
    metrics = ("faithfulness", "relevancy", "context_relevancy")

    def read(self, metrics, question, answer):
        odds = next((ODDS[word] for word in answer.text.split() if word in ODDS), 0.0)
        reading = RawScore(answer.text, 0.5 + odds / 10, {"yes": odds}, 0, len(answer.text))
        return {metric: RawScores((reading,)) for metric in metrics}

def card(fingerprint="f" * 64):
    figures = Accuracy(40, 20, GOOD, GOOD, 0.8, GOOD, GOOD, 0.05, ())
    metric = MetricCard(
        Calibration("faithfulness", {"yes": 1.0}, 0.0, None, 0.8),
        figures, GOOD, GOOD, {}, {}, {"logistic": 0.3}, 1.0, 0.1, 9.0,
    )
    labels = {"name": "mine.jsonl", "digest": "d" * 64, "examples": 40, "sources": 9}
    return JudgeCard("seer", fingerprint, labels, (metric,))

class Models:
    """Every word of `--evals-judge` that loads a model gets the seer."""

    def entailment(self, name):
        return Reader()

@pytest.fixture(scope="session")
def baseline():
    return FakePipeline(lambda question: Answer(question, (Context("A passage."),)), name="baseline")

@pytest.fixture(scope="session")
def judge(evals_settings):
    settings = evals_settings
    given = load_card(settings.judge_card) if settings.judge_card else None
    spec = "cross-encoder:seer" if settings.judge == "choice" else settings.judge
    return judge_for(
        spec, Models(), metrics=settings.metrics, folders=[settings.home / "cards"], card=given
    )
'''
ASKED = {"a": "faithful", "b": "faithful too", "c": "so so", "d": "false"}
TOLD = "judge: seer, balanced accuracy on mine.jsonl: faithfulness 0.85 (0.75 to 0.92)"
EVIDENCE = {
    "breach": '"so so" is not supported by the contexts',
    "held": 'weakest: "so so"',
}
UNCALIBRATED = "judge: seer, uncalibrated: how often it errs is not known (rag-evals calibrate)"


@pytest.fixture
def project(project):
    """Four questions to a judge that has no card until one is written."""
    project.write("conftest.py", CONFTEST)
    project.ask(**ASKED)
    return project


def card_text(fingerprint: str = "f" * 64) -> str:
    space: dict = {}
    exec(CONFTEST, space)
    return space["card_to_json"](space["card"](fingerprint))


@pytest.fixture
def calibrated(project):
    """The same with the judge's card in the folder where it is looked for."""
    project.write(".rag-evals/cards/seer.json", card_text())
    return project


def judge_lines(result: pytest.RunResult) -> list[str]:
    """Return what the summary says of the judge: from its name to the blank line behind it."""
    start = next(n for n, line in enumerate(result.outlines) if line.startswith("judge: "))
    end = next(n for n, line in enumerate(result.outlines) if line.startswith("cache: "))
    assert result.outlines[end - 1] == ""
    return result.outlines[start : end - 1]


def outcomes(project) -> dict[str, str]:
    return {line["question_id"]: line["outcome"] for line in project.evaluations}


def thresholds(project) -> list[dict[str, float]]:
    found = [{m: score["threshold"] for m, score in line["scores"].items()} for line in project.evaluations]
    return [one for n, one in enumerate(found) if one not in found[:n]]


def refusal(project, *args: str) -> str:
    """Run pytest, which is to stop for its configuration; return the message."""
    result = project.run(*args)
    output = "\n".join((*result.outlines, *result.errlines))
    assert result.ret == 4, output
    assert not re.search(r"Traceback|INTERNALERROR|^E  ", output, re.MULTILINE), output
    assert project.runs == []
    (found,) = re.findall(r"^ERROR: (.*(?:\n  .*)*)", output, re.MULTILINE)
    return found.replace(str(project.path), "ROOT")


# --- metrics ---


def test_metrics_of_the_command_line(project):
    """Only those that are named are scored, announced and recorded; names may be joined or repeated."""
    result = project.run(
        "--evals-mode", "report", "--evals-metrics", "context_relevancy", "--evals-metrics", "faithfulness"
    )
    assert "evals: 4 evaluations, mode report, context_relevancy, faithfulness" in result.outlines
    scored = [sorted(line["scores"]) for line in project.evaluations]
    assert scored == [["context_relevancy", "faithfulness"]] * 4
    assert project.lines[0]["metrics"] == ["context_relevancy", "faithfulness"]


def test_metrics_by_default(project):
    """Of faithfulness, relevancy and refusal those that the judge can read."""
    project.run("--evals-mode", "report")
    assert [sorted(line["scores"]) for line in project.evaluations] == [["faithfulness", "relevancy"]] * 4


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["--evals-metrics", "faithfulness,relevance"],
            "unknown metric 'relevance', did you mean 'relevancy'?",
        ),
        (
            ["--evals-metrics", "tone"],
            "unknown metric 'tone': known are faithfulness, relevancy, refusal, context_relevancy, "
            "context_recall, correctness, citation_precision, citation_recall",
        ),
        (
            ["--evals-metrics", ","],
            "no metrics: known are faithfulness, relevancy, refusal, context_relevancy, context_recall, "
            "correctness, citation_precision, citation_recall",
        ),
        (["--evals-judge-floor", "70"], "evals_judge_floor = 70 is outside 0..1"),
        (
            ["--evals-judge", "chioce"],
            "unknown judge 'chioce': write choice, cross-encoder:NAME, minicheck, guardian, llamaindex, "
            "auto, or ensemble:JUDGE+JUDGE",
        ),
        (
            ["--evals-judge", "ensemble:cross-encoder:a+cross-encoder:b"],
            "an ensemble needs judges that differ, and these are the same: seer, seer: leave one out, or "
            "give it another model.",
        ),
        (["--evals-judge-card", "gone.json"], "ROOT/gone.json: No such file or directory"),
        (
            ["--evals-judge-card", "questions.jsonl"],
            "ROOT/questions.jsonl is no judge card (Extra data: line 2 column 1 (char 36)): give a file that "
            "`rag-evals calibrate` wrote.",
        ),
        (
            ["--evals-judge-card", "other.json"],
            "the judge card is of seer with other weights, prompts or versions than seer has here: calibrate "
            "anew with `rag-evals calibrate`, or leave the card out.",
        ),
        (["--evals-labels", "gone.jsonl"], "1 problem in label files:\n  gone.jsonl: no such file"),
        (
            ["--evals-labels", "labels.jsonl"],
            "2 problems in label files:\n"
            '  labels.jsonl:1: "faithful" = 2 is no label: write 1, 0 or null\n'
            '  labels.jsonl:2: no label: give "faithful", "relevant", "correct", "declined", "useful" or '
            '"recalled"',
        ),
    ],
)
def test_wrong_configuration(project, args, message):
    """One message, before anything is asked."""
    project.write("other.json", card_text("0" * 64))
    line = {"id": "l1", "question": "So?", "contexts": ["So."], "answer": "So.", "faithful": 2}
    rest = {"id": "l2", "question": "So?", "contexts": ["So."], "answer": "So."}
    project.write("labels.jsonl", f"{json.dumps(line)}\n{json.dumps(rest)}\n")
    assert refusal(project, *args) == message


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--evals-judge-card", "gone.json"], "ROOT/gone.json: No such file or directory"),
        (["--evals-labels", "gone.jsonl"], "1 problem in label files:\n  gone.jsonl: no such file"),
    ],
)
def test_wrong_configuration_in_parallel(project, args, message):
    """The message is the same where only the workers know it."""
    assert refusal(project, *args, "-n", "2") == message


# --- the card ---


def test_without_a_card(project):
    """The thresholds are 0.5, the values those of the reader, and the summary says what is not known."""
    result = project.run("--evals-metrics", "faithfulness")
    assert result.ret == 1
    assert outcomes(project) == {"a": "passed", "b": "passed", "c": "passed", "d": "failed"}
    assert thresholds(project) == [{"faithfulness": 0.5}]
    assert judge_lines(result) == [UNCALIBRATED]


@pytest.mark.parametrize("how", [(), ("-n", "2")], ids=["serial", "xdist"])
def test_the_card_that_is_found(calibrated, how, errors):
    """Its threshold and its calibration hold, and the summary names it, however the run is spread."""
    result = calibrated.run(*how)
    assert sorted(errors(result)) == sorted(
        [
            'rag_evals.evals.base.errors.BreachError: faithfulness 0.71 < 0.80: "so so" is not supported by the contexts',  # noqa: E501
            'rag_evals.evals.base.errors.BreachError: faithfulness 0.05 < 0.80: "false" is not supported by the contexts',  # noqa: E501
            'relevancy 0.20 < 0.50: "false" does not answer the question',
        ]
    )
    assert outcomes(calibrated) == {"a": "passed", "b": "passed", "c": "failed", "d": "failed"}
    assert thresholds(calibrated) == [{"faithfulness": 0.8, "relevancy": 0.5}]
    assert judge_lines(result) == [
        TOLD,
        "corrected for the judge  answers  pass  should pass          95 %            by",
        "baseline faithfulness          4  0.50         0.50  0.00 to 1.00  rogan-gladen",
    ]
    (judge,) = [line for line in calibrated.lines if line["type"] == "judge"]
    assert judge["settings"]["card"]["trust"][0]["threshold"] == 0.8
    assert judge["settings"]["card"]["labels"]["name"] == "mine.jsonl"


def test_a_card_by_its_file(project):
    """A card that lies elsewhere is named; relative to the folder pytest was called in."""
    project.write("cards/mine.json", card_text())
    result = project.run("--evals-judge-card", "cards/mine.json", "--evals-metrics", "faithfulness")
    assert thresholds(project) == [{"faithfulness": 0.8}]
    assert judge_lines(result)[0] == TOLD


def test_thresholds_that_somebody_set_go_before_the_cards(calibrated):
    """The command line says 0.6: what the card would fail passes; the correction keeps to the card's."""
    result = calibrated.run("--evals-thresholds", "faithfulness=0.6")
    assert outcomes(calibrated) == {"a": "passed", "b": "passed", "c": "passed", "d": "failed"}
    assert thresholds(calibrated) == [{"faithfulness": 0.6, "relevancy": 0.5}]
    assert judge_lines(result)[2].split()[2:4] == ["4", "0.50"]


def test_a_mark_goes_before_the_card_too(calibrated):
    """So does the question's own threshold."""
    calibrated.write(
        "test_it.py",
        "import pytest\n\n@pytest.mark.evals(faithfulness=0.7)\n"
        "def test_answer(evaluate, pipeline, question):\n    evaluate(pipeline, question).result()\n",
    )
    calibrated.ask(c="so so", own={"question": "so", "thresholds": {"faithfulness": 0.9}})
    calibrated.run()
    assert outcomes(calibrated) == {"c": "passed", "own": "failed"}


@pytest.mark.parametrize("given", ["--evals-judge-floor=0.8", "-oevals_judge_floor=0.8"])
def test_below_the_floor(calibrated, given):
    """A judge that may be worse than the floor is not trusted: a line, and no other status."""
    calibrated.ask(a="faithful")
    result = calibrated.run(given)
    assert result.ret == 0
    assert judge_lines(result)[3:] == [
        "judge: not to be trusted in faithfulness: balanced accuracy may be as low as 0.75, "
        "below evals_judge_floor = 0.8: a gate on it is INCONCLUSIVE"
    ]


# --- labels of the run ---


def write_labels(project, count: int = 20) -> Path:
    """Write labels on answers of the run: those to "so 7" and "so 8" are wrong."""
    lines = [
        {
            "id": f"l{n}",
            "question": f"so {n}",
            "contexts": ["A passage."],
            "answer": f"so {n}",
            "faithful": int(n not in (7, 8)),
        }
        for n in range(count)
    ]
    return project.write("labels.jsonl", "".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize("how", [(), ("-n", "2")], ids=["serial", "xdist"])
def test_the_headline_is_corrected_by_labels(calibrated, how):
    """With people's verdicts on answers of the run the share that should pass is theirs."""
    write_labels(calibrated)
    calibrated.ask(**{f"q{n}": f"so {n}" for n in range(20)}, a="faithful")
    result = calibrated.run("--evals-mode", "report", "--evals-labels", "labels.jsonl", *how)
    assert judge_lines(result)[1:] == [
        "corrected for the judge  answers  pass  should pass          95 %                  by",
        "baseline faithfulness         21  0.05         0.90  0.67 to 0.98  prediction-powered",
    ]


def test_labels_of_several_people(calibrated):
    """Each file has a part, or all: the majority counts, and what is not in the run is said."""
    write_labels(calibrated)
    lines = [json.loads(line) for line in (calibrated.path / "labels.jsonl").read_text().splitlines()]
    for name, part in (("ann", lines[:12]), ("ben", lines[8:]), ("cleo", lines[8:12])):
        text = "".join(json.dumps({**line, "labeller": name}) + "\n" for line in part)
        calibrated.write(f"{name}.jsonl", text)
    calibrated.ask(**{f"q{n}": f"so {n}" for n in range(19)}, a="faithful")
    given = [f"--evals-labels={name}.jsonl" for name in ("ann", "ben", "cleo")]
    result = calibrated.run("--evals-mode", "report", *given)
    assert judge_lines(result)[1:] == [
        "corrected for the judge  answers  pass  should pass          95 %                  by",
        "baseline faithfulness         20  0.05         0.89  0.65 to 0.97  prediction-powered",
        "labels: 1 of 20 answers are not in this run: no such question: l19",
    ]


def test_labels_that_were_drawn(calibrated):
    """Of a run's answers, small strata more often: the next run on the same answers counts their weights."""
    calibrated.ask(
        **{f"q{n}": f"faithful {n}" for n in range(36)}, **{f"w{n}": f"false {n}" for n in range(4)}
    )
    calibrated.run("--evals-mode", "report", "--evals-metrics", "faithfulness")
    drawn = draw(read_run(calibrated.runs[0]), size=20)
    lines = [
        {
            **{"id": one.name, "question": one.evaluation.question.question, "labeller": "Ann"},
            "contexts": [context.text for context in one.evaluation.answer.contexts],
            "answer": one.evaluation.answer.text,
            "faithful": int(one.evaluation.question.id.startswith("q")),
            **{"run": drawn.run, "draw": drawn.digest, "pipeline": "baseline"},
            **{
                "question_id": one.evaluation.question.id,
                "weights": {"faithful": one.weights["faithfulness"]},
            },
        }
        for one in drawn.answers
    ]
    assert Counter(line["weights"]["faithful"] for line in lines) == {36 / 16: 16, 1.0: 4}
    calibrated.write("labels.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    result = calibrated.run(
        "--evals-mode", "report", "--evals-metrics", "faithfulness", "--evals-labels", "labels.jsonl"
    )
    assert judge_lines(result)[1:] == [
        "corrected for the judge  answers  pass  should pass          95 %                  by",
        "baseline faithfulness         40  0.90         0.90  0.76 to 0.96  prediction-powered",
    ]


def test_one_person_twice_is_refused(calibrated):
    """Before anything is asked."""
    write_labels(calibrated)
    lines = [json.loads(line) for line in (calibrated.path / "labels.jsonl").read_text().splitlines()]
    for name in ("a", "b"):
        text = "".join(json.dumps({**line, "labeller": "Ann"}) + "\n" for line in lines)
        calibrated.write(f"{name}.jsonl", text)
    assert refusal(calibrated, "--evals-labels", "a.jsonl", "--evals-labels", "b.jsonl") == (
        "one person counts once for an answer; leave out the older file, or write another name:\n"
        "  b.jsonl:1: Ann labelled this already at a.jsonl:1, and 19 more answers of these files"
    )


def test_labels_that_are_too_few_are_refused(calibrated):
    """A label file has 20 examples or more, here as for a card."""
    write_labels(calibrated, 3)
    assert refusal(calibrated, "--evals-labels", "labels.jsonl") == (
        "labels.jsonl: 3 examples, at least 20 are needed to say how good a judge is"
    )


@pytest.mark.parametrize(
    ("threshold", "evidence"),
    [("0.9", EVIDENCE["breach"]), ("0.55", EVIDENCE["held"])],
    ids=["breach", "held"],
)
def test_evidence_of_what_holds_is_no_complaint(project, errors, threshold, evidence):
    """The record says of a passing score what was weakest; only below the threshold is anything wrong."""
    result = project.run(
        "-k", "baseline-c", "--evals-metrics=faithfulness", f"--evals-thresholds=faithfulness={threshold}"
    )
    (line,) = project.evaluations
    assert line["scores"]["faithfulness"]["evidence"] == evidence
    is_breach = evidence == EVIDENCE["breach"]
    said = [f"rag_evals.evals.base.errors.BreachError: faithfulness 0.59 < 0.90: {evidence}"]
    assert errors(result) == (said if is_breach else [])


# --- auto ---

PIPELINE_ALONE = """
import pytest
from rag_evals.testing import FakePipeline

@pytest.fixture(scope="session")
def baseline():
    return FakePipeline(lambda question: question, name="baseline")
"""
TAKEN = (
    "judge: auto takes cross-encoder:minicheck-roberta-large: balanced accuracy 0.735 published, "
    "LLM-AggreFact board, llm-aggrefact.github.io at eba04fb, 2025-09-08; it scores "
    "no relevancy and no refusal"
)


@pytest.mark.parametrize("given", ["--evals-judge=auto", "-oevals_judge=auto"])
def test_auto_says_which_judge_it_takes(given, project, monkeypatch):
    """The best of those that are here, named with why before the tests; nothing is fetched or loaded."""
    project.write("conftest.py", PIPELINE_ALONE)
    project.write("models/lytang--minicheck-roberta-large/config.json", "{}")
    monkeypatch.setenv("RAG_EVALS_MODELS", str(project.path / "models"))
    assert TAKEN in project.run("--collect-only", given).outlines


def test_without_auto_nothing_is_said_of_it(project):
    """Where the judge is named, or is one's own, no line says what would be taken."""
    mine = project.run("--collect-only", "--evals-judge=auto")
    project.write("conftest.py", PIPELINE_ALONE)
    for result in (mine, project.run("--collect-only")):
        assert not [line for line in result.outlines if "auto takes" in line]
