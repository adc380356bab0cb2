"""Question sets in other tools' formats: a module a format, and the table of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.entries import Fault, quoted
from evals.errors import UsageError
from evals.formats import beir, deepeval, huggingface, llamaindex, plain_csv, ragas
from evals.formats.items import Item
from evals.questions import Question

Read = Callable[[Path, Mapping[str, str]], Iterator[tuple[str, Item | Fault]]]
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
    Format("csv", "a CSV", (".csv",), plain_csv.read, plain_csv.write, True),
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
    """Give the format of a name.

    Raises:
        UsageError: There is none.
    """
    for form in FORMATS:
        if form.name == name:
            return form
    known = ", ".join(form.name for form in FORMATS)
    raise UsageError(f"no format is called {quoted(name)}; known are {known}")
