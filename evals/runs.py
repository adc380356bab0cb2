"""Runs read back from their folders: what another process wrote, perhaps not to its end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from evals.entries import few
from evals.errors import RunFileError, printable
from evals.records import Evaluation, evaluation_from_json
from evals.replacing import next_lines, whole_lines
from evals.run_lines import LISTED, Lines, checked, count_lines, read_lines, readable
from evals.sharding import Shard
from evals.trackers.references import is_reference

RECORDS = "records.jsonl"


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run in its folder; its evaluations stay there until they are asked for.

    Attributes:
        path: The run's folder.
        head: The first line: settings, arguments, machine.
        abouts: What describes pipelines and judges, in the order in which they came.
        is_finished: Whether there is a last line; a run without one was killed, or is still going.
        is_cut: Whether the file ends in the middle of a line.
        count: Number of whole lines; whatever a run that is still going adds later is not read.
    """

    path: Path
    head: Mapping[str, Any]
    abouts: tuple[Mapping[str, Any], ...]
    is_finished: bool
    is_cut: bool
    count: int

    @property
    def name(self) -> str:
        """The run's id, with its shard if it is one."""
        run = printable(str(self.head.get("run", self.path.name)))
        return f"{run} ({self.shard})" if self.shard else run

    @property
    def shard(self) -> Shard | None:
        """Which part of the questions it evaluated; None for all of them."""
        given = self.head.get("shard")
        return Shard(*given) if given else None

    def events(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Give each line, as it is and as JSON, without holding more than one."""
        for line in islice(whole_lines(self.path / RECORDS), self.count):
            yield line.decode(), json.loads(line)

    def evaluations(self) -> Iterator[Evaluation]:
        """Give the evaluations in the order in which they were finished, without holding more than one."""
        return (evaluation_from_json(event) for _, event in self.events() if event["type"] == "evaluation")


@dataclass(frozen=True, slots=True)
class RunData:
    """Everything of a run, or of a baseline, in memory.

    Attributes:
        name: The run's id, with its shard if it is one; of a baseline its name.
        head: The first line: settings and versions.
        abouts: What describes pipelines and judges.
        evaluations: Each of the run once, in the order in which they were finished.
        notes: One line for everything that is wrong with it: damaged, not finished, empty.
    """

    name: str
    head: Mapping[str, Any]
    abouts: tuple[Mapping[str, Any], ...]
    evaluations: tuple[Evaluation, ...]
    notes: tuple[str, ...] = ()


def load_run(path: Path) -> RunData:
    """Read a whole run, as far as it can be read.

    Args:
        path: A run folder, or a file of records such as a baseline.

    Raises:
        RunFileError: There is no run in it, or it is of another schema.
    """
    file = path / RECORDS if path.is_dir() else path
    lines = read_lines(file)
    head = lines.events[0]
    evaluations, doubled = _last_of_each(
        evaluation_from_json(event) for event in lines.events if event["type"] == "evaluation"
    )
    return RunData(
        name=_name_of(file, head),
        head=head,
        abouts=tuple(event for event in lines.events if event["type"] in ("pipeline", "judge")),
        evaluations=evaluations,
        notes=(
            *(str(note) for note in head.get("notes") or ()),
            *_unfinished(lines),
            *_not_finite(file, lines.not_finite),
            *doubled,
            *(() if evaluations else ("there is no evaluation in it",)),
        ),
    )


def read_run(path: Path) -> StoredRun:
    """Read the run in the folder `path` once, from its first line to its last whole one.

    Raises:
        RunFileError: There is no run, it is of another schema, or lines of it are damaged; each is named.
    """
    file = path / RECORDS
    head: Mapping[str, Any] = {}
    abouts: list[Mapping[str, Any]] = []
    problems: list[str] = []
    is_finished, number = False, 0
    with readable(file), file.open("rb") as opened:
        for number, line in enumerate(next_lines(opened), 1):
            try:
                event = checked(line, is_first=number == 1)
            except ValueError as error:
                problems.append(f"  {printable(str(file))}:{number}: {error}")
                continue
            head = event if number == 1 else head
            if event["type"] in ("pipeline", "judge"):
                abouts.append(event)
            is_finished = is_finished or event["type"] == "end"
        is_cut = bool(opened.read(1))
    if problems:
        raise RunFileError(_listed(f"{count_lines(len(problems))} of a run cannot be read", problems))
    if not head:
        raise RunFileError(f"{printable(str(file))} has no whole line: the run was killed as it began")
    return StoredRun(path, head, tuple(abouts), is_finished, is_cut, number)


def find_run(text: str, home: Path, baselines: Path | None = None) -> Path:
    """Give the folder of the run that `text` names, or the file of the baseline.

    A run is named by its folder, its records, its id, `latest`, or a reference to W&B, from where it is then
    fetched; a baseline by its name or its file.

    Args:
        text: What was asked for; a folder that exists wins over an id, an id over a baseline's name, and that
            over another file.
        home: Folder of runs.
        baselines: Folder of baselines; None where only a run will do.

    Raises:
        RunFileError: There is no such run; says where it was looked for, and what there is.
        UsageError: W&B does not give it.
    """
    if is_reference(text):
        from evals.trackers.using import run_of

        return run_of(text, home)
    for path in (Path(text), home / "runs" / text):
        folder = path.parent if path.name == RECORDS else path
        if _is_file(folder / RECORDS):
            return folder
    if baselines is not None:
        for file in (baselines / f"{text}.jsonl", Path(text)):
            if _is_file(file):
                return file
    raise RunFileError(_not_found(text, home, baselines))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or one with a NUL
        return False


def _not_found(text: str, home: Path, baselines: Path | None) -> str:
    runs = home / "runs"
    looked = f"no run {text!r}: it is no folder with a {RECORDS}, no such file, and no run in {runs}"
    found = [("runs", _names(runs, f"*/{RECORDS}", lambda file: file.parent.name))]
    if baselines is not None:
        looked += f" or baseline in {baselines}"
        found.append(("baselines", _names(baselines, "*.jsonl", lambda file: file.stem)))
    lines = [f"  {what} there: {few(names) or 'none'}" for what, names in found]
    return "\n".join(map(printable, (looked, *lines)))


def _names(folder: Path, pattern: str, name: Callable[[Path], str]) -> list[str]:
    return sorted({name(file) for file in folder.glob(pattern)}, reverse=True)


# --- a whole run ---


def _name_of(file: Path, head: Mapping[str, Any]) -> str:
    if file.name != RECORDS:
        return printable(file.stem)
    shard = head.get("shard")
    run = printable(str(head.get("run", file.parent.name)))
    return f"{run} ({Shard(*shard)})" if shard else run


def _last_of_each(evaluations: Iterable[Evaluation]) -> tuple[tuple[Evaluation, ...], list[str]]:
    """Give each evaluation once, and a note on those that were there more often."""
    found: dict[tuple[str, str, int], Evaluation] = {}
    twice: dict[str, None] = {}
    for evaluation in evaluations:
        key = (evaluation.pipeline, evaluation.question.id, evaluation.repeat)
        if found.pop(key, None) is not None:
            twice[f"{key[0]} {key[1]}" + (f" repeat {key[2]}" if key[2] else "")] = None
        found[key] = evaluation
    if not twice:
        return tuple(found.values()), []
    what = "an evaluation is" if len(twice) == 1 else f"{len(twice)} evaluations are"
    note = f"{what} there more than once, and the last counts: {few(twice)}"
    return tuple(found.values()), [note]


def _unfinished(lines: Lines) -> list[str]:
    if lines.damage:
        return [lines.damage]
    if any(event["type"] == "end" for event in lines.events):
        return []
    return ["it was not finished: it is read as far as it goes"]


def _not_finite(file: Path, numbers: Sequence[int]) -> list[str]:
    """Say which lines had NaN or an infinity in them."""
    if not numbers:
        return []
    lines = "line" if len(numbers) == 1 else "lines"
    shown = few([str(number) for number in numbers])
    name = printable(file.name)
    return [f"{name}: NaN or an infinity in {lines} {shown}: a score without a number is unscored"]


def _listed(headline: str, problems: list[str]) -> str:
    more = len(problems) - LISTED
    tail = [f"  and {more} more"] if more > 0 else []
    return "\n".join((f"{headline}:", *problems[:LISTED], *tail))
