"""The settings of a run: what the options say, in one frozen value, and which of them go together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_evals.evals.answers.log import Sampling
from rag_evals.evals.answers.masking import Mask
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.engine.backends.cluster.options import ClusterOptions
from rag_evals.evals.gate.condition import Condition
from rag_evals.evals.gate.rules import Rules
from rag_evals.evals.judges.metrics import BUNDLED, MetricSet
from rag_evals.evals.plugin.session.option import Given
from rag_evals.evals.plugin.session.option_values import option_value, parse_number
from rag_evals.evals.plugin.session.options import OPTIONS
from rag_evals.evals.plugin.session.own_metrics import loaded
from rag_evals.evals.questions.shard import Shard
from rag_evals.evals.runs.header import Part
from rag_evals.evals.trackers.options import TrackerOptions

if TYPE_CHECKING:
    import pytest


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a run may take; None for no bound.

    Attributes:
        usd: What it may cost.
        minutes: How long it may go on.
    """

    usd: float | None = None
    minutes: float | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What the options and the ini file say: the help of each option in `OPTIONS` says what it means.

    Attributes:
        root: The folder that relative paths of the ini file start from.
        thresholds: By metric; of others the judge card says it, else it is 0.5.
        answers: Logs whose answers are judged; where there are some, nothing is asked.
        mask: What is masked in them; None for nothing.
        sample: How many of the logged answers are drawn; 0 for all of them.
        stratify: The field by whose values they are drawn; "" for none.
        cache: Whether answers, scores and vectors of earlier runs are reused.
        only: What is evaluated; None for answers and retrieval.
        goes_on: The run that the session goes on with: its id, or `latest`.
        refresh: What is made anew, and kept, although the cache has it: `answers`, `scores`, both or nothing.
        concurrency: 0 for one evaluation at once with a local model and 16 with a server.
        rules: What the run as a whole is held to.
        known: The metrics that there are, with those of the run's own.
    """

    root: Path
    pipelines: tuple[str, ...]
    questions: tuple[str, ...]
    answers: tuple[str, ...]
    mask: Mask | None
    sample: int
    seed: int
    stratify: str
    generate: int
    docs: Path | None
    ocr: str | None
    follow_links: bool
    baseline: str | None
    baselines: Path
    update_baseline: bool
    rejudge: bool
    repeat: int
    judge_repeat: int
    html: Path | None
    thresholds: Mapping[str, float]
    metrics: tuple[str, ...]
    retrieval_metrics: tuple[str, ...]
    tau: float
    only: Part | None
    model: str | None
    judge: str
    judge_model: str | None
    judge_card: Path | None
    reasons: bool
    labels: tuple[Path, ...]
    config: Path | None
    offline: bool
    mask_texts: bool
    home: Path
    cache: bool
    cache_mebibytes: float
    refresh: tuple[str, ...]
    concurrency: int
    timeout: float | None
    shard: Shard | None
    goes_on: str | None
    plan: bool
    prices: Path | None
    traces: bool
    rules: Rules
    bounds: Bounds
    trackers: TrackerOptions
    cluster: ClusterOptions
    known: MetricSet = BUNDLED

    @property
    def criteria(self) -> dict[str, Any]:
        """What a run says of the criteria and checks of its own that it asks for, by name."""
        return {metric.name: dict(metric.own.told) for metric in self.known.of(self.metrics) if metric.own}

    @property
    def is_judged(self) -> bool:
        """Whether a judge has anything to score, and not checks alone."""
        checks = {metric.name for metric in self.known.of(self.metrics) if metric.check}
        return not checks.issuperset(self.metrics)

    @property
    def is_traced(self) -> bool:
        """Whether the steps of each evaluation are kept: who sends them keeps them, too."""
        return self.traces or self.trackers.otlp is not None

    @property
    def told(self) -> dict[str, Any]:
        """What a run says that it was asked for; a run that goes on is asked for the same."""
        rules = self.rules
        return {
            "mode": rules.mode,
            "metrics": list(self.metrics),
            "retrieval_metrics": list(self.retrieval_metrics),
            "tau": self.tau,
            "only": self.only,
            "thresholds": dict(self.thresholds),
            "max_unscored": rules.max_unscored,
            "judge_floor": rules.judge_floor,
            "gate": [condition.text for condition in rules.conditions],
            "inconclusive": rules.inconclusive,
            "margin": rules.margin,
            "baseline": self.baseline,
            "stop_early": rules.stop_early,
            "shard": list(astuple(self.shard)) if self.shard else None,
            **({"sample": [self.sample, self.seed, self.stratify]} if self.answers else {}),
            **({"mask": self.mask.told} if self.mask else {}),
            **({"criteria": self.criteria} if self.criteria else {}),
        }

    @property
    def sampling(self) -> Sampling:
        """Which of the logged answers are judged."""
        return Sampling(self.sample or None, self.seed, self.stratify)


_PARTS: Mapping[str, type] = {
    "rules": Rules,
    "bounds": Bounds,
    "trackers": TrackerOptions,
    "cluster": ClusterOptions,
}


def settings_from(config: pytest.Config, known: MetricSet = BUNDLED) -> Settings:
    """Read the settings: the command line wins over the ini file, the ini file over the defaults.

    Args:
        config: Pytest's configuration.
        known: The metrics that there are.

    Raises:
        UsageError: A value is wrong.
    """
    given = {option.ini: option.given(config) for option in OPTIONS}
    given |= _asked(given["evals_questions"], given["evals_generate"])
    given |= _logged(given)
    values: dict[str, dict[str, Any]] = {"": {"root": config.rootpath}}
    for option in OPTIONS:
        part, _, field = option.field.rpartition(".")
        values.setdefault(part, {})[field] = option_value(option.kind, given[option.ini], known)
    settings = Settings(**values[""], **{part: kind(**values[part]) for part, kind in _PARTS.items()})
    return replace(
        settings, rules=_rules_of(settings.only, settings.rules), known=loaded(known, settings.metrics)
    )


def _rules_of(part: Part | None, rules: Rules) -> Rules:
    """Leave out the conditions on what is not evaluated: they would never be decided."""
    if part is None:
        return rules
    left = (one for one in rules.conditions if one.is_of_retrieval == (part == "retrieval"))
    return replace(rules, conditions=tuple(left))


def _asked(questions: Given, generate: Given) -> dict[str, Given]:
    """Let what the command line asks for, files or generated questions, take the place of the ini file's."""
    if questions.is_typed and not generate.is_typed:
        generate = replace(generate, value="0")
    elif generate.is_typed and not questions.is_typed:
        is_any = parse_number(generate.name, generate.value, is_whole=True) > 0
        questions = replace(questions, value=[] if is_any else questions.value)
    return {questions.name: questions, generate.name: generate}


