"""What Weights & Biases costs a session, and what a session loses when it fails.

Overhead: 1,000 tests on fakes with W&B offline and without, in turn; a session without an eval, with the
option and without. Faults: each of the matrix against a loopback server, one after the other, with default
settings; beside it sessions without W&B. A wait is what a test took longer than the same test without.

    python -m benchmarks.wandb
    python -m benchmarks.wandb --markdown     # the table of the docs, from the last results
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.overhead import CONFTEST
from benchmarks.project import ASKING, SUITE, write_project, write_questions
from benchmarks.report import RESULTS, print_table, save
from tests.servers.wandb_faults import FAULTS, NOTHING, Fault, measure, outcomes_differ, without, worst_wait
from tests.servers.wandb_lab import Session, why_no_disk

PLAIN = """
def test_nothing():
    pass
"""
OFFLINE = {"WANDB_MODE": "offline"}
# Bounds that are promised: seconds.
MOST_WAIT, MOST_DELAY, MOST_OVERHEAD = 0.3, 20.0, 3.0


@dataclass(frozen=True, slots=True)
class Without:
    """What the sessions without W&B took, by the median.

    Attributes:
        session: One of them.
        to_end: Seconds from the last test to the end of the process.
    """

    session: Session
    to_end: float


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tests", type=int, default=1000, help="of the overhead")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--questions", type=int, default=60, help="to each of two pipelines, in the faults")
    parser.add_argument("--only", default="", help="faults whose names have one of these, parted by commas")
    parser.add_argument("--markdown", action="store_true", help="print the table of the last results")
    options = parser.parse_args()
    if options.markdown:
        print(markdown(json.loads((RESULTS / "wandb.json").read_text())["faults"]))
        return
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        costs = overhead(Path(folder, "overhead"), options.tests, options.runs)
        print_table([["", "value"], *([name, f"{value:,.3f}"] for name, value in costs.items())])
        faults = matrix(Path(folder), options.questions, options.only)
    if options.only:  # the others are those of the last results
        faults = {**json.loads((RESULTS / "wandb.json").read_text())["faults"], **faults}
    print()
    print_table([list(COLUMNS), *(_cells(name, row) for name, row in faults.items())])
    result = {"tests": options.tests, "runs": options.runs, "questions": options.questions, "overhead": costs}
    within = _bounds(costs, faults)
    print()
    print_table([["bound", "kept"], *([name, "yes" if kept else "NO"] for name, kept in within.items())])
    save("wandb", {**result, "load before": load, "faults": faults, "bounds": within})


# --- overhead ---


def overhead(folder: Path, tests: int, runs: int) -> dict[str, float]:
    """Run a suite with W&B offline and without, in turn, `runs` times; medians of the whole process."""
    suite, idle = folder / "suite", folder / "idle"
    for project, test in ((suite, SUITE), (idle, PLAIN)):
        project.mkdir(parents=True)
        write_project(project, CONFTEST, ASKING.format(pipeline="fake"), test)
        write_questions(project, tests)
    turns = [(_seconds(suite), _seconds(suite, "--evals-wandb=lab")) for _ in range(runs)]
    idles = [(_seconds(idle), _seconds(idle, "--evals-wandb=lab")) for _ in range(runs)]
    assert not _imports_wandb(suite), "wandb is imported into pytest's process"
    return {
        f"seconds, {tests:,} tests without W&B": median(bare for bare, _ in turns),
        f"seconds, {tests:,} tests with W&B offline": median(ours for _, ours in turns),
        "seconds more": median(ours - bare for bare, ours in turns),
        "seconds, a session without an eval": median(bare for bare, _ in idles),
        "seconds, the same with --evals-wandb": median(ours for _, ours in idles),
        "seconds more of --evals-wandb alone": median(ours - bare for bare, ours in idles),
    }


def _seconds(project: Path, *options: str) -> float:
    shutil.rmtree(project / ".rag-evals", ignore_errors=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=project, env={**os.environ, **OFFLINE}, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    assert done.returncode == 0, done.stdout
    assert "sends what is missing" not in done.stdout, done.stdout
    return seconds


def _imports_wandb(project: Path) -> bool:
    """Whether pytest's own process imports wandb; what its children do is not asked."""
    command = [sys.executable, "-X", "importtime", "-m", "pytest", "-q", "--evals-wandb=lab"]
    environment = {**os.environ, **OFFLINE}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=True)
    return bool(re.search(r"\|\s+wandb$", done.stderr, re.MULTILINE))


