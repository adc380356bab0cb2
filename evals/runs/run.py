"""Runs read back from their folders: what another process wrote, perhaps not to its end."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, overload

from rag_evals.evals.base.errors import RunFileError
from rag_evals.evals.base.files import next_lines, open_plain, whole_lines
from rag_evals.evals.base.messages import first_names, listing, printable
from rag_evals.evals.runs.evaluation import Evaluation, evaluation_from_json, last_attempts
from rag_evals.evals.runs.header import (
    COMPONENTS,
    ComponentInfo,
    RunHeader,
    component_from_json,
    header_from_json,
)
from rag_evals.evals.runs.record_lines import NOT_JSON, parse_line
from rag_evals.evals.runs.undecided import asked_in, never_reached

RECORDS = "records.jsonl"
# The link to the newest run.
LATEST = "latest"
LISTED = 10


@dataclass(frozen=True, slots=True)
class Records:
    """The file that a run was read from.

    Attributes:
        file: The file.
        count: Number of whole lines; whatever a run that is still going adds later is not read.
        is_finished: Whether there is a last line; a run without one was killed, or is still going.
        is_cut: Whether the file ends in the middle of a line.
    """

    file: Path
    count: int
    is_finished: bool
    is_cut: bool

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.file.parent

    def events(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Return each line, as it is and as JSON, without holding more than one."""
        for line in islice(whole_lines(self.file), self.count):
            yield line.decode(), json.loads(line)


# Of a run that was read from no file.
IN_MEMORY = Records(Path(os.devnull), 0, is_finished=True, is_cut=False)


@dataclass(frozen=True, slots=True)
class Run:
    """A run, or a baseline.

    Attributes:
        name: The run's id, with its shard if it is one; of a baseline its name.
        header: Its first line.
        components: Its pipelines and judges, in the order in which they came.
        evaluations: In the order in which they were finished; of a test that was run again, the last attempt.
        notes: One line for everything that is wrong with it: damaged, not finished, empty.
        records: The file that it was read from.
        attempts: The evaluations of attempts that were followed by another one; when strictly read they are
            among the others.
    """

    name: str
    header: RunHeader
    components: tuple[ComponentInfo, ...]
    evaluations: Sequence[Evaluation]
    notes: tuple[str, ...] = ()
    records: Records = IN_MEMORY
    attempts: tuple[Evaluation, ...] = ()

    @property
    def pipelines(self) -> tuple[ComponentInfo, ...]:
        """Its pipelines."""
        return tuple(one for one in self.components if one.kind == "pipeline")

    @property
    def judges(self) -> tuple[ComponentInfo, ...]:
        """Its judges."""
        return tuple(one for one in self.components if one.kind == "judge")


