"""`rag-evals merge`: the runs of several shards become one run, and the whole is gated."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from evals.commands.folders import add_home, named_run
from evals.errors import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evals.cli import Commands
    from evals.labels import Labelled
    from evals.ruling import Ruling
    from evals.runs import Run


def add_to(commands: Commands) -> None:
    """Declare `merge`."""
    parser = commands.add_parser(
        "merge", help="join the runs of several shards into one run, and hold the whole to its thresholds"
    )
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="a run folder, its records.jsonl, a run's id, or latest"
    )
    parser.add_argument("--partial", action="store_true", help="do without shards that are missing")
    parser.add_argument("--labels", type=Path, help="people's verdicts on answers of these runs")
    parser.add_argument("--out", type=Path, help="folder of runs that gets the new one (default: --home)")
    add_home(parser)
    parser.set_defaults(run=_merge)


def _merge(options: argparse.Namespace) -> int:
    from evals.labels import load_labels
    from evals.merging import merge
    from evals.rules import rules_from
    from evals.ruling import rule
    from evals.runs import read_run

    labels = load_labels(options.labels) if options.labels else ()
    runs = [read_run(named_run(text, options.home), strict=True) for text in options.runs]
    whole = merge(runs, options.out or options.home, partial=options.partial)
    ruling = rule(rules_from(whole.head), whole)
    for note in whole.notes:
        print(printable(note))
    print("\n".join(merged_lines(whole, ruling, labels)))
    return 0 if holds(whole, ruling) else 1


def merged_lines(whole: Run, ruling: Ruling, labels: Sequence[Labelled] = ()) -> list[str]:
    """Return the summary that pytest would have printed; breaches are listed in all modes.

    Args:
        whole: The run that was made of several.
        ruling: What was decided of it.
        labels: People's verdicts on answers of the runs.
    """
    from evals.closing import closing_lines

    lines = closing_lines(whole, ruling, breaches=True, labels=labels)
    return [*(line.text for line in lines), f"run: {printable(str(whole.records.folder))}"]


def holds(whole: Run, ruling: Ruling) -> bool:
    """Tell whether pytest would have ended with status 0."""
    is_strict = ruling.rules.mode == "strict"
    return not ruling.fails and not (is_strict and any(e.breaches for e in whole.evaluations))