# --- faults ---

COLUMNS = {
    "fault": "",
    "outcomes": "outcomes",
    "worst wait, s": "worst wait of a test, s",
    "end later, s": "session ends later by, s",
    "alone after, s": "and all its processes, s",
    "arrived": "rows arrived",
    "after replay": "after a replay",
}


def matrix(folder: Path, questions: int, only: str) -> dict[str, dict[str, Any]]:
    """Measure each fault, and a session where nothing goes wrong; those that cannot be made here say why."""
    reference = _without(folder, questions)
    why_not = why_no_disk()
    rows: dict[str, dict[str, Any]] = {}
    for number, fault in enumerate((NOTHING, *FAULTS)):
        if not any(part in fault.name for part in only.split(",")):
            continue
        if fault.disk is not None and why_not:
            rows[fault.name] = {"skipped": why_not}
            continue
        rows[fault.name] = _row(fault, folder / f"fault-{number}", questions, reference)
        print(*_cells(fault.name, rows[fault.name]), sep="  ", flush=True)
    return rows


def _without(folder: Path, questions: int) -> Without:
    sessions = [without(folder / f"without-{n}", questions) for n in range(3)]
    return Without(sessions[-1], median(session.to_end for session in sessions))


def _row(fault: Fault, folder: Path, questions: int, reference: Without) -> dict[str, Any]:
    seen = measure(fault, folder, questions)
    session = seen.session
    differ = outcomes_differ(session, reference.session, is_killed=fault.kill is not None)
    return {
        "outcomes": "; ".join(differ) or "identical",
        "worst wait, s": worst_wait(session, reference.session),
        "end later, s": session.to_end - reference.to_end,
        "alone after, s": session.to_alone,
        "arrived": [seen.arrived, len(session.evaluations)],
        "after replay": "; ".join(seen.differences) or "every row once",
        "said": [_without_addresses(line) for line in session.said],
    }


def _without_addresses(line: str) -> str:
    line = re.sub(r"http://127\.0\.0\.1:\d+", "SERVER", line)
    return re.sub(r"\d{8}-\d{6}-[0-9a-f]{6}", "RUN", line)


def _bounds(costs: Mapping[str, float], faults: Mapping[str, Mapping[str, Any]]) -> dict[str, bool]:
    rows = [row for row in faults.values() if "skipped" not in row]
    waits = [row["worst wait, s"] for row in rows]
    # Work is waited for: where each request is late it takes its time.
    delays = [
        row["end later, s"] for name, row in faults.items() if "slow" not in name and "skipped" not in row
    ]
    ends = f"session ends at most {MOST_DELAY:g} s later, but on a slow network"
    return {
        f"overhead at most {MOST_OVERHEAD:g} s": costs["seconds more"] <= MOST_OVERHEAD,
        "outcomes identical": all(row["outcomes"] == "identical" for row in rows),
        f"worst wait of a test under {MOST_WAIT:g} s": all(wait < MOST_WAIT for wait in waits),
        ends: all(delay <= MOST_DELAY for delay in delays),
        "after a replay every row once": all(row["after replay"] == "every row once" for row in rows),
    }


def _cells(name: str, row: Mapping[str, Any]) -> list[str]:
    if "skipped" in row:
        return [name, f"skipped: {row['skipped']}", *[""] * (len(COLUMNS) - 2)]
    return [name, *(_cell(row[column]) for column in list(COLUMNS)[1:])]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{max(0.0, value):.2f}"
    return f"{value[0]} of {value[1]}" if isinstance(value, list) else str(value)


def markdown(faults: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table of the docs: the numbers, and what is said without the command at its end."""
    columns = ("worst wait, s", "end later, s", "alone after, s", "arrived")
    lines = [f"| | said | {' | '.join(COLUMNS[column] for column in columns)} |", f"|{'---|' * 6}"]
    for name, row in faults.items():
        if "skipped" in row:
            lines.append(f"| {name} | not measured: {row['skipped']} | | | | |")
        else:
            cells = [name, _shortened(row["said"]), *(_cell(row[column]) for column in columns)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _shortened(said: list[str]) -> str:
    lines = [re.sub(r"; `rag-evals replay.*", "", line.removeprefix("wandb: ")) for line in said]
    return (
        "; ".join(line.replace("SERVER/loopback/lab/runs/RUN", "its address") for line in lines) or "nothing"
    )


if __name__ == "__main__":
    main()
