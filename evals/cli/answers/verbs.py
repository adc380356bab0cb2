"""The command `answers`: logs of answers imported, and what failed in a run made into questions."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rag_evals.evals.answers.formats import FORMATS, format_named
from rag_evals.evals.answers.formats.conversion import format_of, import_answers
from rag_evals.evals.answers.formats.places import parse_places
from rag_evals.evals.answers.lines import SUFFIXES
from rag_evals.evals.answers.masking import parse_mask
from rag_evals.evals.answers.to_questions import Added, failed_questions, new_questions
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.files import replace_file
from rag_evals.evals.base.messages import count_of, display_path, printable
from rag_evals.evals.cli.arguments import add_home, named_run
from rag_evals.evals.questions.load import load_questions
from rag_evals.evals.questions.question import Question, question_to_json, to_line
from rag_evals.evals.questions.rewrite import LINES
from rag_evals.evals.runs.run import read_run


def add_answers(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs of `answers`."""
    verbs = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, line, add_options in (
        ("import", "make a log of answers of the traces or results of another tool", _add_import),
        ("to-questions", "make questions of what failed in a run", _add_to_questions),
    ):
        add_options(verbs.add_parser(name, help=line))


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the file, or a folder of files of one tool")
    names = [form.name for form in FORMATS]
    parser.add_argument(
        "--format",
        default="auto",
        metavar="NAME",
        help=f"{', '.join(names[:-1])} or {names[-1]} (default: auto, by its content)",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("answers.jsonl"), metavar="FILE", help="default: answers.jsonl"
    )
    parser.add_argument(
        "--mask",
        action="append",
        default=[],
        metavar="WHAT",
        help="write *** in place of: secrets, emails, phones, parted by commas, or re:PATTERN for a regular "
        "expression; may be given several times",
    )
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="FIELD=PLACE",
        help="where in a trace question, answer and contexts stand that are not found by themselves, as "
        "question=input.payload.q,answer=output.reply.0.text",
    )
    parser.set_defaults(run=_import)


def _import(options: argparse.Namespace) -> int:
    output = printable(display_path(options.output))
    if options.output.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--output {output}: a log of answers ends in {' or '.join(SUFFIXES)}")
    if options.output.exists():
        raise UsageError(f"--output {output} is there already: remove it, or give another name")
    mask = parse_mask(options.mask, "--mask")
    form = format_of(options.file) if options.format == "auto" else format_named(options.format)
    found = import_answers(options.file, form, options.output, mask, parse_places(options.map))
    source = printable(display_path(options.file))
    print(f"{count_of(found.count, 'answer')} of {source} ({form.description}) in {output}")
    for line in found.lines():
        print(f"  {line}")
    return 1 if found.problem_count else 0


def _add_to_questions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="RUN", help="a run folder, a run's id, or latest")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="the question file, ending in .jsonl; questions that are in it stay, and none is added twice",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="take the questions that passed as well")
    which.add_argument(
        "--only",
        choices=("breaches", "unscored"),
        help="take only what is below a threshold or ended in an error, or only what has no verdict",
    )
    add_home(parser)
    parser.set_defaults(run=_to_questions)


def _to_questions(options: argparse.Namespace) -> int:
    output = printable(display_path(options.output))
    if options.output.suffix.lower() not in LINES:
        raise UsageError(
            f"--output {output}: questions are added to a file that ends in {' or '.join(LINES)}"
        )
    run = read_run(named_run(options.name, options.home))
    for note in run.notes:
        print(f"note: {note}")
    # Read before its questions are: what is written is held against these bytes.
    before = options.output.read_bytes() if options.output.exists() else None
    known = load_questions([options.output]) if before and before.strip() else ()
    added = new_questions(known, failed_questions(run, options.only, take_all=options.all))
    if added.questions:
        replace_file(options.output, _with(before or b"", added.questions), before=before)
    print(_said(added, output, run.name))
    return 0


def _with(before: bytes, questions: Sequence[Question]) -> str:
    """Return a file with questions behind those that are in it."""
    text = before.decode()
    gap = "" if not text or text.endswith("\n") else "\n"
    return text + gap + "".join(f"{to_line(question_to_json(question))}\n" for question in questions)


def _said(added: Added, output: str, run: str) -> str:
    if not (added.questions or added.known):
        return f"nothing to add to {output}: no question of {run} is such a one"
    twice = f"; {count_of(added.known, 'other')} stood there before" if added.known else ""
    return f"{count_of(len(added.questions), 'question')} of {run} added to {output}{twice}"
