"""The command `label`: people judge answers of a run in a browser; their files merged and compared."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rag_evals.evals.base.errors import LabelFileError, UsageError
from rag_evals.evals.base.messages import count_of, display_path, printable
from rag_evals.evals.cli.arguments import add_baselines, add_home, named_run, write_text
from rag_evals.evals.judges.calibration.labels.agreement import agreements
from rag_evals.evals.judges.calibration.labels.draw import Draw, draw
from rag_evals.evals.judges.calibration.labels.examples import Labelled
from rag_evals.evals.judges.calibration.labels.matching import RunAnswers, stray_line, strays_of
from rag_evals.evals.judges.calibration.labels.people import merged_entries, read_people
from rag_evals.evals.questions.question import to_line
from rag_evals.evals.reports.html.labelling import labelling_html
from rag_evals.evals.reports.terminal.labels import agreement_lines, merged_lines
from rag_evals.evals.runs.run import read_run


def add_label(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs of `label`."""
    verbs = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, line, add_options in (
        ("page", "write the page that asks people of a run's answers; `label RUN` for short", _add_page),
        ("merge", "put several people's files together: the majority, ties without a label", _add_merge),
        ("agreement", "how far people agree with each other, and the judge with them", _add_agreement),
    ):
        add_options(verbs.add_parser(name, help=line))


def _add_page(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_name", metavar="RUN", help="as of report")
    parser.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="NAME",
        help="ask of this metric; may be given several times (default: all that the run has verdicts of)",
    )
    parser.add_argument(
        "--sample",
        type=int,
        default=100,
        metavar="N",
        help="ask of at most N answers a metric (default: 100)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="draw others (default: 0)")
    parser.add_argument(
        "--proportional",
        action="store_true",
        help="draw each stratum in its share (default: small ones more often, which weights make up for)",
    )
    parser.add_argument(
        "--output",
        "--out",
        dest="out",
        type=Path,
        default=Path("labels.html"),
        metavar="FILE",
        help="default: labels.html",
    )
    add_home(parser)
    add_baselines(parser)
    parser.set_defaults(run=_page)


def _page(options: argparse.Namespace) -> int:
    run = read_run(named_run(options.run_name, options.home, options.baselines))
    for note in run.notes:
        print(printable(note), file=sys.stderr)
    drawn = draw(
        run, options.metric, size=options.sample, seed=options.seed, in_proportion=options.proportional
    )
    write_text(options.out, labelling_html(drawn))
    print("\n".join(map(printable, _drawn_lines(drawn, options.out))))
    return 0


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="label files of people")


def _add_merge(parser: argparse.ArgumentParser) -> None:
    _add_files(parser)
    parser.add_argument(
        "--output",
        "--out",
        dest="out",
        type=Path,
        required=True,
        metavar="FILE",
        help="a .jsonl file",
    )
    parser.set_defaults(run=_merge)


def _merge(options: argparse.Namespace) -> int:
    if options.out.suffix.lower() != ".jsonl":
        raise UsageError(f"--output {printable(display_path(options.out))}: a merged file ends in .jsonl")
    if options.out in options.files:
        raise UsageError(f"--output {printable(display_path(options.out))}: it is one of the files to merge")
    answers = read_people(options.files)
    lines = merged_entries(answers)
    write_text(options.out, "".join(f"{to_line(line)}\n" for line in lines))
    print("\n".join(merged_lines(answers)))
    people = dict.fromkeys(v.labeller for a in answers for said in a.verdicts.values() for v in said)
    told = f"{count_of(len(lines), 'answer')} of {count_of(len(people), 'person')} ({', '.join(people)})"
    print(printable(f"{display_path(options.out)}: {told.replace('persons', 'people')}"))
    return 0


def _add_agreement(parser: argparse.ArgumentParser) -> None:
    _add_files(parser)
    parser.add_argument("--run", dest="run_name", metavar="RUN", help="the labelled run, for its judge")
    add_home(parser)
    add_baselines(parser)
    parser.set_defaults(run=_agreement)


def _agreement(options: argparse.Namespace) -> int:
    answers = read_people(options.files)
    evaluations = None
    if options.run_name:
        run = read_run(named_run(options.run_name, options.home, options.baselines))
        evaluations = run.answers
        _check_run(run.name, [answer.example for answer in answers], RunAnswers(evaluations))
    print("\n".join(agreement_lines(agreements(answers, evaluations))))
    return 0


def _check_run(name: str, examples: Sequence[Labelled], there: RunAnswers) -> None:
    """Say which labelled answers are not in the run.

    Raises:
        LabelFileError: None of them is.
    """
    strays = strays_of(there, examples)
    count = len({example.question.id for example in examples})
    if strays:
        line = printable(f"run {name}: {stray_line(strays, count)}")
        if len(strays) == count:
            raise LabelFileError(f"{line}\ngive the run that was labelled with --run, or leave --run out")
        print(line, file=sys.stderr)


def _drawn_lines(drawn: Draw, file: Path) -> list[str]:
    by_metric = ", ".join(f"{name} {count:,} of {whole:,}" for name, (count, whole) in drawn.counts.items())
    return [
        f"{display_path(file)}: {count_of(len(drawn.answers), 'answer')} of run {drawn.run} ({by_metric})",
        *(f"  left out: {line}" for line in drawn.left_out),
        "Open it in a browser; what it saves is for rag-evals calibrate --labels, pytest --evals-labels and "
        "rag-evals label agreement.",
    ]
