"""Scores: what their evidence says by what they are held to, and their JSON."""

from __future__ import annotations

import pytest
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.masking import without_secrets
from rag_evals.evals.runs.score import ClaimScore, Score, score_from_json, score_to_json
from rag_evals.rag.answer import Answer, Context

from rag_evals import Question

WRONG = ClaimScore("Ten run.", 0.4, 0, 8, Context("Two run.", "moe.pdf", page=3), unsupported=("Ten",))
SCORE = Score(
    "faithfulness", 0.4, claims=(ClaimScore("So.", 0.9), WRONG), breach="is not supported by the contexts"
)
BREACH = '"Ten run." is not supported by the contexts (unsupported: Ten; closest: moe.pdf p.3)'
WEAKEST = 'weakest: "Ten run." (closest: moe.pdf p.3)'


@pytest.mark.parametrize(
    ("threshold", "evidence"), [(0.5, BREACH), (0.4, WEAKEST), (0.3, WEAKEST), (None, WEAKEST)]
)
def test_only_a_breach_is_complained_of(threshold, evidence):
    """What holds names the weakest claim, and nothing that is wrong with it."""
    assert SCORE.held_to(threshold).evidence == evidence
    assert SCORE.held_to(threshold).held_to(0.5).evidence == BREACH


def test_evidence_of_a_judge_of_ones_own_stays():
    """A judge that only says evidence has it as it says it."""
    score = Score("tone", 0.9, evidence="too friendly", claims=(WRONG,))
    assert score.held_to(0.5) == score
    assert Score("tone", 0.9, breach="is rude").held_to(0.5).evidence is None


@pytest.mark.parametrize(("spread", "note"), [(0.1, ""), (0.4, " (judges differ by 0.40)")])
def test_judges_that_differ(spread, note):
    """How far the judges of an ensemble differ is said of what holds and of what does not."""
    score = Score("faithfulness", 0.4, claims=(WRONG,), breach="is not supported", spread=spread)
    assert score.held_to(0.3).evidence == WEAKEST + note
    assert score.held_to(0.5).evidence == BREACH.replace(" by the contexts", "") + note


def test_json():
    """The words and the meaning of a breach come back; they are not written where there are none."""
    assert score_from_json("faithfulness", score_to_json(SCORE)) == SCORE
    claim, wrong = score_to_json(SCORE)["claims"]
    assert ("unsupported" in claim, wrong["unsupported"]) == (False, ["Ten"])
    assert "breach" not in score_to_json(Score("tone", 1.0))


def evaluation(score: Score, threshold: float) -> Evaluation:
    held = {score.metric: threshold}
    return Evaluation(Question("q", "How many?"), "base", Answer("Ten run."), (score,), {}).held_to(held)


def test_an_evaluation_is_held_to_its_thresholds():
    """Records and assertions say the same; an evaluation that is held to others anew says what fits those."""
    assert evaluation(SCORE, 0.5).breaches == (f"faithfulness 0.40 < 0.50: {BREACH}",)
    passing = evaluation(SCORE, 0.3)
    assert (passing.breaches, passing.scores[0].evidence) == ((), WEAKEST)
    assert [claim.unsupported for claim in passing.scores[0].claims] == [(), ()]
    wordless = BREACH.replace("unsupported: Ten; ", "")
    assert passing.held_to({"faithfulness": 0.5}).breaches == (f"faithfulness 0.40 < 0.50: {wordless}",)


def test_words_that_are_masked_in_their_claim_are_not_named():
    """Alone a password does not look like one."""
    claim = ClaimScore("The password = hunter22 of ten.", 0.1, unsupported=("hunter22", "ten"))
    score = Score("faithfulness", 0.1, claims=(claim,), breach="is not supported")
    told = without_secrets(evaluation(score, 0.5), texts=True)
    assert told.scores[0].claims[0].unsupported == ("ten",)
    assert told.breaches == (
        'faithfulness 0.10 < 0.50: "The password = *** of ten." is not supported (unsupported: ten)',
    )
    assert "hunter22" not in repr(told)
