"""The ensemble: several judges, the mean of their scores, and how far they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.judges.judge import Judge, explainer_of
from rag_evals.evals.judges.metrics import DEFAULT_THRESHOLD
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.score import Judgement, Score, spread_note
from rag_evals.rag.answer import Answer, Tokens
from rag_evals.rag.identity import digest
from rag_evals.rag.profile import Profile, load, profile_of, together
from rag_evals.rag.tracing.spans import span


class EnsembleJudge:
    """Asks each of two judges or more, one after the other, and gives the mean of their scores by metric.

    A judge without a verdict, or without the metric, is left out of the mean. Claims and evidence are those
    of the judge with the lowest score.

    Raises:
        UsageError: There are fewer than two, or two are the same.
    """

    def __init__(self, judges: Sequence[Judge]) -> None:
        _check(judges)
        self.name = f"ensemble ({', '.join(judge.name for judge in judges)})"
        self.fingerprint = digest({"ensemble": [judge.fingerprint for judge in judges], "version": 1})
        self.explainer = next(filter(None, map(explainer_of, judges)), None)
        self._judges = tuple(judges)
        members = [(judge, profile_of(judge)) for judge in judges]
        self.profile = replace(
            together([profile for _, profile in members]),
            identity={"members": [_identity(judge, profile) for judge, profile in members]},
            settings={
                "members": [
                    {"name": judge.name, "fingerprint": judge.fingerprint, **profile.settings}
                    for judge, profile in members
                ]
            },
        )

    def load(self) -> None:
        """Load every judge now.

        Raises:
            ModelError: One of them cannot be loaded.
        """
        load(*self._judges)

    async def score(self, question: Question, answer: Answer) -> Judgement:
        """Score `answer` by every metric that any of the judges scores."""
        judgements = []
        for judge in self._judges:
            with span(judge.name):
                judgements.append(await judge.score(question, answer))
        given: dict[str, list[tuple[str, Score]]] = {}
        for judge, judgement in zip(self._judges, judgements, strict=True):
            for score in judgement.scores:
                given.setdefault(score.metric, []).append((judge.name, score))
        return Judgement(
            tuple(_together(metric, scores) for metric, scores in given.items()),
            sum(judgement.seconds for judgement in judgements),
            sum((judgement.tokens for judgement in judgements), Tokens()),
            tuple(tokens for judgement in judgements for tokens in judgement.parts),
        )


def _identity(judge: Judge, profile: Profile) -> Mapping[str, Any]:
    return {"name": judge.name, **(profile.identity or {"fingerprint": judge.fingerprint})}


def _together(metric: str, scores: Sequence[tuple[str, Score]]) -> Score:
    """Make one score of those that judges gave by one metric, each with its judge's name."""
    given = [(score.value, score) for _, score in scores if score.value is not None]
    if not given:
        reasons = (f"{name}: {score.reason}" for name, score in scores)
        declines = next((score.declines for _, score in scores if score.declines), ())
        return Score(metric, None, reason="; ".join(reasons), declines=declines)
    values = [value for value, _ in given]
    lowest = min(given, key=lambda pair: pair[0])[1]
    spread = max(values) - min(values) if len(values) > 1 else None
    score = Score(
        metric,
        fmean(values),
        evidence=_evidence(lowest.evidence, spread),
        least=lowest.least,
        claims=lowest.claims,
        graded=all(score.graded for _, score in given),
        spread=spread,
        declines=lowest.declines,
        breach=lowest.breach,
    )
    return score.held_to(DEFAULT_THRESHOLD)


def _evidence(evidence: str | None, spread: float | None) -> str | None:
    differ = spread_note(spread)
    return (f"{evidence} ({differ})" if evidence else differ) if differ else evidence


def _check(judges: Sequence[Judge]) -> None:
    if len(judges) < 2:
        named = f"only {judges[0].name}" if judges else "none"
        raise UsageError(
            f"an ensemble needs two judges or more, and there is {named}: add one, or use it alone."
        )
    prints = [judge.fingerprint for judge in judges]
    twice = [judge.name for judge in judges if prints.count(judge.fingerprint) > 1]
    if twice:
        raise UsageError(
            f"an ensemble needs judges that differ, and these are the same: {', '.join(twice)}: "
            "leave one out, or give it another model."
        )
