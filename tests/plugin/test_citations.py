"""Citations in a session: scored where they are asked for, held, gated and compared as other metrics."""

from __future__ import annotations

import json

import pytest
from rag_evals.evals.reports.markdown import run_markdown
from rag_evals.evals.runs.run import read_run

METRICS = "--evals-metrics=citation_precision,citation_recall"
CONFTEST = """
import pathlib
import pytest
from rag_evals import Answer, Citation, Context, pipeline_from
from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge
from rag_evals.evals.judges.choice.scorer import ChoiceScorer
from rag_evals.evals.judges.citations.reading import CITATION_METRICS
from rag_evals.testing import ScriptedLLM

CONTEXTS = (Context("Mixtral has eight experts.", "moe.pdf", 3), Context("Routers pick two.", "intro.md"))

def answer(question):
    return question, CONTEXTS

@pytest.fixture(scope="session")
def baseline():
    return pipeline_from(answer, name="baseline", cites=True)

def reply(prompt):
    # Eight experts are in the first passage, and nothing else is in any.
    is_there = "Mixtral has eight experts.\\n\\nQ" in prompt.parts[0] + prompt.parts[1]
    yes = 0.9 if "Statement: Mixtral has eight experts" in "".join(prompt.parts) and is_there else 0.1
    return {"yes": yes, "no": 1 - yes}

@pytest.fixture(scope="session")
def judge():
    return CalibratedJudge(ChoiceScorer(ScriptedLLM(*[reply] * 1000)), metrics=CITATION_METRICS)
"""
RIGHT = "Mixtral has eight experts [1]."


@pytest.fixture
def citing(project):
    """A pipeline that answers with the question, and a judge that reads what it cites."""
    project.write("conftest.py", CONFTEST)
    return project


def test_breaches_say_which_citation(citing):
    """One that does not support its sentence, one that was not retrieved, the sentence without any."""
    citing.ask(
        right=RIGHT,
        other="Mixtral has eight experts [2].",
        beyond="Mixtral has eight experts [1][9].",
        none="Mixtral has eight experts.",
        half=f"{RIGHT} Gold is dear. Tin is cheap.",
    )
    result = citing.run(METRICS, "--evals-html=report.html")
    result.assert_outcomes(passed=1, failed=4)
    said = [line.partition("E ")[2].strip() for line in result.outlines if line.startswith("E ")]
    assert [line.removeprefix("rag_evals.evals.base.errors.BreachError: ") for line in said] == [
        'citation_precision 0.10 < 0.50: "Mixtral has eight experts [2]." is not supported by what it cites '
        "(cited: [2]; unsupported: Mixtral, eight, experts; closest: intro.md)",
        'citation_recall 0.10 < 0.50: "Mixtral has eight experts [2]." cites nothing that supports it '
        "(cited: [2]; unsupported: Mixtral, eight, experts; closest: intro.md)",
        'citation_precision 0.00 < 0.50: "Mixtral has eight experts [1][9]." cites passage 9, and 2 were '
        "retrieved",
        'citation_recall 0.00 < 0.50: "Mixtral has eight experts." cites nothing, and its pipeline is to '
        "cite",
        "citation_precision unscored: the answer cites nothing",
        'citation_recall 0.30 < 0.50: "Gold is dear." cites nothing; "Tin is cheap." cites nothing',
    ]
    run = read_run(citing.runs[0])
    said = run_markdown(run)
    assert "cites passage 9, and 2 were retrieved" in said
    lines = [json.loads(line) for line in (citing.runs[0] / "records.jsonl").read_text().splitlines()]
    (beyond,) = (line for line in lines if line.get("question_id") == "beyond")
    (_, fault) = beyond["scores"]["citation_precision"]["claims"]
    assert fault["fault"] == "cites passage 9, and 2 were retrieved"
    assert fault["citations"] == [{"start": 29, "end": 32, "contexts": [8], "mark": "[9]"}]
    assert beyond["cites"] is True
    assert '<table class="claims citations">' in citing.read("report.html")


def test_thresholds(citing):
    """On the command line, in a question, as of other metrics."""
    citing.ask(
        one="Mixtral has eight experts [2].",
        two={"question": f"{RIGHT} Gold is dear.", "thresholds": {"citation_recall": 0.6}},
    )
    result = citing.run(
        METRICS, "--evals-thresholds=citation_precision=0.05", "--evals-thresholds=citation_recall=0.05"
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(['E * citation_recall 0.45 < 0.60: "Gold is dear." cites nothing'])


def test_conditions_and_the_baseline(citing):
    """The gate holds a run to them, and against an earlier one."""
    gate = ("--evals-mode=gate", "--evals-judge-floor=0", METRICS)
    citing.ask(**{f"q{n}": f"{RIGHT} Gold has number {n} [1]." for n in range(40)})
    result = citing.run(*gate, "--evals-gate=citation_recall.mean >= 0.4")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["PASS *citation_recall.mean >= 0.4*", "gate: PASS"])
    result = citing.run(*gate, "--evals-gate=citation_precision.mean >= 0.9")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["BLOCK *citation_precision.mean >= 0.9*", "gate: BLOCK: the run fails"])
    citing.write(
        "conftest.py",
        CONFTEST.replace("return question, CONTEXTS", "return question + ' Tin is cheap.', CONTEXTS"),
    )
    result = citing.run(*gate, "--evals-baseline=latest")
    result.stdout.fnmatch_lines(["*baseline*citation_recall*0.500*0.3*"])
