"""A foreign file to a question set: all of it, or one error that lists everything that is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from evals.entries import Fault, counted, gather, listing, shown
from evals.errors import QuestionFileError, UsageError, printable
from evals.formats import Format
from evals.formats.items import Item, Made, question_of
from evals.formats.shelf import Shelf
from evals.questions import Question


@dataclass(frozen=True, slots=True)
class Imported:
    """What was read of a foreign file.

    Attributes:
        questions: The questions, in its order.
        twice: How many stood there a second time, word for word.
        placed: How many passages were found in the documents.
        quoted: How many are kept as the words of a document that the file names.
        loose: How many are of no known document, and are kept in the provenance.
    """

    questions: tuple[Question, ...]
    twice: int
    placed: int
    quoted: int
    loose: int

    def lines(self, has_documents: bool) -> Iterator[str]:
        """Say what was read, a line each."""
        passages = self.placed + self.quoted + self.loose
        if self.twice:
            yield f"{counted(self.twice, 'question')} left out: the same stands there before, word for word"
        if self.placed:
            yield f"{self.placed} of {counted(passages, 'passage')} found in the documents"
        if self.quoted:
            how = "not found in the documents" if has_documents else "not looked for"
            yield f"{counted(self.quoted, 'passage')} {how}: kept as a quote of the document that is named"
        if self.loose:
            hint = "not found in them" if has_documents else "--docs PATH looks for them"
            yield f"{counted(self.loose, 'passage')} of no known document ({hint}): kept in the provenance"
        if silent := sum(question.reference is None and question.answerable for question in self.questions):
            yield f"{counted(silent, 'question')} without a reference"


def import_set(
    path: Path, form: Format, columns: Mapping[str, str] | None = None, shelf: Shelf | None = None
) -> Imported:
    """Read a file or folder of another format.

    Args:
        path: The file or folder.
        form: Its format.
        columns: Which column holds what, for the formats that have columns.
        shelf: The documents in which passages are looked for.

    Raises:
        QuestionFileError: Anything is wrong with it; every problem is listed with its place.
        UsageError: Columns were told of a format without such, or are not there.
    """
    if columns and not form.has_columns:
        raise UsageError(f"--map is for csv and huggingface: the keys of {form.name} are fixed")
    tally: Counter[str] = Counter()
    made, problems = gather(_once(path, form, columns or {}, shelf, tally), _id)
    if not (made or problems):
        problems = [f"{shown(path)}: no questions in it"]
    if problems:
        headline = f"{counted(len(problems), 'problem')} in {form.description}:"
        raise QuestionFileError(listing(headline, map(printable, problems)))
    return Imported(tuple(one.question for one in made), tally["twice"], *_counts(made))


def _once(
    path: Path, form: Format, columns: Mapping[str, str], shelf: Shelf | None, tally: Counter[str]
) -> Iterator[tuple[str, Made | Fault]]:
    """Yield every question but those that stand there a second time, word for word; these are counted."""
    seen: set[str] = set()
    for place, item in form.read(path, columns):
        outcome = item if isinstance(item, Fault) else question_of(item, form.name, shelf)
        if isinstance(outcome, Made) and isinstance(item, Item) and not item.is_ours:
            id = outcome.question.id
            if id != item.id and id in seen:  # an id by content: it is the very same
                tally["twice"] += 1
                continue
            seen.add(id)
        yield place, outcome


def _id(made: Made) -> str:
    return made.question.id


def _counts(made: Iterable[Made]) -> tuple[int, int, int]:
    ones = list(made)
    return sum(o.placed for o in ones), sum(o.quoted for o in ones), sum(o.loose for o in ones)
