"""Runs read back from their folders: what another process wrote, perhaps not to its end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, overload

from rag_evals.evals.base.errors import RunFileError
from rag_evals.evals.base.files import next_lines, open_plain, whole_lines
from rag_evals.evals.base.messages import first_names, listing, printable
from rag_evals.evals.runs.evaluation import Evaluation, last_attempts
from rag_evals.evals.runs.header import ComponentInfo, RunHeader
from rag_evals.evals.runs.lines.reader import NOT_JSON, RecordLine, read_lines
from rag_evals.evals.runs.lines.reading import (
    LISTED,
    Reading,
    count_lines,
    damage_notes,
    lost_evaluations,
    not_finite_notes,
)
from rag_evals.evals.runs.undecided import was_made

RECORDS = "records.jsonl"
# The link to the newest run.
LATEST = "latest"
UNFINISHED = "it was not finished: it is read as far as it goes"
INTERRUPTED = "it was interrupted: it has what was finished by then"


@dataclass(frozen=True, slots=True)
class Records:
    """The file that a run was read from.

    Attributes:
        file: The file.
        count: Number of whole lines; whatever a run that is still going adds later is not read.
        is_finished: Whether there is a last line; a run without one was killed, or is still going.
        is_cut: Whether the file ends in the middle of a line.
        is_interrupted: Whether its last line says that the session ended before its last test.
        continued: Number of the line with which it last went on; 0 for a run of one session.
    """

    file: Path
    count: int
    is_finished: bool
    is_cut: bool
    is_interrupted: bool = False
    continued: int = 0

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.file.parent

    def events(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Return each line that counts, without its checksum and as JSON, without holding more than one."""
        for line in self.lines():
            if line.event:
                yield line.text, line.event

    def lines(self) -> Iterator[RecordLine]:
        """Return each line with what is wrong with it, without holding more than one."""
        return read_lines(islice(whole_lines(self.file), self.count))

    def evaluations(self) -> Iterator[tuple[RecordLine, Evaluation]]:
        """Return the lines that are evaluations which count: none that was made again as the run went on."""
        for line in self.lines():
            evaluation = line.evaluation
            if evaluation and (line.number > self.continued or was_made(evaluation)):
                yield line, evaluation


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
        lost: Those of the evaluations that were to be made and are not in the file; not when strictly read.
    """

    name: str
    header: RunHeader
    components: tuple[ComponentInfo, ...]
    evaluations: Sequence[Evaluation]
    notes: tuple[str, ...] = ()
    records: Records = IN_MEMORY
    attempts: tuple[Evaluation, ...] = ()
    lost: tuple[Evaluation, ...] = ()

    @property
    def answers(self) -> tuple[Evaluation, ...]:
        """The evaluations of answers."""
        return tuple(one for one in self.evaluations if not one.is_retrieval)

    @property
    def retrievals(self) -> tuple[Evaluation, ...]:
        """The evaluations of retrieval alone."""
        return tuple(one for one in self.evaluations if one.is_retrieval)

    @property
    def pipelines(self) -> tuple[ComponentInfo, ...]:
        """Its pipelines."""
        return tuple(one for one in self.components if one.kind == "pipeline")

    @property
    def judges(self) -> tuple[ComponentInfo, ...]:
        """Its judges, each once: what is said of one later has all that was said before."""
        judges = (one for one in self.components if one.kind == "judge")
        return tuple({(judge.name, judge.fingerprint): judge for judge in judges}.values())


class StoredEvaluations(Sequence[Evaluation]):
    """The evaluations of a checked file, parsed anew whenever they are gone through: none of them is held."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def __iter__(self) -> Iterator[Evaluation]:
        return (evaluation for _, evaluation in self._records.evaluations())

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
    found = Reading(is_strict=strict)
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
    records = Records(
        file,
        count,
        found.is_finished,
        is_cut=bool(rest),
        is_interrupted=found.is_interrupted,
        continued=found.continued,
    )
    name, components = _name_of(file, found.header), tuple(found.components)
    if strict:
        return Run(name, found.header, components, StoredEvaluations(records), records=records)
    lost = tuple(lost_evaluations(found))
    counted, attempts = last_attempts((*found.evaluations, *lost))
    evaluations, doubled = _last_of_each(counted)
    notes = (
        *found.header.notes,
        *damage_notes(file, found, is_cut=bool(rest)),
        *(() if found.is_finished else (UNFINISHED,)),
        *((INTERRUPTED,) if found.is_finished and found.is_interrupted else ()),
        *not_finite_notes(file, found.not_finite),
        *doubled,
        *(() if evaluations else ("there is no evaluation in it",)),
    )
    return Run(name, found.header, components, evaluations, notes, records, attempts, lost)


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


def _check_begun(file: Path, found: Reading) -> None:
    """Hold a file to what cannot be done without.

    Raises:
        RunFileError: There is no first line, or it is none; when strict, any line is damaged.
    """
    name = printable(str(file))
    first = found.left_out[0] if found.left_out else None
    wrong = [*((line.number, line.problem) for line in found.left_out), *found.damaged]
    if wrong and found.is_strict:
        raise RunFileError(
            listing(
                f"{count_lines(len(wrong))} of a run cannot be read:",
                (f"{name}:{number}: {problem}" for number, problem in sorted(wrong)),
                LISTED,
            )
        )
    if not found.count or (found.count == 1 and first and first.problem == NOT_JSON):
        raise RunFileError(f"{name} has no whole line: the run was killed as it began")
    if first and first.number == 1:
        raise RunFileError(f"{name}:1: {first.problem}")


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
