"""The command `replay`: send a recorded run to its trackers again; what is there is not doubled."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import printable
from rag_evals.evals.cli.arguments import add_home, named_run
from rag_evals.evals.runs.run import Run, read_run
from rag_evals.evals.trackers.options import WANDB, check_trackers
from rag_evals.evals.trackers.replay import replay
from rag_evals.evals.trackers.wandb.reference import parse_project


def add_replay(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `replay`."""
    parser.add_argument("run_name", metavar="RUN", help="a run folder, its records.jsonl, its id, or latest")
    parser.add_argument(
        "--wandb", metavar="[ENTITY/]PROJECT", help="send it there (default: where its session sent it)"
    )
    parser.add_argument(
        "--trackers", metavar="NAME[,NAME]", help="send it to these (default: those of its session)"
    )
    parser.add_argument(
        "--as-recorded",
        action="store_true",
        help="send a run from elsewhere to the addresses that its records name",
    )
    add_home(parser)
    parser.set_defaults(run=_replay)


def _replay(options: argparse.Namespace) -> int:
    folder = named_run(options.run_name, options.home)
    run = read_run(folder, strict=True)
    told = _trackers(run, options)
    _check_targets(run, folder, told, options)
    if not told:
        raise UsageError(f"run {run.name} was sent nowhere: say where with --wandb PROJECT")
    status = 0
    for name, its_options in told.items():
        sent = replay(run, name, its_options)
        for line in sent.lines:
            print(printable(f"{name}: {line}"))
        if sent.problem:
            print(printable(f"{name}: {sent.problem}"))
            status = 1
    return status


def _check_targets(
    run: Run, folder: Path, told: Mapping[str, Mapping[str, Any]], options: argparse.Namespace
) -> None:
    """Hold a run that came from elsewhere to what was said on the command line.

    Raises:
        UsageError: Its records name an address that nobody gave here.
    """
    is_own = folder.resolve().parent == (options.home / "runs").resolve()
    recorded = {name: its for name, its in told.items() if its == run.header.trackers.get(name) and its}
    if is_own or options.as_recorded or not recorded:
        return
    places = ", ".join(f"{name} ({_place(its)})" for name, its in recorded.items())
    raise UsageError(
        f"run {run.name} is none of {options.home / 'runs'}, and its records say where to send it: "
        f"{printable(places)}. Say where with --wandb PROJECT, or --as-recorded if you trust them"
    )


def _place(its: Mapping[str, Any]) -> str:
    where = its.get("endpoint") or "/".join(str(its[key]) for key in ("entity", "project") if its.get(key))
    return str(where or "its own settings")


def _trackers(run: Run, options: argparse.Namespace) -> Mapping[str, Mapping[str, Any]]:
    """Return what to send to, with the options of each; what is asked for goes before what the run says."""
    told: dict[str, Mapping[str, Any]] = dict(run.header.trackers)
    if options.wandb:
        entity, _, project = parse_project(options.wandb).rpartition("/")
        before, place = told.get(WANDB, {}), {"project": project, "entity": entity or None}
        if any(before.get(key) != value for key, value in place.items()):
            before = {key: value for key, value in before.items() if key != "trial"}  # it is none there
        told[WANDB] = {**before, **place}
    if options.trackers:
        names = [name.strip() for name in options.trackers.split(",") if name.strip()]
        told = {name: told.get(name, {}) for name in names}
        if WANDB in told and not told[WANDB]:
            raise UsageError("replay to wandb: say where with --wandb PROJECT")
    elif options.wandb:
        told = {WANDB: told[WANDB]}
    check_trackers(told)
    return told