class StoredEvaluations(Sequence[Evaluation]):
    """The evaluations of a checked file, parsed anew whenever they are gone through: none of them is held."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def __iter__(self) -> Iterator[Evaluation]:
        return (evaluation_from_json(e) for _, e in self._records.events() if e["type"] == "evaluation")

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, place: int) -> Evaluation: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Evaluation]: ...

    def __getitem__(self, place: int | slice) -> Evaluation | Sequence[Evaluation]:
        return tuple(self)[place]


def read_run(path: Path, *, strict: bool = False) -> Run:
    """Read a run, as far as it can be read; what is wrong with it is among its notes.

    Args:
        path: A run folder, or a file of records such as a baseline.
        strict: Whether to take nothing but a file whose whole lines are all in order. Nothing is said of its
            end then, an evaluation that is there twice stays twice, and evaluations are read from the file
            whenever they are gone through.

    Raises:
        RunFileError: There is no run in it, or it is of another schema; when strict, lines of it are damaged:
            each is named.
    """
    file = path / RECORDS if path.is_dir() or strict else path
    found = _Reading(is_strict=strict)
    try:
        with open_plain(file) as opened:
            for line in next_lines(opened):
                found.take(line)
            count, rest = found.count, opened.read()
    except OSError as error:
        raise RunFileError(f"{printable(str(file))} cannot be read: {error.strerror}") from error
    if rest and not strict:  # an editor may have taken the line's end
        found.take(rest)
    _check_begun(file, found)
    records = Records(file, count, found.is_finished, is_cut=bool(rest))
    name, components = _name_of(file, found.header), tuple(found.components)
    if strict:
        return Run(name, found.header, components, StoredEvaluations(records), records=records)
    lost = () if found.is_finished else never_reached(found.asked, found.evaluations)
    counted, attempts = last_attempts((*found.evaluations, *lost))
    evaluations, doubled = _last_of_each(counted)
    notes = (
        *found.header.notes,
        *_unfinished(file, found),
        *_not_finite(file, found.not_finite),
        *doubled,
        *(() if evaluations else ("there is no evaluation in it",)),
    )
    return Run(name, found.header, components, evaluations, notes, records, attempts)


def find_run(text: str, home: Path, baselines: Path | None = None) -> Path:
    """Return the folder of the run that `text` names, or the file of the baseline.

    A run is named by its folder, its records, its id or `latest`; a baseline by its name or its file.

    Args:
        text: What was asked for; a folder that exists wins over an id, an id over a baseline's name, and that
            over another file.
        home: Folder of runs.
        baselines: Folder of baselines; None where only a run will do.

    Raises:
        RunFileError: There is no such run; says where it was looked for, and what there is.
    """
    runs = home / "runs"
    for path in (Path(text), runs / text):
        folder = path.parent if path.name == RECORDS else path
        if folder.name == LATEST and not _is_link_beside(folder):
            is_here = folder.parent.resolve() == runs.resolve() or os.path.lexists(folder)
            if is_here and (newest := _newest(folder.parent)):
                return newest
            if folder.is_symlink():
                continue
        if _is_file(folder / RECORDS):
            return folder
    if baselines is not None:
        for file in (baselines / f"{text}.jsonl", Path(text)):
            if _is_file(file):
                return file
    raise RunFileError(_not_found(text, home, baselines))


def _is_link_beside(latest: Path) -> bool:
    """Return whether `latest` leads to a run that is there, in its own folder: to nothing else it may."""
    try:
        target = latest.readlink()
    except OSError:
        return False
    return target.name == str(target) and _is_file(latest.parent / target / RECORDS)


def _newest(runs: Path) -> Path | None:
    """Return the newest run: a `latest` that is no link, as after a copy, would be the same for ever."""
    # Ids begin with the time; what is called otherwise, as a merged run may be, comes before.
    found = [file.parent for file in runs.glob(f"*/{RECORDS}") if not file.parent.is_symlink()]
    named = [(folder.name[:8].isdigit(), folder.name, folder) for folder in found if folder.name != LATEST]
    return max(named)[-1] if named else None


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
    lines = [f"  {what} there: {first_names(names) or 'none'}" for what, names in found]
    return "\n".join(map(printable, (looked, *lines)))


def _names(folder: Path, pattern: str, name: Callable[[Path], str]) -> list[str]:
    return sorted({name(file) for file in folder.glob(pattern)}, reverse=True)


# --- a whole run ---


class _Reading:
    """Takes the lines of a file, and holds what a run is made of.

    Args:
        is_strict: Whether to go on behind a damaged line, to find them all, and to hold no evaluations.
    """

    def __init__(self, *, is_strict: bool) -> None:
        self.is_strict = is_strict
        self.count = 0
        self.header = RunHeader()
        self.components: list[ComponentInfo] = []
        self.evaluations: list[Evaluation] = []
        self.asked: list[Mapping[str, Any]] = []
        self.is_finished = False
        # By numbers from 1: what is wrong with damaged lines, and lines with NaN or an infinity.
        self.problems: dict[int, str] = {}
        self.not_finite: list[int] = []

    def take(self, line: bytes) -> None:
        """Take the next line."""
        self.count += 1
        if self.problems and not self.is_strict:
            return
        try:
            parsed = parse_line(line, is_first=self.count == 1)
        except ValueError as error:
            self.problems[self.count] = str(error)
            return
        if self.count == 1:
            self.header = header_from_json(parsed.event)
        if parsed.event["type"] in COMPONENTS:
            self.components.append(component_from_json(parsed.event))
        self.asked += asked_in(parsed.event)
        if parsed.evaluation and not self.is_strict:
            self.evaluations.append(parsed.evaluation)
        if not parsed.is_finite:
            self.not_finite.append(self.count)
        self.is_finished = self.is_finished or parsed.event["type"] == "end"


def _check_begun(file: Path, found: _Reading) -> None:
    """Hold a file to what cannot be done without.

    Raises:
        RunFileError: There is no first line, or it is none; when strict, any line is damaged.
    """
    name = printable(str(file))
    if found.problems and found.is_strict:
        raise RunFileError(
            listing(
                f"{count_lines(len(found.problems))} of a run cannot be read:",
                (f"{name}:{number}: {problem}" for number, problem in found.problems.items()),
                LISTED,
            )
        )
    if not found.count or (found.count == 1 and found.problems.get(1) == NOT_JSON):
        raise RunFileError(f"{name} has no whole line: the run was killed as it began")
    if 1 in found.problems:
        raise RunFileError(f"{name}:1: {found.problems[1]}")


def _name_of(file: Path, header: RunHeader) -> str:
    if file.name != RECORDS:
        return printable(file.stem)
    run = printable(file.parent.name if header.run is None else header.run)
    return f"{run} ({header.shard})" if header.shard else run


def _last_of_each(evaluations: Iterable[Evaluation]) -> tuple[tuple[Evaluation, ...], list[str]]:
    """Return each evaluation once, and a note on those that were there more often."""
    found: dict[tuple[str, str, int, str], Evaluation] = {}
    twice: dict[str, None] = {}
    for evaluation in evaluations:
        key = (evaluation.pipeline, evaluation.question.id, evaluation.repeat, evaluation.test)
        if found.pop(key, None) is not None:
            twice[f"{key[0]} {key[1]}" + (f" repeat {key[2]}" if key[2] else "")] = None
        found[key] = evaluation
    if not twice:
        return tuple(found.values()), []
    what = "an evaluation is" if len(twice) == 1 else f"{len(twice)} evaluations are"
    note = f"{what} there more than once, and the last counts: {first_names(twice)}"
    return tuple(found.values()), [note]


def _unfinished(file: Path, found: _Reading) -> list[str]:
    for number, problem in found.problems.items():
        behind = found.count - number
        what = "is damaged" if behind else "is damaged or half-written"
        lost = (
            f"; {count_lines(behind)} behind it {'is' if behind == 1 else 'are'} left out" if behind else ""
        )
        read = f"read up to there, {count_lines(number - 1)}{lost}"
        return [f"{printable(file.name)}:{number} {what} ({problem}): {read}"]
    return [] if found.is_finished else ["it was not finished: it is read as far as it goes"]


def _not_finite(file: Path, numbers: Sequence[int]) -> list[str]:
    """Return which lines had NaN or an infinity in them."""
    if not numbers:
        return []
    lines = "line" if len(numbers) == 1 else "lines"
    shown = first_names([str(number) for number in numbers])
    name = printable(file.name)
    return [f"{name}: NaN or an infinity in {lines} {shown}: a score without a number is unscored"]


def count_lines(count: int) -> str:
    """Return how many lines."""
    return "a line" if count == 1 else f"{count} lines"
