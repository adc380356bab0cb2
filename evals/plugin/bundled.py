"""The bundled pipelines and judge from the settings of a run, and what is said of them before it begins."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import pytest
from rag_evals.evals.answers.replay import LOGGED
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import printable
from rag_evals.evals.engine.budget import plan_lines, plan_of
from rag_evals.evals.engine.task import Explained, Task
from rag_evals.evals.judges.build import CARDS, LABELS, JudgeModels, judge_for, taken_judge
from rag_evals.evals.judges.calibration.card_check import CardChecks
from rag_evals.evals.judges.calibration.judge_card import load_card
from rag_evals.evals.judges.criteria.no_model import NoModel
from rag_evals.evals.judges.judge import Judge
from rag_evals.evals.plugin.collection import asked_by
from rag_evals.evals.plugin.our_tests import (
    JUDGES,
    PIPELINES,
    SERVICES,
    evaluates_retrieval,
    group_of,
    param_of,
)
from rag_evals.evals.plugin.session.options import DEFAULT_PIPELINES as BUNDLED
from rag_evals.evals.plugin.session.session import EvalsSession, session_of
from rag_evals.evals.plugin.session.settings import Settings
from rag_evals.evals.plugin.terminal.pytest_internals import fixture_module
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Pipeline
from rag_evals.rag.config import PipelineConfig, config_for, judge_llm_for, load_services, shared_config
from rag_evals.rag.documents.document import Corpus
from rag_evals.rag.errors import RagError
from rag_evals.rag.pipelines.resources import Resources
from rag_evals.rag.pipelines.retrieval_pipeline import RetrievalPipeline, build_pipeline, describe
from rag_evals.rag.profile import profile_of

# Looking up more than this many would hold up the first test by over a second.
MOST_TO_PLAN = 1000


def pipeline_of(name: str, settings: Settings, corpus: Corpus, resources: Resources) -> RetrievalPipeline:
    """Put the bundled pipeline `name` together.

    Raises:
        RagError: Its settings are wrong, or a model cannot be found.
    """
    return build_pipeline(config_of(name, settings), corpus, resources, settings.home / "indexes")


def config_of(name: str, settings: Settings) -> PipelineConfig:
    """Return the settings of the bundled pipeline `name`, as those of the run change them."""
    return config_for(name, path=settings.config, model=settings.model)


def judge_of(settings: Settings, resources: Resources, tell: Callable[[str], None] | None = None) -> Judge:
    """Build the judge that the settings name.

    Args:
        settings: The settings.
        resources: Its models.
        tell: Is told that a model on a server is held against a card; None where no server is to be asked.

    Raises:
        UsageError: There is no such judge, or its card is of another one.
        ModelError: Its model cannot be found, fetched or verified.
    """
    if not settings.is_judged:
        return NoModel()
    return judge_for(
        settings.judge,
        _judge_models(settings, resources),
        metrics=settings.metrics,
        known=settings.known,
        folders=(settings.home / "cards", CARDS),
        card=load_card(settings.judge_card) if settings.judge_card else None,
        checks=CardChecks(
            LABELS,
            settings.home / "checks" if settings.cache else None,
            asks=tell is not None and not settings.plan,
            is_anew="scores" in settings.refresh,
            tell=tell or (lambda _: None),
        ),
    )


def _judge_models(settings: Settings, resources: Resources) -> JudgeModels:
    config = shared_config(settings.config, model=settings.model)
    judging = judge_llm_for(settings.config, config.llm, settings.judge_model)
    return JudgeModels(resources, replace(config, llm=judging))


def pytest_report_collectionfinish(config: pytest.Config, items: Sequence[pytest.Item]) -> list[str]:
    """Return what the bundled pipelines about to be evaluated come to here, and what they will take."""
    asked, session = _asked(items), session_of(config)
    firsts = _firsts(items)
    named = dict.fromkeys(name for item in firsts if (name := _planned_pipeline(item)) in BUNDLED)
    services = dict.fromkeys(name for item in firsts if (name := _service(item)))
    try:
        lines = [describe(config_of(name, session.settings)) for name in named]
        lines += [_service_line(name, session) for name in services]
        return [*lines, *_taken(items, session), *(_plans(asked, session) if asked else [])]
    except (RagError, UsageError):
        return []  # the fixture says what is wrong, and ends the session as it should end


def _taken(items: Sequence[pytest.Item], session: EvalsSession) -> list[str]:
    """Say which judge `auto` takes, where the bundled judge is asked for."""
    settings = session.settings
    if (
        settings.judge != "auto"
        or not settings.is_judged
        or not any(asked_by(item) and _is_judged(item) for item in items)
    ):
        return []
    models = _judge_models(settings, session.materials.resources)
    return [printable(taken_judge(models, (settings.home / "cards", CARDS)).line)]


def _asked(items: Sequence[pytest.Item]) -> dict[str, list[Question]]:
    """Return the questions of each bundled pipeline or log that the bundled judge judges, each once."""
    asked: dict[str, dict[str, Question]] = {}
    for item in items:
        name, question = _planned_pipeline(item), asked_by(item)
        if question and name and _is_judged(item):
            asked.setdefault(name, {})[question.id] = question
    return {name: [*questions.values()] for name, questions in asked.items()}


def _firsts(items: Sequence[pytest.Item]) -> Collection[pytest.Item]:
    """Return the first test of each function and pipeline that asks something: others ask the same of it."""
    firsts: dict[str, pytest.Item] = {}
    for item in items:
        if asked_by(item):
            firsts.setdefault(group_of(item), item)
    return firsts.values()


def _is_judged(item: pytest.Item) -> bool:
    """Return whether the bundled judge judges what a test asks."""
    return not evaluates_retrieval(item) and fixture_module(item, "judge") == JUDGES


def _planned_pipeline(item: pytest.Item) -> str | None:
    """Return the name of the pipeline that a test asks, if it is bundled or a log; None where it is not."""
    name = param_of(item, "pipeline")
    # Settings are read for tests that evaluate alone: where none does, what is wrong with them is nobody's.
    if not asked_by(item):
        return None
    if session_of(item.config).settings.answers:
        return LOGGED if name == LOGGED else None
    return str(name) if name in BUNDLED and fixture_module(item, name) == PIPELINES else None


def _pipeline(name: str, session: EvalsSession) -> Pipeline:
    if (logged := session.questions.logged_pipeline) and name == LOGGED:
        return logged
    materials = session.materials
    return pipeline_of(name, session.settings, materials.corpus, materials.resources)


def _service(item: pytest.Item) -> str | None:
    """Return the name of the service of the file of pipelines that a test asks; None where it is another."""
    name = param_of(item, "pipeline")
    is_service = name is not None and asked_by(item) and fixture_module(item, name) == SERVICES
    return str(name) if is_service else None


def _service_line(name: str, session: EvalsSession) -> str:
    config = load_services(session.settings.config)[name]
    return printable(session.materials.resources.service(config).description)


def _plans(asked: Mapping[str, Sequence[Question]], session: EvalsSession) -> list[str]:
    """Plan the evaluations with the bundled judge; large question sets are left to `rag-evals plan`.

    Those of a log are planned whatever its size: hours may lie before it.
    """
    settings = session.settings
    if session.is_only_collected or settings.plan:
        return []
    judge = judge_of(settings, session.materials.resources)
    plans = []
    for name, questions in asked.items():
        if len(questions) > MOST_TO_PLAN and name != LOGGED:
            continue
        pipeline = _pipeline(name, session)
        explains: Explained | None = (lambda _: {}) if settings.reasons else None
        tasks = [
            Task(pipeline, question, judge, settings.metrics, name, explains=explains, known=settings.known)
            for question in questions
        ]
        places = max(profile_of(thing).most_at_once or 1 for thing in (pipeline, judge))
        plans.append(plan_of(tasks, session.reuse_cache, session.prices, places))
    return plan_lines(plans)
