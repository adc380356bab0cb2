"""The judge that makes scores of a scorer's raw scores, calibrated where there is a judge card."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import fmean
from typing import Any

from rag_evals.evals.judges.calibration.judge_card import Calibration, JudgeCard
from rag_evals.evals.judges.criteria.check import applies_problem
from rag_evals.evals.judges.judge import Explains, RawScore, RawScores, Scorer
from rag_evals.evals.judges.metrics import (
    BUNDLED,
    DEFAULT_METRICS,
    DEFAULT_THRESHOLD,
    Metric,
    MetricSet,
    metrics_for,
)
from rag_evals.evals.judges.prompts import harmless_text, judged_question
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.score import ClaimScore, Judgement, Score
from rag_evals.rag.answer import Answer, Tokens
from rag_evals.rag.identity import digest
from rag_evals.rag.profile import load, profile_of

# A longer answer is no answer: judging it claim by claim would take a quarter of an hour.
MOST_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True)
class Followed:
    """How a judge comes to a card that was made of another scorer.

    Attributes:
        remarks: What is to be said of that, a line each.
        check: What its verdicts were held against and what came of it, for the record; empty for nothing.
        once: What it is still to be held against, and what that will take, for the plan; empty for nothing.
        card: The card, as far as its features can be read; None where it takes none.
    """

    remarks: tuple[str, ...] = ()
    check: Mapping[str, Any] = field(default_factory=dict)
    once: str = ""
    card: JudgeCard | None = None


NOT_FOLLOWED = Followed()


class CalibratedJudge:
    """Makes one score a metric of what its scorer reads.

    Args:
        scorer: Reads the answers.
        metrics: Names of the metrics to score, as far as the scorer can read them. A criterion of a project's
            own that it cannot read is unscored; a check without a model is none of its business.
        known: The metrics that there are.
        card: Says how raw scores become calibrated scores; without one they count as they are.
        followed: How it comes to a card that was made of another scorer, where it has none of its own.
        asked_card: The card of the same model asked claim by claim, for metrics that are read so whatever
            others are read from; None where `card` is that.
    """

    def __init__(
        self,
        scorer: Scorer,
        *,
        metrics: Sequence[str] = DEFAULT_METRICS,
        known: MetricSet = BUNDLED,
        card: JudgeCard | None = None,
        followed: Followed = NOT_FOLLOWED,
        asked_card: JudgeCard | None = None,
    ) -> None:
        card = card or followed.card
        self.name = scorer.name
        self.card = card
        asked = {"asked card": asked_card.digest} if asked_card else {}
        self.fingerprint = digest(
            {"reader": scorer.fingerprint, "card": card.digest if card else None, "version": 1, **asked}
        )
        self._asked_card = asked_card
        self.explainer = scorer if isinstance(scorer, Explains) else None
        self._scorer = scorer
        self._known = known
        self._metrics = tuple(name for name in metrics if name in scorer.metrics)
        self._unread = tuple(
            name for name in known.criteria if name in metrics and name not in scorer.metrics
        )
        of_reader = profile_of(scorer)
        self.profile = replace(
            of_reader,
            # Of a scorer that does not say so: it reads on this machine.
            most_at_once=of_reader.most_at_once or 1,
            thresholds=card.thresholds if card else {},
            identity={
                "reader": of_reader.identity or {"fingerprint": scorer.fingerprint},
                "card": card.digest if card else None,
                **asked,
            },
            settings={
                "metrics": self._metrics,
                "card": self._about_card(),
                **({"check": followed.check} if followed.check else {}),
            },
            remarks=lambda: (*of_reader.remarks(), *followed.remarks),
            once=followed.once,
            # A raw score without a verdict is what the model says; a server that fails raises.
            unscored_is_final=True,
        )

    def load(self) -> None:
        """Load what reads now.

        Raises:
            ModelError: It cannot be loaded.
        """
        load(self._scorer)

    async def score(self, question: Question, answer: Answer) -> Judgement:
        """Score `answer` in a thread of its own, so that an event loop is never blocked."""
        return await asyncio.to_thread(self.score_now, question, answer)

    def score_now(self, question: Question, answer: Answer) -> Judgement:
        """Score `answer` by every metric that applies to `question`."""
        start = time.perf_counter()
        chosen = metrics_for(question, (*self._metrics, *self._unread), self._known)
        reason = _unfit(answer)
        reasons = {metric.name: reason or self._lack_of(metric, question) for metric in chosen}
        metrics = [metric for metric in chosen if reasons[metric.name] is None]
        names = [metric.name for metric in metrics]
        raw_scores = self._scorer.read(names, judged_question(question), answer) if names else {}
        scores = tuple(
            self._score(metric, question, raw_scores[metric.name])
            if metric.name in raw_scores
            else Score(metric.name, None, reason=reasons[metric.name])
            for metric in chosen
        )
        tokens = sum((of_metric.tokens for of_metric in raw_scores.values()), Tokens())
        return Judgement(scores, time.perf_counter() - start, tokens)

    def _lack_of(self, metric: Metric, question: Question) -> str | None:
        """Return why a criterion of a project's own cannot be read; None where it can, or is none."""
        if metric.criterion is None:
            return None
        if metric.name in self._unread:
            return (
                f"{self.name} reads no criteria of one's own: they take a judge that is asked yes or no, "
                "--evals-judge choice, alone or in an ensemble"
            )
        return applies_problem("criterion", metric.name, metric.criterion.applies, question)

    def _about_card(self) -> dict[str, Any] | None:
        if self.card is None:
            return None
        trust = [asdict(one) for one in self.card.trust]
        return {"digest": self.card.digest, "labels": self.card.labels, "trust": trust}

    def _score(self, metric: Metric, question: Question, raw_scores: RawScores) -> Score:
        card = (self._asked_card if metric.read_as else None) or self.card
        criterion = metric.criterion.fingerprint if metric.criterion else None
        found = card.metric(metric.read_as or metric.name, criterion) if card else None
        calibration = found.calibration if found else None
        # What a probe makes of hidden states is nothing to go by where none are read.
        is_of_states = bool(calibration and calibration.probe and metric.read_as)
        return score_from(metric, question, raw_scores, None if is_of_states else calibration)


