"""What a session shares: made when it is first wanted, and kept on pytest's configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from evals.judges import Judge
from evals.offline import forbid_connections
from evals.progress import Progress
from evals.settings import Settings, settings_from
from evals.trackers.choosing import check_trackers
from evals.trackers.references import is_reference

if TYPE_CHECKING:
    from evals.cache import Cache
    from evals.early import Early
    from evals.engine import Engine
    from evals.replaying import OldAnswers
    from evals.runs import Run
    from evals.spending import Spending
    from evals.trackers.fetching import Fetched

SETTINGS = pytest.StashKey[Settings]()
CACHE = pytest.StashKey["Cache | None"]()
ENGINE = pytest.StashKey["Engine"]()
BEGAN = pytest.StashKey[float]()
SPENDING = pytest.StashKey["Spending"]()
PROGRESS = pytest.StashKey[Progress]()
# Lines about generated questions that could not be said at once.
SAID = pytest.StashKey[list[str]]()
BASELINE = pytest.StashKey["Run | None"]()
EARLY = pytest.StashKey["Early | None"]()
OLD_ANSWERS = pytest.StashKey["OldAnswers | None"]()
# What is wrong with the configuration.
PROBLEM = pytest.StashKey[str]()


def settings_of(config: pytest.Config) -> Settings:
    """Give the settings; what can be wrong with the files they name is said at once.

    Raises:
        UsageError: A value, or a file, is wrong.
    """
    if SETTINGS not in config.stash:
        settings = settings_from(config)
        if settings.labels:
            from evals.labels import load_labels

            load_labels(settings.labels)  # they are used at the end: what is wrong with them is said now
        check_trackers(settings.trackers)
        config.stash[SETTINGS] = settings
        if settings.baseline:
            baseline_for(config)  # so that what is wrong with it is said now
        if settings.offline:
            forbid_connections()
    return config.stash[SETTINGS]


def fetched_for(config: pytest.Config, text: str) -> Fetched:
    """Give the artifact that a reference means; the same version in all processes of the session.

    Raises:
        UsageError: It cannot be had.
    """
    from evals.trackers.fetching import fetch_text

    settings = settings_from(config)
    return fetch_text(text, settings.home, is_offline=settings.offline, session=f"{_began(config)!r}")


def used_of(config: pytest.Config) -> list[Fetched]:
    """Give the artifacts that were fetched in this session, by whichever of its processes."""
    settings = settings_from(config)
    texts = [text for text in (*settings.questions, settings.baseline or "") if is_reference(text)]
    if not texts:
        return []
    from evals.trackers.fetching import fetched_in

    found = (fetched_in(f"{_began(config)!r}", text, settings.home) for text in dict.fromkeys(texts))
    return [fetched for fetched in found if fetched]


def cache_for(config: pytest.Config) -> Cache | None:
    """Give the cache; what is to be made anew counts as absent unless this very run made it."""
    if CACHE not in config.stash:
        from evals.cache import FILE, Cache
        from evals.remembering import REFRESHED

        settings, now = settings_of(config), _began(config)
        since = {kind: now for part in settings.refresh for kind in REFRESHED[part]}
        cache = Cache(settings.home / FILE, mebibytes=settings.cache_mebibytes, since=since)
        config.stash[CACHE] = cache if settings.cache else None
        config.add_cleanup(cache.close)
    return config.stash[CACHE]


def _began(config: pytest.Config) -> float:
    """Give the time at which the session began; in a worker that of the controller, so that all agree."""
    began: float = getattr(config, "workerinput", {}).get("evals_began") or config.stash[BEGAN]
    return began


def engine_of(config: pytest.Config) -> Engine:
    """Give the engine that runs pipelines and judges, on an event loop of its own."""
    if ENGINE not in config.stash:
        from evals.engine import Engine
        from evals.remembering import Remembering

        settings = settings_of(config)
        remembering = Remembering(cache_for(config))
        config.stash[ENGINE] = engine = Engine(
            remembering,
            concurrency=settings.concurrency,
            seconds=settings.timeout,
            watcher=config.stash[PROGRESS],
            is_traced=settings.traces,
        )
        config.add_cleanup(engine.close)
    return config.stash[ENGINE]


def spending_of(config: pytest.Config) -> Spending:
    """Give what knows the cost of the run and its bounds."""
    if SPENDING not in config.stash:
        from evals.remembering import Remembering
        from evals.spending import Spending
        from rag.llm.prices import load_prices

        settings = settings_of(config)
        config.stash[SPENDING] = Spending(
            Remembering(cache_for(config)),
            load_prices(settings.prices),
            max_minutes=settings.max_minutes,
            max_usd=settings.max_cost,
        )
    return config.stash[SPENDING]


def early_of(config: pytest.Config, judge: Judge) -> Early | None:
    """Give what tells that the gate is decided; None in a run that goes to its end."""
    if EARLY not in config.stash:
        settings = settings_of(config)
        made = _new_early(settings, baseline_for(config), judge) if settings.stop_early else None
        config.stash[EARLY] = made
    return config.stash[EARLY]


def _new_early(settings: Settings, base: Run | None, judge: Judge) -> Early:
    from evals.early import Early, is_comparable

    return Early(settings.rules, base if base and is_comparable(base, judge.fingerprint) else None)


def old_answers_of(config: pytest.Config) -> OldAnswers | None:
    """Give the answers of the baseline that the judge of this run is to judge as well."""
    if OLD_ANSWERS not in config.stash:
        base = baseline_for(config) if settings_of(config).rejudge else None
        config.stash[OLD_ANSWERS] = _loaded(base) if base else None
    return config.stash[OLD_ANSWERS]


def _loaded(base: Run) -> OldAnswers:
    from evals.replaying import OldAnswers

    return OldAnswers(base)


def baseline_for(config: pytest.Config) -> Run | None:
    """Give the run that this one is held against, read once; None without.

    Raises:
        UsageError: There is no such run, or it cannot be read.
    """
    if BASELINE not in config.stash:
        settings = settings_from(config)
        config.stash[BASELINE] = _baseline(config, settings) if settings.baseline else None
    return config.stash[BASELINE]


def _baseline(config: pytest.Config, settings: Settings) -> Run | None:
    from evals.baselines import baseline_file
    from evals.runs import read_run

    name = settings.baseline or ""
    # The first time there is nothing to compare with, and nothing wrong with that.
    if settings.update_baseline and not baseline_file(settings.baselines, name).exists():
        return None
    return read_run(baseline_path(config))


def baseline_path(config: pytest.Config) -> Path:
    """Give the folder of the run, or the file, that the run is held against.

    Raises:
        UsageError: There is no such run.
    """
    from evals.runs import find_run

    settings = settings_from(config)
    if is_reference(settings.baseline or ""):
        from evals.trackers.using import run_folder

        return run_folder(fetched_for(config, settings.baseline or "")).absolute()
    return find_run(settings.baseline or "", settings.home, baselines=settings.baselines).absolute()


def report_problem(config: pytest.Config, problem: str) -> None:
    """Keep `problem` for the end of the session; a worker hands it to the controller."""
    config.stash[PROBLEM] = problem
    if hasattr(config, "workeroutput"):
        config.workeroutput["evals_problem"] = problem


def stop_for(request: pytest.FixtureRequest, error: Exception) -> NoReturn:
    """Stop the session for a wrong configuration: one line, not an error a question."""
    __tracebackhide__ = True
    report_problem(request.config, str(error))
    request.session.shouldstop = "the configuration is wrong"
    pytest.skip("the configuration is wrong")
