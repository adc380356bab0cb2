"""The recorder, from pytest's reports to the run folder: each event is written as its report comes in."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from rag_evals.evals.answers.log_summary import summary_to_json
from rag_evals.evals.plugin.recording.report_events import (
    ABOUT,
    ASKED_EVENT,
    EVALUATION,
    METRICS_EVENT,
    STALE_EVENT,
    TRACE,
    Event,
    take_events,
)
from rag_evals.evals.plugin.session.session import EvalsSession
from rag_evals.evals.plugin.workers import worker_of
from rag_evals.evals.questions.question import questions_digest
from rag_evals.evals.runs.environment import git_state, installed_versions
from rag_evals.evals.runs.evaluation import evaluation_from_json, evaluation_to_json
from rag_evals.evals.runs.run_folder import RunFolder
from rag_evals.evals.runs.undecided import all_undecided
from rag_evals.evals.trackers.guard import Guard
from rag_evals.evals.trackers.options import started_guards, tracker_options
from rag_evals.rag.identity import canonical

# Hears of each report with events of ours: the report, its evaluations as JSON, and how many of them are new.
Listener = Callable[[pytest.TestReport, Sequence[str], int], None]


class Recorder:
    """Writes events to the run folder, and has the trackers follow it.

    Args:
        config: Pytest's configuration.
        session: The session; its settings are read when the first event comes, so that a session without
            evals is never troubled by them.
        listen: Hears of each report.

    Attributes:
        folder: The run folder; None before the first event.
        stale: Ids of questions that were not asked.
        crashed: Why tests had no report of their own, by node id.
        trouble: Why traces end early; "" when they do not.
        unsent: What trackers did not send, in lines with the command that does.
    """

    def __init__(self, config: pytest.Config, session: EvalsSession, listen: Listener) -> None:
        self._config = config
        self._session = session
        self._listen = listen
        self.folder: RunFolder | None = None
        self.stale: set[str] = set()
        self.trouble = ""
        self.unsent: tuple[str, ...] = ()
        self.crashed: dict[str, str] = {}
        # What is to be evaluated; written with the first event that makes a run.
        self._asked: str | None = None
        # What a run that goes on has already.
        self._recorded: frozenset[str] = frozenset()
        # Hashes of what was recorded, with its test; of what describes pipelines and judges, alone.
        self._seen: set[int] = set()
        self._guards: list[Guard] = []

    def record(self, report: pytest.TestReport) -> None:
        """Take our events off the report and record them."""
        ours = take_events(report)
        self.stale |= {event.text for event in ours if event.kind == STALE_EVENT}
        if not ours:
            return
        for event in ours:
            if event.kind == ASKED_EVENT and self._asked is None:
                self._asked = event.text
            if event.kind == METRICS_EVENT and self._session.is_first("metrics"):
                self._session.hear_metrics(json.loads(event.text))
        ours = [event for event in ours if event.kind not in (STALE_EVENT, ASKED_EVENT, METRICS_EVENT)]
        new = self._new(ours, report)
        evaluations = [event.text for event in ours if event.kind == EVALUATION]
        self._listen(report, evaluations, sum(event.kind == EVALUATION for event in new))
        for event in new:
            self._record(event, is_from_worker=bool(worker_of(report)))

    def start(self) -> RunFolder:
        """Make the run folder, and have the trackers follow it."""
        session = self._session
        session.begin()  # the baseline is read before `latest` is this very run
        folder = RunFolder(session.settings.home)
        if session.goes_on:
            self._recorded = folder.go_on(session.goes_on.id)
        else:
            called = self._config.invocation_params
            folder.start(head_of(session, folder.path, [str(arg) for arg in called.args], called.dir))
        self._guards = started_guards(session.settings.trackers, os.environ, folder.path)
        # Where nothing is printed, or the session ends in the middle.
        self._config.add_cleanup(self._end)
        self.folder = folder
        if self._asked is not None and self._asked not in self._recorded:
            folder.append(self._asked)
        return folder

    def record_crashed(self) -> None:
        """Record the tests whose process died with them as unscored."""
        if not self.crashed:
            return  # nothing is read back for it
        asked = json.loads(self._asked)["tests"] if self._asked else ()
        evaluations = self.folder.read()[0].evaluations if self.folder else ()
        for evaluation in all_undecided(asked, evaluations, self.crashed):
            self._write(canonical(evaluation_to_json(evaluation)))

    def end_trackers(self, count: int, tell: Callable[[str], None] | None = None) -> tuple[str, ...]:
        """End the trackers of a run of `count` evaluations, and return what they have to say.

        Args:
            count: How many evaluations the run has.
            tell: Is told what is waited for; None where nobody reads it.
        """
        guards, self._guards = self._guards, []
        if not guards:
            return ()
        from rag_evals.evals.trackers.guard import finish

        ended = finish(guards, count, tell)
        self.unsent = ended.unsent
        return ended.lines

    def _end(self) -> None:
        self.end_trackers(0)
        if self.folder:
            self.folder.close()

    def _new(self, events: list[Event], report: pytest.TestReport) -> list[Event]:
        """Return the events that no earlier report carried.

        Each report of a test repeats the events of those before it, in a rerun those of all attempts; what
        describes a pipeline or a judge is sent by every worker.
        """
        test = (worker_of(report), report.nodeid)
        new, counts = [], Counter[Event]()
        for event in events:
            counts[event] += 1  # the same again is another one: a test may well evaluate twice
            mark = hash(event.text if event.kind == ABOUT else (test, event, counts[event]))
            if mark not in self._seen:
                self._seen.add(mark)
                new.append(event)
        return new

    def _record(self, event: Event, *, is_from_worker: bool) -> None:
        if event.kind == TRACE:
            self._write_trace(event.text)
        elif self._is_to_write(event.text):
            self._write(event.text)
        if event.kind == EVALUATION and is_from_worker:  # in a serial run the engine tells it
            self._session.progress.finished(evaluation_from_json(json.loads(event.text)))

    def _is_to_write(self, line: str) -> bool:
        """Return whether a line is new; the first one makes the run folder, or opens that of the run."""
        if self.folder is None:
            self._begin()
        return line not in self._recorded

    def _begin(self) -> None:
        """Make the run folder; a run that cannot be recorded at all ends here."""
        try:
            self.start()
        except OSError as error:
            self.folder = None
            where, remedy = str(self._session.settings.home), "give another folder with --evals-home"
            if isinstance(error, BlockingIOError):
                where, remedy = f"run {self._session.settings.goes_on}", "another session is at it"
            pytest.exit(
                f"evals: the record cannot be written ({where}: {error.strerror}): {remedy}",
                returncode=pytest.ExitCode.USAGE_ERROR,
            )

    def _write(self, line: str) -> None:
        """Write `line`. Where it cannot be written any more the session ends, with all that it knows."""
        if self.folder is None:
            self._begin()
        try:
            if self.folder:
                self.folder.append(line)
        except OSError as error:
            self._session.stop(f"evals: the record cannot be written any more ({error.strerror})")

    def _write_trace(self, lines: str) -> None:
        """Keep spans; a run whose traces cannot be written goes on without."""
        if self.folder is None or self.trouble:
            return
        try:
            self.folder.append_trace(lines)
        except OSError as error:
            self.trouble = f"traces.jsonl ends early: it could not be written ({error.strerror})"


def head_of(session: EvalsSession, folder: Path, args: Sequence[str], directory: Path) -> dict[str, Any]:
    """Return what the first line of `records.jsonl` says: what was asked, with what, on which machine.

    Args:
        session: The session.
        folder: The run's folder.
        args: Pytest's arguments.
        directory: The folder that it was called in.
    """
    settings = session.settings
    return {
        "args": list(args),
        # From the run folder, as all paths: records are sent to trackers, and paths of this machine are not.
        "directory": os.path.relpath(directory, folder),
        # `python -m pytest` finds modules in that folder, `pytest` does not.
        "as_module": Path(sys.argv[0]).name == "__main__.py" and not sys.flags.safe_path,
        **settings.told,
        "machine": {
            "python": platform.python_version(),
            "system": platform.platform(),
            "processors": os.cpu_count(),
        },
        "git": git_state(settings.root),
        "versions": installed_versions(),
        "offline": settings.offline,
        "trackers": tracker_options(settings.trackers, os.environ),
        "questions": [
            {"path": os.path.relpath(file, folder), "digest": questions_digest(asked)}
            for file, asked in session.questions.sets.items()
        ],
        **_logged(session),
        "stale": sorted(session.questions.stale),
        "used": [fetched.told for fetched in session.materials.used()],
        "remarks": session.materials.remarks,
    }


def _logged(session: EvalsSession) -> dict[str, Any]:
    """Return what a run of logged answers says of them; nothing of others."""
    log = session.questions.log
    return {"answers": {"digest": log.digest, **summary_to_json(log.summary)}} if log else {}
