"""Question sets in other tools' formats: a module a format, and the table of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import display_path, quoted
from rag_evals.evals.questions.formats import deepeval, llamaindex, ragas
from rag_evals.evals.questions.formats.beir import folder as beir
from rag_evals.evals.questions.formats.beir import trec
from rag_evals.evals.questions.formats.foreign_files import PlacedEntries
from rag_evals.evals.questions.formats.foreign_question import PlacedItems
from rag_evals.evals.questions.formats.table_columns import items_of
from rag_evals.evals.questions.formats.tables import csv_questions, huggingface, json_questions
from rag_evals.evals.questions.question import Question

T = TypeVar("T")
Read = Callable[[Path, Mapping[str, str]], PlacedItems]
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
        write: Writes questions, whole or not at all; None when it is only read.
    """

    name: str
    description: str
    suffixes: tuple[str, ...]
    read: Read
    write: Write | None


def _or_by_columns(read: Callable[[Path], PlacedItems], rows: Callable[[Path], PlacedEntries]) -> Read:
    """Return a reader of a format whose keys are fixed; columns that are told are read as of any table."""

    def read_either(path: Path, columns: Mapping[str, str]) -> PlacedItems:
        return items_of(lambda: rows(path), columns, display_path(path)) if columns else read(path)

    return read_either


FORMATS = (
    Format(
        llamaindex.NAME,
        "a LabelledRagDataset of LlamaIndex",
        (".json",),
        _or_by_columns(llamaindex.read, llamaindex.rows),
        llamaindex.write,
    ),
    Format(
        ragas.NAME,
        "a test set of ragas",
        (".jsonl", ".json", ".csv"),
        _or_by_columns(ragas.read, ragas.rows),
        ragas.write,
    ),
    Format(
        deepeval.NAME,
        "goldens of DeepEval",
        (".json", ".jsonl", ".csv"),
        _or_by_columns(deepeval.read, deepeval.rows),
        deepeval.write,
    ),
    Format(beir.NAME, "a BEIR folder: queries, corpus and qrels", ("",), beir.read, beir.write),
    Format(trec.NAME, "judgements as TREC has them", trec.SUFFIXES, trec.read, trec.write),
    Format("csv", "a CSV", (".csv",), csv_questions.read, csv_questions.write),
    Format(
        "huggingface",
        "Parquet as Hugging Face's datasets has it",
        (".parquet", ""),
        huggingface.read,
        huggingface.write,
    ),
    Format("json", "JSON or YAML of questions and answers", (), json_questions.read, None),
)


def format_named(name: str) -> Format:
    """Return the format of a name.

    Raises:
        UsageError: There is none.
    """
    return called(name, {form.name: form for form in FORMATS})


def called(name: str, forms: Mapping[str, T]) -> T:
    """Return the one of some formats that is called so.

    Raises:
        UsageError: None is.
    """
    if name not in forms:
        raise UsageError(f"no format is called {quoted(name)}; known are {', '.join(forms)}")
    return forms[name]
