"""Judges by the word of an option: `choice`, `cross-encoder:NAME`, `llamaindex`, `ensemble:A+B`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.judges.metrics import DEFAULT_METRICS

if TYPE_CHECKING:
    from rag_evals.evals.judges.calibration.card_check import CardChecks
    from rag_evals.evals.judges.calibration.judge_card import JudgeCard
    from rag_evals.evals.judges.judge import Judge, Scorer
    from rag_evals.rag.config import PipelineConfig
    from rag_evals.rag.llm.protocol import LLM
    from rag_evals.rag.pipelines.resources import Resources
    from rag_evals.rag.retrieval.embedder import Embedder

# Cards that come with the package, fitted on fixtures/labels.
CARDS = Path(__file__).parent / "cards"
# Of which some are read to hold a server's model against such a card.
LABELS = Path(__file__).parents[2] / "fixtures" / "labels" / "primer.jsonl"
FORMS = "choice, cross-encoder:NAME, llamaindex, or ensemble:JUDGE+JUDGE"


class JudgeModels:
    """What judges are made of, shared with the pipelines.

    Args:
        resources: Loads and keeps the models.
        config: The pipeline whose language model and embedder the judge shares.
        model: The judging language model in place of the pipeline's own.
    """

    def __init__(self, resources: Resources, config: PipelineConfig, model: str | None = None) -> None:
        self._resources = resources
        self._config = config
        self._llm = replace(config.llm, model=model) if model else config.llm

    def llm(self) -> LLM:
        """Return the judging language model."""
        return self._resources.llm(self._llm)

    def embedder(self) -> Embedder:
        """Return the embedder."""
        return self._resources.embedder(self._config.embedder)

    def entailment(self, name: str) -> Scorer:
        """Return the scorer of the entailment model `name`."""
        from rag_evals.evals.judges.entailment import EntailmentScorer
        from rag_evals.rag.retrieval.entailment import load_entailment

        models = self._resources
        return EntailmentScorer(
            load_entailment(name, offline=models.offline, models_folder=models.models_folder)
        )


def judge_for(
    spec: str,
    models: JudgeModels,
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    folders: Iterable[Path] = (),
    card: JudgeCard | None = None,
    checks: CardChecks | None = None,
) -> Judge:
    """Build the judge that `spec` names.

    Args:
        spec: `choice`, `cross-encoder:NAME`, `llamaindex`, or `ensemble:` and two or more of these, joined
            by `+`.
        models: What it is made of.
        metrics: Names of the metrics to score.
        folders: Where judge cards are looked for.
        card: The card to use in place of those.
        checks: How a model on a server is held against the card of its weights; None for not at all.

    Raises:
        UsageError: `spec` has another form, or `card` is of another judge.
        RemoteError: A server that is to be held against a card cannot be asked.
    """
    from rag_evals.evals.judges.calibration.calibrated_judge import NOT_FOLLOWED, CalibratedJudge
    from rag_evals.evals.judges.calibration.card_check import follow
    from rag_evals.evals.judges.calibration.judge_card import find_card

    folders = tuple(folders)
    kind, _, rest = spec.partition(":")
    if kind == "ensemble":
        from rag_evals.evals.judges.ensemble import EnsembleJudge

        if card is not None:
            raise UsageError(
                f"the judge card is of {card.judge}, and {spec} has several judges: leave the card out, "
                "those of its judges are found by themselves."
            )
        members = [part.strip() for part in rest.split("+")]
        judges = [judge_for(one, models, metrics=metrics, folders=folders, checks=checks) for one in members]
        return EnsembleJudge(judges)
    scorer = scorer_for(spec, models)
    if card is not None and card.fingerprint != scorer.fingerprint:
        raise UsageError(
            f"the judge card is of {card.judge} with other weights, prompts or versions than {scorer.name} "
            "has here: calibrate anew with `rag-evals calibrate`, or leave the card out."
        )
    card = card or find_card(scorer.fingerprint, folders)
    followed = NOT_FOLLOWED
    if card is None and checks and spec == "choice":
        followed = follow(scorer, models.llm(), folders, checks)
    return CalibratedJudge(scorer, metrics=metrics, card=card, followed=followed)


def scorer_for(spec: str, models: JudgeModels) -> Scorer:
    """Build the scorer that `spec`, which names no ensemble, names.

    Raises:
        UsageError: `spec` has another form.
    """
    kind, _, name = spec.partition(":")
    if kind == "ensemble":
        raise UsageError(f"{spec} has several judges: calibrate each of them, the ensemble uses their cards.")
    if kind == "cross-encoder" and name:
        return models.entailment(name)
    if spec == "choice":
        from rag_evals.evals.judges.choice import ChoiceScorer

        return ChoiceScorer(models.llm(), models.embedder())
    if spec == "llamaindex":
        from rag_evals.evals.judges.llamaindex import LlamaIndexScorer

        return LlamaIndexScorer(models.llm())
    raise UsageError(f"unknown judge {spec!r}: write {FORMS}")
