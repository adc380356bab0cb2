"""Conversion of foreign files to question sets: all of one, or an error that lists everything wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rag_evals.evals.base.errors import QuestionFileError, UsageError
from rag_evals.evals.base.messages import (
    NAMED,
    count_of,
    display_path,
    listing,
    printable,
    quoted,
    short_repr,
)
from rag_evals.evals.questions.entries import Fault, gather
from rag_evals.evals.questions.formats import FORMATS, Format, deepeval, format_named, ragas
from rag_evals.evals.questions.formats.beir import folder as beir
from rag_evals.evals.questions.formats.beir import trec
from rag_evals.evals.questions.formats.foreign_files import JSON, is_object, json_object
from rag_evals.evals.questions.formats.foreign_question import (
    ForeignQuestion,
    ImportedQuestion,
    Note,
    imported_question,
    question_passages,
)
from rag_evals.evals.questions.formats.passage_search import PassageSearch
from rag_evals.evals.questions.formats.tables import json_questions
from rag_evals.evals.questions.formats.tables.csv_files import TABLES, column_names
from rag_evals.evals.questions.formats.tables.huggingface import SUFFIXES, shards_of
from rag_evals.evals.questions.load import parse_question
from rag_evals.evals.questions.question import Question


@dataclass(frozen=True, slots=True)
class Imported:
    """What was read of a foreign file.

    Attributes:
        questions: The questions, in its order.
        twice: How many stood there a second time, word for word.
        placed: How many passages were found in the documents.
        quoted: How many are kept as the words of a document that the file names.
        loose: How many are of no known document, and are kept in the provenance.
        notes: What became of other parts of the file.
        skipped: What is wrong with the entries that were skipped, with their places.
    """

    questions: tuple[Question, ...]
    twice: int
    placed: int
    quoted: int
    loose: int
    notes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    def lines(self, has_documents: bool) -> Iterator[str]:
        """Yield what was read, a line each."""
        passages = self.placed + self.quoted + self.loose
        yield from self.notes
        if self.twice:
            yield f"{count_of(self.twice, 'question')} left out: the same stands there before, word for word"
        if self.placed:
            yield f"{self.placed} of {count_of(passages, 'passage')} found in the documents"
        if self.quoted:
            how = "not found in the documents" if has_documents else "not looked for"
            yield f"{count_of(self.quoted, 'passage')} {how}: kept as a quote of the document that is named"
        if self.loose:
            hint = "not found in them" if has_documents else "--docs PATH looks for them"
            yield f"{count_of(self.loose, 'passage')} of no known document ({hint}): kept in the provenance"
        if silent := sum(question.reference is None and question.answerable for question in self.questions):
            yield f"{count_of(silent, 'question')} without a reference"
        if self.skipped:
            headline = f"skipped, with {count_of(len(self.skipped), 'problem')}:"
            yield from listing(headline, self.skipped, most=NAMED).split("\n")


class SkippableError(QuestionFileError):
    """Raised for a file with something wrong in it of which other questions could be read.

    Attributes:
        others: How many.
    """

    def __init__(self, message: str, others: int) -> None:
        super().__init__(message)
        self.others = others


def import_set(
    path: Path,
    form: Format,
    columns: Mapping[str, str] | None = None,
    passage_search: PassageSearch | None = None,
    *,
    skip_bad: bool = False,
) -> Imported:
    """Read a file or folder of another format; passages are looked for in the documents of `passage_search`.

    `columns` says which column holds what, over what the format says. With `skip_bad` an entry with something
    wrong is skipped and told, unless all are.

    Raises:
        QuestionFileError: Anything is wrong with it; every problem is listed with its place.
        UsageError: Columns that were told are not there.
    """
    reading = _Reading()
    outcomes = _once(path, form, columns or {}, passage_search, reading)
    made, problems = gather(outcomes, lambda one: one.question.id)
    if not (made or problems):
        problems = [f"{display_path(path)}: no questions in it"]
    shown = tuple(map(printable, problems))
    if problems and not (skip_bad and made):
        headline = f"{count_of(len(problems), 'problem')} in {form.description}:"
        message = listing(headline, shown)
        raise SkippableError(message, len(made)) if made else QuestionFileError(message)
    questions = tuple(one.question for one in made)
    if passage_search:
        reading.add_missing(questions, passage_search)
    return Imported(questions, reading.twice, *_counts(made), tuple(reading.lines()), shown)


@dataclass(slots=True)
class _Reading:
    """What is counted while a file is read.

    Attributes:
        twice: Questions that stood there before.
        notes: Alike notes: how many, and where the first is.
    """

    twice: int = 0
    notes: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)

    def add(self, note: Note, place: str) -> None:
        """Count a note with those that are alike."""
        count, first = self.notes.get((note.noun, note.text), (0, place))
        self.notes[note.noun, note.text] = (count + note.count, first)

    def add_missing(self, questions: Iterable[Question], passage_search: PassageSearch) -> None:
        """Count the documents that are sources as a whole and are not among the documents.

        Raises:
            QuestionFileError: None is.
        """
        sources = (source for question in questions for source in question.sources)
        whole = dict.fromkeys(source.document for source in sources if source.quote is None)
        missing = [name for name in whole if not passage_search.has(name)]
        if missing and len(missing) == len(whole):
            raise QuestionFileError(
                f"none of the {count_of(len(whole), 'judged document')} is among the documents: names there "
                f"are such as {short_repr(passage_search.first)}, here {short_repr(missing[0])}"
            )
        if missing:
            self.notes["document", "judged and not among the documents"] = (len(missing), quoted(missing[0]))

    def lines(self) -> Iterator[str]:
        """Yield a line for all that are alike."""
        for (noun, text), (count, first) in self.notes.items():
            yield printable(f"{count_of(count, noun)} {text} (first at {first})" if noun else text)


def _once(
    path: Path,
    form: Format,
    columns: Mapping[str, str],
    passage_search: PassageSearch | None,
    reading: _Reading,
) -> Iterator[tuple[str, ImportedQuestion | Fault]]:
    """Yield every question but those that stand there a second time, word for word; these are counted."""
    seen: set[str] = set()
    for place, item in form.read(path, columns):
        if isinstance(item, Note):
            reading.add(item, place)
            continue
        outcome = item if isinstance(item, Fault) else imported_question(item, form.name, passage_search)
        if isinstance(outcome, ImportedQuestion) and isinstance(item, ForeignQuestion):
            id = outcome.question.id
            if id != item.id and id in seen and not item.is_ours:  # an id by content: it is the very same
                reading.twice += 1
                continue
            seen.add(id)
            for note in item.notes:
                reading.add(note, place)
        yield place, outcome


def _counts(made: Iterable[ImportedQuestion]) -> tuple[int, int, int]:
    ones = list(made)
    return sum(o.placed for o in ones), sum(o.quoted for o in ones), sum(o.loose for o in ones)


def export_set(questions: Sequence[Question], form: Format, path: Path) -> tuple[str, ...]:
    """Write questions as another format has them, whole or not at all.

    Nothing may be at `path` yet, but for an empty folder where a folder is written.

    Returns:
        A line for each thing that the reader of the file should know.

    Raises:
        UsageError: Something is at `path`, its ending is not one of the format, or it cannot be written.
    """
    if form.write is None:
        raise UsageError(f"{form.name} is only read: a question file is JSON Lines already")
    if path.suffix.lower() not in form.suffixes:
        endings = ", ".join(suffix or "a folder" for suffix in form.suffixes)
        raise UsageError(f"--out {printable(display_path(path))}: {form.name} is written as {endings}")
    check_free(path)
    form.write(questions, path)
    return tuple(_notes(questions, form, path))


def check_free(path: Path) -> None:
    """Hold a path to nothing being there but an empty folder.

    Raises:
        UsageError: Something is there.
    """
    is_empty_folder = path.is_dir() and not any(path.iterdir())
    if path.exists() and not is_empty_folder:
        raise UsageError(
            f"--out {printable(display_path(path))} is there already: remove it, or give another name"
        )


def _notes(questions: Sequence[Question], form: Format, path: Path) -> Iterator[str]:
    if form.name == trec.NAME:
        yield from trec.notes(questions)
        return
    unquoted = sum(any(not source.quote for source in question.sources) for question in questions)
    if unquoted and form.name not in ("csv", "huggingface"):
        yield f"{count_of(unquoted, 'question')} with a source without a quote: no passage of it is written"
    if form.name == "beir" and (bare := sum(not question_passages(question) for question in questions)):
        yield f"{count_of(bare, 'question')} without a passage: among the queries, not in the qrels"
    parted = sum(deepeval.DELIMITER in p.text for question in questions for p in question_passages(question))
    if parted and form.name == "deepeval" and path.suffix.lower() == ".csv":
        yield (
            f"{count_of(parted, 'passage')} with {quoted(deepeval.DELIMITER)} in it: there DeepEval parts "
            "the passages of a cell; .json keeps them whole"
        )


def format_of(path: Path) -> Format:
    """Return the format of a file or folder.

    Raises:
        QuestionFileError: There is no such file, or it is a question file already.
        UsageError: Its format cannot be told.
    """
    if not path.exists():
        raise QuestionFileError(f"{printable(display_path(path))}: no such file or folder")
    if path.suffix.lower() == ".txt" and path.is_file():
        raise QuestionFileError(_already(path))
    if path.suffix.lower() in _SPREADSHEETS:
        raise UsageError(f"{printable(display_path(path))}: a spreadsheet; save it as CSV (UTF-8)")
    name = _of_folder(path) if path.is_dir() else _of_file(path)
    if name is None:
        known = ", ".join(form.name for form in FORMATS)
        raise UsageError(
            f"{printable(display_path(path))}: which format it has cannot be told; "
            f"say --format with one of {known}"
        )
    return format_named(name)


_SPREADSHEETS = (".xlsx", ".xls", ".ods")


def _already(path: Path) -> str:
    return f"{printable(display_path(path))} is a question file already: it can be used as it is"


def _of_folder(path: Path) -> str | None:
    if beir.is_folder(path):
        return "beir"
    return "huggingface" if shards_of(path) else None


def _of_file(path: Path) -> str | None:
    suffix = path.suffix.lower()
    if suffix in trec.NAMED:
        return trec.NAME
    if suffix in SUFFIXES:
        return "huggingface"
    if suffix in TABLES:
        return _of_keys(dict.fromkeys(column_names(path), "")) or "csv"
    return _of_json(path) if suffix in JSON else None


def _of_json(path: Path) -> str:
    found = json_questions.rows(path)
    first = next((value for _, value in found if not isinstance(value, Fault | Note)), None)
    if is_object(path):
        whole = json_object(path)
        return "llamaindex" if isinstance(whole, dict) and "examples" in whole else "json"
    if isinstance(first, dict) and isinstance(parse_question(first), Question):
        raise QuestionFileError(_already(path))
    return (_of_keys(first) if isinstance(first, dict) else None) or "json"


def _of_keys(keys: Mapping[str, Any]) -> str | None:
    if "user_input" in keys or ragas.is_old(keys):
        return "ragas"
    has_golden = "input" in keys and keys.keys() & {"expected_output", "actual_output", "context"}
    return "deepeval" if has_golden or "scenario" in keys else None
