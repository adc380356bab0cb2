"""The commands `compare`, a run beside a baseline, and `flaky`, repeats and past runs beside each other."""

from __future__ import annotations

import argparse
import math
import shutil
import sys
from pathlib import Path

from rag_evals.evals.base.errors import RunFileError, UsageError
from rag_evals.evals.base.messages import printable
from rag_evals.evals.cli.arguments import add_baselines, add_home, named_run, write_text
from rag_evals.evals.gate.comparison.compare import Comparison, compare
from rag_evals.evals.gate.comparison.pairing import of_pipeline
from rag_evals.evals.gate.flakiness import groups_of_runs
from rag_evals.evals.gate.verdict import Verdict
from rag_evals.evals.plugin.session.option_values import parse_count
from rag_evals.evals.reports.comparison_text import verdict_text
from rag_evals.evals.reports.html.page import comparison_html
from rag_evals.evals.reports.markdown import comparison_markdown
from rag_evals.evals.reports.terminal.comparison import comparison_json, comparison_lines
from rag_evals.evals.reports.terminal.flakiness import flaky_lines
from rag_evals.evals.runs.run import LATEST, RECORDS, Run, read_run

FORMATS = ("terminal", "markdown", "json", "html")
WIDTH = 100


def add_compare(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `compare`."""
    parser.epilog = "exit status: 0 PASS, 1 BLOCK, 2 INCONCLUSIVE with --strict (0 without), 4 usage"
    what = (
        "a run folder, its records.jsonl, a run's id, latest, wandb:[ENTITY/]PROJECT/RUN_ID, "
        "or a baseline's name or file"
    )
    parser.add_argument("run_name", metavar="RUN", help=what)
    parser.add_argument("base_name", metavar="BASE", help="what it is compared with, named in the same way")
    parser.add_argument("--format", choices=FORMATS, default="terminal", help="default: terminal")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write it there, not on the terminal")
    parser.add_argument(
        "--margin", default="0.05", metavar="SHARE", help="the drop that is too much (default: 0.05)"
    )
    parser.add_argument(
        "--pipeline", metavar="NAME", help="compare this pipeline only; with --base-pipeline with another one"
    )
    parser.add_argument(
        "--base-pipeline", metavar="NAME", help="the pipeline in BASE that --pipeline is compared with"
    )
    parser.add_argument("--strict", action="store_true", help="exit with 2 when it is INCONCLUSIVE")
    add_home(parser)
    add_baselines(parser)
    parser.set_defaults(run=_compare)


def _compare(options: argparse.Namespace) -> int:
    margin = parse_margin(options.margin)
    run, base = (
        read_run(named_run(text, options.home, options.baselines))
        for text in (options.run_name, options.base_name)
    )
    run, base = _chosen(options, run, base)
    comparison = compare(run, base, margin=margin)
    text = _text(options, comparison, run, base)
    if options.out:
        write_text(options.out, text)
    else:
        sys.stdout.write(text)
    if options.out or options.format != "terminal":
        said = verdict_text(comparison.gate, comparison.run, comparison.base)
        print(printable(said), file=sys.stdout if options.out else sys.stderr)
    return exit_status(comparison.gate.verdict, is_strict=options.strict)


def _chosen(options: argparse.Namespace, run: Run, base: Run) -> tuple[Run, Run]:
    """Return of both runs the pipelines that are to be compared, under one name."""
    if options.pipeline is None and options.base_pipeline is None:
        return run, base
    if options.pipeline is None:
        raise UsageError("--base-pipeline alone: name with --pipeline what it is compared with")
    name = options.pipeline
    return (
        of_pipeline(run, name, called=name),
        of_pipeline(base, options.base_pipeline or name, called=name),
    )


def parse_margin(text: str) -> float:
    """Parse the drop that is too much.

    Raises:
        UsageError: It is no number above 0 and at most 1.
    """
    try:
        margin = float(text)
    except ValueError:
        margin = math.nan
    if not 0 < margin <= 1:
        raise UsageError(f"--margin {printable(text)}: write a number above 0 and at most 1, such as 0.05")
    return margin


def exit_status(verdict: Verdict, *, is_strict: bool) -> int:
    """Return the exit status of a verdict."""
    if verdict is Verdict.INCONCLUSIVE:
        return 2 if is_strict else 0
    return 1 if verdict is Verdict.BLOCK else 0


def _text(options: argparse.Namespace, comparison: Comparison, run: Run, base: Run) -> str:
    if options.format == "html":
        return comparison_html(comparison, run, base)
    if options.format == "markdown":
        return comparison_markdown(comparison)
    if options.format == "json":
        return comparison_json(comparison)

    # A file is read anywhere: its lines do not depend on this terminal.
    width = WIDTH if options.out else shutil.get_terminal_size((WIDTH, 24)).columns
    return "".join(f"{line}\n" for line in comparison_lines(comparison, width=width))


def add_flaky(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `flaky`."""
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        help="a run folder, its records.jsonl, a run's id, or latest (default: every run in --home)",
    )
    parser.add_argument("--last", metavar="N", help="only the newest N runs in --home")
    add_home(parser)
    parser.set_defaults(run=_flaky)


def _flaky(options: argparse.Namespace) -> int:
    runs, notes = _named(options) if options.runs else _newest(options)
    for note in notes:
        print(printable(note))
    many = "1 run" if len(runs) == 1 else f"{len(runs):,} runs"
    print(f"read: {many}")
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print("\n".join(flaky_lines(groups_of_runs(runs), width=width)))
    return 0


def _named(options: argparse.Namespace) -> tuple[list[Run], list[str]]:
    """Read the runs that were named, each once.

    Raises:
        UsageError: `--last` is given as well.
        RunFileError: One of them cannot be read.
    """
    if options.last is not None:
        raise UsageError("--last counts the runs in --home: name runs, or give --last, not both")
    folders = dict.fromkeys(named_run(text, options.home).resolve() for text in options.runs)
    return [read_run(folder, strict=True) for folder in folders], []


def _newest(options: argparse.Namespace) -> tuple[list[Run], list[str]]:
    """Read the runs in the home folder; one that cannot be read is a note.

    Raises:
        UsageError: `--last` is no number from 1.
        RunFileError: There is no run at all.
    """
    last = parse_count("--last", options.last) if options.last is not None else None
    folder = options.home / "runs"
    # `latest` is a link to one of them, or where the tree was copied another copy of it.
    runs_of = (file.parent for file in folder.glob(f"*/{RECORDS}") if not file.parent.is_symlink())
    found = sorted(run for run in runs_of if run.name != LATEST)
    runs, notes = [], []
    for path in found[-last:] if last else found:
        try:
            runs.append(read_run(path, strict=True))
        except RunFileError as error:
            notes.append(f"left out: {path.name}: {str(error).splitlines()[0].rstrip(':')}")
    if not found:
        raise RunFileError(printable(f"there is no run in {folder}: name runs, or give another --home"))
    return runs, notes