def score_from(
    metric: Metric, question: Question, raw_scores: RawScores, calibration: Calibration | None
) -> Score:
    """Make the score of `metric` of its raw scores.

    The value is what the metric totals by: the least over the claims for faithfulness, the mean for others.
    One claim without a verdict leaves the whole score without: the others alone would flatter the answer.
    """
    reason = raw_scores.reason or next((item.reason for item in raw_scores.items if item.reason), None)
    claims = tuple(_claim(item, calibration) for item in raw_scores.items)
    values = [claim.value for claim in claims if claim.value is not None]
    if reason or not values:
        reason = reason or "there is nothing to judge"
        return Score(metric.name, None, reason=reason, claims=claims, declines=raw_scores.declines)
    score = Score(
        metric.name,
        metric.total(values),
        least=min(values),
        mean=fmean(values),
        claims=claims,
        graded=all(item.graded for item in raw_scores.items),
        declines=raw_scores.declines,
        breach=metric.complaint(question),
    )
    # What a run holds it to may be another value: it has its evidence anew then.
    return score.held_to(calibration.threshold if calibration else DEFAULT_THRESHOLD)


def _claim(raw_score: RawScore, calibration: Calibration | None) -> ClaimScore:
    value = raw_score.value
    if calibration and value is not None and raw_score.fault is None:
        value = calibration.value(raw_score.features, raw_score.state)
        value = 1.0 - value if raw_score.is_opposite else value
    return ClaimScore(
        raw_score.text,
        value,
        raw_score.start,
        raw_score.end,
        raw_score.closest,
        raw_score.reason,
        raw_score.unsupported,
        raw_score.citations,
        raw_score.fault,
    )


def _unfit(answer: Answer) -> str | None:
    """Return why an answer cannot be judged at all."""
    if not answer.text.strip():
        return "the answer is empty"
    length = len(harmless_text(answer.text))  # blanks and invisible characters are not judged
    if length > MOST_CHARACTERS:
        return f"the answer has {length:,} characters; at most {MOST_CHARACTERS:,} are judged"
    return None
