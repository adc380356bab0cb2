"""The session: everything that its tests share, made when it is first wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.engine.backends.backend import Backend
from rag_evals.evals.engine.budget import Budget, Prices
from rag_evals.evals.engine.cache import FILE, Cache
from rag_evals.evals.engine.engine import Engine
from rag_evals.evals.engine.offline import forbid_connections
from rag_evals.evals.engine.order.lookahead import Lookahead
from rag_evals.evals.engine.rejudge import RejudgeTasks
from rag_evals.evals.engine.reuse import REFRESHED, ReuseCache
from rag_evals.evals.gate.early_stop import EarlyStop, is_comparable
from rag_evals.evals.judges.calibration.labels.people import load_people
from rag_evals.evals.judges.judge import Judge
from rag_evals.evals.judges.metrics import RECORDED, MetricSet
from rag_evals.evals.plugin.session.criteria import ListedCriteria, heard_metrics
from rag_evals.evals.plugin.session.going_on import InterruptedRun
from rag_evals.evals.plugin.session.materials import Materials
from rag_evals.evals.plugin.session.own_metrics import with_packages
from rag_evals.evals.plugin.session.questions import SessionQuestions
from rag_evals.evals.plugin.session.settings import Settings, check_settings
from rag_evals.evals.plugin.terminal.screen import Screen
from rag_evals.evals.plugin.workers import Workers
from rag_evals.evals.reports.progress import Progress
from rag_evals.evals.retrieval.judge import RetrievalJudge
from rag_evals.evals.runs.baseline_file import baseline_file
from rag_evals.evals.runs.header import ComponentKind
from rag_evals.evals.runs.masking import masked_fingerprint
from rag_evals.evals.runs.run import Run, find_run, read_run
from rag_evals.evals.trackers.options import check_trackers
from rag_evals.evals.trackers.wandb.fetched_files import run_folder
from rag_evals.evals.trackers.wandb.reference import is_reference
from rag_evals.rag.answer import Pipeline, searches
from rag_evals.rag.llm.prices import load_prices
from rag_evals.rag.pipelines.adapters import SearchOnly
from rag_evals.rag.profile import profile_of


class EvalsSession:
    """What a session of evaluations shares; a session that evaluates nothing makes none of it.

    Args:
        read: Reads the settings, given the metrics that there are; it is called when they are first wanted.
        screen: Says something while the session goes on.
        workers: Which of the session's processes this is.
        began: When it began, in seconds since the epoch.
        name: Names it: all its processes share their models.
        is_only_collected: Whether tests are collected and none is run.
        on_stop: Is told why the session is to end before its next test.
        on_cluster: Gives what makes evaluations on a cluster.

    Attributes:
        progress: How far the evaluations are.
        criteria: What the project lists of its own.
        problem: What is wrong with the configuration; None as long as nothing is.
        is_empty_shard: Whether there were questions, and all of them are for other shards.
        names: The pipelines that tests evaluated, by test function and parametrized pipeline.
        lookahead: What the tests that follow will ask; None before anybody looked ahead.
        judge: The judge of the latest evaluation, which was found to be one; None before the first.
    """

    def __init__(
        self,
        read: Callable[[MetricSet], Settings],
        screen: Screen,
        workers: Workers = Workers(),  # noqa: B008 - frozen
        *,
        began: float,
        name: str,
        is_only_collected: bool = False,
        on_stop: Callable[[str], None] | None = None,
        on_cluster: Callable[[EvalsSession], Backend | None] = lambda _: None,
    ) -> None:
        self._read = read
        self.screen = screen
        self.workers = workers
        self.is_only_collected = is_only_collected
        self.progress = Progress()
        self.criteria = ListedCriteria()
        self.problem: str | None = None
        self.is_empty_shard = False
        self._on_stop = on_stop
        self._on_cluster = on_cluster
        self._began = began
        self._name = name
        self.names: dict[str, str] = {}
        self.lookahead: Lookahead | None = None
        self.judge: Judge | None = None
        self._searching: dict[int, SearchOnly] = {}
        self._early: EarlyStop | None = None
        self._met: set[tuple[str, ...]] = set()
        self._is_begun = False

    @cached_property
    def settings(self) -> Settings:
        """The settings.

        Raises:
            UsageError: A value is wrong, or some do not go together.
        """
        settings = self._read(self._known)
        check_settings(settings, is_parallel=self.workers.is_worker)
        return settings

    @property
    def _known(self) -> MetricSet:
        """The metrics that there are; the controller of xdist sees no tests, and hears of them."""
        is_controller = self.workers.count > 0 and not self.workers.is_worker
        return RECORDED if is_controller else with_packages(self.criteria.metrics)

    def hear_metrics(self, told: Mapping[str, Any]) -> None:
        """Take a worker's word which metrics the run has."""
        known = heard_metrics(told["criteria"])
        self.__dict__["settings"] = replace(self.settings, metrics=tuple(told["metrics"]), known=known)

    def begin(self) -> None:
        """Look at what the settings name: what is wrong with it is said now, not when it is used.

        Raises:
            UsageError: There is no such tracker or baseline, or a file is wrong.
        """
        if self._is_begun:
            return
        settings = self.settings
        if settings.labels:
            load_people(settings.labels, settings.criteria)  # they are used at the end
        check_trackers(settings.trackers.names)
        _ = self.goes_on
        _ = self.baseline  # read now
        if settings.offline:
            forbid_connections()
        self._is_begun = True

    @cached_property
    def cache(self) -> Cache | None:
        """What earlier runs made; what is to be made anew counts as absent unless this very run made it."""
        settings = self.settings
        if not settings.cache:
            return None
        since = {kind: self._began for part in settings.refresh for kind in REFRESHED[part]}
        return Cache(settings.home / FILE, mebibytes=settings.cache_mebibytes, since=since)

    @cached_property
    def reuse_cache(self) -> ReuseCache:
        """Answers and judgements, from the cache where it has them."""
        return ReuseCache(self.cache, masks_texts=self.settings.mask_texts)

    @cached_property
    def engine(self) -> Engine:
        """What runs pipelines and judges, on an event loop of its own."""
        return Engine(
            self.reuse_cache,
            concurrency=self.settings.concurrency,
            seconds=self.settings.timeout,
            ends=lambda: self.budget.ends,
            watcher=self.progress,
            is_traced=self.settings.is_traced,
            backend=self._on_cluster(self) if self.is_on_cluster else None,
        )

    @cached_property
    def prices(self) -> Prices:
        """Prices by model."""
        return load_prices(self.settings.prices)

    @cached_property
    def budget(self) -> Budget:
        """What the run costs, and what it may take."""
        bounds = self.settings.bounds
        return Budget(self.reuse_cache, self.prices, max_minutes=bounds.minutes, max_usd=bounds.usd)

    def early(self, judge: Judge) -> EarlyStop | None:
        """Return what tells that the gate is decided; None in a run that goes to its end."""
        if self._early is None and self.settings.rules.stop_early:
            base = self.baseline
            comparable = base if base and is_comparable(base, masked_fingerprint(judge.fingerprint)) else None
            self._early = EarlyStop(self.settings.rules, comparable)
        return self._early

    @cached_property
    def baseline(self) -> Run | None:
        """The run that this one is held against; None without.

        Raises:
            UsageError: There is no such run, or it cannot be read.
        """
        settings = self.settings
        if settings.baseline is None:
            return None

        # The first time there is nothing to compare with, and nothing wrong with that.
        if settings.update_baseline and not baseline_file(settings.baselines, settings.baseline).exists():
            return None
        return read_run(self.baseline_path)

    @cached_property
    def goes_on(self) -> InterruptedRun | None:
        """The run that this session goes on with; None for one of its own.

        Raises:
            UsageError: There is no such run, or it cannot go on.
        """
        settings = self.settings
        if settings.goes_on is None:
            return None
        return InterruptedRun(settings.goes_on, settings.home, settings.told)

    @cached_property
    def baseline_path(self) -> Path:
        """The folder of the run, or the file, that the run is held against.

        Raises:
            UsageError: There is no such run.
        """
        name, settings = self.settings.baseline or "", self.settings
        if is_reference(name):
            return run_folder(self.materials.fetched(name)).absolute()
        return find_run(name, settings.home, baselines=settings.baselines).absolute()

    @cached_property
    def rejudge_tasks(self) -> RejudgeTasks | None:
        """The answers of the baseline that the judge of this run is to judge as well."""
        base = self.baseline if self.settings.rejudge else None
        if base is None:
            return None

        return RejudgeTasks(base)

    @cached_property
    def materials(self) -> Materials:
        """The models, documents and artifacts."""
        return Materials(self.settings, lambda: self.cache, self._name)

    @cached_property
    def retrieval_judge(self) -> RetrievalJudge:
        """What scores retrieval."""
        return RetrievalJudge(self.settings.retrieval_metrics, self.settings.tau)

    def search_only(self, pipeline: Pipeline) -> Pipeline:
        """Return what searches for a pipeline, the same each time; itself where it cannot search alone."""
        if not searches(pipeline):
            return pipeline
        return self._searching.setdefault(id(pipeline), SearchOnly(pipeline))

    @cached_property
    def questions(self) -> SessionQuestions:
        """The questions."""
        return SessionQuestions(
            self.settings,
            self.materials,
            self.screen,
            is_only_collected=self.is_only_collected,
            is_parallel=self.workers.count > 0,
        )

    @property
    def is_on_cluster(self) -> bool:
        """Whether evaluations are made on a cluster, as far as the settings can be read."""
        try:
            return self.settings.cluster.address is not None
        except UsageError:
            return False  # it is said with the first test

    @property
    def is_planned(self) -> bool:
        """Whether there is a plan to say: one was asked for, and made."""
        return "budget" in self.__dict__ and self.settings.plan

    def hear(self, output: Mapping[str, Any]) -> None:
        """Take a worker's word that the configuration is wrong, and of questions that were written."""
        self.problem = output.get("evals_problem") or self.problem
        self.is_empty_shard = output.get("evals_empty_shard", False) or self.is_empty_shard
        self.screen.hear(output.get("evals_said", []))

    def report(self, problem: str) -> None:
        """Keep what is wrong with the configuration for the end; a worker hands it to the controller."""
        self.problem = problem
        self.workers.tell("evals_problem", problem)

    def is_first(self, *key: str) -> bool:
        """Return whether nobody asked with this key before: some things are said once a process."""
        if key in self._met:
            return False
        self._met.add(key)
        return True

    def stop(self, reason: str) -> None:
        """End the session before its next test; what was evaluated is recorded and decided as ever."""
        if self._on_stop:
            self._on_stop(reason)

    def refuse(self, error: Exception) -> NoReturn:
        """End the session for a wrong configuration: one line, not an error a question."""
        __tracebackhide__ = True
        self.report(str(error))
        self.stop("the configuration is wrong")
        pytest.skip("the configuration is wrong")

    def remarks_elsewhere(self, kind: ComponentKind, name: str) -> Sequence[str]:
        """Return what other processes than this one remarked on a pipeline or a judge."""
        return self.engine.remarks(kind, name) if "engine" in self.__dict__ else ()

    def remarks(self, kind: ComponentKind, name: str, part: Pipeline | Judge) -> Sequence[str]:
        """Return what is remarked on a part, here or where evaluations are made, each line once."""
        here = map(str, profile_of(part).remarks())
        return tuple(dict.fromkeys((*self.remarks_elsewhere(kind, name), *here)))

    def give_up(self) -> None:
        """Give up what was begun ahead of tests that will not come."""
        if "engine" in self.__dict__:
            self.engine.stop()

    def close(self) -> None:
        """End what was made."""
        for name in ("engine", "cache"):
            if made := self.__dict__.get(name):
                made.close()


SESSION = pytest.StashKey[EvalsSession]()


def session_of(config: pytest.Config) -> EvalsSession:
    """Return the session of evaluations that a session of pytest has."""
    return config.stash[SESSION]
