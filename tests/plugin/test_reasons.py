"""`--evals-reasons`: the judging model says in a sentence what is wrong, of breaches alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from rag_evals.evals.plugin.evaluate_fixture import UNEXPLAINED

from tests.servers.openai import LoopbackOpenAI, graded, reply

CONFTEST = """
import pytest
from rag_evals import Answer, Context
from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge
from rag_evals.evals.judges.choice.scorer import ChoiceScorer
from rag_evals.rag.llm.remote.remote_llm import RemoteLLM

class Rain:
    name = fingerprint = "baseline"

    async def answer(self, question):
        text = "It snowed." if "snow" in question else "It rained."
        return Answer(text, (Context("It rained, password = hunter22."),))

@pytest.fixture(scope="session")
def baseline():
    return Rain()

@pytest.fixture(scope="session")
def judge():
    return CalibratedJudge(ChoiceScorer(RemoteLLM("m", "{url}")), metrics=("faithfulness",))
"""
REASON = "The passages say that it rained, password = hunter22."
SAID = 'faithfulness 0.10 < 0.50: "It snowed." is not supported by the contexts (unsupported: snowed)'


@pytest.fixture
def server() -> Iterator[LoopbackOpenAI]:
    """A model that finds snow unsupported, and says why."""

    def answer(body: dict[str, Any]) -> Any:
        if "logprobs" not in body:
            return reply(REASON if "Say in one short sentence" in str(body) else "Yes.")
        share = 0.1 if "Statement: It snowed" in str(body) else 0.9
        return graded({"yes": share, "no": 1.0 - share})

    with LoopbackOpenAI(answer) as running:
        yield running


@pytest.fixture
def project(project, server):
    """Two questions, one of them answered wrongly."""
    project.write("conftest.py", CONFTEST.format(url=server.url))
    project.ask(rain="Did it rain?", snow="Did it snow?")
    return project


def run(project, *options: str) -> pytest.RunResult:
    return project.run("--evals-metrics", "faithfulness", *options)


def asked_why(server: LoopbackOpenAI) -> int:
    return sum("Say in one short sentence" in json.dumps(body) for body in server.bodies)


def test_a_breach_has_a_reason(project, server, errors, how):
    """It stands in the assertion, the record and the report, with what it took; the next run reuses it."""
    for count in (1, 1):
        result = run(project, "--evals-reasons", "--evals-html", "report.html", *how)
        result.assert_outcomes(passed=1, failed=1)
        said = f"rag_evals.evals.base.errors.BreachError: {SAID}; the judge: {REASON}"
        assert errors(result) == [said]
        assert asked_why(server) == count
        assert REASON in project.read("report.html")
    records = (project.last_run / "records.jsonl").read_text("utf-8").splitlines()
    lines = {line["question_id"]: line for line in map(json.loads, records) if line["type"] == "evaluation"}
    assert lines["snow"]["scores"]["faithfulness"]["explanation"] == REASON
    assert lines["snow"]["tokens"]["stages"]["reasons"] == {"evaluated": 20, "reused": 0, "generated": 1}
    assert lines["snow"]["seconds"]["reasons"] > 0
    assert "explanation" not in lines["rain"]["scores"]["faithfulness"]
    assert "reasons" not in lines["rain"]["tokens"]["stages"]


def test_without_the_option_nothing_is_written(project, server, errors):
    """No sentence, and no request for one; with it later the verdicts are reused."""
    assert errors(run(project)) == [f"rag_evals.evals.base.errors.BreachError: {SAID}"]
    before = len(server.asked)
    assert errors(run(project, "--evals-reasons"))[0].endswith(f"; the judge: {REASON}")
    # The server is checked, and gives the reason.
    assert [asked_why(server), len(server.asked)] == [1, before + 2]


def test_a_threshold_that_holds_has_none(project, server):
    """What is no breach by the run's own threshold needs no reason."""
    run(project, "--evals-reasons", "--evals-thresholds", "faithfulness=0.05").assert_outcomes(passed=2)
    assert asked_why(server) == 0


def test_it_is_masked_with_the_other_texts(project, errors):
    """What the model quotes of a passage is hidden where passages are."""
    run(project, "--evals-reasons", "--evals-mask-texts", "--evals-html", "report.html")
    (line,) = [line for line in project.evaluations if line["question_id"] == "snow"]
    assert line["scores"]["faithfulness"]["explanation"] == "The passages say that it rained, password = ***"
    assert "hunter22" not in project.read("report.html")


def test_the_plan_says_what_they_take(project, server):
    """Before any was written by what is expected of one, then by what one took."""
    options = ("--evals-metrics=faithfulness", "--evals-reasons", "--evals-plan", "-p", "no:terminal")
    expected = "plan: baseline: a reason for each breach takes about 480 tokens; there are at most 2"
    assert project.run_apart(*options).outlines[1:] == [expected]
    assert server.asked == []
    run(project, "--evals-reasons")
    (line,) = project.run_apart(*options).outlines[1:]
    assert line.startswith("plan: baseline: a reason for each breach takes about 21 tokens and 0 s; there")


def test_a_judge_without_a_language_model_says_so(project, server):
    """One line, on the terminal and in the record; the run is as it would be without the option."""
    project.append(
        "conftest.py",
        "from rag_evals.testing import FakeJudge\n\n@pytest.fixture(scope='session')\ndef judge():\n"
        "    return FakeJudge({'faithfulness': 0.1})\n",
    )
    result = run(project, "--evals-reasons", "--evals-mode=report")
    assert [line for line in result.outlines if "reasons" in line] == [f"judge: {UNEXPLAINED}"]
    (judge,) = [line for line in project.lines if line["type"] == "judge"]
    assert judge["remarks"] == [UNEXPLAINED]
    assert server.asked == []
