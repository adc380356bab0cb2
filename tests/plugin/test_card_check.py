"""A judge on a server in a run: held against the card of its weights once, which is planned and said."""

from __future__ import annotations

import pytest
from rag_evals.evals.judges.calibration.card_check import BOUND, ENDING, reference_to_json
from rag_evals.evals.judges.calibration.judge_card import card_to_json

from tests.unit.judges.calibration.test_card_check import CARD, MODEL, made, server  # noqa: F401 - fixtures

CONFTEST = """
from pathlib import Path

import pytest
from rag_evals import Answer, Context
from rag_evals.evals.judges.build import LABELS, judge_for
from rag_evals.evals.judges.calibration.card_check import CardChecks
from rag_evals.rag.llm.remote.remote_llm import RemoteLLM

class Rain:
    name = fingerprint = "baseline"

    async def answer(self, question):
        return Answer("It rained.", (Context("It rained."),))

class Models:
    llm = staticmethod(lambda: RemoteLLM("{model}", "{url}"))
    embedder = staticmethod(lambda: None)

@pytest.fixture(scope="session")
def baseline():
    return Rain()

@pytest.fixture(scope="session")
def judge(evals_session):
    settings = evals_session.settings
    tell = evals_session.screen.say
    checks = CardChecks(LABELS, settings.home / "checks", asks=not settings.plan, tell=tell)
    return judge_for("choice", Models(), metrics=settings.metrics, folders=[Path("cards")], checks=checks)
"""
NAME = f"choice (openai:{MODEL}@127.0.0.1)"
HELD = f"judge: {NAME} is held against the card of {MODEL}: 20 verdicts"
TAKES = (
    f"takes the card of {MODEL}: 20 of 20 verdicts within {BOUND:.2f} of those of its weights, "
    "the largest difference 0.00"
)


@pytest.fixture
def project(project, server, made):  # noqa: F811 - the fixtures that are imported
    """Six questions to a pipeline whose judge is on a server, beside a card of its weights."""
    project.write("conftest.py", CONFTEST.format(model=MODEL, url=server.http.url))
    project.write("cards/own.json", card_to_json(CARD))
    project.write(f"cards/own{ENDING}", reference_to_json(made[0]))
    project.ask(**{f"q{n}": f"Did it rain on day {n}?" for n in range(6)})
    return project


def test_a_card_follows_its_model(project, server, made, how):  # noqa: F811
    """It is planned, made once, said on the terminal, and in the record with what was found."""
    plan = project.run_apart("--evals-plan", "-p", "no:terminal")
    once = "whether its model is that of a known card is tried once: at most 20 verdicts"
    assert plan.outlines[1:] == [f"plan: {NAME}: {once}, about {made[0].tokens:,} tokens"]
    assert server.http.told == server.http.asked == []
    first = project.run(*how)
    assert first.outlines.count(HELD) == 1
    assert [line for line in first.outlines if line.startswith("judge: takes")] == [f"judge: {TAKES}"]
    (judge,) = [line for line in project.lines if line["type"] == "judge"]
    assert judge["remarks"] == [TAKES]
    assert judge["settings"]["card"]["labels"] == {"name": "mine.jsonl"}
    check = judge["settings"]["check"]
    assert (check["model"], check["count"], check["within"], check["bound"]) == (MODEL, 20, 20, BOUND)
    count = len(server.http.asked)
    again = project.run(*how)
    assert HELD not in again.outlines
    assert f"judge: {TAKES}" in again.outlines
    assert len(server.http.asked) == count


def test_a_model_that_is_another_one(project, server):  # noqa: F811
    """Its verdicts are not the card's: one line says so, with what to do, and the run is uncalibrated."""
    server.share = 0.3
    result = project.run("--evals-mode=report")
    remedy = "`rag-evals calibrate --judge-model MODEL --labels FILE` fits one of its own"
    found = f"0 of 20 verdicts within {BOUND:.2f} of those of its weights, the largest difference 0.50"
    assert [line for line in result.outlines if line.startswith("judge: ") and line != HELD] == [
        f"judge: {NAME}, uncalibrated: how often it errs is not known (rag-evals calibrate)",
        f"judge: does not take the card of {MODEL}: {found}: {remedy}",
    ]
