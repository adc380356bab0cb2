"""Judges by the word of an option: `choice`, `cross-encoder:NAME`, `auto`, `ensemble:A+B` and others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.judges.metrics import BUNDLED, DEFAULT_METRICS, METRICS, MetricSet
from rag_evals.rag.errors import ModelError

if TYPE_CHECKING:
    from rag_evals.evals.judges.calibration.card_check import CardChecks
    from rag_evals.evals.judges.calibration.judge_card import JudgeCard
    from rag_evals.evals.judges.criteria.criterion import Criterion
    from rag_evals.evals.judges.entailment.taken import Candidate, Taken
    from rag_evals.evals.judges.judge import Judge, Scorer
    from rag_evals.rag.config import PipelineConfig
    from rag_evals.rag.llm.protocol import LLM
    from rag_evals.rag.pipelines.resources import Resources
    from rag_evals.rag.retrieval.embedder import Embedder

# Cards that come with the package, fitted on fixtures/labels.
CARDS = Path(__file__).parent / "cards"
# Of which some are read to hold a server's model against such a card.
LABELS = Path(__file__).parents[2] / "fixtures" / "labels" / "primer.jsonl"
# Language models that were trained to judge, asked in their own words.
ASKED = ("minicheck", "guardian")
FORMS = "choice, cross-encoder:NAME, minicheck, guardian, llamaindex, auto, or ensemble:JUDGE+JUDGE"


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

    def candidates(self) -> Iterator[Candidate]:
        """Yield the judges that can be had without fetching anything, trained ones first."""
        from rag_evals.evals.judges.entailment.taken import Candidate
        from rag_evals.rag.models.judges import load_judges
        from rag_evals.rag.models.resolve import is_cached

        for judge in load_judges().values():
            if judge.is_here():
                published = None if judge.aggrefact is None else judge.aggrefact / 100
                source = f"{judge.source}, {judge.date}"
                yield Candidate(
                    f"cross-encoder:{judge.name}", f"cross-encoder ({judge.repo})", published, source
                )
        with suppress(ModelError):  # a server, or a model that is nowhere
            if is_cached(self._llm.model):
                yield Candidate("choice", f"choice ({self._llm.model})")

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
    known: MetricSet = BUNDLED,
    folders: Iterable[Path] = (),
    card: JudgeCard | None = None,
    checks: CardChecks | None = None,
) -> Judge:
    """Build the judge that `spec` names.

    Args:
        spec: `choice`, `cross-encoder:NAME`, `minicheck`, `guardian`, `llamaindex`, `auto`, or `ensemble:`
            and two or more of these, joined by `+`.
        models: What it is made of.
        metrics: Names of the metrics to score.
        known: The metrics that there are.
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
        judges = [
            judge_for(one, models, metrics=metrics, known=known, folders=folders, checks=checks)
            for one in members
        ]
        return EnsembleJudge(judges)
    spec = taken_judge(models, folders).spec if spec == "auto" else spec
    criteria = {name: own for name, own in known.criteria.items() if name in metrics}
    scorers = _scorers(spec, models, criteria)
    plain = scorers[-1]
    is_asked = any(METRICS[name].read_as for name in metrics if name in METRICS)

    def asked_card(scorer: Scorer) -> JudgeCard | None:
        return find_card(plain.fingerprint, folders) if is_asked and scorer is not plain else None

    if card is not None:
        of_card = next((scorer for scorer in scorers if scorer.fingerprint == card.fingerprint), None)
        if of_card is None:
            raise UsageError(
                f"the judge card is of {card.judge} with other weights, prompts or versions than "
                f"{plain.name} has here: calibrate anew with `rag-evals calibrate`, or leave the card out."
            )
        asked = asked_card(of_card)
        return CalibratedJudge(of_card, metrics=metrics, known=known, card=card, asked_card=asked)
    for scorer in scorers:
        if found := find_card(scorer.fingerprint, folders):
            found, asked = _with_criteria(found, scorers, folders, criteria), asked_card(scorer)
            return CalibratedJudge(scorer, metrics=metrics, known=known, card=found, asked_card=asked)
    followed = follow(plain, models.llm(), folders, checks) if checks and spec == "choice" else NOT_FOLLOWED
    followed = replace(followed, card=_with_criteria(followed.card, scorers, folders, criteria))
    return CalibratedJudge(plain, metrics=metrics, known=known, followed=followed)


def _with_criteria(
    card: JudgeCard | None,
    scorers: Sequence[Scorer],
    folders: Iterable[Path],
    criteria: Mapping[str, Criterion],
) -> JudgeCard | None:
    """Return a card with what was calibrated of `criteria`: all scorers of a judge read them alike."""
    from rag_evals.evals.judges.calibration.judge_card import find_criteria

    prints = {name: own.fingerprint for name, own in criteria.items()}
    found = find_criteria({scorer.fingerprint for scorer in scorers}, folders, prints) if prints else None
    if card is None or found is None:
        return found if card is None else card.with_criteria((), card.labels)
    return card.with_criteria(found.metrics, found.labels)


def taken_judge(models: JudgeModels, folders: Iterable[Path]) -> Taken:
    """Return the judge that `auto` takes: nothing is fetched for it, and nothing loaded.

    Args:
        models: What it would be made of.
        folders: Where judge cards are looked for.
    """
    from rag_evals.evals.judges.entailment.taken import take

    return take(models.candidates(), folders)


def scorer_for(
    spec: str,
    models: JudgeModels,
    folders: Iterable[Path] = (),
    *,
    reads_states: bool = False,
    criteria: Mapping[str, Criterion] = MappingProxyType({}),
) -> Scorer:
    """Build the scorer that `spec`, which names no ensemble, names.

    Args:
        spec: As `judge_for` takes it.
        models: What it is made of.
        folders: Where judge cards are looked for, by which `auto` takes a judge.
        reads_states: Whether it reads hidden states, where the model has some; it needs a card then.
        criteria: What it is asked besides, by name.

    Raises:
        UsageError: `spec` has another form.
    """
    scorers = _scorers(taken_judge(models, folders).spec if spec == "auto" else spec, models, criteria)
    return scorers[0] if reads_states else scorers[-1]


def _scorers(spec: str, models: JudgeModels, criteria: Mapping[str, Criterion]) -> tuple[Scorer, ...]:
    """Build all scorers of `spec`: whose card is looked for first, first; the last does without."""
    kind, _, name = spec.partition(":")
    if kind == "ensemble":
        raise UsageError(f"{spec} has several judges: calibrate each of them, the ensemble uses their cards.")
    if kind == "cross-encoder" and name:
        return (models.entailment(name),)
    if kind in ASKED and not name:
        from rag_evals.evals.judges.entailment import EntailmentScorer
        from rag_evals.evals.judges.entailment.asked import ASKINGS, AskedModel

        return (EntailmentScorer(AskedModel(models.llm(), ASKINGS[kind]), kind),)
    if spec == "choice":
        from rag_evals.evals.judges.choice.scorer import ChoiceScorer
        from rag_evals.rag.llm.protocol import ReadsStates

        llm, embedder = models.llm(), models.embedder()
        asking = ChoiceScorer(llm, embedder, criteria=criteria)
        if not isinstance(llm, ReadsStates):
            return (asking,)
        return ChoiceScorer(llm, embedder, reads_states=True, criteria=criteria), asking
    if spec == "llamaindex":
        from rag_evals.evals.judges.llamaindex import LlamaIndexScorer

        return (LlamaIndexScorer(models.llm()),)
    raise UsageError(f"unknown judge {spec!r}: write {FORMS}")
