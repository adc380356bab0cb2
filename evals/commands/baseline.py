"""`rag-evals baseline`: runs kept as files fit for git, to hold later runs against."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from evals.commands.folders import add_baselines, add_home
from evals.errors import RunFileError, printable

if TYPE_CHECKING:
    from evals.cli import Commands
    from evals.runs import RunData


def add_to(commands: Commands) -> None:
    """Declare `baseline` and its verbs."""
    parser = commands.add_parser("baseline", help="keep a run as a baseline, or list the baselines")
    verbs = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    setting = verbs.add_parser("set", help="write a run to a file fit for git, in place of the one before")
    setting.add_argument(
        "run_name", metavar="RUN", help="a run folder, its records.jsonl, a run's id, latest, or a baseline"
    )
    setting.add_argument("--name", required=True, help="name of the baseline, such as main")
    add_home(setting)
    setting.set_defaults(run=_set)
    listing = verbs.add_parser("list", help="what baselines there are, and their means")
    listing.set_defaults(run=_list)
    for verb in (setting, listing):
        add_baselines(verb)


def _set(options: argparse.Namespace) -> int:
    from evals.baselines import write_baseline
    from evals.runs import find_run, load_run

    run = load_run(find_run(options.run_name, options.home, options.baselines))
    file = write_baseline(run, options.baselines, options.name)
    for line in (f"written: {file}, of run {run.name}", *_about(run)):
        print(printable(line))
    return 0


def _list(options: argparse.Namespace) -> int:
    from evals.baselines import baseline_files
    from evals.runs import load_run

    files = baseline_files(options.baselines)
    if not files:
        print(
            f"no baseline in {printable(str(options.baselines))}: "
            "write one with rag-evals baseline set latest --name main"
        )
    problems = []
    for file in files:
        try:
            base = load_run(file)
        except RunFileError as error:
            problems.append(str(error))
            continue
        for line in (f"{base.name}: of run {base.head.get('run', 'unknown')}", *_about(base)):
            print(printable(line))
    if problems:
        raise RunFileError("\n".join(problems))
    return 0


def _about(run: RunData) -> list[str]:
    """Give notes, and the count and means of each pipeline."""
    lines = [f"  {note}" for note in run.notes]
    for pipeline in sorted({evaluation.pipeline for evaluation in run.evaluations}):
        group = [e for e in run.evaluations if e.pipeline == pipeline]
        questions = len({e.question.id for e in group})
        counts = f"{len(group):,} evaluation{'s' * (len(group) != 1)}"
        counts += f" of {questions:,} question{'s' * (questions != 1)}" if questions != len(group) else ""
        lines.append(f"  {pipeline}: {counts}, {', '.join(_means(run, pipeline))}")
    return lines


def _means(run: RunData, pipeline: str) -> list[str]:
    from evals.baseline_gate import PASS_RATE, mean_of, metrics_of, passed, score_of

    group = [e for e in run.evaluations if e.pipeline == pipeline]
    found = [(PASS_RATE, mean_of(group, passed))]
    found += [(metric, mean_of(group, score_of(metric))) for metric in metrics_of(group)]
    return [f"{name} {'unscored' if value is None else f'{value:.2f}'}" for name, value in found]