# What is asked for in place of judging logged answers.
_ASKING = ("evals_questions", "evals_generate", "evals_pipelines")


def _logged(given: Mapping[str, Given]) -> dict[str, Given]:
    """Let logs that the command line names take the place of the ini file's questions, and the other way.

    Raises:
        UsageError: The command line names logs, and what is to be asked.
    """
    answers = given["evals_answers"]
    typed = [name for name in _ASKING if given[name].is_typed]
    if not answers.value:
        return {}
    if answers.is_typed and typed:
        flags = " and ".join(f"--{name.replace('_', '-')}" for name in typed)
        raise UsageError(
            f"--evals-answers judges answers that are there: leave out {flags}, which has some made"
        )
    if not answers.is_typed and {"evals_questions", "evals_generate"} & set(typed):
        return {answers.name: replace(answers, value=[])}
    questions, generate = given["evals_questions"], given["evals_generate"]
    return {questions.name: replace(questions, value=[]), generate.name: replace(generate, value="0")}


def check_settings(settings: Settings, *, is_parallel: bool = False) -> None:
    """Check which options go together.

    Args:
        settings: The settings.
        is_parallel: Whether workers of `-n` share the questions.

    Raises:
        UsageError: Some do not.
    """
    if settings.trackers.otlp == "wandb" and settings.trackers.wandb is None:
        raise UsageError("evals_otlp = wandb: say which project with --evals-wandb ENTITY/PROJECT")
    _check_sampling(settings)
    if settings.mask and not settings.answers:
        raise UsageError(
            "evals_mask masks logged answers: give --evals-answers FILE; --evals-mask-texts masks secrets in "
            "what a pipeline says"
        )
    _check_cluster(settings, is_parallel=is_parallel)
    if not settings.rules.stop_early:
        return
    if not (settings.rules.conditions or settings.baseline):
        raise UsageError(
            "evals_stop_early: there is nothing to decide: give --evals-gate or --evals-baseline"
        )
    others = {
        "evals_repeat": settings.repeat > 1,
        "evals_shard": settings.shard is not None,
        "evals_rejudge": settings.rejudge,
        "-n": is_parallel,
    }
    if given := [name for name, is_given in others.items() if is_given]:
        raise UsageError(f"evals_stop_early takes one question after the other, without {', '.join(given)}")


def _check_sampling(settings: Settings) -> None:
    """Check that what is said of a sample says something.

    Raises:
        UsageError: Nothing is drawn.
    """
    given = {
        "evals_sample": settings.sample,
        "evals_seed": settings.seed,
        "evals_stratify": settings.stratify,
    }
    named = [name for name, value in given.items() if value]
    if named and not settings.answers:
        raise UsageError(
            f"{', '.join(named)}: a sample is drawn of logged answers: give --evals-answers FILE"
        )
    if settings.stratify and not settings.sample:
        raise UsageError(
            f"evals_stratify = {settings.stratify}: say how many are drawn with --evals-sample N"
        )


def _check_cluster(settings: Settings, *, is_parallel: bool) -> None:
    """Check that nothing is asked of a cluster that it does not do.

    Raises:
        UsageError: Something is.
    """
    if settings.cluster.address is not None and is_parallel:
        raise UsageError("evals_ray: the cluster works on many questions at once; leave out -n")


def check_gate(settings: Settings, marked: Iterable[Condition]) -> None:
    """Check that a run which is to decide is held to something.

    Args:
        settings: The settings.
        marked: What the marks of tests hold it to.

    Raises:
        UsageError: It is not.
    """
    is_held = settings.rules.conditions or settings.baseline or settings.update_baseline
    if settings.rules.mode == "gate" and not is_held and not any(marked):
        raise UsageError(
            "evals_mode = gate, but there is nothing to hold the run to: give --evals-gate CONDITION, "
            "such as 'pass_rate >= 0.9', or --evals-baseline RUN"
        )
