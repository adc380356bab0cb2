"""`rag-evals merge`: the runs of several shards become one run, and the whole is gated."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from evals.commands.folders import add_home
from evals.errors import printable

if TYPE_CHECKING:
    from evals.cli import Commands


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
    from evals.runs import find_run, read_run

    labels = load_labels(options.labels) if options.labels else ()
    runs = [read_run(find_run(text, options.home), strict=True) for text in options.runs]
    merged = merge(runs, options.out or options.home, partial=options.partial)
    for note in merged.notes:
        print(printable(note))
    print("\n".join(merged.lines(labels)))
    return 0 if merged.holds else 1
