"""The gate against a baseline: the paired differences of two runs, and what they are worth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from rag_evals.evals.base.intervals import holm
from rag_evals.evals.gate.comparison.comparability import changed_criteria, changed_judge, notes_on
from rag_evals.evals.gate.comparison.identity import unchanged_pipelines
from rag_evals.evals.gate.comparison.pairing import Pair, Pairing, pair_up
from rag_evals.evals.gate.condition import PASS_RATE
from rag_evals.evals.gate.paired import Difference, Pairs, ValueKind, difference, paired_verdict
from rag_evals.evals.gate.verdict import Verdict, worst
from rag_evals.evals.judges.metrics import in_order
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import ComponentInfo
from rag_evals.evals.runs.run import Run

Differ = Callable[..., Difference]
# With fewer questions a tag could never block: if all of 9 pairs turned from passed to failed, the exact
# McNemar p-value would be 2^-9 = 0.002, and Holm's correction over 25 rows makes more than 0.05 of it. It
# would only cost the other rows their power.
LEAST_OF_A_TAG = 10


@dataclass(frozen=True, slots=True)
class BaselineRow:
    """One metric of one pipeline in both runs.

    Attributes:
        pipeline: Name of the pipeline.
        metric: `pass_rate`, or the name of a metric.
        tag: The tag that all of its questions have; None for all questions.
        difference: The paired difference, run minus baseline.
        p_adjusted: One-sided p-value of "not worse", after Holm's correction over all rows.
        verdict: What the row says by itself.
    """

    pipeline: str
    metric: str
    tag: str | None
    difference: Difference
    p_adjusted: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class BaselineGate:
    """A run held to a baseline.

    Attributes:
        name: What the run was compared with.
        rows: Per pipeline the pass rate and each metric, of all questions and of each larger tag.
        verdict: What the rows say together.
        notes: What is to be known before the numbers are read: one line each.
        detectable: The smallest drop of the pass rate that would have been called BLOCK with 80 % power, in
            the pipeline in which least could be seen; of the best metric where no pass rate tells.
        margin: The drop that is too much.
        is_comparable: Whether the same judge judged both.
    """

    name: str
    rows: tuple[BaselineRow, ...]
    verdict: Verdict
    notes: tuple[str, ...]
    detectable: float | None
    margin: float = 0.05
    is_comparable: bool = True


def hold_to_baseline(
    run: Run,
    base: Run,
    *,
    margin: float = 0.05,
    difference: Differ = difference,
    pairing: Pairing | None = None,
) -> BaselineGate:
    """Compare `run` with `base`, question by question.

    Args:
        run: The run.
        base: The baseline, or any other run.
        margin: The drop that is too much, in the unit of the scores.
        difference: What compares the two sides of pairs.
        pairing: The pairs of both, where they were made before.
    """
    pairing = pairing or pair_up(run, base)
    is_comparable = changed_judge(run, base) is None
    unchanged = unchanged_pipelines(run, base, pairing.pairs)
    changed = _rows([pair for pair in pairing.pairs if pair.pipeline not in unchanged], margin, difference)
    same = _rows([pair for pair in pairing.pairs if pair.pipeline in unchanged], margin, difference)
    rows = (*changed, *(replace(row, verdict=Verdict.PASS, p_adjusted=1.0) for row in same))
    if not_same := changed_criteria(run, base):
        rows = tuple(
            replace(row, verdict=Verdict.INCONCLUSIVE) if row.metric in (*not_same, PASS_RATE) else row
            for row in rows
        )
    verdict = verdict_of_rows(rows)
    if not is_comparable or not rows:
        rows = tuple(replace(row, verdict=Verdict.INCONCLUSIVE) for row in rows)
        verdict = Verdict.INCONCLUSIVE
    notes = (
        *notes_on(run, base, pairing),
        *_notes_on_verdicts(pairing.pairs),
        *_notes_on_identity(unchanged),
    )
    return BaselineGate(base.name, rows, verdict, notes, _detectable(changed), margin, is_comparable)


def verdict_of_rows(rows: Sequence[BaselineRow]) -> Verdict:
    """Return what rows say together: any row blocks, but a tag alone never makes it INCONCLUSIVE.

    The questions of a tag are part of a whole that is shown to be no worse; by themselves they are so few
    that they would be INCONCLUSIVE in nearly every run.
    """
    return worst(row.verdict for row in rows if row.tag is None or row.verdict is Verdict.BLOCK)


def _rows(pairs: Sequence[Pair], margin: float, differ: Differ) -> tuple[BaselineRow, ...]:
    measured = [
        (pipeline, metric, tag, differ(values, margin=margin))
        for pipeline, tag, group in _groups(pairs)
        for metric, values in _measures(group)
    ]
    adjusted = holm([found.p_worse for *_, found in measured])
    return tuple(
        BaselineRow(pipeline, metric, tag, found, p, paired_verdict(found, margin=margin, p_adjusted=p))
        for (pipeline, metric, tag, found), p in zip(measured, adjusted, strict=True)
    )


def _groups(pairs: Sequence[Pair]) -> list[tuple[str, str | None, list[Pair]]]:
    """Return the pairs of each pipeline, and of each of its tags that has enough of them.

    Those about retrieval are apart from those about answers.
    """
    groups: list[tuple[str, str | None, list[Pair]]] = []
    for pipeline, is_retrieval in sorted({(pair.pipeline, pair.is_retrieval) for pair in pairs}):
        whole = [pair for pair in pairs if (pair.pipeline, pair.is_retrieval) == (pipeline, is_retrieval)]
        groups.append((pipeline, None, whole))
        for tag in sorted({tag for pair in whole for tag in pair.question.tags}):
            tagged = [pair for pair in whole if tag in pair.question.tags]
            # A tag of all questions would only say everything twice.
            if LEAST_OF_A_TAG <= len(tagged) < len(whole):
                groups.append((pipeline, tag, tagged))
    return groups


def _measures(pairs: Sequence[Pair]) -> list[tuple[str, Pairs]]:
    """Return the values of each measure that has some on both sides; the pass rate of answers first."""
    metrics = metrics_of(e for pair in pairs for e in pair.after)
    measures: list[tuple[str, Callable[[Evaluation], float | None]]] = []
    measures += [] if any(pair.is_retrieval for pair in pairs) else [(PASS_RATE, passed)]
    measures += [(metric, score_getter(metric)) for metric in metrics]
    found = []
    for name, value in measures:
        both = [(pair, mean_of(pair.before, value), mean_of(pair.after, value)) for pair in pairs]
        whole = [(pair, old, new) for pair, old, new in both if old is not None and new is not None]
        if whole:
            before, after = tuple(old for _, old, _ in whole), tuple(new for *_, new in whole)
            clusters = tuple(_cluster(pair) for pair, *_ in whole)
            kind: ValueKind = "rate" if name == PASS_RATE else "score"
            found.append((name, Pairs(before=before, after=after, clusters=clusters, kind=kind)))
    return found


def metrics_of(evaluations: Iterable[Evaluation]) -> list[str]:
    """Return the metrics that have scores: ours in their order, then others by name."""
    return in_order(sorted({score.metric for evaluation in evaluations for score in evaluation.scores}))


def passed(evaluation: Evaluation) -> float | None:
    """Return 1 for passed, 0 for failed or an error, None without a verdict."""
    return None if evaluation.outcome == "unscored" else float(evaluation.outcome == "passed")


def mean_of(evaluations: Iterable[Evaluation], value: Callable[[Evaluation], float | None]) -> float | None:
    """Return the mean over repeats of what `value` gives; None where it gives nothing."""
    values = [found for found in map(value, evaluations) if found is not None]
    return fmean(values) if values else None


def score_getter(metric: str) -> Callable[[Evaluation], float | None]:
    """Return what reads the score of `metric`."""
    return lambda e: next((score.value for score in e.scores if score.metric == metric), None)


def _cluster(pair: Pair) -> str:
    """Return the document that a question is on: questions on one document rise and fall together."""
    return pair.question.cluster


def _notes_on_verdicts(pairs: Sequence[Pair]) -> list[str]:
    """Return for each pipeline how many questions have no verdict, and when there is only one."""
    lines = []
    answers = [pair for pair in pairs if not pair.is_retrieval]
    for pipeline in sorted({pair.pipeline for pair in answers}):
        group = [pair for pair in answers if pair.pipeline == pipeline]
        judged = sum(None not in (mean_of(p.before, passed), mean_of(p.after, passed)) for p in group)
        left = len(group) - judged
        if not judged:
            count = "its question has" if left == 1 else f"none of its {left:,} questions has"
            nothing = " no verdict in one of the runs" if left == 1 else " a verdict in both runs"
            lines.append(f"{pipeline}: {count}{nothing}: no pass rate to compare")
        elif left:
            have = "question has" if left == 1 else "questions have"
            lines.append(f"{pipeline}: {left:,} {have} no verdict in one of the runs: not in the pass rate")
        if judged == 1:
            lines.append(f"{pipeline}: one question only: chance cannot be told from change")
    return lines


def _notes_on_identity(unchanged: Sequence[str]) -> list[str]:
    return [
        f"{pipeline}: PASS by identity: pipeline, judge and every answer are the baseline's"
        for pipeline in unchanged
    ]


def _detectable(rows: Sequence[BaselineRow]) -> float | None:
    whole = [row for row in rows if row.tag is None]
    rates = [row.difference.detectable for row in whole if row.metric == PASS_RATE]
    known = [rate for rate in rates if rate is not None]
    if known and len(known) == len(rates):
        return max(known)
    others = [r.difference.detectable for r in whole if r.metric != PASS_RATE]
    return min((other for other in others if other is not None), default=None)


def rejudged(base: Run, evaluations: Sequence[Evaluation], judges: Iterable[ComponentInfo]) -> Run:
    """Return `base` with those of its evaluations that were judged anew, by `judges`.

    What was not judged anew is left out: its scores are another judge's.
    """
    return replace(base, evaluations=tuple(evaluations), components=(*base.pipelines, *judges))
