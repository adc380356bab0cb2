"""The figures of speed that are quoted, measured by one command, and what moved since the last results.

A benchmark that was measured on this commit is not measured again, so a run that was broken off goes on.
A figure is held against the results of the last commit: one that is worse by more than its noise ends the
command with status 1. Times are compared on the same kind of processor only; ratios and shares everywhere.

What the judge is worth takes hours on sets that are not shipped: benchmarks/judge.py.

    python -m benchmarks [NAME ...] [--data FOLDER] [--docs mixtral.pdf]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, Literal

from benchmarks.report import RESULTS, commit, print_table

ROOT = Path(__file__).parents[1]
# What is measured, with its arguments, the quick first; {data} and {docs} are not ours to ship.
BENCHMARKS: Mapping[str, tuple[str, ...]] = {
    "gate": (),
    "overhead": ("--counts", "100", "10000"),
    "cache": (),
    "concurrency": (),
    "html": (),
    "model_process": ("--runs", "2", "--questions", "experts or switch"),
    "retrieval": ("{data}/retrieval/xquad", "{data}/retrieval/cranfield"),
    "judge_time": ("{data}/judge/ragtruth_qa_dev.jsonl", "--answers", "10"),
    "limit": ("--docs", "{docs}"),
    "vs_llamaindex": ("--docs", "{docs}"),
    "stores": (),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that is quoted.

    Attributes:
        name: What it is.
        benchmark: Which benchmark measures it.
        keys: Where it stands in the result.
        better: Which way is better.
        noise: By how much of itself it moves with nothing changed.
        is_time: Whether it depends on the machine.
    """

    name: str
    benchmark: str
    keys: tuple[str | int, ...]
    better: Literal["less", "more"] = "less"
    noise: float = 0.1
    is_time: bool = True


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a figure.

    Attributes:
        figure: The figure.
        before: What it was; None where there is no result of before, or of another machine.
        now: What it is.
    """

    figure: Figure
    before: float | None
    now: float

    @property
    def share(self) -> float:
        """By how much of what it was it is more now; 0 where there is nothing to compare."""
        return self.now / self.before - 1 if self.before else 0.0

    @property
    def moved(self) -> float:
        """By how much of what it was; more is worse."""
        return self.share if self.figure.better == "less" else -self.share

    @property
    def verdict(self) -> str:
        """What it comes to, in a word."""
        if self.before is None:
            return "new"
        if abs(self.moved) <= self.figure.noise:
            return "the same"
        return "worse" if self.moved > 0 else "better"


# Where the figures of 10,000 questions stand.
_OF_10_000 = ("results", 1)
FIGURES = (
    Figure("runs without a change that BLOCK", "gate", ("rows", 0, "BLOCK"), noise=0.1, is_time=False),
    Figure(
        "ms a test over a bare one",
        "overhead",
        (*_OF_10_000, "milliseconds a test over bare, new"),
        noise=0.15,
    ),
    Figure("a test, in bare ones", "overhead", (*_OF_10_000, "times bare, new"), is_time=False),
    Figure("a known test, in bare ones", "overhead", (*_OF_10_000, "times bare, unchanged"), is_time=False),
    Figure("ms, a session without evaluations", "overhead", ("sessions", "milliseconds over"), noise=0.25),
    Figure("s, 10,000 known questions", "cache", ("results", 1, "seconds, warm")),
    Figure(
        "share of the possible throughput", "concurrency", ("all answered", "of ideal"), "more", 0.03, False
    ),
    Figure("s, HTML of 5,000 questions drawn", "html", ("seconds until it is drawn and can be used",)),
    Figure("model in its own process, ratio", "model_process", ("ratio, median",), noise=0.05, is_time=False),
    Figure("beside LlamaIndex's judge, seconds", "judge_time", ("rows", 0, "ratio, all"), is_time=False),
    Figure("over what llama.cpp needs", "limit", ("stages", "all", "ratio"), noise=0.04, is_time=False),
    Figure(
        "beside LlamaIndex, seconds", "vs_llamaindex", ("ratios", "seconds/question, answer"), is_time=False
    ),
    Figure("right answers", "vs_llamaindex", ("tallies", "rag-evals", "right_answers"), "more", 0.0, False),
    Figure("local store beside the simple one", "stores", ("times_as_fast_as_simple",), "more", 0.25, False),
)


def main() -> int:
    """Measure what was not measured on this commit, and tell what moved."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--data", type=Path, help="folder of the sets that are not shipped")
    parser.add_argument("--docs", type=Path, help="the Mixtral paper")
    options = parser.parse_args()
    if unknown := set(options.names) - BENCHMARKS.keys():
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    places = {"{data}": options.data, "{docs}": options.docs}
    changes: list[Change] = []
    failed = []
    for name in options.names or BENCHMARKS:
        text = "\n".join(BENCHMARKS[name])
        if lacking := [place for place, path in places.items() if place in text and path is None]:
            print(f"{name} is left out: it needs --{lacking[0].strip('{}')}")
        elif _measured(name).get("commit") == commit() or _measure(name, text, places):
            changes += changes_in(name, _committed(name), _measured(name))
        else:
            failed.append(name)
    _tell(changes)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return int(bool(failed) or any(change.verdict == "worse" for change in changes))


def _measure(name: str, arguments: str, places: Mapping[str, Path | None]) -> bool:
    """Measure, and return whether that went well."""
    for place, path in places.items():
        arguments = arguments.replace(place, str(path and path.absolute()))
    command = [sys.executable, "-P", "-m", f"benchmarks.{name}", *filter(None, arguments.split("\n"))]
    return subprocess.run(command, cwd=ROOT).returncode == 0


def changes_in(name: str, before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> Iterator[Change]:
    """Yield what became of the figures of a benchmark; times of another kind of machine are left alone."""
    is_same_machine = before is not None and before.get("machine") == now.get("machine")
    for figure in FIGURES:
        if figure.benchmark == name:
            is_comparable = before is not None and (is_same_machine or not figure.is_time)
            was = at(before, figure.keys) if is_comparable else None
            yield Change(figure, was, float(at(now, figure.keys)))


def at(result: Any, keys: Sequence[str | int]) -> Any:
    """Return what stands in a result.

    Raises:
        KeyError: It has no such key.
    """
    return reduce(lambda held, key: held[key], keys, result)


def _measured(name: str) -> dict[str, Any]:
    file = RESULTS / f"{name}.json"
    return dict(json.loads(file.read_text())) if file.exists() else {}


def _committed(name: str) -> dict[str, Any] | None:
    """Return the result as it is in the last commit."""
    command = ["git", "show", f"HEAD:benchmarks/results/{name}.json"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return dict(json.loads(shown.stdout)) if shown.returncode == 0 else None


def _tell(changes: Sequence[Change]) -> None:
    rows = [["figure", "before", "now", "moved by", ""]]
    for change in changes:
        compared = ["", ""] if change.before is None else [f"{change.before:.3g}", f"{change.share:+.0%}"]
        rows.append([change.figure.name, compared[0], f"{change.now:.3g}", compared[1], change.verdict])
    print_table(rows)


if __name__ == "__main__":
    sys.exit(main())
