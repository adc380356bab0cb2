"""How far people agree: figures of known data, intervals that hold, and what cannot be told."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from rag_evals.evals.base.intervals import Interval
from rag_evals.evals.judges.calibration.labels.agreement import MetricAgreement, agreements
from rag_evals.evals.judges.calibration.labels.examples import Labelled
from rag_evals.evals.judges.calibration.labels.people import JudgedAnswer, Verdict
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer

Said = Sequence[int | None]


def judged(
    n: int, said: dict[str, int | None], metric: str = "faithfulness", weight: float = 1
) -> JudgedAnswer:
    example = Labelled(Question(f"e{n}", f"Why {n}?"), Answer("So."), (), f"e{n}")
    verdicts = tuple(Verdict(name, label, f"{name}.jsonl:{n}") for name, label in said.items())
    return JudgedAnswer(example, {metric: verdicts}, {metric: weight})


def answers_of(
    metric: str = "faithfulness", weights: Sequence[float] = (), **said: Said
) -> list[JudgedAnswer]:
    """Return answers with what each person says; -1 for what they did not judge."""
    rows = [dict(zip(said, row, strict=True)) for row in zip(*said.values(), strict=True)]
    return [
        judged(n, {name: v for name, v in row.items() if v != -1}, metric, weights[n] if weights else 1)
        for n, row in enumerate(rows)
    ]


def agreement(run: Sequence[Evaluation] | None = None, **said: Said) -> MetricAgreement:
    (found,) = agreements(answers_of(**said), run)
    return found


def run_of(
    values: Sequence[float], metric: str = "faithfulness", *, answerable: bool = True
) -> list[Evaluation]:
    return [
        Evaluation(
            Question(f"q{n}", f"Why {n}?", answerable=answerable),
            "baseline",
            Answer("So."),
            (Score(metric, value),),
            {metric: 0.5},
        )
        for n, value in enumerate(values)
    ]


def noisy(truth: Sequence[int], share: float, seed: int) -> list[int]:
    rng = random.Random(seed)
    return [label ^ (rng.random() < share) for label in truth]


TRUTH = [int(n % 3 > 0) for n in range(90)]
ANN, BEN, CLEO = noisy(TRUTH, 0.05, 1), noisy(TRUTH, 0.1, 2), noisy(TRUTH, 0.2, 3)


def test_kappa_is_that_of_others():
    """Of scikit-learn and by hand: 20 and 15 of 50 alike, Cohen's own way."""
    from sklearn.metrics import cohen_kappa_score

    first = [1] * 25 + [0] * 25
    second = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    (pair,) = agreement(ann=first, ben=second).pairs
    assert pair.count == 50
    assert pair.share.value == pytest.approx(0.7)
    assert pair.kappa.value == pytest.approx(0.4)
    assert pair.kappa.value == pytest.approx(cohen_kappa_score(first, second))
    assert pair.kappa.low < 0.4 < pair.kappa.high


def test_alpha_is_that_of_krippendorff():
    """His example of binary data (2011, two observers, ten units, alpha 0.095), here three times over.

    A third person, who could not tell anything, changes nothing.
    """
    first = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0] * 3
    second = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0] * 3
    found = agreement(a=first, b=second, c=[None] * 30)
    # By his formula for binary data, with 12 pairs that differ, 42 zeros and 18 ones.
    assert found.alpha.value == pytest.approx(1 - 59 * 12 / (42 * 18))
    assert found.alpha.low < found.alpha.value < found.alpha.high


def test_intervals_hold():
    """In nearly all of thirty samples of two people whose true agreement is known."""
    rng = random.Random(5)
    held = 0
    for _ in range(30):
        truth = [int(rng.random() < 0.6) for _ in range(60)]
        one, two = ([t ^ (rng.random() < 0.15) for t in truth] for _ in range(2))
        (pair,) = agreement(a=one, b=two).pairs
        # Two who err in 15 % each agree in 0.745; 0.57 of each say yes.
        by_chance = 0.57**2 + 0.43**2
        held += pair.kappa.low <= (0.745 - by_chance) / (1 - by_chance) <= pair.kappa.high
    assert held >= 27


def test_the_same_figures_every_time():
    assert agreement(ann=ANN, ben=BEN, cleo=CLEO) == agreement(ann=ANN, ben=BEN, cleo=CLEO)


