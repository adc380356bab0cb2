"""The command `baseline`: runs kept as files fit for git, to hold later runs against."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from rag_evals.evals.base.errors import RunFileError, UsageError
from rag_evals.evals.base.messages import printable
from rag_evals.evals.cli.arguments import add_baselines, add_home, named_run
from rag_evals.evals.gate.comparison.baseline_gate import mean_of, metrics_of, passed, score_getter
from rag_evals.evals.gate.condition import PASS_RATE
from rag_evals.evals.reports.comparison_text import by_pipeline
from rag_evals.evals.runs.baseline_file import baseline_file, baseline_files, write_baseline
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.run import Run, read_run
from rag_evals.evals.trackers.wandb.fetch import give_aliases
from rag_evals.evals.trackers.wandb.reference import RECORDS_ARTIFACT, Reference, is_version, parse_project

# What `wandb:PROJECT/run-records:baseline` means.
WANDB_ALIAS = "baseline"


def add_baseline(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs of `baseline`."""
    verbs = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    setting = verbs.add_parser("set", help="write a run to a file fit for git, in place of the one before")
    setting.add_argument(
        "run_name",
        metavar="RUN",
        help="a run folder, its records.jsonl, a run's id, latest, wandb:[ENTITY/]PROJECT/RUN_ID, "
        "or a baseline",
    )
    setting.add_argument("--name", required=True, help="name of the baseline, such as main")
    setting.add_argument(
        "--wandb",
        nargs="?",
        const="",
        metavar="[ENTITY/]PROJECT",
        help="call it baseline at W&B as well (default: WANDB_PROJECT, or where its session sent it)",
    )
    add_home(setting)
    setting.set_defaults(run=_set)
    listing = verbs.add_parser("list", help="what baselines there are, and their means")
    listing.set_defaults(run=_list)
    for verb in (setting, listing):
        add_baselines(verb)


def _set(options: argparse.Namespace) -> int:
    run = read_run(named_run(options.run_name, options.home, options.baselines))
    # First, as it is what may go wrong: then nothing is written.
    artifact = _at_wandb(options, run) if options.wandb is not None else None
    file = write_baseline(run, options.baselines, options.name)
    for line in (f"written: {file}, of run {run.name}", *_about(run)):
        print(printable(line))
    if artifact:
        print(printable(f"wandb: {artifact} is the baseline"))
    return 0


def _at_wandb(options: argparse.Namespace, run: Run) -> str:
    """Name the records of `run` at W&B as a baseline, and return what they are called there."""
    baseline_file(options.baselines, options.name)  # what is wrong with the name is said before
    if is_version(options.name):
        raise UsageError(f"{options.name} is what W&B calls a version: give the baseline another name")
    entity, project = _project(options.wandb, run)
    reference = Reference(entity, project, RECORDS_ARTIFACT, run.header.run or run.name)
    return give_aliases(reference, tuple(dict.fromkeys((WANDB_ALIAS, options.name))))


def _project(given: str, run: Run) -> tuple[str | None, str]:
    """Return entity and project: as given, as W&B's own variables say, or where the session sent the run."""
    entity, _, project = parse_project(given).rpartition("/") if given else ("", "", "")
    sent = run.header.trackers.get("wandb") or {}
    project = project or os.environ.get("WANDB_PROJECT") or sent.get("project") or ""
    entity = entity or os.environ.get("WANDB_ENTITY") or sent.get("entity") or ""
    if not project:
        raise UsageError(f"run {run.name} was not sent to W&B: say where it is with --wandb PROJECT")
    return entity or None, project


def _list(options: argparse.Namespace) -> int:
    files = baseline_files(options.baselines)
    if not files:
        print(
            f"no baseline in {printable(str(options.baselines))}: "
            "write one with rag-evals baseline set latest --name main"
        )
    problems = []
    for file in files:
        try:
            base = read_run(file)
        except RunFileError as error:
            problems.append(str(error))
            continue
        for line in (f"{base.name}: of run {base.header.run or 'unknown'}", *_about(base)):
            print(printable(line))
    if problems:
        raise RunFileError("\n".join(problems))
    return 0


def _about(run: Run) -> list[str]:
    """Return notes, and the count and means of each pipeline."""
    lines = [f"  {note}" for note in run.notes]
    for pipeline, group in sorted(by_pipeline(run.evaluations).items()):
        questions = len({e.question.id for e in group})
        counts = f"{len(group):,} evaluation{'s' * (len(group) != 1)}"
        counts += f" of {questions:,} question{'s' * (questions != 1)}" if questions != len(group) else ""
        lines.append(f"  {pipeline}: {counts}, {', '.join(_means(group))}")
    return lines


def _means(group: Sequence[Evaluation]) -> list[str]:
    answers = [evaluation for evaluation in group if not evaluation.is_retrieval]
    found = [(PASS_RATE, mean_of(answers, passed))] if answers else []
    found += [(metric, mean_of(group, score_getter(metric))) for metric in metrics_of(group)]
    return [f"{name} {'unscored' if value is None else f'{value:.2f}'}" for name, value in found]
