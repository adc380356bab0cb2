"""A run whose judge is on a server: checked before the first question, waited for, and told of once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rag_evals.evals.plugin.evaluate_fixture import UNGRADED

from tests.servers.openai import LoopbackOpenAI, Said, graded, reply

CONFTEST = """
import pytest
from rag_evals import Answer, Context
from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge
from rag_evals.evals.judges.choice.scorer import ChoiceScorer
from rag_evals.rag.llm.remote.remote_llm import RemoteLLM

class Rain:
    name = fingerprint = "baseline"

    async def answer(self, question):
        return Answer("It rained.", (Context("It rained."),))

@pytest.fixture(scope="session")
def baseline():
    return Rain()

@pytest.fixture(scope="session")
def judge():
    return CalibratedJudge(ChoiceScorer(RemoteLLM("m", "{url}")), metrics=("relevancy",))
"""
YES = graded({"yes": 0.9, "no": 0.1})


@pytest.fixture
def serve(project) -> Iterator[Callable[..., LoopbackOpenAI]]:
    """Start a server that answers by the number of the request, and a project whose judge asks it."""
    servers = []

    def started(answer: Callable[[int], Any]) -> LoopbackOpenAI:
        server = LoopbackOpenAI(lambda body: answer(len(server.asked)))
        servers.append(server.__enter__())
        project.write("conftest.py", CONFTEST.format(url=server.url))
        project.ask(**{f"q{n}": f"Did it rain on day {n}?" for n in range(6)})
        return server

    yield started
    for server in servers:
        server.__exit__()


def run(project, *options: str) -> pytest.RunResult:
    return project.run("--evals-metrics", "relevancy", *options)


def test_a_judge_is_checked_once(project, serve):
    """One tiny question before the first; none where nothing is to be made."""
    server = serve(lambda number: reply("Yes") if number == 1 else YES)
    for options in (["--collect-only"], ["--evals-plan"]):
        run(project, *options)
    assert server.asked == []
    run(project).assert_outcomes(passed=6)
    assert [turn["content"] for turn in server.bodies[0]["messages"]][-1] == "Say yes."
    assert len(server.asked) == 7
    run(project).assert_outcomes(passed=6)
    assert len(server.asked) == 7


def test_what_is_wrong_is_said_once_before_the_first_question(project, serve):
    """A wrong key ends the run with one message, before a pipeline is asked anything."""
    server = serve(lambda number: Said({"error": {"message": "Incorrect API key provided"}}, 401))
    result = run(project)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = [line for line in result.outlines if "Incorrect API key" in line]
    assert said == [
        f"ERROR: {server.url}/chat/completions answered HTTP 401: "
        '{"error": {"message": "Incorrect API key provided"}}'
    ]
    assert "Put the server's API key into the environment variable RAG_EVALS_API_KEY." in result.outlines
    assert len(server.asked) == 1


def test_a_quota_that_is_spent_on_the_way(project, serve):
    """The run ends with that word; what was finished is recorded, and another run goes on from there."""
    is_spent = True

    def answer(number: int) -> Any:
        return Said({"error": {"code": "insufficient_quota"}}, 429) if number > 3 and is_spent else YES

    server = serve(answer)
    result = run(project)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    (said,) = [line for line in result.outlines if "Interrupted" in line]
    assert "insufficient_quota" in said
    assert "Its quota is spent: pay for more, or name another model." in said
    assert {line["outcome"] for line in project.evaluations} <= {"passed", "unscored"}
    is_spent = False
    before = len(server.asked)
    run(project).assert_outcomes(passed=6)
    assert len(server.asked) == before + 1 + 4  # the check, and what was not judged before


def test_a_failure_within_a_200_is_not_kept(project, serve):
    """A verdict that an upstream lost, or that a filter withheld, is asked for again by the next run."""
    is_well = False

    def answer(number: int) -> Any:
        return YES if is_well or number == 1 else reply("Two of", finish="content_filter")

    serve(answer)
    result = run(project, "--evals-max-unscored", "1")
    assert {line["outcome"] for line in project.evaluations} == {"unscored"}
    reason = project.evaluations[0]["scores"]["relevancy"]["reason"]
    assert reason.startswith("there is no verdict: http://127.0.0.1:")
    assert reason.endswith(
        "with an error: the content filter withheld the reply; "
        "Have the server's content filter changed, or ask a model without one."
    )
    (said,) = [line for line in result.outlines if "content filter withheld" in line]
    assert said == f"baseline q0 and 5 more: relevancy unscored: {reason}"
    is_well = True
    run(project).assert_outcomes(passed=6)


def test_a_limit_loses_nothing(project, serve):
    """A refusal that says how long is waited for; no question is lost."""
    limited = Said("", 429, headers={"retry-after-ms": "400"})
    server = serve(lambda number: limited if number % 3 == 2 else YES)
    run(project).assert_outcomes(passed=6)
    assert len(server.asked) > 7


def test_verdicts_that_are_read_from_words_are_said(project, serve, how):
    """Where a server refuses probabilities one line says so, and what to do, in every report."""
    refusal = Said({"error": {"message": "logprobs is not supported"}}, 500)
    server = serve(lambda number: reply("Yes."))
    server.answer = lambda body: refusal if "logprobs" in body else reply("Yes.")
    for _ in range(2):  # the second time from the cache
        result = run(project, "--evals-html", "report.html", *how)
        result.assert_outcomes(passed=6)
        assert [line for line in result.outlines if "read from words" in line] == [f"judge: {UNGRADED}"]
        assert UNGRADED in project.read("report.html")
        records = (project.last_run / "records.jsonl").read_text("utf-8").splitlines()
        judges = [line for line in map(json.loads, records) if line["type"] == "judge"]
        assert judges[-1]["remarks"] == [UNGRADED]


def test_graded_verdicts_are_not_remarked_on(project, serve):
    """There is nothing to say of a server that gives probabilities."""
    serve(lambda number: reply("Yes") if number == 1 else YES)
    assert UNGRADED not in run(project).outlines
    assert [line["remarks"] for line in project.lines if line["type"] == "judge" and "remarks" in line] == []