def test_people():
    """How much each judged, and what they could not tell."""
    found = agreement(ann=[1, 0, None] * 10, ben=[1, -1, 1] * 10)
    assert found.people == (("ann", 20, 10, 10), ("ben", 20, 20, 0))
    assert (found.disputed, found.tied) == (0, 0)


def test_too_few_answers_have_no_figure():
    """Nineteen by both say nothing; it is said."""
    (pair,) = agreement(ann=[1, 0] * 10, ben=[-1, *[1, 0] * 9, 1]).pairs
    assert (pair.share, pair.kappa) == (None, None)
    assert pair.lack == "19 answers by both: at least 20 are needed"
    found = agreement(a=[1, 0] * 10, b=[1, -1] * 10, c=[0, -1] * 10)
    assert found.alpha is None
    assert found.alpha_lack == "10 answers by two people or more: at least 20 are needed"


def test_who_always_says_the_same():
    """Agreement has a share and no kappa, which would be 0 however often they agree."""
    (pair,) = agreement(ann=[1] * 30, ben=[1] * 27 + [0] * 3).pairs
    assert pair.share.value == 0.9
    assert pair.kappa is None
    assert pair.lack == "no kappa, as one of them nearly always says the same"


def test_full_agreement_is_not_certainty():
    """Thirty of thirty alike: kappa is 1, and what is known of it no more than of the share."""
    (pair,) = agreement(ann=TRUTH[:30], ben=TRUTH[:30]).pairs
    assert pair.share == Interval(1.0, pytest.approx(0.886, abs=0.001), 1.0)
    assert pair.kappa == Interval(1.0, pytest.approx(0.744, abs=0.001), 1.0)


def test_the_judge_beside_people():
    """Against each and the majority; a judge that errs more than people is seen to."""
    values = [0.9 if v else 0.1 for v in noisy(TRUTH, 0.4, 9)]
    found = agreement(run_of(values), ann=ANN, ben=BEN, cleo=CLEO)
    assert [one.name for one in found.judge] == ["ann", "ben", "cleo", "majority"]
    assert all(0.4 < one.balanced_accuracy.value < 0.8 for one in found.judge)
    assert found.beside.high < 0
    good = agreement(run_of([0.9 if v else 0.1 for v in TRUTH]), ann=BEN, ben=CLEO)
    assert good.judge[0].auroc.value > 0.8
    assert good.beside.low > 0


def test_weights_count_in_the_judges_figures():
    """An answer that stands for nine counts nine times in what is said of the run."""
    truth = [1, 0] * 20
    values = [0.9 if n < 30 else 1 - t for n, t in enumerate(truth)]
    weights = [9.0 if n < 30 else 1.0 for n in range(40)]
    (plain,) = agreements(answers_of(ann=truth), run_of(values))
    (weighted,) = agreements(answers_of(weights=weights, ann=truth), run_of(values))
    assert not plain.is_weighted
    assert weighted.is_weighted
    assert plain.judge[0].balanced_accuracy.value == pytest.approx((15 / 20 + 0) / 2)
    assert weighted.judge[0].balanced_accuracy.value == pytest.approx((135 / 140 + 0) / 2)
    assert plain.judge[0].pair.share.value == weighted.judge[0].pair.share.value


def test_a_decline_should_not_pass_where_an_answer_is_asked_for():
    """The judge's score is of the opposite there."""
    said = answers_of("refusal", ann=[1, 0] * 15)
    values = [0.1, 0.9] * 15
    (found,) = agreements(said, run_of(values, "refusal"))
    assert found.judge[0].balanced_accuracy.value == 1.0
    (turned,) = agreements(said, run_of(values, "refusal", answerable=False))
    assert turned.judge[0].balanced_accuracy.value == 0.0


def test_a_judge_without_both_classes():
    """All labels alike: balanced accuracy and AUROC cannot be had, and it is said."""
    (found,) = agreements(answers_of(ann=[1] * 30), run_of([0.9] * 30))
    assert found.judge[0].auroc is None
    assert found.judge[0].lack == "all 30 labels are alike: both are needed"


def test_metrics_in_their_order():
    """Each metric by itself, as people judged it."""
    found = agreements([*answers_of("correctness", ann=[1, 0]), *answers_of("faithfulness", ann=[1])])
    assert [one.metric for one in found] == ["faithfulness", "correctness"]
