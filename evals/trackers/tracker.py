"""What a tracker is: seven calls, made in a process of its own from the records of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import printable

GROUP = "rag_evals.trackers"
# Not among the installed ones: a checkout that was updated has them without being installed anew.
BUNDLED = (
    EntryPoint("wandb", "rag_evals.evals.trackers.wandb.run:WandbTracker", GROUP),
    EntryPoint("otlp", "rag_evals.evals.trackers.otlp:OtlpTracker", GROUP),
)


def unheard(text: str) -> None:
    """Take what nobody is there to hear."""


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """What a tracker is told of a run as it begins.

    Attributes:
        id: The run's own; the same when it is sent again.
        name: For people.
        group: What it belongs to; None for nothing.
        pipeline: The only pipeline in it; None for all of the session.
        folder: The run folder, in which the tracker may keep its own files.
        options: What the tracker itself was told.
        columns: Names of the columns of the rows.
        used: Artifacts of W&B that the run was made from, as `ENTITY/PROJECT/NAME:VERSION`.
        is_offline: Whether no connection but loopback is allowed.
        is_replay: Whether the records are those of a run that is over.
        seconds: What the end may take; None for no bound.
        moved: Tells that something has moved, and in words how far it is: without it a tracker is given up in
            the end, when none of these calls returns for a while.
    """

    id: str
    name: str
    group: str | None
    pipeline: str | None
    folder: Path
    options: Mapping[str, Any]
    columns: tuple[str, ...]
    used: tuple[str, ...] = ()
    is_offline: bool = False
    is_replay: bool = False
    seconds: float | None = None
    moved: Callable[[str], None] = unheard


@dataclass(frozen=True, slots=True)
class TrackedTable:
    """Rows to look at.

    Attributes:
        name: What the table is called.
        columns: Names of the columns.
        rows: The cells of each row, in the order of the columns: texts, numbers, truth values, None.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[Sequence[Any], ...]


@dataclass(frozen=True, slots=True)
class TrackedFile:
    """Files to keep with the run.

    Attributes:
        name: What the collection of their versions is called.
        kind: What they are: `dataset`, `index`, `run-records`, `judge-card`, `report`.
        paths: The files, by their names in the collection.
        aliases: Names of this version besides the tracker's own for the newest.
        is_used: Whether the run was made from them; else they were made by the run.
        about: What is known of them.
        table: What is in them, to look at; of tables of the same name the run has one with the rows of all.
    """

    name: str
    kind: str
    paths: Mapping[str, Path]
    aliases: tuple[str, ...] = ()
    is_used: bool = False
    about: Mapping[str, Any] | None = None
    table: TrackedTable | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How the run ended.

    Attributes:
        verdict: PASS, INCONCLUSIVE or BLOCK; None where it was held to nothing, or was killed.
        lines: What was decided, for people.
        is_finished: Whether its session came to its end.
        means: Mean of each metric, by pipeline; None without a value.
        values: Values of each metric that has some, by metric.
        columns: Names of the columns of `rows`, with all stages that occurred.
        rows: All rows.
        report: The HTML report; None where it could not be made.
    """

    verdict: str | None
    lines: tuple[str, ...]
    is_finished: bool
    means: Mapping[str, Mapping[str, float | None]]
    values: Mapping[str, Sequence[float]]
    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    report: Path | None


class Tracker(Protocol):
    """Takes one run. Every call may block or raise: no test waits for it, and the records have it all."""

    def start(self, run: TrackedRun) -> None:
        """Begin the run, or go on with it where it was begun before."""

    def config(self, values: Mapping[str, Any]) -> None:
        """Add to what the run is made of: nested JSON without secrets."""

    def row(self, row: Mapping[str, Any], scalars: Mapping[str, float], step: int) -> None:
        """Take one evaluation: its row, and the scalars behind it.

        Args:
            row: One cell a column.
            scalars: Its scores, and the means of all until now.
            step: How many came before it; a tracker that has it passes it over.
        """

    def summary(self, values: Mapping[str, Any]) -> None:
        """Take what the run comes to as a whole: texts, numbers, None where there is no value."""

    def file(self, file: TrackedFile) -> None:
        """Keep files with the run."""

    def finish(self, ending: Ending) -> None:
        """End the run, and wait until all of it has arrived.

        Raises:
            TrackerError: Not all of it has.
        """

    def where(self) -> Sequence[str]:
        """Return in a line or more where the run can be seen."""


class TrackerError(Exception):
    """Raised by a tracker when something did not arrive; the message is for people, one line."""


TrackerFactory = Callable[[], Tracker]


def known_trackers() -> Mapping[str, EntryPoint]:
    """Return the trackers by name: ours, and the entry points that are installed."""
    return {point.name: point for point in (*entry_points(group=GROUP), *BUNDLED)}


def tracker_for(name: str) -> TrackerFactory:
    """Return what makes trackers of this name.

    Raises:
        UsageError: There is none of that name, or it cannot be imported.
    """
    found = known_trackers()
    if name not in found:
        known = ", ".join(sorted(found)) or "none"
        raise UsageError(f"unknown tracker {name!r}: there are {known} (entry points of group {GROUP})")
    try:
        factory: TrackerFactory = found[name].load()
    except Exception as error:  # whatever its module does when it is imported
        raise UsageError(
            f"tracker {name!r} cannot be loaded: {printable(f'{type(error).__name__}: {error}')}"
        ) from error
    return factory
