"""`rag-evals questions check`: which questions still stand in the documents, and which do not."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evals.commands.folders import add_home

if TYPE_CHECKING:
    from evals.checking import Checked
    from evals.cli import Commands
    from evals.question_sets import QuestionSet
    from rag.documents import Corpus


def add_to(verbs: Commands) -> None:
    """Declare `check`."""
    parser = verbs.add_parser(
        "check", help="which questions still stand in the documents, have moved, or are out of date"
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a question file")
    parser.add_argument(
        "--docs", type=Path, required=True, metavar="PATH", help="a document or a folder of documents"
    )
    parser.add_argument(
        "--write",
        action="store_true",
        help="write the new places of what has moved, the tag `stale`, and the manifest",
    )
    add_home(parser, "the cache, which keeps the text of documents if there is one")
    parser.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    from evals.anchoring import Anchors
    from evals.checking import check_questions, outdated_refusals
    from evals.question_files import read_writable
    from evals.question_sets import load_set
    from evals.reports.checking import check_lines

    # Read before the questions are: what is written later is held against these bytes.
    file = read_writable(options.file) if options.write else None
    found = load_set(options.file)
    corpus = read_corpus(options.docs, options.home)
    anchors = Anchors(corpus, found.manifest.documents if found.manifest else None)
    checked = check_questions(found.questions, anchors)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 100
    outdated = outdated_refusals(found.questions, anchors)
    print("\n".join(check_lines(found, checked, outdated, len(corpus.documents), width)))
    if file:
        print("\n".join(_write(file.data, found, checked, corpus)))
    return 1 if any(one.is_outdated for one in checked) else 0


def read_corpus(docs: Path, home: Path) -> Corpus:
    """Read the documents, and say which give no text; a cache that is there spares the work."""
    from evals.cache import FILE, Cache
    from evals.errors import printable
    from rag.documents import read_documents

    cache = Cache(home / FILE) if (home / FILE).exists() else None
    corpus = read_documents(docs, cache)
    if cache:
        cache.close()
    for skipped in corpus.unreadable:
        print(f"left out {printable(skipped.name)}: {printable(skipped.reason)}", file=sys.stderr)
    return corpus


def _write(data: bytes, found: QuestionSet, checked: Sequence[Checked], corpus: Corpus) -> list[str]:
    """Write what has changed, and the manifest; give what was written."""
    from evals.entries import counted, shown
    from evals.errors import printable
    from evals.manifests import manifest_of, manifest_path, save_manifest
    from evals.question_files import QuestionFile
    from evals.question_sets import marked_edits
    from evals.replacing import replace_file

    questions = marked_edits([one.now for one in checked], found.edits)
    changes = {new.id: new for old, new in zip(found.questions, questions, strict=True) if new != old}
    if changes:
        replace_file(found.path, QuestionFile(found.path, data).with_changes(changes), before=data)
    save_manifest(
        found.path, manifest_of(questions, corpus, found.manifest.generator if found.manifest else None)
    )
    return [
        "",
        printable(f"written: {shown(found.path)} ({counted(len(changes), 'question')} changed)"),
        printable(f"written: {shown(manifest_path(found.path))}"),
    ]
