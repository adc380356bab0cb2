"""The feed from the records of a run to the calls of a tracker: the same for a run that is over."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rag_evals.evals.base.errors import EvalsError
from rag_evals.evals.gate.comparison.baseline_gate import rejudged
from rag_evals.evals.gate.comparison.comparability import corpora_of
from rag_evals.evals.judges.metrics import METRICS
from rag_evals.evals.reports.text import Line
from rag_evals.evals.runs.evaluation import Evaluation, evaluation_from_json, last_attempts
from rag_evals.evals.runs.header import (
    COMPONENTS,
    ComponentInfo,
    RunHeader,
    component_from_json,
    component_to_json,
    header_from_json,
)
from rag_evals.evals.runs.run import Run, read_run
from rag_evals.evals.runs.undecided import ASKED, CONTINUED, asked_in, was_made
from rag_evals.evals.trackers.rows import STAGES, Running, columns_for, evaluation_row, means_of, summary_of
from rag_evals.evals.trackers.run_files import digest_of, files_of
from rag_evals.evals.trackers.tracker import (
    Ending,
    TrackedFile,
    TrackedRun,
    Tracker,
    TrackerFactory,
    unheard,
)

# Of the first line of the records. The questions are told at the end, those that were asked.
NOT_TOLD = ("type", "schema", "questions")


class Feed:
    """Tells a tracker what stands in the records, line by line.

    Args:
        name: Name of the tracker; the first line of the records has its options under `trackers`.
        factory: Makes the tracker: one, or one a pipeline where the option `runs` is `pipeline`.
        folder: The run folder.
        is_replay: Whether the run is over.
        seconds: What the end may take; None for no bound.
        moved: Is told that something has moved.
    """

    def __init__(
        self,
        name: str,
        factory: TrackerFactory,
        folder: Path,
        *,
        is_replay: bool = False,
        seconds: float | None = None,
        moved: Callable[[str], None] = unheard,
    ) -> None:
        self._name = name
        self._factory = factory
        self._folder = folder
        self._is_replay = is_replay
        self._seconds = seconds
        self._moved = moved
        self._header = RunHeader()
        self._components: list[ComponentInfo] = []
        self._rejudged: list[Evaluation] = []
        self._retrieval_metrics: tuple[str, ...] = ()
        self._decision: Mapping[str, Any] = {}
        self._is_finished = False
        self._parts: dict[str | None, _Part] = {}

    @property
    def trackers(self) -> list[Tracker]:
        """Those that were begun."""
        return [part.tracker for part in self._parts.values()]

    def take(self, event: Mapping[str, Any]) -> None:
        """Take the next line; of a type that nobody knows it is passed over."""
        kind = event["type"]
        if kind == "run":
            self._header = header_from_json(event)
        elif kind in COMPONENTS:
            self._components.append(component_from_json(event))
            for part in self._parts.values():
                part.tell(self._components[-1])
        elif kind == ASKED:
            asked = {metric for test in asked_in(event) for metric in test["metrics"]}
            self._retrieval_metrics = tuple(name for name in self._header.retrieval_metrics if name in asked)
        elif kind == "evaluation":
            evaluation = evaluation_from_json(event)
            self._part_of(evaluation).take(evaluation)
        elif kind == "rejudged":
            self._rejudged.append(evaluation_from_json(event))
        elif kind == "ruling":
            self._decision = event
        elif kind == "end":
            self._is_finished = True
        elif kind == CONTINUED:
            for part in self._parts.values():
                part.go_on(was_ended=self._is_finished)
            self._is_finished = False

    def finish(self) -> None:
        """Tell the tracker what the run comes to, keep its files, and end it.

        Raises:
            Exception: Whatever a tracker raises; all of them are ended first.
        """
        problem: Exception | None = None
        with tempfile.TemporaryDirectory(dir=self._folder, prefix="sending-") as scratch:
            for number, part in enumerate(self._parts.values()):
                place = Path(scratch, str(number))
                place.mkdir()
                try:
                    part.finish(self._run(part), self._ending(part, place), place)
                except Exception as error:  # noqa: BLE001  # the other pipelines' runs are ended all the same
                    problem = problem or error
        if problem:
            raise problem

    @property
    def _options(self) -> Mapping[str, Any]:
        return self._header.trackers.get(self._name) or {}

    def _part_of(self, evaluation: Evaluation) -> _Part:
        key = evaluation.pipeline if self._options.get("runs") == "pipeline" else None
        if key not in self._parts:
            self._parts[key] = self._begun(key)
        return self._parts[key]

    def _begun(self, pipeline: str | None) -> _Part:
        name = self._header.run or self._folder.name
        metrics = (*(self._header.metrics or METRICS), *self._retrieval_metrics)
        run = TrackedRun(
            id=f"{name}-{pipeline}" if pipeline else name,
            name=f"{pipeline} {name}" if pipeline else name,
            group=name if pipeline else None,
            pipeline=pipeline,
            folder=self._folder,
            options=self._options,
            columns=columns_for(metrics),
            used=tuple(str(one["artifact"]) for one in self._header.used if "artifact" in one),
            is_offline=self._header.offline,
            is_replay=self._is_replay,
            seconds=self._seconds,
            moved=self._moved,
        )
        part = _Part(self._factory(), run, metrics)
        part.begin(self._header, self._components)
        self._moved("")
        return part

    def _run(self, part: _Part) -> Run:
        return Run(part.run.name, self._header, tuple(self._components), tuple(part.evaluations))

    def _ending(self, part: _Part, scratch: Path) -> Ending:
        metrics = part.found_metrics
        stages = dict.fromkeys((*STAGES, *(stage for e in part.evaluations for stage in e.seconds)))
        corpora = corpora_of(self._run(part).pipelines)
        lines = self._lines()
        return Ending(
            verdict=self._decision.get("verdict"),
            lines=tuple(line.text for line in lines),
            is_finished=self._is_finished,
            means=means_of(part.evaluations, part.metrics),
            values={metric: _values(part.evaluations, metric) for metric in metrics},
            columns=columns_for(metrics, tuple(stages)),
            rows=tuple(evaluation_row(e, metrics, corpora.get(e.pipeline)) for e in part.evaluations),
            report=self._report(self._run(part), lines, scratch / "report.html"),
        )

    def _lines(self) -> list[Line]:
        """Return what was decided; earlier versions recorded no more of it than its lines."""
        from rag_evals.evals.gate.decision import decision_from_json
        from rag_evals.evals.gate.rules import rules_from
        from rag_evals.evals.reports.terminal.summary import decision_lines

        if not self._decision or "lines" in self._decision:
            return [Line(str(line)) for line in self._decision.get("lines") or ()]
        evaluations = [e for part in self._parts.values() for e in part.evaluations]
        return decision_lines(decision_from_json(self._decision, rules_from(self._header), evaluations))

    def _report(self, run: Run, lines: Sequence[Line], file: Path) -> Path | None:
        from rag_evals.evals.reports.html.page import run_html
        from rag_evals.evals.reports.html.waterfall import waterfalls_of

        try:
            traces = waterfalls_of(self._folder)
            text = run_html(run, gate=lines, base=self._base(run), traces=traces)
            file.write_text(text, "utf-8", errors="backslashreplace")
        except Exception:  # noqa: BLE001  # the rest is worth having without it
            return None
        return file

    def _base(self, run: Run) -> Run | None:
        """Return what the run was held to, if it is still there."""
        path = self._decision.get("baseline")
        if not path:
            return None
        try:
            base = read_run(Path(path))
        except EvalsError:
            return None
        return rejudged(base, self._rejudged, run.judges) if self._rejudged else base


class _Part:
    """One run of a tracker: that of the session, or of one of its pipelines."""

    def __init__(self, tracker: Tracker, run: TrackedRun, metrics: tuple[str, ...]) -> None:
        self.tracker = tracker
        self.run = run
        self.metrics = metrics
        self._taken: list[Evaluation] = []
        self._step = 0
        self._columns = metrics
        self._running = Running()
        self._corpora: dict[str, frozenset[str]] = {}

    @property
    def evaluations(self) -> Sequence[Evaluation]:
        """Those that count: of a test that was run again, the last attempt."""
        return last_attempts(self._taken)[0]

    @property
    def found_metrics(self) -> tuple[str, ...]:
        """All that have a score: a judge may give others than it was asked for."""
        found = (score.metric for e in self.evaluations for score in e.scores)
        return tuple(dict.fromkeys((*self._columns, *found)))

    def begin(self, header: RunHeader, components: Iterable[ComponentInfo]) -> None:
        """Begin, and say what is known of the run."""
        self.tracker.start(self.run)
        self.tracker.config({key: value for key, value in header.line.items() if key not in NOT_TOLD})
        for one in components:
            self.tell(one)

    def tell(self, component: ComponentInfo) -> None:
        """Tell the tracker what a pipeline or a judge is made of, if it is one of this run."""
        if not self._is_ours(component):
            return
        self._corpora |= corpora_of([component])
        told = {
            key: value for key, value in component_to_json(component).items() if key not in ("type", "name")
        }
        self.tracker.config({f"{component.kind}s": {component.name: told}})

    def take(self, evaluation: Evaluation) -> None:
        """Take one evaluation."""
        row = evaluation_row(evaluation, self._columns, self._corpora.get(evaluation.pipeline))
        self.tracker.row(row, self._running.add(evaluation), self._step)
        self._taken.append(evaluation)
        self._step += 1

    def go_on(self, *, was_ended: bool) -> None:
        """Go on with a run that was interrupted: what was not made then is made again.

        Args:
            was_ended: Whether the run was ended then; the end of it has a step of its own.
        """
        self._taken = [evaluation for evaluation in self._taken if was_made(evaluation)]
        self._step += was_ended

    def finish(self, run: Run, ending: Ending, scratch: Path) -> None:
        """Tell the tracker summary and files, and end."""
        try:
            self.tracker.config({"questions": digest_of(self.evaluations)})
            summary = summary_of(self.evaluations, self.metrics)
            self.tracker.summary({**summary, "gate": ending.verdict or "none"})
            components = filter(self._is_ours, run.components)
            run_id = run.header.run or self.run.folder.name
            asked = run.header.questions
            for file in files_of(
                self.evaluations, components, self.run.folder, scratch, run_id=run_id, question_files=asked
            ):
                self.tracker.file(file)
                self.run.moved("")
            if ending.report:
                self.tracker.file(TrackedFile("report", "report", {"report.html": ending.report}))
        finally:
            self.tracker.finish(ending)

    def _is_ours(self, component: ComponentInfo) -> bool:
        return component.kind == "judge" or self.run.pipeline in (None, component.name)


def _values(evaluations: Iterable[Evaluation], metric: str) -> list[float]:
    scores = (score for e in evaluations for score in e.scores if score.metric == metric)
    return [score.value for score in scores if score.value is not None]
