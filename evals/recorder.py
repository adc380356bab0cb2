"""From pytest's reports to records: the one place that knows about xdist.

Every evaluation rides on its test's report as one JSON string, which xdist carries from a worker to the
controller by itself: serial and parallel runs are one code path.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.junitxml import xml_key  # as pytest has no public name for its writer

from evals.asked import question_sets_of, stale_of
from evals.entries import counted, few
from evals.errors import LabelFileError, RunFileError, UsageError, printable
from evals.progress import Progress
from evals.questions import Question
from evals.records import Evaluation, evaluation_from_json, evaluation_to_json
from evals.session import baseline_for, baseline_path, used_of
from evals.settings import Settings, settings_from
from rag.errors import RagError
from rag.identity import canonical

if TYPE_CHECKING:
    from evals.reports.waterfall import Waterfalls
    from evals.ruling import Ruling
    from evals.runs import Run
    from evals.trackers.guard import Guard
    from evals.trackers.jsonl import RunFolder

EVALUATION = "evals"
# An answer of the baseline, judged anew.
REJUDGED = "evals-rejudged"
# What describes a pipeline or a judge.
ABOUT = "evals-about"
# The spans of an evaluation.
TRACE = "evals-trace"
# The id of a question that is not asked.
STALE = "evals-stale"
OURS = (EVALUATION, REJUDGED, ABOUT, TRACE, STALE)


def attach_evaluation(item: pytest.Item, evaluation: Evaluation) -> None:
    """Put `evaluation` on the test's report.

    Raises:
        ValueError: There is a NaN or an infinity in it; it fails this very test, not the run.
    """
    _attach(item, EVALUATION, evaluation_to_json(evaluation))


def attach_rejudged(item: pytest.Item, evaluation: Evaluation) -> None:
    """Put an answer of the baseline that was judged anew on the test's report."""
    _attach(item, REJUDGED, {**evaluation_to_json(evaluation), "type": "rejudged"})


def attach_about(item: pytest.Item, event: dict[str, Any]) -> None:
    """Put what describes a pipeline or a judge on the test's report, without secrets."""
    from evals.secrets import masked

    # By these two it is found again: they stay.
    named: dict[str, Any] = {key: event[key] for key in ("name", "fingerprint") if key in event}
    _attach(item, ABOUT, {**masked(event), **named})


def attach_trace(item: pytest.Item, evaluation: Evaluation) -> None:
    """Put the spans of `evaluation` on the test's report, if the run has traces."""
    if evaluation.spans:
        from evals.traces import spans_of, trace_lines

        item.user_properties.append((TRACE, trace_lines(spans_of(evaluation))))


