"""What is printed of a judge: its card as text, and its lines at the end of a run, word by word."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
from rag_evals.evals.base.intervals import Interval
from rag_evals.evals.judges.calibration.accuracy import Accuracy, Bin
from rag_evals.evals.judges.calibration.judge_card import Calibration, JudgeCard, MetricCard, Trust
from rag_evals.evals.judges.calibration.labels.examples import Labelled
from rag_evals.evals.judges.calibration.labels.labelling import Labelling
from rag_evals.evals.judges.calibration.set_figures import Agreement, Figures, SetFigures
from rag_evals.evals.judges.ensemble import EnsembleJudge
from rag_evals.evals.questions.question import Question
from rag_evals.evals.reports.terminal.judge import card_lines, judge_lines
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import ComponentInfo
from rag_evals.evals.runs.score import Score
from rag_evals.evals.testing import FakeJudge
from rag_evals.rag.answer import Answer
from rag_evals.rag.profile import Profile

GOOD = Interval(0.85, 0.75, 0.92)
TRUST = Trust("faithfulness", 0.6, GOOD, (90, 100), (80, 100))
RELEVANCY = Trust("relevancy", 0.3, Interval(0.8, 0.62, 0.9), (45, 50), (35, 50))


def judge_of(*trust: Trust, name: str = "choice (qwen)") -> ComponentInfo:
    """Return a judge, with a card if it can be trusted at all."""
    about = {
        "digest": "d" * 64,
        "labels": {"name": "primer.jsonl"},
        "trust": [asdict(one) for one in trust],
    }
    card = about if trust else None
    return ComponentInfo("judge", name, "j1", {"metrics": ["faithfulness"], "card": card})


def evaluation(n: int, value: float | None, *, pipeline: str = "baseline", metric: str = "faithfulness"):
    return Evaluation(
        question=Question(f"q{n}", f"Question {n}?"),
        pipeline=pipeline,
        answer=Answer(f"Answer {n}."),
        scores=(Score(metric, value),),
        thresholds={metric: 0.5},
    )


def labelled(n: int, label: int, metric: str = "faithfulness") -> Labelled:
    return Labelled(Question(f"l{n}", f"Question {n}?"), Answer(f"Answer {n}."), ((metric, label),), "s")


RUN = [evaluation(n, 0.9 if n < 14 else 0.55) for n in range(20)]
NAMED = "judge: choice (qwen), balanced accuracy on primer.jsonl: faithfulness 0.85 (0.75 to 0.92)"


def lines(judge: ComponentInfo, run=RUN, *, floor: float = 0.7, labels=()) -> list[str]:
    return judge_lines([judge], run, floor=floor, labels=labels)


# --- at the end of a run ---


def test_uncalibrated():
    """Without a card it is said that nothing is known of its errors, and nothing is corrected."""
    unknown = "uncalibrated: how often it errs is not known (rag-evals calibrate)"
    assert lines(judge_of()) == [f"judge: choice (qwen), {unknown}"]
    assert lines(ComponentInfo("judge", "mine", "j1", {})) == [f"judge: mine, {unknown}"]
    assert lines(ComponentInfo("judge", "mine", "j1")) == [f"judge: mine, {unknown}"]


def test_no_judge():
    """A run whose pipelines all raised has no judge to speak of."""
    assert judge_lines([], RUN, floor=0.7) == []


def test_calibrated():
    """Its balanced accuracy, and the share of right answers as the card's errors correct it."""
    assert lines(judge_of(TRUST)) == [
        NAMED,
        "corrected for the judge  answers  pass  should pass          95 %            by",
        "baseline faithfulness         20  0.70         0.71  0.39 to 0.96  rogan-gladen",
    ]


def test_what_a_card_says_of_other_metrics_is_left_out():
    """The line speaks of what the run scored, and counts sets of labels that are too many to be named."""
    assert lines(judge_of(TRUST, RELEVANCY))[0] == NAMED
    judge = judge_of(TRUST)
    assert judge.settings
    names = {"labels": {"name": "a.jsonl, b.jsonl, ragtruth, mtrag"}}
    many = replace(judge, settings={"card": {**judge.settings["card"], **names}})
    assert lines(many)[0] == NAMED.replace("primer.jsonl", "4 sets of labels")


def test_what_passes_is_what_the_card_says():
    """The errors are known at the card's threshold: scores are held to that, whatever the run's own is."""
    low = replace(TRUST, threshold=0.5)
    assert lines(judge_of(low))[2].split()[2:5] == ["20", "1.00", "1.00"]


