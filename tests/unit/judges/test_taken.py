"""The judge that `auto` takes: the highest figure of those that are here, and where that figure is from."""

from __future__ import annotations

import pytest
from rag_evals.evals.judges.build import JudgeModels, judge_for, scorer_for, taken_judge
from rag_evals.evals.judges.calibration.accuracy import accuracy
from rag_evals.evals.judges.calibration.judge_card import Calibration, JudgeCard, MetricCard, card_to_json
from rag_evals.evals.judges.calibration.probe import Probe
from rag_evals.evals.judges.entailment.taken import Candidate, Taken, take
from rag_evals.evals.testing import ScriptedLLM
from rag_evals.rag.config import config_for
from rag_evals.rag.pipelines.resources import Resources

BOARD = "the board, 2025-09-08"
FACTCG = Candidate("cross-encoder:factcg", "cross-encoder (o/factcg)", 0.756, BOARD)
HHEM = Candidate("cross-encoder:hhem", "cross-encoder (o/hhem)", 0.718, BOARD)
LETTUCE = Candidate("cross-encoder:lettuce", "cross-encoder (o/lettuce)")
CHOICE = Candidate("choice", "choice (qwen)")


def card(
    folder,
    judge: str,
    right: int,
    *,
    labels: str = "mine.jsonl",
    metric: str = "faithfulness",
    probe: Probe | None = None,
):
    """Write the card of a judge that is right of `right` of ten good and ten bad answers."""
    scores = [0.9] * right + [0.1] * (10 - right) + [0.1] * right + [0.9] * (10 - right)
    measured = accuracy(scores, [1] * 10 + [0] * 10, range(20), resamples=20)
    calibration = Calibration(metric, {"yes": 1.0}, 0.0, None, 0.5, probe)
    of_metric = MetricCard(
        calibration, measured, measured.balanced_accuracy, measured.auroc, {}, {}, {}, 1.0, 0.1, 9.0
    )
    made = JudgeCard(judge, "0" * 64, {"name": labels, "digest": "0" * 64}, (of_metric,))
    folder.mkdir(exist_ok=True)
    (folder / f"{len([*folder.iterdir()])}.json").write_text(card_to_json(made))


def test_the_highest_published_figure():
    """Without cards the published figures decide, whatever the order."""
    assert take([HHEM, FACTCG, LETTUCE, CHOICE], []) == Taken(
        "cross-encoder:factcg", f"balanced accuracy 0.756 published, {BOARD}"
    )


def test_a_card_counts_before_what_is_published(tmp_path):
    """A judge that was measured on labels of one's own is worth what it was worth on these."""
    card(tmp_path / "cards", "cross-encoder (o/factcg)", right=6)
    assert take([HHEM, FACTCG], [tmp_path / "cards"]).spec == "cross-encoder:hhem"
    card(tmp_path / "cards", "cross-encoder (o/lettuce)", right=8)
    assert take([HHEM, FACTCG, LETTUCE], [tmp_path / "cards"]) == Taken(
        "cross-encoder:lettuce", "balanced accuracy 0.80 on mine.jsonl, by its card"
    )


def test_the_first_folder_has_the_card_that_counts(tmp_path):
    """A card of one's own goes before the one that comes with the package."""
    card(tmp_path / "own", "choice (qwen)", right=9)
    card(tmp_path / "bundled", "choice (qwen)", right=6, labels="primer.jsonl")
    assert take([HHEM, CHOICE], [tmp_path / "own", tmp_path / "bundled"]).spec == "choice"
    assert take([HHEM, CHOICE], [tmp_path / "gone", tmp_path / "bundled"]).spec == "cross-encoder:hhem"


def test_the_card_that_a_run_takes_counts(tmp_path):
    """Of two cards of a judge the one that reads hidden states, wherever it lies."""
    card(tmp_path / "own", "choice (qwen)", right=9)
    card(tmp_path / "bundled", "choice (qwen)", right=7, labels="a, b, c, d", probe=Probe("", 0.0))
    assert take([HHEM, CHOICE], [tmp_path / "own", tmp_path / "bundled"]).spec == "cross-encoder:hhem"
    assert take([CHOICE], [tmp_path / "own", tmp_path / "bundled"]) == Taken(
        "choice", "balanced accuracy 0.70 on 4 sets of labels, by its card"
    )


def test_nothing_is_known():
    """Judges of which nothing is known are not taken: the default is."""
    assert take([LETTUCE, CHOICE], []) == Taken(
        "choice", "no judge on this machine has a card or a published figure"
    )
    assert take([], []).spec == "choice"


def test_what_is_no_card_is_passed_over(tmp_path):
    """A damaged file, and a card of another metric, say nothing of faithfulness."""
    card(tmp_path / "cards", "choice (qwen)", right=9, metric="relevancy")
    (tmp_path / "cards" / "a.json").write_text("{")
    assert take([HHEM, CHOICE], [tmp_path / "cards"]).spec == "cross-encoder:hhem"


def test_the_line():
    """One line says what was taken and why."""
    assert take([HHEM], []).line == (
        "judge: auto takes cross-encoder:hhem: balanced accuracy 0.718 published, the board, 2025-09-08; "
        "it scores no relevancy and no refusal"
    )
    assert take([], []).line == (
        "judge: auto takes choice: no judge on this machine has a card or a published figure"
    )


class Models:
    """What judges are made of, with a trained one here."""

    def __init__(self, *candidates: Candidate) -> None:
        self._candidates = candidates

    def candidates(self):
        return iter(self._candidates)

    def llm(self):
        return ScriptedLLM(name="qwen")

    def embedder(self):
        return None


def test_auto_is_the_judge_that_it_takes():
    """By `auto` it has the name and the fingerprint that it has by its own word."""
    models = Models(Candidate("minicheck", "minicheck (qwen)", 0.774, BOARD))
    taken, named = (judge_for(word, models) for word in ("auto", "minicheck"))
    assert (taken.name, taken.fingerprint) == (named.name, named.fingerprint)
    assert taken.profile.settings == named.profile.settings
    assert scorer_for("auto", models).name == "minicheck (qwen)"


@pytest.mark.parametrize(
    ("is_here", "spec"), [(True, "cross-encoder:minicheck-roberta-large"), (False, "choice")]
)
def test_of_what_is_in_the_cache(is_here, spec, tmp_path, monkeypatch):
    """Trained judges that were fetched are candidates; nothing is fetched or loaded to say so."""
    monkeypatch.setenv("RAG_EVALS_MODELS", str(tmp_path))
    if is_here:
        folder = tmp_path / "lytang--minicheck-roberta-large"
        folder.mkdir()
        (folder / "config.json").write_text("{}")
    models = JudgeModels(Resources(offline=True), config_for("baseline"))
    assert taken_judge(models, []).spec == spec
