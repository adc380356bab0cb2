"""From pytest's reports to records: the one place that knows about xdist.

Every evaluation rides on its test's report as one JSON string, which xdist carries from a worker to the
controller by itself: serial and parallel runs are one code path.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from evals.budget import budget_line
from evals.errors import LabelFileError, printable
from evals.labels import load_labels
from evals.progress import Progress
from evals.records import Evaluation, evaluation_from_json, evaluation_to_json
from evals.reports.terminal import cache_line, cost_line, summary_lines
from evals.settings import Settings, settings_from
from evals.trackers.jsonl import RunFolder
from evals.versions import installed_versions
from rag.identity import canonical

EVALUATION = "evals"
# What describes a pipeline or a judge.
ABOUT = "evals-about"


def attach_evaluation(item: pytest.Item, evaluation: Evaluation) -> None:
    """Put `evaluation` on the test's report.

    Raises:
        ValueError: There is a NaN or an infinity in it; it fails this very test, not the run.
    """
    _attach(item, EVALUATION, evaluation_to_json(evaluation))


def attach_about(item: pytest.Item, event: dict[str, Any]) -> None:
    """Put what describes a pipeline or a judge on the test's report."""
    _attach(item, ABOUT, event)


def _attach(item: pytest.Item, name: str, event: dict[str, Any]) -> None:
    # Half of a surrogate pair could not travel to another process: it becomes JSON's own escape for it.
    text = canonical(event).encode(errors="backslashreplace").decode()
    item.user_properties.append((name, text))


class Recorder:
    """Writes events to the run folder as reports come in, and the summary at the end.

    Args:
        config: Pytest's configuration; its evals settings are read when the first event comes, so that a
            session without evals is never troubled by them.
        progress: Is told of what xdist's workers finish; in a serial run the engine tells it.
    """

    def __init__(self, config: pytest.Config, progress: Progress) -> None:
        self._config = config
        self._progress = progress
        # Read back from the run folder at the end: during the run nothing piles up.
        self._evaluations: list[Evaluation] = []
        self._judges: Sequence[Mapping[str, Any]] = ()
        self._troubles: Sequence[str] = ()
        self._seen: set[str] = set()
        self._taken: dict[tuple[str, str], int] = {}
        self._folder: RunFolder | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take our events off the report, before other plugins print them, and record them."""
        ours = [(name, str(value)) for name, value in report.user_properties if name in (EVALUATION, ABOUT)]
        if not ours:
            return
        report.user_properties = [
            pair for pair in report.user_properties if pair[0] not in (EVALUATION, ABOUT)
        ]
        for name, text in self._new(ours, report):
            if name == EVALUATION or text not in self._seen:
                self._write(text)
            if name == EVALUATION and hasattr(report, "node"):  # from a worker
                self._progress.finished(evaluation_from_json(json.loads(text)))
            if name == ABOUT:
                # Every xdist worker sends it; it is written once.
                self._seen.add(text)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Close the run and hold it to the budget of unscored evaluations."""
        if self._is_empty_shard(session):
            self._folder = self._started()  # or nobody could tell it from one that was never run
            session.exitstatus = pytest.ExitCode.OK
        if self._folder is None:
            return
        self._evaluations, others = self._folder.read()
        self._judges = [line for line in others if line["type"] == "judge"]
        self._troubles = [line["problem"] for line in others if line["type"] == "cache"]
        outcomes = [evaluation.outcome for evaluation in self._evaluations]
        self._folder.finish({outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))})
        if self._over_budget and session.exitstatus in (
            pytest.ExitCode.OK,
            pytest.ExitCode.NO_TESTS_COLLECTED,
        ):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print breaches, the table and the path of the run folder."""
        if self._folder is None or not (self._evaluations or self._settings.shard):
            return
        terminalreporter.section("evals")
        if not self._evaluations:
            terminalreporter.line(f"no question falls into shard {self._settings.shard}")
            terminalreporter.line(f"run: {self._shown(self._folder.path)}")
            return
        for line in summary_lines(self._evaluations, breaches=self._settings.mode == "report"):
            terminalreporter.line(line)
        terminalreporter.line("")
        if self._over_budget:
            terminalreporter.line(self._over_budget, red=True)
        for line in self._judge_lines():
            terminalreporter.line(line)
        if self._settings.cache:
            terminalreporter.line(cache_line(self._evaluations))
        if cost := cost_line(self._evaluations):
            terminalreporter.line(cost)
        for trouble in self._troubles:
            terminalreporter.line(printable(trouble), red=True)
        terminalreporter.line(f"run: {self._shown(self._folder.path)}")

    def _is_empty_shard(self, session: pytest.Session) -> bool:
        if self._folder is not None or session.exitstatus != pytest.ExitCode.NO_TESTS_COLLECTED:
            return False
        is_sharded = self._config.getoption("evals_shard") or self._config.getini("evals_shard")
        return bool(is_sharded) and self._settings.shard is not None and not self._settings.plan

    def _judge_lines(self) -> list[str]:
        """Give the lines about the judge, and a blank one behind them."""
        from evals.reports.judge import judge_lines

        settings = self._settings
        try:
            labels = load_labels(settings.labels) if settings.labels else ()
        except LabelFileError as error:  # it was whole when the run began
            return [*str(error).splitlines(), ""]
        lines = judge_lines(self._judges, self._evaluations, floor=settings.judge_floor, labels=labels)
        return [*lines, ""] if lines else []

    def _new(self, events: list[tuple[str, str]], report: pytest.TestReport) -> list[tuple[str, str]]:
        """Give the events that earlier reports of the test did not carry: each repeats those before it."""
        test = (getattr(report, "worker_id", ""), report.nodeid)
        taken = self._taken.pop(test, 0)
        if report.when != "teardown":
            self._taken[test] = len(events)
        return events[taken:]

    def _write(self, line: str) -> None:
        """Write `line`; the first one makes the run folder. A run that cannot be recorded ends here."""
        try:
            if self._folder is None:
                self._folder = self._started()
            self._folder.append(line)
        except OSError as error:
            self._folder = None
            pytest.exit(
                f"evals: the record cannot be written ({self._settings.home}: {error.strerror}): "
                "give another folder with --evals-home",
                returncode=pytest.ExitCode.USAGE_ERROR,
            )

    @cached_property
    def _settings(self) -> Settings:
        return settings_from(self._config)

    def _started(self) -> RunFolder:
        folder = RunFolder(self._settings.home)
        folder.start(
            {
                "args": [str(arg) for arg in self._config.invocation_params.args],
                "mode": self._settings.mode,
                "metrics": list(self._settings.metrics),
                "thresholds": dict(self._settings.thresholds),
                "max_unscored": self._settings.max_unscored,
                "judge_floor": self._settings.judge_floor,
                "shard": astuple(self._settings.shard) if self._settings.shard else None,
                "machine": {"python": platform.python_version(), "system": platform.platform()},
                "versions": installed_versions(),
            }
        )
        return folder

    @property
    def _over_budget(self) -> str | None:
        return budget_line(self._evaluations, self._settings.max_unscored)

    def _shown(self, path: Path) -> str:
        shown = path.relative_to(self._settings.root) if path.is_relative_to(self._settings.root) else path
        return printable(str(shown))
