"""The command `questions pool`: passages that nobody has judged, for labelling, and the labels as sources."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.files import replace_file
from rag_evals.evals.base.messages import count_of, display_path, printable
from rag_evals.evals.cli.arguments import add_home, named_run
from rag_evals.evals.questions.formats.conversion import check_free
from rag_evals.evals.questions.load import load_questions
from rag_evals.evals.questions.question import Question, to_line
from rag_evals.evals.questions.rewrite import QuestionFile, read_writable
from rag_evals.evals.retrieval.pool import labelled_questions, pooled_passages, read_labels
from rag_evals.evals.runs.run import Run, read_run
from rag_evals.rag.answer import Context


def add_pool(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `questions pool`."""
    parser.epilog = (
        "write a number at the relevance of each passage that you have looked at, 0 for one of no use, "
        "and give the file back with --apply"
    )
    parser.add_argument(
        "names",
        nargs="+",
        metavar="RUN",
        help="a run folder, a run's id, or latest; with --apply the question file",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="the pool to write, ending in .jsonl")
    parser.add_argument(
        "--depth",
        type=int,
        default=10,
        metavar="N",
        help="how many passages of a pipeline are looked at (default: 10)",
    )
    parser.add_argument(
        "--questions",
        type=Path,
        metavar="FILE",
        help="the question file, whose sources say what is judged (default: as they were in each run)",
    )
    parser.add_argument(
        "--apply", type=Path, metavar="POOL", help="make sources of what is labelled in this file"
    )
    add_home(parser)
    parser.set_defaults(run=_pool)


def _pool(options: argparse.Namespace) -> int:
    if options.apply:
        return _apply(options)
    if options.out is None or options.out.suffix.lower() != ".jsonl":
        raise UsageError("questions pool needs --out FILE, which ends in .jsonl, or --apply POOL")
    if options.depth < 1:
        raise UsageError(f"--depth {options.depth}: passages are counted from 1")
    check_free(options.out)
    runs = {name: read_run(named_run(name, options.home)) for name in options.names}
    newer = {one.id: one for one in load_questions([options.questions])} if options.questions else None
    found = list(_found(runs, newer))
    if not found:
        raise UsageError("nothing to pool: no answer of these runs has passages")
    pooled = pooled_passages(found, options.depth)
    replace_file(options.out, "".join(f"{to_line(one.to_json())}\n" for one in pooled))
    passages = count_of(len(pooled), "passage")
    questions = count_of(len({one.question.id for one in pooled}), "question")
    print(printable(f"{passages} of {questions} in {display_path(options.out)}: nobody has judged them"))
    return 0


def _found(
    runs: Mapping[str, Run], newer: Mapping[str, Question] | None
) -> Iterator[tuple[Question, str, Sequence[Context]]]:
    """Yield what each pipeline found; one that is in several runs is named with its run."""
    times = Counter(name for run in runs.values() for name in {one.pipeline for one in run.evaluations})
    for run_name, run in runs.items():
        for one in run.evaluations:
            question = one.question if newer is None else newer.get(one.question.id)
            if question is None or one.answer is None or not one.answer.contexts:
                continue
            name = one.pipeline if times[one.pipeline] == 1 else f"{Path(run_name).name}:{one.pipeline}"
            yield question, name, one.answer.contexts


def _apply(options: argparse.Namespace) -> int:
    if len(options.names) != 1:
        raise UsageError("questions pool --apply POOL takes one question file")
    path = Path(options.names[0])
    # Read before the questions are: what is written later is held against these bytes.
    file = read_writable(path)
    questions = load_questions([path])
    labels, rest = read_labels(options.apply)
    changes = labelled_questions(questions, labels)
    if changes:
        replace_file(path, QuestionFile(path, file.data).with_changes(changes), before=file.data)
    told = f"{count_of(len(labels), 'label')}, {count_of(len(changes), 'question')} changed"
    print(printable(f"{told} in {display_path(path)}{f'; {rest} not labelled' if rest else ''}"))
    return 0
