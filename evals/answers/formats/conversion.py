"""Files of other tools to a log of answers: what can be read is kept, and the rest is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any

from rag_evals.evals.answers.formats import FORMATS, Format, PlacedLines, keys_of
from rag_evals.evals.answers.formats.line import Skipped
from rag_evals.evals.answers.formats.places import Places
from rag_evals.evals.answers.formats.records import SUFFIXES, files_of, read_records
from rag_evals.evals.answers.lines import Masking, parse_logged
from rag_evals.evals.answers.logged_answer import logged_to_json
from rag_evals.evals.answers.masking import Mask, mask_line, masking_of
from rag_evals.evals.base.errors import QuestionFileError, UsageError
from rag_evals.evals.base.files import new_path
from rag_evals.evals.base.messages import NAMED, count_of, display_path, listing, printable
from rag_evals.evals.questions.entries import Fault
from rag_evals.evals.questions.question import to_line

# Records of a file by which its format is told.
_LOOKED_AT = 20


@dataclass(slots=True)
class ImportedAnswers:
    """What was read of the files of another tool.

    Attributes:
        count: The answers that were written.
        without_contexts: How many of them do not tell the passages.
        skipped: By reason, how many traces are no answer and where the first of them stands.
        problems: What is wrong with what could not be read, with its place; the first ones.
        problem_count: How many problems there are.
        masked: How many places were masked, by what they were; None when nothing was asked for.
    """

    count: int = 0
    without_contexts: int = 0
    skipped: dict[str, tuple[int, str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    problem_count: int = 0
    masked: Counter[str] | None = None

    def lines(self) -> Iterator[str]:
        """Yield what was read, a line each."""
        yield from self._skipped()
        if self.without_contexts:
            yield (
                f"{count_of(self.without_contexts, 'answer')} without passages, which the files do not tell: "
                "what is held against passages stays unscored"
            )
        if self.masked is not None:
            yield printable(mask_line(self.masked))
        if self.problem_count:
            headline = f"{count_of(self.problem_count, 'problem')}; what they are in is left out:"
            yield from self._listing(headline).split("\n")

    def _listing(self, headline: str) -> str:
        more = self.problem_count - NAMED
        shown = [*map(printable, self.problems), *([f"and {more:,} more"] if more > 0 else [])]
        return listing(headline, shown)

    def error(self, description: str) -> QuestionFileError:
        """Return the error of files without any answer."""
        if self.problem_count:
            headline = f"nothing was read as {description}: {count_of(self.problem_count, 'problem')}:"
            return QuestionFileError(self._listing(headline))
        headline = f"no answer in what was read as {description}" + (":" if self.skipped else "")
        return QuestionFileError(listing(headline, self._skipped()))

    def _skipped(self) -> Iterator[str]:
        for reason, (count, first) in self.skipped.items():
            yield printable(f"{count:,} skipped: {reason} (first at {first})")


def import_answers(
    path: Path, form: Format, output: Path, mask: Mask | None = None, places: Places | None = None
) -> ImportedAnswers:
    """Write the answers of a file or a folder as a log of answers, whole or not at all.

    What cannot be read is left out and said; nothing else is lost by it.

    Args:
        path: The file or folder.
        form: Its format.
        output: The log to write.
        mask: What is masked in it.
        places: Where in traces question, answer and passages stand, where that is not seen.

    Raises:
        QuestionFileError: There is no answer in it; what is wrong is listed.
        UsageError: `output` cannot be written, or places are told of what is no trace.
    """
    if places and not form.has_places:
        raise UsageError(f"--map says where in a trace something stands, and {form.description} are none")
    masking = masking_of(mask)
    found = ImportedAnswers(masked=masking.counts if masking else None)
    try:
        with new_path(output) as scratch:
            with scratch.open("w", encoding="utf-8", newline="") as file:
                _write(form.read(files_of(path), places or {}), file, masking, found)
            if not found.count:
                raise found.error(form.description)
    except OSError as error:
        name = printable(display_path(output))
        raise UsageError(f"--output {name}: cannot be written: {error.strerror or error}") from error
    return found


def _write(lines: PlacedLines, file: IO[str], masking: Masking | None, found: ImportedAnswers) -> None:
    for place, line in lines:
        logged = _read(masking(line) if masking else line) if isinstance(line, dict) else line
        if isinstance(logged, Skipped):
            count, first = found.skipped.get(logged.reason, (0, place))
            found.skipped[logged.reason] = (count + 1, first)
        elif isinstance(logged, Fault):
            _note(found, place, logged)
        else:
            file.write(f"{to_line(logged)}\n")
            found.count += 1
            found.without_contexts += "contexts" not in logged


def _read(line: Mapping[str, Any]) -> dict[str, Any] | Fault:
    """Return a line in the form in which logs have it."""
    logged = parse_logged(line)
    if isinstance(logged, Fault):
        return logged
    # An id that was made of the line is made anew whenever it is read.
    return {key: value for key, value in logged_to_json(logged).items() if key != "id" or "id" in line}


def _note(found: ImportedAnswers, place: str, fault: Fault) -> None:
    for problem in _problems(place, fault):
        found.problem_count += 1
        if len(found.problems) < NAMED:
            found.problems.append(problem)


def _problems(place: str, fault: Fault) -> list[str]:
    """Return what is wrong with its place; what concerns a file as a whole names it already."""
    return [f"{place}: {problem}" if place else problem for problem in fault.problems]


def format_of(path: Path) -> Format:
    """Return the format of a file, or of the files of a folder.

    Raises:
        QuestionFileError: There is no such file, or it is a log of answers already.
        UsageError: Its format cannot be told, or files of several lie in a folder.
    """
    name = printable(display_path(path))
    if not path.exists():
        raise QuestionFileError(f"{name}: no such file or folder")
    files = files_of(path)
    if not files:
        raise QuestionFileError(f"{name}: no file in this folder that ends in {', '.join(SUFFIXES)}")
    forms: dict[str, tuple[Format, Path]] = {}
    unknown: list[str] = []
    for file in files:
        form = _of_file(file, unknown)
        if form is not None:
            forms.setdefault(form.name, (form, file))
    if len(forms) > 1:
        several = [f"{printable(display_path(file))}: {form.description}" for form, file in forms.values()]
        raise UsageError(
            listing(f"{name}: files of several tools; import each by itself, or say --format:", several)
        )
    if not forms:
        raise UsageError(_unknown(name, unknown))
    return next(iter(forms.values()))[0]


def _of_file(file: Path, unknown: list[str]) -> Format | None:
    """Return the format that the first records of a file fit; what they are else is put to `unknown`."""
    name = printable(display_path(file))
    found = list(islice(read_records(file), _LOOKED_AT))
    whole = [record for _, record in found if isinstance(record, dict)]
    faults = [_problems(place, record) for place, record in found if isinstance(record, Fault)]
    for form in FORMATS:
        if any(map(form.fits, whole)):
            return form
    if whole and not isinstance(parse_logged(whole[0]), Fault):
        raise QuestionFileError(
            f"{name} is a log of answers already: pytest --evals-answers reads it as it is"
        )
    unknown.append(_found_in(name, whole, faults))
    return None


def _found_in(name: str, whole: Sequence[Mapping[str, Any]], faults: Sequence[Sequence[str]]) -> str:
    """Return what was found in a file that no format fits."""
    return (
        faults[0][0] if faults and not whole else f"{name}: {keys_of(whole[0]) if whole else 'it is empty'}"
    )


def _unknown(name: str, unknown: list[str]) -> str:
    known = [f"{form.name}: {form.description}" for form in FORMATS]
    headline = f"{name}: which tool wrote it cannot be told; found:"
    found = listing(headline, map(printable, unknown), most=NAMED)
    return "\n".join((found, listing("known, by --format:", known)))