def test_a_row_a_pipeline_and_metric():
    """Rows in the order of the run; an unscored answer is in none, and neither is a metric never scored."""
    run = [
        *RUN,
        evaluation(20, None),
        *(evaluation(n, 0.9, pipeline="auto_merging") for n in range(10)),
        *(evaluation(n, 0.2 if n else 0.4, pipeline="auto_merging", metric="relevancy") for n in range(10)),
    ]
    assert lines(judge_of(TRUST, RELEVANCY), run, floor=0.5) == [
        f"{NAMED}, relevancy 0.80 (0.62 to 0.90)",
        "corrected for the judge    answers  pass  should pass          95 %            by",
        "baseline faithfulness           20  0.70         0.71  0.39 to 0.96  rogan-gladen",
        "auto_merging faithfulness       10  1.00         1.00  0.68 to 1.00  rogan-gladen",
        "auto_merging relevancy          10  0.10         0.00  0.00 to 0.28  rogan-gladen",
    ]


def test_a_judge_like_chance_corrects_nothing():
    """The rate stays as it is, with the interval that says so."""
    chance = Trust("faithfulness", 0.6, Interval(0.5, 0.4, 0.6), (50, 100), (50, 100))
    assert lines(judge_of(chance), floor=0.0)[2] == (
        "baseline faithfulness         20  0.70         0.70  0.00 to 1.00  uncorrected"
    )


def test_nothing_scored_has_no_table():
    """A header above no row says nothing."""
    assert lines(judge_of(TRUST), [evaluation(0, None)]) == [NAMED]


@pytest.mark.parametrize(("floor", "doubts"), [(0.75, []), (0.751, ["0.751"]), (0.9, ["0.9"]), (0.0, [])])
def test_below_the_floor(floor, doubts):
    """Where the lower end of its interval is below the floor the gate is inconclusive, by name."""
    assert lines(judge_of(TRUST), floor=floor)[3:] == [
        "judge: not to be trusted in faithfulness: balanced accuracy may be as low as 0.75, "
        f"below evals_judge_floor = {shown}: a gate on it is INCONCLUSIVE"
        for shown in doubts
    ]


def test_labels_for_a_part_of_the_run():
    """Ten labels or more of the run's own answers: the scores of all, corrected by them."""
    labels = [labelled(n, int(n not in (0, 12))) for n in range(0, 20, 2)]
    others = [labelled(99, 0), labelled(1, 1, "relevancy")]
    assert lines(judge_of(TRUST), labels=[*labels, *others]) == [
        NAMED,
        "corrected for the judge  answers  pass  should pass          95 %                  by",
        "baseline faithfulness         20  0.70         0.80  0.41 to 0.96  prediction-powered",
        "labels: 1 of 12 answers are not in this run: no such question: l99",
    ]


def test_too_few_labels_of_the_run():
    """With nine labels of the run, or ten of other answers, the card's errors correct as without any."""
    nine = [labelled(n, 1) for n in range(9)]
    others = [labelled(n, 1) for n in range(100, 110)]
    assert lines(judge_of(TRUST), labels=nine) == lines(judge_of(TRUST))
    assert lines(judge_of(TRUST), labels=others) == [
        *lines(judge_of(TRUST)),
        "labels: 10 of 10 answers are not in this run: no such question: "
        + ", ".join(f"l{n}" for n in range(100, 110)),
    ]


def test_labels_correct_a_judge_without_a_card():
    """By the thresholds of the run; fewer than ten say nothing."""
    labels = [labelled(n, int(n % 4 > 0)) for n in range(12)]
    assert lines(judge_of(), labels=labels)[1:] == [
        "corrected for the judge  answers  pass  should pass          95 %                  by",
        "baseline faithfulness         20  1.00         0.75  0.41 to 0.93  prediction-powered",
    ]
    assert lines(judge_of(), labels=labels[:9]) == lines(judge_of())


def test_labels_of_single_passages_correct_no_answer():
    """A run scores the mean of an answer's passages; what one of them is worth says little of that."""
    run = [evaluation(n, 0.9, metric="context_relevancy") for n in range(20)]
    labels = [labelled(n, 0, "context_relevancy") for n in range(20)]
    assert lines(judge_of(), run, labels=labels) == lines(judge_of(), run)


