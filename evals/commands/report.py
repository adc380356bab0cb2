"""`rag-evals report`: a finished run once more, on the terminal or in a file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from evals.commands.folders import add_baselines, add_home, named_run
from evals.errors import UsageError, printable

if TYPE_CHECKING:
    from evals.cli import Commands
    from evals.reports.wrapping import Line
    from evals.runs import Run


def add_to(commands: Commands) -> None:
    """Declare `report`."""
    parser = commands.add_parser(
        "report", help="a finished run as text, Markdown, HTML, CSV, Parquet or JUnit"
    )
    parser.add_argument(
        "run_name",
        metavar="RUN",
        help="a run folder, its records.jsonl, a run's id, latest, wandb:[ENTITY/]PROJECT/RUN_ID, "
        "or a baseline's name or file",
    )
    parser.add_argument("--format", choices=FORMATS, default="terminal", help="default: terminal")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write to a file (default: standard output)")
    add_home(parser)
    add_baselines(parser)
    parser.set_defaults(run=_report)


def _report(options: argparse.Namespace) -> int:
    from evals.runs import read_run

    if options.format == "parquet" and options.out is None:
        raise UsageError("--format parquet is not for a terminal: name a file with --out")
    path = named_run(options.run_name, options.home, options.baselines)
    run = read_run(path)
    for note in run.notes:
        print(printable(note), file=sys.stderr)
    if options.format == "parquet":
        _write_parquet(run, options.out)
    elif options.out:
        _write(options.out, _text(options.format, run, path))
    else:
        _show(_text(options.format, run, path))
    return 0


def _text(form: str, run: Run, path: Path) -> str:
    return _html(run, path) if form == "html" else TEXTS[form](run)


def _terminal(run: Run) -> str:
    from evals.closing import closing_lines
    from evals.rules import rules_from
    from evals.ruling import rule

    # The table of no evaluation at all has no row; the run's notes say that it is empty.
    lines = closing_lines(run, rule(rules_from(run.head), run), breaches=True) if run.evaluations else []
    return "".join(f"{line.text}\n" for line in lines).rstrip("\n") + "\n" if lines else ""


def _markdown(run: Run) -> str:
    from evals.reports.markdown import run_markdown

    return run_markdown(run, [line.text for line in _gate(run)])


def _html(run: Run, path: Path) -> str:
    from evals.reports.html import run_html
    from evals.reports.waterfall import waterfalls_of

    return run_html(run, gate=_gate(run), traces=waterfalls_of(path))


def _gate(run: Run) -> list[Line]:
    """Give what is decided of the run by the conditions that it was held to."""
    from evals.closing import ruling_lines
    from evals.rules import rules_from
    from evals.ruling import rule

    return ruling_lines(rule(rules_from(run.head), run)) if run.evaluations else []


def _csv(run: Run) -> str:
    from evals.tables import to_csv

    return to_csv(run)


def _junit(run: Run) -> str:
    from evals.reports.junit import run_junit

    return run_junit(run)


FORMATS = ("terminal", "markdown", "html", "csv", "junit", "parquet")
# Those that are made of the records alone.
TEXTS: Mapping[str, Callable[[Run], str]] = {
    "terminal": _terminal,
    "markdown": _markdown,
    "csv": _csv,
    "junit": _junit,
}


def _show(text: str) -> None:
    # What documents and models say must not drive a terminal; a file or a pipe gets it as it is.
    is_seen = sys.stdout.isatty()
    text = "\n".join(map(printable, text.split("\n"))) if is_seen else text
    coding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(coding, "backslashreplace").decode(coding))


def _write(file: Path, text: str) -> None:
    try:
        # newline: the same bytes on every system.
        file.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    except OSError as error:
        raise _unwritable(file, error) from error


def _write_parquet(run: Run, file: Path) -> None:
    from evals.tables import write_parquet

    try:
        write_parquet(run, file)
    except OSError as error:
        raise _unwritable(file, error) from error


def _unwritable(file: Path, error: OSError) -> UsageError:
    name = printable(str(file))
    return UsageError(f"{name} cannot be written: {error.strerror}: give another file with --out")
