"""`rag-evals compare`: a run beside a baseline, down to the question, the stage and the knob that changed."""

from __future__ import annotations

import argparse
import math
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from evals.commands.folders import add_baselines, add_home, named_run
from evals.errors import UsageError, printable

if TYPE_CHECKING:
    from evals.cli import Commands
    from evals.compare import Comparison
    from evals.runs import Run
    from evals.verdicts import Verdict

FORMATS = ("terminal", "markdown", "json", "html")
WIDTH = 100


def add_to(commands: Commands) -> None:
    """Declare `compare`."""
    parser = commands.add_parser(
        "compare",
        help="compare a run with another or with a baseline",
        epilog="exit status: 0 PASS, 1 BLOCK, 2 INCONCLUSIVE with --strict (0 without), 4 usage",
    )
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
    from evals.compare import compare
    from evals.reports.phrases import verdict_text
    from evals.runs import read_run

    margin = parse_margin(options.margin)
    run, base = (
        read_run(named_run(text, options.home, options.baselines))
        for text in (options.run_name, options.base_name)
    )
    run, base = _chosen(options, run, base)
    comparison = compare(run, base, margin=margin)
    text = _text(options, comparison, run, base)
    if options.out:
        _write(options.out, text)
    else:
        sys.stdout.write(text)
    if options.out or options.format != "terminal":
        said = verdict_text(comparison.gate, comparison.run, comparison.base)
        print(printable(said), file=sys.stdout if options.out else sys.stderr)
    return status_of(comparison.gate.verdict, is_strict=options.strict)


def _chosen(options: argparse.Namespace, run: Run, base: Run) -> tuple[Run, Run]:
    """Give of both runs the pipelines that are to be compared, under one name."""
    from evals.pairing import of_pipeline

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


def status_of(verdict: Verdict, *, is_strict: bool) -> int:
    """Give the exit status of a verdict."""
    from evals.verdicts import Verdict

    if verdict is Verdict.INCONCLUSIVE:
        return 2 if is_strict else 0
    return 1 if verdict is Verdict.BLOCK else 0


def _text(options: argparse.Namespace, comparison: Comparison, run: Run, base: Run) -> str:
    if options.format == "html":
        from evals.reports.html import comparison_html

        return comparison_html(comparison, run, base)
    if options.format == "markdown":
        from evals.reports.markdown import comparison_markdown

        return comparison_markdown(comparison)
    if options.format == "json":
        from evals.reports.comparison_json import comparison_json

        return comparison_json(comparison)
    from evals.reports.comparison import comparison_lines

    # A file is read anywhere: its lines do not depend on this terminal.
    width = WIDTH if options.out else shutil.get_terminal_size((WIDTH, 24)).columns
    return "".join(f"{line}\n" for line in comparison_lines(comparison, width=width))


def _write(file: Path, text: str) -> None:
    try:
        # newline: the same bytes on every system.
        file.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    except OSError as error:
        raise UsageError(
            f"{printable(str(file))} cannot be written: {error.strerror}: give another file with --out"
        ) from error
