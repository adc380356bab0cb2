"""`rag-evals questions export`: a question set for another tool."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from evals.entries import counted, shown
from evals.errors import printable

if TYPE_CHECKING:
    from evals.cli import Commands


def add_to(verbs: Commands) -> None:
    """Declare `export`."""
    parser = verbs.add_parser("export", help="write a question set for another tool")
    parser.add_argument("file", type=Path, metavar="FILE", help="the question file")
    parser.add_argument(
        "--format",
        required=True,
        metavar="NAME",
        help="llamaindex, ragas, deepeval, beir, csv or huggingface",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help="the file or folder to write")
    parser.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> int:
    from evals.formats import format_named
    from evals.formats.exporting import export_set
    from evals.questions import load_questions

    form = format_named(options.format)
    questions = load_questions([options.file])
    notes = export_set(questions, form, options.out)
    source, out = printable(shown(options.file)), printable(shown(options.out))
    print(f"{counted(len(questions), 'question')} of {source} in {out} ({form.description})")
    for note in notes:
        print(f"  {note}")
    return 0
