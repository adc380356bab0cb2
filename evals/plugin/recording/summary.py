"""The end of a session: what is decided of the run, how pytest exits by it, and what is told."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rag_evals.evals.base.errors import LabelFileError, RunFileError, UsageError
from rag_evals.evals.base.messages import count_of, first_names, printable
from rag_evals.evals.gate.comparison.baseline_gate import rejudged
from rag_evals.evals.gate.decision import Decision, decide, decision_to_json
from rag_evals.evals.judges.calibration.labels.people import load_people
from rag_evals.evals.plugin.recording.recorder import Recorder
from rag_evals.evals.plugin.session.going_on import continue_command
from rag_evals.evals.plugin.session.session import EvalsSession
from rag_evals.evals.reports.html.page import run_html
from rag_evals.evals.reports.html.waterfall import Waterfalls, waterfalls_of
from rag_evals.evals.reports.progress import is_ci
from rag_evals.evals.reports.terminal.summary import closing_lines, colour_of, decision_lines, last_lines
from rag_evals.evals.runs.baseline_file import write_baseline
from rag_evals.evals.runs.evaluation import evaluation_from_json
from rag_evals.evals.runs.run import Run
from rag_evals.evals.runs.run_folder import RunFolder
from rag_evals.rag.identity import canonical


@dataclass(frozen=True, slots=True)
class Decided:
    """A run that is over.

    Attributes:
        run: The run.
        decision: What was decided of it.
        base: What it was held against; None without.
    """

    run: Run
    decision: Decision
    base: Run | None


class SessionSummary:
    """Decides and tells, once every event is recorded.

    Args:
        config: Pytest's configuration.
        session: The session.
        recorder: Has the run folder.
        listeners: Hear what was decided.
    """

    def __init__(
        self,
        config: pytest.Config,
        session: EvalsSession,
        recorder: Recorder,
        listeners: Sequence[Callable[[Decided], None]] = (),
    ) -> None:
        self._config = config
        self._session = session
        self._recorder = recorder
        self._listeners = listeners
        self._decided: Decided | None = None
        self._troubles: list[str] = []
        self._left_out = 0
        self._is_interrupted = False

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Note that not every test will run."""
        self._left_out += len(items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str) -> None:
        """Note a test whose worker died with it: it may be run again, or have no evaluation."""
        self._recorder.crashed[crashitem] = "the process died that the test ran in"

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Close the run and hold it to its conditions, its baseline and its budget."""
        if self._is_empty_shard(session):
            self._recorder.start()  # or nobody could tell it from one that was never run
            session.exitstatus = pytest.ExitCode.OK
        self._is_interrupted = bool(session.shouldstop or session.shouldfail) or session.exitstatus in (
            pytest.ExitCode.INTERRUPTED,
            pytest.ExitCode.INTERNAL_ERROR,
        )
        self._recorder.record_crashed()
        if self._recorder.folder is None:
            return
        self._decided = decided = self._closed(self._recorder.folder)
        if decided is None:
            return
        for listener in self._listeners:
            listener(decided)
        fails = decided.decision.fails or bool(self._recorder.folder.losses)
        if self._session.settings.update_baseline:
            self._update_baseline(decided.run, session)
            fails = True
        # Never lowered: what failed already has failed.
        if fails and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print breaches, the table and the path of the run folder."""
        folder, stale = self._recorder.folder, self._recorder.stale
        has_run = folder is not None and bool(self._decided or self._session.settings.shard)
        if not has_run and not stale:
            return
        terminalreporter.section("evals")
        for line in self._stale_lines(stale) if stale else ():
            terminalreporter.line(line, yellow=True)
        if folder is None or not has_run:
            return
        if self._decided:
            self._tell(terminalreporter, self._decided)
        else:
            terminalreporter.line(f"no question falls into shard {self._session.settings.shard}")
        for trouble in self._troubles:
            terminalreporter.line(printable(trouble), red=True)
        is_read = self._config.option.verbose >= 0 and (terminalreporter.isatty() or is_ci(os.environ))
        tell = partial(self._say_now, terminalreporter) if is_read else None
        for line in self._recorder.end_trackers(self._count, tell):
            terminalreporter.line(line)
        if folder.is_there:
            terminalreporter.line(f"run: {self._shown(folder.path)}")
        if self._is_interrupted and folder.is_there:
            terminalreporter.line(f"interrupted: `{continue_command(folder.path)}` goes on with it")

    @staticmethod
    def _say_now(terminal: pytest.TerminalReporter, line: str) -> None:
        terminal.line(line)
        terminal.flush()  # a log of CI is read while it is written

    @property
    def _count(self) -> int:
        return len(self._decided.run.evaluations) if self._decided else 0

    def _closed(self, folder: RunFolder) -> Decided | None:
        """Decide the run, with the decision in its record; None where nothing was evaluated."""
        run, others = folder.read(whole=self._shows_passages)
        self._troubles = [line["problem"] for line in others if line["type"] == "cache"]
        self._troubles += [self._recorder.trouble] if self._recorder.trouble else []
        self._troubles += [fetched.warning for fetched in self._session.materials.used() if fetched.warning]
        outcomes = Counter(evaluation.outcome for evaluation in run.evaluations)
        try:
            if not run.evaluations:
                return None
            decided = self._ruled(run, others)
            folder.write(canonical(self._decision_event(decided.decision)))
            return decided
        finally:
            folder.finish(dict(sorted(outcomes.items())), is_interrupted=self._is_interrupted)
            self._troubles += [*filter(None, (folder.trouble,)), *folder.losses]

    @property
    def _shows_passages(self) -> bool:
        """Whether anything is told of the run that is told by passages and claims."""
        settings = self._session.settings
        shown = (settings.baseline, settings.update_baseline, settings.html, settings.labels, self._listeners)
        return any(shown) or settings.judge_repeat > 1

    def _ruled(self, run: Run, others: Sequence[Mapping[str, Any]]) -> Decided:
        base = self._session.baseline
        if base is not None:
            judged = [evaluation_from_json(line) for line in others if line["type"] == "rejudged"]
            base = rejudged(base, judged, run.judges) if judged else base
        return Decided(run, decide(self._session.settings.rules, run, base), base)

    def _decision_event(self, decision: Decision) -> dict[str, Any]:
        path = str(self._session.baseline_path) if self._session.baseline else None
        return {**decision_to_json(decision), "baseline": path}

    def _update_baseline(self, run: Run, session: pytest.Session) -> None:
        """Make the run the baseline, and say that this is why the session fails."""
        name = self._session.settings.baseline or "main"
        if self._is_partial(session):
            self._troubles.append(
                f"baseline {name} was not written: not every test ran, and a baseline is of a whole run"
            )
            return
        try:
            file = write_baseline(run, self._session.settings.baselines, name)
        except (RunFileError, UsageError) as error:
            self._troubles.append(f"baseline {name} was not written: {error}")
            return
        self._troubles.append(
            f"{self._shown(file)} was written: look at it and commit it; a session that writes its own "
            "baseline fails"
        )

    def _is_partial(self, session: pytest.Session) -> bool:
        """Return whether not every test ran; workers do not tell what they left out, but options tell why."""
        selecting = ("keyword", "markexpr", "deselect", "lf", "stepwise")
        is_selected = any(self._config.getoption(name, default=None) for name in selecting)
        is_stopped = bool(session.shouldstop or session.shouldfail)
        return is_stopped or is_selected or self._left_out > 0 or self._session.settings.shard is not None

    def _is_empty_shard(self, session: pytest.Session) -> bool:
        is_nothing = (
            self._recorder.folder is None and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED
        )
        return is_nothing and self._session.is_empty_shard and not self._session.settings.plan

    def _tell(self, terminal: pytest.TerminalReporter, decided: Decided) -> None:
        settings, run = self._session.settings, decided.run
        # A file, or a log of CI, has no width.
        width = self._config.get_terminal_writer().fullwidth if terminal.isatty() else None
        try:
            labels = load_people(settings.labels, settings.criteria) if settings.labels else ()
        except LabelFileError as error:  # it was whole when the run began
            labels = ()
            self._troubles += str(error).splitlines()
        breaches = settings.rules.mode != "strict"
        lines = closing_lines(run, decided.decision, breaches=breaches, labels=labels, width=width)
        for line in (*lines, *last_lines(run, is_cached=settings.cache)):
            terminal.line(line.text, **{colour: True} if (colour := colour_of(line)) else {})
        if settings.html and self._write_html(settings.html, decided):
            terminal.line(f"report: {self._shown(settings.html)}")

    def _write_html(self, file: Path, decided: Decided) -> bool:
        """Write the HTML report and tell whether it is there; trouble with it is a line, never a failure."""
        gate = decision_lines(decided.decision)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            page = run_html(decided.run, gate=gate, base=decided.base, traces=self._waterfalls())
            file.write_text(page, "utf-8", errors="backslashreplace")
        except Exception as error:  # noqa: BLE001  # whatever it is, the run is recorded and decided
            self._troubles.append(f"{self._shown(file)} was not written: {error}")
            return False
        return True

    def _waterfalls(self) -> Waterfalls:
        folder = self._recorder.folder
        return waterfalls_of(folder.path) if folder and self._session.settings.is_traced else {}

    def _stale_lines(self, stale: set[str]) -> list[str]:
        """Return which questions were not asked, and what mends them."""
        files = [
            file
            for file, questions in self._session.questions.sets.items()
            if any(question.id in stale for question in questions)
        ]
        settings = self._session.settings
        docs = self._shown(settings.docs) if settings.docs else "DOCS"
        were = "was" if len(stale) == 1 else "were"
        return [
            f"stale: {count_of(len(stale), 'question')} {were} not asked, the documents having changed: "
            f"{printable(first_names(sorted(stale)))}",
            *(f"  rag-evals questions check {self._shown(file)} --docs {docs} --write" for file in files),
        ]

    def _shown(self, path: Path) -> str:
        root = self._session.settings.root
        return printable(str(path.relative_to(root) if path.is_relative_to(root) else path))
