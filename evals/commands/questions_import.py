"""`rag-evals questions import`: a question set of another tool becomes one of ours."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from evals.entries import counted, shown
from evals.errors import UsageError, printable

if TYPE_CHECKING:
    from evals.cli import Commands
    from rag.documents import Corpus


def add_to(verbs: Commands) -> None:
    """Declare `import`."""
    parser = verbs.add_parser("import", help="make a question set of a file of another tool")
    parser.add_argument("file", type=Path, metavar="FILE", help="the file, or the folder")
    parser.add_argument(
        "--format",
        default="auto",
        metavar="NAME",
        help="llamaindex, ragas, deepeval, beir, csv or huggingface (default: auto, by its content)",
    )
    parser.add_argument("--out", type=Path, default=Path("questions.jsonl"), help="default: questions.jsonl")
    parser.add_argument(
        "--docs", type=Path, metavar="PATH", help="documents in which its passages are looked for"
    )
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="FIELD=COLUMN",
        help="which column holds what, as question=Q,reference=A (csv, huggingface); fields: question, "
        "reference, contexts, document, page, tags, answerable, id",
    )
    parser.set_defaults(run=_import)


def _import(options: argparse.Namespace) -> int:
    from evals.formats import format_named
    from evals.formats.columns import parse_map
    from evals.formats.exporting import check_free
    from evals.formats.importing import import_set
    from evals.formats.recognising import format_of
    from evals.formats.shelf import Shelf
    from evals.question_sets import save_set

    if options.out.suffix.lower() != ".jsonl":
        raise UsageError(f"--out {printable(shown(options.out))}: a question set ends in .jsonl")
    check_free(options.out)
    columns = parse_map(options.map)
    form = format_of(options.file) if options.format == "auto" else format_named(options.format)
    corpus = _corpus(options.docs)
    shelf = Shelf(corpus.documents) if corpus else None
    imported = import_set(options.file, form, columns, shelf)
    save_set(options.out, imported.questions, corpus)
    source, out = printable(shown(options.file)), printable(shown(options.out))
    print(f"{counted(len(imported.questions), 'question')} of {source} ({form.description}) in {out}")
    for line in imported.lines(has_documents=shelf is not None):
        print(f"  {line}")
    return 0


def _corpus(docs: Path | None) -> Corpus | None:
    from rag.documents import read_documents

    if docs is None:
        return None
    corpus = read_documents(docs)
    for file in corpus.unreadable:
        print(printable(f"  left out: {file.name} {file.reason}"))
    return corpus