def test_weights_of_a_draw_count():
    """Ten that stand for one and two that stand for ten: the two count as twenty of thirty."""
    labels = [labelled(n, int(n < 10)) for n in range(12)]
    weighted = [
        replace(one, by=Labelling(weights=(("faithfulness", 10.0 if n >= 10 else 1.0),)))
        for n, one in enumerate(labels)
    ]
    plain, drawn = (lines(judge_of(), labels=given)[2].split()[4] for given in (labels, weighted))
    assert (plain, drawn) == ("0.83", "0.33")


def test_a_declined_answer_should_pass_where_there_is_none():
    """The label says that an answer declines: right where the documents say nothing, else wrong."""
    trust = replace(TRUST, metric="refusal")
    run = [evaluation(n, 0.9 if n < 14 else 0.55, metric="refusal") for n in range(20)]
    declined = [labelled(n, int(n in (0, 12)), "refusal") for n in range(0, 20, 2)]
    assert lines(judge_of(trust), run, labels=declined)[2] == (
        "baseline refusal              20  0.70         0.80  0.41 to 0.96  prediction-powered"
    )
    run = [replace(one, question=replace(one.question, answerable=False)) for one in run]
    assert lines(judge_of(trust), run, labels=declined)[2].split()[4] == "0.20"


def test_every_answer_labelled():
    """Where people labelled all of it their share is the share."""
    labels = [labelled(n, int(n < 15)) for n in range(20)]
    assert lines(judge_of(TRUST), labels=labels)[2] == (
        "baseline faithfulness         20  0.70         0.75  0.50 to 0.90  prediction-powered"
    )


def test_names_cannot_drive_the_terminal():
    """Control characters of a name are shown as replacement characters."""
    assert lines(judge_of(TRUST, name="a\x1b[2Jb"))[0].startswith("judge: a\N{REPLACEMENT CHARACTER}[2Jb, ")


class Seer(FakeJudge):
    """A judge with a card."""

    def __init__(self, scores, *, name: str) -> None:
        super().__init__(scores, name=name)
        self.profile = Profile(settings=judge_of(TRUST).settings)


def test_an_ensemble_is_its_judges():
    """What the mean is worth is on no card: each judge has its line, and nothing is corrected."""
    judge = EnsembleJudge([FakeJudge({}, name="a"), Seer({}, name="choice (qwen)")])
    assert lines(ComponentInfo("judge", judge.name, "j1", judge.profile.settings), floor=0.9) == [
        "judge: ensemble (a, choice (qwen))",
        "judge: a, uncalibrated: how often it errs is not known (rag-evals calibrate)",
        NAMED,
    ]


# --- a card ---

CARD = JudgeCard(
    "choice (qwen)",
    "0123456789abcdef" * 4,
    {"name": "primer.jsonl", "digest": "d" * 64, "examples": 1042, "sources": 9},
    (
        MetricCard(
            calibration=Calibration("faithfulness", {"yes": 0.4321}, -1.0, None, 0.618),
            accuracy=Accuracy(
                count=40,
                positives=25,
                auroc=Interval(0.9, 0.8, 0.95),
                balanced_accuracy=GOOD,
                threshold=0.618,
                sensitivity=Interval(0.88, 0.7, 0.96),
                specificity=Interval(0.8, 0.6, 0.93),
                calibration_error=0.07,
                bins=(
                    Bin(0.0, 0.1, 10, 0.0, 0.0),
                    Bin(0.2, 0.3, 10, 0.25, 0.3),
                    Bin(0.6, 0.7, 1000, 0.65, 0.5),
                    Bin(0.9, 1.0, 10, 1.0, 0.9),
                ),
            ),
            at_half=Interval(0.8, 0.7, 0.9),
            plain=Interval(0.7, 0.6, 0.8),
            baselines={"words found": Interval(0.6, 0.5, 0.7), "brevity": Interval(0.5, 0.4, 0.6)},
            gains={"yes": 0.6, "words": 0.9004},
            method={"logistic": 0.31, "isotonic": 0.4},
            coverage=0.95,
            seconds=0.512,
            tokens=1234.5,
        ),
    ),
)
LINES = """\
judge: choice (qwen) (0123456789ab), measured on primer.jsonl: 1042 examples from 9 sources

faithfulness: 40 examples, 25 labelled 1; scores cross-validated by source, 95 % intervals
  AUROC                       0.900 (0.80 to 0.95)
  AUROC, uncalibrated         0.700 (0.60 to 0.80)
  AUROC of words found alone  0.600 (0.50 to 0.70)
  AUROC of brevity alone      0.500 (0.40 to 0.60)
  balanced accuracy at 0.50   0.800 (0.70 to 0.90)
  balanced accuracy at 0.62   0.850 (0.75 to 0.92)
  right answers that pass     0.880 (0.70 to 0.96)
  wrong answers that fail     0.800 (0.60 to 0.93)
  calibration error           0.07 (logistic)
  coverage                    0.95
  a verdict takes             0.51 s, 1,234 tokens

  feature  weight  AUROC without it
  yes        0.43             0.600
  words      0.00             0.900

  score right count  0 to 1: | the score, o the share that is right, * both
  0.00  0.00    10  *
  0.25  0.30    10            | o
  0.65  0.50  1000                      o     |
  1.00  0.90    10                                      o   |""".splitlines()


