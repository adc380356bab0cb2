"""A run that a session goes on with: what it has already is given again, and the rest is made."""

from __future__ import annotations

import os
import shlex
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import listing, printable
from rag_evals.evals.engine.task import Task
from rag_evals.evals.judges.judge import Judge
from rag_evals.evals.runs.evaluation import Evaluation, evaluation_from_json
from rag_evals.evals.runs.header import ComponentKind
from rag_evals.evals.runs.run import Run, find_run, read_run
from rag_evals.evals.runs.undecided import was_made
from rag_evals.rag.answer import Pipeline
from rag_evals.rag.identity import canonical


@dataclass(frozen=True, slots=True)
class RecordedEvaluation:
    """An evaluation as it stands in the records.

    Attributes:
        evaluation: The same.
        text: Its line.
    """

    evaluation: Evaluation
    text: str


class InterruptedRun:
    """The run, and what of it counts.

    Args:
        name: Its id, or `latest`.
        home: The folder of runs and indexes.
        asked: What this session is asked for, by name.

    Attributes:
        id: The run's id.

    Raises:
        UsageError: There is no such run, it is finished, or it was asked for something else.
    """

    def __init__(self, name: str, home: Path, asked: Mapping[str, Any]) -> None:
        folder = find_run(name, home).resolve()
        if folder.parent != (home / "runs").resolve():
            raise UsageError(
                printable(f"run {name} is none of {home / 'runs'}: a session goes on with its own")
            )
        run = read_run(folder)
        check_interrupted(run)
        _check_asked(run, asked)
        self.id = folder.name
        self._prints: dict[tuple[str, str], set[str]] = {}
        for one in run.components:
            self._prints.setdefault((one.kind, one.name), set()).add(one.fingerprint)
        self._found: dict[tuple[object, ...], deque[RecordedEvaluation]] = {}
        self._rejudged: set[tuple[object, ...]] = set()
        self._asks: set[tuple[object, ...]] = set()
        for line in run.records.lines():
            if line.kind == "rejudged" and line.event:
                self._rejudged.add(_ask(evaluation_from_json(line.event)))
            elif (evaluation := line.evaluation) and was_made(evaluation):
                key = (evaluation.test, evaluation.attempt, *_ask(evaluation))
                self._found.setdefault(key, deque()).append(RecordedEvaluation(evaluation, line.text))
                self._asks.add(_ask(evaluation))

    def take(
        self, test: str, task: Task, parts: Sequence[tuple[ComponentKind, str, Pipeline | Judge]]
    ) -> RecordedEvaluation | None:
        """Return the next evaluation that the test has of this task; None where it is to be made.

        Args:
            test: The test's id.
            task: What is to be evaluated.
            parts: The pipeline and the judge that a run tells of it, with their names.

        Raises:
            UsageError: Pipeline or judge are not those that the run began with.
        """
        for kind, name, part in parts:
            known = self._prints.get((kind, name), {part.fingerprint})
            if part.fingerprint not in known:
                raise UsageError(
                    f"{kind} {printable(name)} is not what it was when run {self.id} began: put it back, or "
                    "begin a new run, for which the cache has what did not change"
                )
        kept = self._found.get((test, task.attempt, *_ask_of(task)))
        if not kept or any((kind, name) not in self._prints for kind, name, _ in parts):
            return None
        old, new = kept[0].evaluation.question, task.question
        is_same = (old.question, old.reference, old.answerable) == (
            new.question,
            new.reference,
            new.answerable,
        )
        return kept.popleft() if is_same else None

    def has(self, task: Task) -> bool:
        """Return whether the run has an evaluation of this task, in whichever test."""
        return _ask_of(task) in self._asks

    def has_rejudged(self, task: Task) -> bool:
        """Return whether the baseline's answer to this task was judged anew."""
        return _ask_of(task) in self._rejudged


def continue_command(folder: Path) -> str:
    """Return the command that goes on with the run in `folder`, for the folder that we are in."""
    home = folder.parents[1]
    is_default = home == Path.cwd() / ".rag-evals"
    return f"rag-evals continue {folder.name}" + (
        "" if is_default else f" --home {shlex.quote(os.path.relpath(home))}"
    )


def check_interrupted(run: Run) -> None:
    """Hold a run to having been interrupted.

    Raises:
        UsageError: It was not: there is nothing to go on with.
    """
    if run.records.is_finished and not run.records.is_interrupted:
        raise UsageError(f"run {run.name} is finished: there is nothing to go on with")


def _ask(evaluation: Evaluation) -> tuple[object, ...]:
    return evaluation.pipeline, evaluation.question.id, evaluation.repeat, evaluation.is_retrieval


def _ask_of(task: Task) -> tuple[object, ...]:
    return task.name, task.question.id, task.repeat, task.is_retrieval


def _check_asked(run: Run, asked: Mapping[str, Any]) -> None:
    then = run.header.line
    others = [
        printable(f"{name}: {canonical(then.get(name))} then, {canonical(now)} now")
        for name, now in asked.items()
        if then.get(name) != now
    ]
    if others:
        raise UsageError(listing(f"run {run.name} cannot go on, as it was asked for something else:", others))
