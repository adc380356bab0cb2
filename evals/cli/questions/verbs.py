"""The command `questions`: question files checked, reviewed, audited, imported, exported and pooled."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from rag_evals.evals.base.errors import GenerationError, QuestionFileError, UsageError
from rag_evals.evals.base.files import replace_file
from rag_evals.evals.base.messages import count_of, display_path, printable
from rag_evals.evals.cli.arguments import add_home, add_reading, read_corpus
from rag_evals.evals.cli.questions.pool import add_pool
from rag_evals.evals.cli.questions.review import add_review
from rag_evals.evals.generation.audit import audit_of, audit_to_json
from rag_evals.evals.generation.work_file import work_path
from rag_evals.evals.questions.formats import format_named
from rag_evals.evals.questions.formats.conversion import (
    SkippableError,
    check_free,
    export_set,
    format_of,
    import_set,
)
from rag_evals.evals.questions.formats.passage_search import PassageSearch
from rag_evals.evals.questions.formats.table_columns import parse_map
from rag_evals.evals.questions.load import load_questions
from rag_evals.evals.questions.manifest import manifest_of, manifest_path, save_manifest
from rag_evals.evals.questions.question_set import QuestionSet, load_set, marked_edits, save_set
from rag_evals.evals.questions.rewrite import QuestionFile, read_writable
from rag_evals.evals.questions.sources.check import CheckedQuestion, check_questions, outdated_refusals
from rag_evals.evals.questions.sources.locate import SourceFinder
from rag_evals.evals.reports.terminal.question_audit import audit_lines, drop_lines
from rag_evals.evals.reports.terminal.question_check import check_lines
from rag_evals.rag.documents.document import Corpus


def add_questions(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs of `questions`."""
    verbs = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, line, add_options in (
        ("audit", "what generation kept and dropped, by rule, kind and document, with reasons", _add_audit),
        ("check", "which questions still stand in the documents, have moved, or are out of date", _add_check),
        ("review", "look at each question with its passage; keep, edit or drop it", add_review),
        ("import", "make a question set of a file of another tool", _add_import),
        ("export", "write a question set for another tool", _add_export),
        ("pool", "passages that pipelines found and nobody has judged, for labelling", add_pool),
    ):
        add_options(verbs.add_parser(name, help=line))


def _add_audit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="a question set of `rag-evals generate`")
    parser.add_argument("--drops", action="store_true", help="show each drop, with its reason and number")
    parser.add_argument(
        "--rule", metavar="NAME", help="show the drops of this rule only; `invalid` is one too"
    )
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    parser.set_defaults(run=_audit)


def _audit(options: argparse.Namespace) -> int:
    work = work_path(options.file)
    if not work.is_file():
        raise GenerationError(
            printable(
                f"{display_path(work)} is not there: an audit reads what `rag-evals generate` "
                "wrote beside a set"
            )
        )
    audit = audit_of(work)
    names = [*(rule.name for rule in audit.rules), "invalid"]
    if options.rule not in (None, *names):
        raise GenerationError(f"no rule {printable(options.rule)}: one of {', '.join(map(printable, names))}")
    width = _width()
    if options.json:
        print(json.dumps(audit_to_json(audit), indent=1))
    elif options.rule or options.drops:
        print("\n".join(drop_lines(audit, width, rule=options.rule)[1:]))
    else:
        print("\n".join(audit_lines(audit, width)))
    return 0


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="a question file")
    parser.add_argument(
        "--docs", type=Path, required=True, metavar="PATH", help="a document or a folder of documents"
    )
    parser.add_argument(
        "--write",
        action="store_true",
        help="write the new places of what has moved, the tag `stale`, and the manifest",
    )
    add_reading(parser)
    add_home(parser, "the cache, which keeps the text of documents if there is one")
    parser.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    # Read before the questions are: what is written later is held against these bytes.
    file = read_writable(options.file) if options.write else None
    found = load_set(options.file)
    corpus = read_corpus(options.docs, options.home, options.ocr, follow_links=options.follow_links)
    finder = SourceFinder(corpus, found.manifest.documents if found.manifest else None)
    checked = check_questions(found.questions, finder)
    outdated = outdated_refusals(found.questions, finder)
    print("\n".join(check_lines(found, checked, outdated, len(corpus.documents), _width())))
    if file:
        print("\n".join(_write(file.data, found, checked, corpus)))
    return 1 if any(one.is_outdated for one in checked) else 0


def _write(data: bytes, found: QuestionSet, checked: Sequence[CheckedQuestion], corpus: Corpus) -> list[str]:
    """Write what has changed, and the manifest; return what was written."""
    questions = marked_edits([one.now for one in checked], found.edits)
    changes = {new.id: new for old, new in zip(found.questions, questions, strict=True) if new != old}
    if changes:
        replace_file(found.path, QuestionFile(found.path, data).with_changes(changes), before=data)
    save_manifest(
        found.path, manifest_of(questions, corpus, found.manifest.generator if found.manifest else None)
    )
    return [
        "",
        printable(f"written: {display_path(found.path)} ({count_of(len(changes), 'question')} changed)"),
        printable(f"written: {display_path(manifest_path(found.path))}"),
    ]


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the file, or the folder")
    parser.add_argument(
        "--format",
        default="auto",
        metavar="NAME",
        help="llamaindex, ragas, deepeval, beir, trec-qrels, csv, huggingface or json (default: auto, by its "
        "content)",
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
        help="which column holds what, as question=Q,reference=A; a part of a nested one is A.B; fields: "
        "question, reference, contexts, document, page, tags, answerable, id",
    )
    parser.add_argument(
        "--skip-bad", action="store_true", help="import what can be read, and say what was skipped and why"
    )
    add_reading(parser)
    add_home(parser, "the cache, which keeps the text of documents if there is one")
    parser.set_defaults(run=_import)


def _import(options: argparse.Namespace) -> int:
    if options.out.suffix.lower() != ".jsonl":
        raise UsageError(f"--out {printable(display_path(options.out))}: a question set ends in .jsonl")
    check_free(options.out)
    columns = parse_map(options.map)
    form = format_of(options.file) if options.format == "auto" else format_named(options.format)
    corpus = (
        read_corpus(options.docs, options.home, options.ocr, follow_links=options.follow_links)
        if options.docs
        else None
    )
    passage_search = PassageSearch(corpus.documents) if corpus else None
    try:
        imported = import_set(options.file, form, columns, passage_search, skip_bad=options.skip_bad)
    except SkippableError as error:
        others = count_of(error.others, "other question")
        raise QuestionFileError(f"{error}\n--skip-bad imports the {others}") from error
    save_set(options.out, imported.questions, corpus)
    source, out = printable(display_path(options.file)), printable(display_path(options.out))
    print(f"{count_of(len(imported.questions), 'question')} of {source} ({form.description}) in {out}")
    for line in imported.lines(has_documents=passage_search is not None):
        print(f"  {line}")
    return 0


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the question file")
    parser.add_argument(
        "--format",
        required=True,
        metavar="NAME",
        help="llamaindex, ragas, deepeval, beir, trec-qrels, csv or huggingface",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help="the file or folder to write")
    parser.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> int:
    form = format_named(options.format)
    questions = load_questions([options.file])
    notes = export_set(questions, form, options.out)
    source, out = printable(display_path(options.file)), printable(display_path(options.out))
    print(f"{count_of(len(questions), 'question')} of {source} in {out} ({form.description})")
    for note in notes:
        print(f"  {note}")
    return 0


def _width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 100