def test_a_card_as_text():
    """Every figure with its interval, what each feature weighs and is worth, and the reliability plot."""
    assert card_lines(CARD) == LINES


def test_a_card_of_one_feature_and_a_curve():
    """One feature is weighed against nothing; an isotonic card says so; each metric has its part."""
    (metric,) = CARD.metrics
    calibration = replace(metric.calibration, metric="relevancy", curve=((0.0, 0.1), (1.0, 0.9)))
    single = replace(metric, calibration=calibration, gains={})
    found = card_lines(replace(CARD, metrics=(metric, single)))
    assert found[: len(LINES)] == LINES
    second = [
        line.replace("faithfulness:", "relevancy:").replace("(logistic)", "(isotonic)") for line in LINES
    ]
    assert found[len(LINES) :] == [*second[1:14], *second[18:]]


def test_the_figures_of_each_set():
    """A set's figures by answer and by sentence stand beside the best floor and what people agree in."""
    answers = Figures(
        40, 25, Interval(0.9, 0.8, 0.95), GOOD, 0.8, None, {"words found": 0.75, "brevity": 0.625}
    )
    sentences = replace(answers, count=1200, positives=1100, precision=0.345, floors={"brevity": 0.95})
    sets = (
        SetFigures("primer.jsonl", 9, answers, None, None),
        SetFigures("ragtruth", 70, answers, sentences, None),
        SetFigures("mtrag", 10, None, None, Agreement(231, 0.845, 0.42)),
        SetFigures("more", 10, answers, None, Agreement(20, 1.0, None)),
        SetFigures("empty", 1, None, None, None),
    )
    (metric,) = CARD.metrics
    found = card_lines(replace(CARD, metrics=(replace(metric, sets=sets),)))
    assert found[:14] == LINES[:14]
    assert found[14:22] == SETS
    assert found[22:] == LINES[14:]


SETS = """\

  set           of         count  wrong                 AUROC         best floor  beyond    balanced accuracy  found  precision
  primer.jsonl  answers       40     15  0.900 (0.80 to 0.95)  0.750 words found  +0.150  0.85 (0.75 to 0.92)   0.80          -
  ragtruth      answers       40     15  0.900 (0.80 to 0.95)  0.750 words found  +0.150  0.85 (0.75 to 0.92)   0.80          -
  ragtruth      sentences   1200    100  0.900 (0.80 to 0.95)      0.950 brevity  -0.050  0.85 (0.75 to 0.92)   0.80       0.34
  more          answers       40     15  0.900 (0.80 to 0.95)  0.750 words found  +0.150  0.85 (0.75 to 0.92)   0.80          -
  people agree with each other on mtrag: 84%, kappa 0.42, 231 answers
  people agree with each other on more: 100%, 20 answers
""".splitlines()  # noqa: E501


def test_a_card_of_another_hand_cannot_drive_the_terminal():
    """A label file may have any name."""
    found = card_lines(replace(CARD, labels={**CARD.labels, "name": "a\nb\x1b"}))
    assert found[0] == (
        "judge: choice (qwen) (0123456789ab), measured on a\N{REPLACEMENT CHARACTER}b"
        "\N{REPLACEMENT CHARACTER}: 1042 examples from 9 sources"
    )


@pytest.mark.parametrize(
    "card", [{}, {"trust": []}, {"labels": {"name": "l"}, "trust": [{"metric": "faithfulness"}]}, "a text", 1]
)
def test_a_card_of_another_form_is_none(card):
    """A run from elsewhere may say anything of its judge: it is uncalibrated, and nothing fails."""
    judge = ComponentInfo("judge", "fake", "j", {"card": card})
    assert judge_lines([judge], [], floor=0.7) == [
        "judge: fake, uncalibrated: how often it errs is not known (rag-evals calibrate)"
    ]
