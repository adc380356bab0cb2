"""Question sets in other tools' formats: a module a format, and the table of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import quoted
from rag_evals.evals.questions.entries import Fault
from rag_evals.evals.questions.formats import beir, csv_questions, deepeval, huggingface, llamaindex, ragas
from rag_evals.evals.questions.formats.foreign_question import ForeignQuestion
from rag_evals.evals.questions.question import Question

Read = Callable[[Path, Mapping[str, str]], Iterator[tuple[str, ForeignQuestion | Fault]]]
Write = Callable[[Sequence[Question], Path], None]


@dataclass(frozen=True, slots=True)
class Format:
    """One format of question sets.

    Attributes:
        name: What it is called on the command line.
        description: What it is, in a few words.
        suffixes: The endings of what it is written as; "" is a folder.
        read: Yields the items of a file or folder with their places, or what is wrong with them; its second
            argument says which column holds what.
        write: Writes questions, whole or not at all.
        has_columns: Whether its columns may be called as anybody likes.
    """

    name: str
    description: str
    suffixes: tuple[str, ...]
    read: Read
    write: Write
    has_columns: bool = False


FORMATS = (
    Format(
        llamaindex.NAME,
        "a LabelledRagDataset of LlamaIndex",
        (".json",),
        llamaindex.read,
        llamaindex.write,
    ),
    Format(ragas.NAME, "a test set of ragas", (".jsonl", ".json", ".csv"), ragas.read, ragas.write),
    Format(deepeval.NAME, "goldens of DeepEval", (".json", ".jsonl", ".csv"), deepeval.read, deepeval.write),
    Format(beir.NAME, "a BEIR folder: queries, corpus and qrels", ("",), beir.read, beir.write),
    Format("csv", "a CSV", (".csv",), csv_questions.read, csv_questions.write, True),
    Format(
        "huggingface",
        "Parquet as Hugging Face's datasets has it",
        (".parquet", ""),
        huggingface.read,
        huggingface.write,
        True,
    ),
)


def format_named(name: str) -> Format:
    """Return the format of a name.

    Raises:
        UsageError: There is none.
    """
    for form in FORMATS:
        if form.name == name:
            return form
    known = ", ".join(form.name for form in FORMATS)
    raise UsageError(f"no format is called {quoted(name)}; known are {known}")
