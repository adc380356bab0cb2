"""Logs and results of other tools: a module a format, and the table of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_evals.evals.answers.formats import deepeval, ragas
from rag_evals.evals.answers.formats.line import Skipped
from rag_evals.evals.answers.formats.places import Places
from rag_evals.evals.answers.formats.records import PlacedRecords, read_records
from rag_evals.evals.answers.formats.traces import langfuse, langsmith, mlflow, otel, phoenix
from rag_evals.evals.answers.formats.traces.gathering import Gathering
from rag_evals.evals.answers.formats.traces.trace import Trace, line_of
from rag_evals.evals.base.messages import first_names, quoted
from rag_evals.evals.questions.entries import Fault
from rag_evals.evals.questions.formats import called

Line = dict[str, Any] | Fault | Skipped
PlacedLines = Iterator[tuple[str, Line]]


@dataclass(frozen=True, slots=True)
class Format:
    """One format of logged answers.

    Attributes:
        name: What it is called on the command line.
        description: What it is, in a few words.
        fits: Returns whether a record is one of it.
        read: Yields the lines of logged answers that files come to, with their places, or what is wrong; its
            second argument says where in traces question, answer and passages stand.
        has_places: Whether that can be said: whether records are parts of traces.
    """

    name: str
    description: str
    fits: Callable[[Mapping[str, Any]], bool]
    read: Callable[[Sequence[Path], Places], PlacedLines]
    has_places: bool


def _of_records(
    name: str,
    description: str,
    fits: Callable[[Mapping[str, Any]], bool],
    lines: Callable[[Mapping[str, Any]], Iterable[Line]],
) -> Format:
    """Return a format whose records are an answer, or several, each by itself."""

    def read(files: Sequence[Path], _: Places) -> PlacedLines:
        for place, record in _fitting(files, fits, description):
            if isinstance(record, Fault):
                yield place, record
            else:
                yield from ((place, line) for line in lines(record))

    return Format(name, description, fits, read, has_places=False)


def _of_traces(
    name: str,
    description: str,
    fits: Callable[[Mapping[str, Any]], bool],
    parts: Callable[[Mapping[str, Any]], Iterable[tuple[str, dict[str, Any]]]],
    trace: Callable[[str, Sequence[Mapping[str, Any]]], Trace],
) -> Format:
    """Return a format whose records are parts of traces, in any order."""

    def read(files: Sequence[Path], places: Places) -> PlacedLines:
        with closing(Gathering()) as gathering:
            for place, record in _fitting(files, fits, description):
                if isinstance(record, Fault):
                    yield place, record
                elif problem := _gathered(gathering, place, parts(record)):
                    yield place, problem
            for id, place, found in gathering.traces():
                yield place, line_of(trace(id, found), places)

    return Format(name, description, fits, read, has_places=True)


def _gathered(gathering: Gathering, place: str, found: Iterable[tuple[str, dict[str, Any]]]) -> Fault | None:
    is_any = False
    for id, part in found:
        is_any = True
        try:
            gathering.add(id, place, part)
        except UnicodeEncodeError:
            return Fault(("the id of its trace holds half of a surrogate pair, which is no character",))
    return None if is_any else Fault(("no id of a trace in it",))


def _fitting(
    files: Sequence[Path], fits: Callable[[Mapping[str, Any]], bool], description: str
) -> PlacedRecords:
    for file in files:
        for place, record in read_records(file):
            is_other = isinstance(record, dict) and not fits(record)
            yield place, Fault((f"not {description}: {keys_of(record)}",)) if is_other else record


def keys_of(record: object) -> str:
    """Return the names of what a record holds, for a message."""
    names = [quoted(str(key)) for key in record] if isinstance(record, dict) else []
    return f"it has {first_names(names)}" if names else "it is empty"


FORMATS = (
    _of_traces(otel.NAME, "spans of OpenTelemetry (OTLP)", otel.fits, otel.parts, otel.trace),
    _of_traces(mlflow.NAME, "traces of MLflow", mlflow.fits, mlflow.parts, mlflow.trace),
    _of_traces(langsmith.NAME, "runs of LangSmith", langsmith.fits, langsmith.parts, langsmith.trace),
    _of_traces(phoenix.NAME, "spans of Phoenix", phoenix.fits, phoenix.parts, phoenix.trace),
    _of_traces(langfuse.NAME, "an export of Langfuse", langfuse.fits, langfuse.parts, langfuse.trace),
    _of_records(deepeval.NAME, "test cases of DeepEval", deepeval.fits, deepeval.lines),
    _of_records(ragas.NAME, "samples of ragas", ragas.fits, ragas.lines),
)
"""All formats; of two that a record fits, the first is the one that says more of it."""


def format_named(name: str) -> Format:
    """Return the format of a name.

    Raises:
        UsageError: There is none.
    """
    return called(name, {form.name: form for form in FORMATS})