def attach_stale(item: pytest.Item, question_id: str) -> None:
    """Put on the test's report that its question is not asked, as it does not belong to the documents."""
    item.user_properties.append((STALE, question_id))


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
        self._run: Run | None = None
        self._ruling: Ruling | None = None
        self._troubles: list[str] = []
        self._seen: set[str] = set()
        self._taken: dict[tuple[str, str], int] = {}
        self._folder: RunFolder | None = None
        self._base: Run | None = None
        self._base_path: Path | None = None
        self._guards: list[Guard] = []
        self._left_out = 0
        self._stale: set[str] = set()
        self._traces_trouble = ""

    @property
    def decided(self) -> tuple[Run, Ruling, Run | None] | None:
        """The run, what was decided of it, and what it was held to; None before the end, or without one."""
        return (self._run, self._ruling, self._base) if self._run and self._ruling else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take our events off the report, before other plugins print them, and record them."""
        ours = [(name, str(value)) for name, value in report.user_properties if name in OURS]
        if not ours:
            return
        report.user_properties = [pair for pair in report.user_properties if pair[0] not in OURS]
        self._stale |= {text for name, text in ours if name == STALE}
        ours = [pair for pair in ours if pair[0] != STALE]
        new = self._new(ours, report)
        self._tell_junit(report, ours, new)
        for name, text in new:
            if name == TRACE:
                self._write_trace(text)
            elif name != ABOUT or text not in self._seen:
                self._write(text)
            if name == EVALUATION and hasattr(report, "node"):  # from a worker
                self._progress.finished(evaluation_from_json(json.loads(text)))
            if name == ABOUT:
                # Every xdist worker sends it; it is written once.
                self._seen.add(text)

    def _tell_junit(
        self, report: pytest.TestReport, ours: list[tuple[str, str]], new: list[tuple[str, str]]
    ) -> None:
        """Give pytest's own JUnit file, if there is to be one, the scores of the test."""
        xml = self._config.stash.get(xml_key, None)
        if xml is None:
            return
        from evals.reports.junit import tell_junit

        known = [evaluation_from_json(json.loads(text)) for name, text in ours if name == EVALUATION]
        tell_junit(xml, report, known, new=sum(name == EVALUATION for name, _ in new))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Close the run and hold it to its conditions, its baseline and its budget."""
        if self._is_empty_shard(session):
            self._folder = self._started()  # or nobody could tell it from one that was never run
            session.exitstatus = pytest.ExitCode.OK
        if self._folder is None:
            return
        self._run, others = self._folder.read()
        self._troubles = [line["problem"] for line in others if line["type"] == "cache"]
        self._troubles += [self._traces_trouble] if self._traces_trouble else []
        self._troubles += [fetched.warning for fetched in used_of(self._config) if fetched.warning]
        outcomes = Counter(evaluation.outcome for evaluation in self._run.evaluations)
        try:
            if not self._run.evaluations:
                return
            self._ruling = self._ruled(self._run, others)
            self._folder.append(canonical(self._ruling_event(self._ruling)))
        finally:
            self._folder.finish(dict(sorted(outcomes.items())))
        fails = self._ruling.fails
        if self._settings.update_baseline:
            self._update_baseline(self._run, session)
            fails = True
        # Never lowered: what failed already has failed.
        if fails and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print breaches, the table and the path of the run folder."""
        has_run = self._folder is not None and bool(self._ruling or self._settings.shard)
        if not has_run and not self._stale:
            return
        terminalreporter.section("evals")
        for line in self._stale_lines() if self._stale else ():
            terminalreporter.line(line, yellow=True)
        if self._folder is None or not has_run:
            return
        if self._run and self._ruling:
            self._say(terminalreporter, self._run, self._ruling)
        else:
            terminalreporter.line(f"no question falls into shard {self._settings.shard}")
        for trouble in self._troubles:
            terminalreporter.line(printable(trouble), red=True)
        for line in self._tracked():
            terminalreporter.line(line)
        terminalreporter.line(f"run: {self._shown(self._folder.path)}")

    def _say(self, terminal: pytest.TerminalReporter, run: Run, ruling: Ruling) -> None:
        from evals.closing import closing_lines, colour_of, last_lines
        from evals.labels import load_labels

        settings = self._settings
        # A file, or a log of CI, has no width.
        width = terminal._tw.fullwidth if terminal.isatty() else None
        try:
            labels = load_labels(settings.labels) if settings.labels else ()
        except LabelFileError as error:  # it was whole when the run began
            labels = ()
            self._troubles += str(error).splitlines()
        breaches = settings.mode != "strict"
        lines = closing_lines(run, ruling, breaches=breaches, labels=labels, width=width)
        for line in (*lines, *last_lines(run.evaluations, is_cached=settings.cache)):
            terminal.line(line.text, **{colour: True} if (colour := colour_of(line)) else {})
        if settings.html and self._write_html(settings.html, run, ruling):
            terminal.line(f"report: {self._shown(settings.html)}")

    def _ruled(self, run: Run, others: Sequence[Mapping[str, Any]]) -> Ruling:
        from evals.replaying import rejudged
        from evals.ruling import rule

        base = self._base
        if base is not None:
            judged = [evaluation_from_json(line) for line in others if line["type"] == "rejudged"]
            self._base = base = rejudged(base, judged, run.abouts) if judged else base
        return rule(self._settings.rules, run, base)

    def _ruling_event(self, ruling: Ruling) -> dict[str, Any]:
        from evals.ruling import ruling_to_json

        return {**ruling_to_json(ruling), "baseline": str(self._base_path) if self._base_path else None}

    def _update_baseline(self, run: Run, session: pytest.Session) -> None:
        """Make the run the baseline, and say that this is why the session fails."""
        from evals.baselines import write_baseline

        name = self._settings.baseline or "main"
        if self._is_partial(session):
            self._troubles.append(
                f"baseline {name} was not written: not every test ran, and a baseline is of a whole run"
            )
            return
        try:
            file = write_baseline(run, self._settings.baselines, name)
        except (RunFileError, UsageError) as error:
            self._troubles.append(f"baseline {name} was not written: {error}")
            return
        self._troubles.append(
            f"{self._shown(file)} was written: look at it and commit it; a session that writes its own "
            "baseline fails"
        )

    def _is_partial(self, session: pytest.Session) -> bool:
        """Tell whether not every test ran; workers do not tell what they left out, but options tell why."""
        selecting = ("keyword", "markexpr", "deselect", "lf", "stepwise")
        is_selected = any(self._config.getoption(name, default=None) for name in selecting)
        is_stopped = bool(session.shouldstop or session.shouldfail)
        return is_stopped or is_selected or self._left_out > 0 or self._settings.shard is not None

    def _write_html(self, file: Path, run: Run, ruling: Ruling) -> bool:
        """Write the HTML report and tell whether it is there; trouble with it is a line, never a failure."""
        from evals.closing import ruling_lines
        from evals.reports.html import run_html

        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(
                run_html(run, gate=ruling_lines(ruling), base=self._base, traces=self._waterfalls()),
                "utf-8",
                errors="backslashreplace",
            )
        except Exception as error:  # noqa: BLE001  # whatever it is, the run is recorded and decided
            self._troubles.append(f"{self._shown(file)} was not written: {error}")
            return False
        return True

    def _waterfalls(self) -> Waterfalls:
        from evals.reports.waterfall import waterfalls_of

        return waterfalls_of(self._folder.path) if self._folder and self._settings.traces else {}

    def _is_empty_shard(self, session: pytest.Session) -> bool:
        if self._folder is not None or session.exitstatus != pytest.ExitCode.NO_TESTS_COLLECTED:
            return False
        is_sharded = self._config.getoption("evals_shard") or self._config.getini("evals_shard")
        return bool(is_sharded) and self._settings.shard is not None and not self._settings.plan

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

    def _write_trace(self, lines: str) -> None:
        """Keep spans; a run whose traces cannot be written goes on without."""
        if self._folder is None or self._traces_trouble:
            return
        try:
            self._folder.append_trace(lines)
        except OSError as error:
            self._traces_trouble = f"traces.jsonl ends early: it could not be written ({error.strerror})"

    @cached_property
    def _settings(self) -> Settings:
        return settings_from(self._config)

    def _started(self) -> RunFolder:
        from evals.heads import head_of
        from evals.trackers.choosing import started_guards
        from evals.trackers.jsonl import RunFolder

        self._base = baseline_for(self._config)  # before `latest` is this very run
        self._base_path = baseline_path(self._config) if self._base else None
        folder = RunFolder(self._settings.home)
        head = head_of(
            self._settings,
            folder.path,
            args=[str(arg) for arg in self._config.invocation_params.args],
            questions=self._question_sets,
            stale=stale_of(self._config),
            used=used_of(self._config),
        )
        folder.start(head)
        self._guards = started_guards(self._settings, os.environ, folder.path)
        # Where nothing is printed, or the session ends in the middle.
        self._config.add_cleanup(self._end_trackers)
        return folder

    @cached_property
    def _question_sets(self) -> Mapping[Path, Sequence[Question]]:
        try:
            return question_sets_of(self._config)
        except (UsageError, RagError):
            return {}  # files that are gone meanwhile are no reason to lose a run

    def _stale_lines(self) -> list[str]:
        """Say which questions were not asked, and what mends them."""
        files = [
            file
            for file, questions in self._question_sets.items()
            if any(question.id in self._stale for question in questions)
        ]
        docs = self._shown(self._settings.docs) if self._settings.docs else "DOCS"
        were = "was" if len(self._stale) == 1 else "were"
        return [
            f"stale: {counted(len(self._stale), 'question')} {were} not asked, the documents having changed: "
            f"{printable(few(sorted(self._stale)))}",
            *(f"  rag-evals questions check {self._shown(file)} --docs {docs} --write" for file in files),
        ]

    def _end_trackers(self) -> None:
        self._tracked()

    def _tracked(self) -> list[str]:
        """End the trackers, and give what they have to say."""
        count = len(self._run.evaluations) if self._run else 0
        guards, self._guards = self._guards, []
        for guard in guards:  # all of them first: they end side by side
            guard.say_over()
        return [line for guard in guards for line in guard.finish(count)]

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Note that not every test will run."""
        self._left_out += len(items)

    def _shown(self, path: Path) -> str:
        shown = path.relative_to(self._settings.root) if path.is_relative_to(self._settings.root) else path
        return printable(str(shown))
