"""What is said of people's labels, line by line."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rag_evals.evals.base.intervals import Interval
from rag_evals.evals.judges.calibration.labels.agreement import JudgeFigures, MetricAgreement, Pair
from rag_evals.evals.judges.calibration.labels.examples import Labelled
from rag_evals.evals.judges.calibration.labels.people import JudgedAnswer, Verdict
from rag_evals.evals.questions.question import Question
from rag_evals.evals.reports.terminal.labels import agreement_lines, merged_lines
from rag_evals.rag.answer import Answer

SHARE, KAPPA = Interval(0.9, 0.8, 0.95), Interval(0.75, 0.7, 0.85)
PAIR = Pair("Ann", "Ben", 40, SHARE, KAPPA)
JUDGE = JudgeFigures(
    "Ann", Pair("judge", "Ann", 40, SHARE, KAPPA), Interval(0.8, 0.7, 0.9), Interval(0.88, 0.8, 0.93)
)
FOUND = MetricAgreement("faithfulness", (("Ann", 40, 30, 0), ("Ben", 40, 28, 2)), 4, 1, (PAIR,), None, "")


def judged(name: str, **said: int | None) -> JudgedAnswer:
    example = Labelled(Question(name, "Why?"), Answer("So."), (), name)
    return JudgedAnswer(
        example,
        {
            "faithfulness": tuple(
                Verdict(who, v, f"{who}.jsonl:{n}") for n, (who, v) in enumerate(said.items(), 1)
            )
        },
    )


def test_merged():
    """Counts by metric; ties and conflicts with who said what where."""
    answers = [
        judged("a", Ann=1, Ben=1),
        judged("b", Ann=1, Ben=0, Cleo=0),
        judged("c", Ann=1, Ben=0, Cleo=None),
        judged("d", Ann=None),
        judged("e\x1b", Ann=0),
    ]
    assert merged_lines(answers) == [
        "faithfulness: 3 answers labelled, 2 disputed, 1 tied and left without a label, 1 that nobody could "
        "tell",
        "  b: no (yes: Ann at Ann.jsonl:1; no: Ben at Ben.jsonl:2, Cleo at Cleo.jsonl:3)",
        "  c: tied (yes: Ann at Ann.jsonl:1; no: Ben at Ben.jsonl:2; cannot tell: Cleo at Cleo.jsonl:3)",
    ]


def test_two_people():
    """Who judged how much, how far they agree, and what that means."""
    assert agreement_lines([FOUND]) == [
        "faithfulness",
        "  Ann: 40 answers, 30 yes and 10 no",
        "  Ben: 40 answers, 28 yes and 12 no, 2 could not be told",
        "",
        "            answers  agree          95 %  kappa          95 %",
        "  Ann, Ben       40   0.90  0.80 to 0.95   0.75  0.70 to 0.85",
        "",
        "  disputed: 4 answers, 1 of them tied",
        "  People agree well enough for tentative conclusions: the lower end is 0.70.",
    ]


def test_the_judge():
    """Its agreement beside theirs, what its scores are worth, and what is weighted."""
    beside = replace(FOUND, judge=(JUDGE,), beside=Interval(-0.2, -0.3, -0.1), is_weighted=True)
    assert agreement_lines([beside])[4:] == [
        "              answers  agree          95 %  kappa          95 %",
        "  Ann, Ben         40   0.90  0.80 to 0.95   0.75  0.70 to 0.85",
        "  judge, Ann       40   0.90  0.80 to 0.95   0.75  0.70 to 0.85",
        "",
        "  judge against  balanced accuracy          95 %  AUROC          95 %",
        "  Ann                         0.80  0.70 to 0.90   0.88  0.80 to 0.93",
        "  counted by how many answers of the run each stands for; the figures above by answers",
        "",
        "  disputed: 4 answers, 1 of them tied",
        "  People agree well enough for tentative conclusions: the lower end is 0.70.",
        "  The judge agrees with people less than they do with each other: kappa -0.20 (-0.30 to -0.10) "
        "beside theirs.",
    ]


def test_what_cannot_be_told():
    """No figure without an interval: the reason stands in its place."""
    few = Pair("Ann", "Ben", 4, lack="4 answers by both: at least 20 are needed")
    found = replace(
        FOUND,
        pairs=(few,),
        disputed=0,
        alpha_lack="4 answers by two people or more: at least 20 are needed",
        judge=(
            JudgeFigures("Ann", replace(few, first="judge", second="Ann"), lack="all 4 labels are alike"),
        ),
    )
    assert agreement_lines([found])[4:] == [
        "  Ann, Ben: 4 answers by both: at least 20 are needed",
        "  judge, Ann: 4 answers by both: at least 20 are needed",
        "  4 answers by two people or more: at least 20 are needed",
        "  judge against Ann: all 4 labels are alike",
        "  How far people agree beyond chance cannot be told.",
        "  Whether the judge agrees with people as they do with each other cannot be told.",
    ]


@pytest.mark.parametrize(
    ("alpha", "told"),
    [
        (Interval(0.9, 0.81, 0.95), "People agree well: even the lower end, 0.81, is 0.8 or more."),
        (
            Interval(0.4, 0.2, 0.6),
            "People do not agree: even the upper end, 0.60, is below 0.667. Talk over the disputed answers "
            "before a judge is measured on them.",
        ),
        (
            Interval(0.7, 0.5, 0.9),
            "Whether people agree well enough (0.667) cannot be told yet: label more answers together.",
        ),
    ],
)
def test_what_alpha_means(alpha, told):
    lines = agreement_lines([replace(FOUND, alpha=alpha)])
    shown = f"{alpha.value:.2f} ({alpha.low:.2f} to {alpha.high:.2f})"
    assert lines[-3:] == [
        f"  Krippendorff's alpha of all: {shown}",
        "  disputed: 4 answers, 1 of them tied",
        f"  {told}",
    ]


@pytest.mark.parametrize(
    ("beside", "told"),
    [
        (Interval(0.2, 0.1, 0.3), "The judge agrees with people more than they do with each other"),
        (
            Interval(0.0, -0.1, 0.1),
            "Whether the judge agrees with people less or more than they do cannot be told",
        ),
    ],
)
def test_the_judge_beside_people(beside, told):
    line = agreement_lines([replace(FOUND, judge=(JUDGE,), beside=beside)])[-1]
    shown = f"{beside.value:+.2f} ({beside.low:+.2f} to {beside.high:+.2f})"
    assert line == f"  {told}: kappa {shown} beside theirs."


def test_one_person():
    """One alone agrees with nobody."""
    alone = replace(FOUND, people=FOUND.people[:1], pairs=(), disputed=0)
    assert agreement_lines([alone])[-1] == "  One person: how far people agree takes two."
