"""The ten examples of docs/criteria.md: each is run, with an answer that holds and one that does not."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge
from rag_evals.evals.judges.choice.scorer import ChoiceScorer
from rag_evals.evals.judges.criteria.check import check_scores
from rag_evals.evals.judges.metrics import MetricSet
from rag_evals.evals.plugin.session.own_metrics import own_metrics
from rag_evals.evals.runs.score import is_below
from rag_evals.evals.testing import ScriptedLLM
from rag_evals.rag.answer import Tokens

import rag_evals
from rag_evals import Answer, Check, Context, Criterion, Question

PAGE = Path(__file__).parents[3] / "docs" / "criteria.md"
FACE = {name: getattr(rag_evals, name) for name in rag_evals.__all__}
QUESTION = Question("q", "What does it cost?", reference="It costs 1,250 EUR.", tags=("price", "order"))
PASSAGE = Context("It costs 1,250 EUR.", "prices.md")

# Of each criterion what the model says of a good and a bad answer; of each check two answers.
ASKED = {"names_price": "yes", "no_advice": "no", "newest_rule": "yes", "same_steps": "yes"}
ANSWERS = {
    "names_address": (Answer("Write to Support@example.com."), Answer("Write to us.")),
    "order_number": (Answer("It is ORD-123456."), Answer("It is ORD-12.")),
    "numbers": (Answer("1250 euros."), Answer("1 euro and 25 cents.")),
    "form": (Answer('```json\n{"price": 20}\n```'), Answer('{"price": "20"}')),
    "fast": (Answer("a", seconds={"retrieve": 1, "generate": 3}), Answer("a", seconds={"generate": 6})),
    "brief": (
        Answer("a", tokens={"generate": Tokens(900, 0, 200)}),
        Answer("a", tokens={"generate": Tokens(9, 0, 201)}),
    ),
    "german": (Answer("Das kostet zwanzig Euro im Monat."), Answer("It costs twenty euros a month.")),
    "no_apology": (Answer("It costs 20."), Answer("Sorry, no.")),
    "cites_a_passage": (Answer("See prices.md.", (PASSAGE,)), Answer("See there.", (PASSAGE,))),
}


def examples() -> list[str]:
    text = PAGE.read_text("utf-8")
    part = text[text.index("## Ten examples") : text.index("## Criteria")]
    return [textwrap.dedent(code) for code in re.findall(r"^ *```python\n(.*?)^ *```", part, re.S | re.M)]


def names() -> dict[str, object]:
    """Return what the examples define."""
    given = dict(FACE)
    for code in examples():
        exec(compile(code, str(PAGE), "exec"), given)
    return {name: given[name] for name in (*ASKED, *ANSWERS)}


def test_there_are_ten():
    """As the heading says; and each defines something that is tested here."""
    assert len(examples()) == 10
    assert names().keys() == {*ASKED, *ANSWERS}


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("share", [0.9, 0.2])
def test_criteria(name, share):
    """The score is the probability of the good reply."""
    (metric,) = own_metrics([names()[name]])
    assert isinstance(metric.own, Criterion)
    llm = ScriptedLLM({ASKED[name]: share, {"yes": "no", "no": "yes"}[ASKED[name]]: 1 - share})
    known = MetricSet((metric,))
    scorer = ChoiceScorer(llm, criteria=known.criteria)
    judge = CalibratedJudge(scorer, metrics=(metric.name,), known=known)
    (score,) = judge.score_now(QUESTION, Answer("It costs 1,250 EUR.", (PASSAGE,))).scores
    assert (score.metric, round(score.value, 2)) == (name, share)


@pytest.mark.parametrize("name", ANSWERS)
def test_checks(name):
    """One answer holds, the other does not, and it is said why."""
    (metric,) = own_metrics([names()[name]])
    assert isinstance(metric.own, Check)
    good, bad = ANSWERS[name]
    (holds,), (breaks,) = (check_scores([metric.own], QUESTION, answer) for answer in (good, bad))
    assert holds.value == 1.0, holds
    assert is_below(breaks.value, metric.threshold or 0.5), breaks
    assert holds.evidence is None
    assert breaks.evidence
