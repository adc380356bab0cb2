"""A question set to a file or folder of another format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from evals.entries import counted, quoted, shown
from evals.errors import UsageError, printable
from evals.formats import Format, deepeval
from evals.formats.items import passages_of
from evals.questions import Question


def export_set(questions: Sequence[Question], form: Format, path: Path) -> tuple[str, ...]:
    """Write questions as another format has them, whole or not at all.

    Args:
        questions: The questions.
        form: The format.
        path: What to write; nothing may be there yet, but for an empty folder where a folder is written.

    Returns:
        A line for each thing that the reader of the file should know.

    Raises:
        UsageError: Something is at `path`, its ending is not one of the format, or it cannot be written.
    """
    if path.suffix.lower() not in form.suffixes:
        endings = ", ".join(suffix or "a folder" for suffix in form.suffixes)
        raise UsageError(f"--out {printable(shown(path))}: {form.name} is written as {endings}")
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
        raise UsageError(f"--out {printable(shown(path))} is there already: remove it, or give another name")


def _notes(questions: Sequence[Question], form: Format, path: Path) -> Iterator[str]:
    unquoted = sum(any(not source.quote for source in question.sources) for question in questions)
    if unquoted and form.name not in ("csv", "huggingface"):
        yield f"{counted(unquoted, 'question')} with a source without a quote: no passage of it is written"
    if form.name == "beir" and (bare := sum(not passages_of(question) for question in questions)):
        yield f"{counted(bare, 'question')} without a passage: among the queries, not in the qrels"
    parted = sum(deepeval.DELIMITER in p.text for question in questions for p in passages_of(question))
    if parted and form.name == "deepeval" and path.suffix.lower() == ".csv":
        yield (
            f"{counted(parted, 'passage')} with {quoted(deepeval.DELIMITER)} in it: there DeepEval parts the "
            "passages of a cell; .json keeps them whole"
        )
