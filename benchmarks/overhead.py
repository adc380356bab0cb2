"""What the harness itself costs: evaluations with a fake pipeline and judge beside as many bare async tests.

python -m benchmarks.overhead [--counts 100 10000 100000] [--runs 3]

Processor time, which tells the same of a machine that others use as well; what is measured side by side is
measured in turn. Each count is written as soon as it is there; what was measured on this commit is left out.
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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.cache import CONFTEST as REAL_SIZE
from benchmarks.cache import reused
from benchmarks.project import ASKING, INI, write_project, write_questions
from benchmarks.report import RESULTS, commit, print_table, save

HEAVY = ("llama_cpp", "llama_index", "sentence_transformers", "torch", "wandb", "deepdiff", "scipy", "jinja2")
NAME = "overhead"
# From so many questions on one run is enough, and all that anybody waits for.
LARGE = 100_000
PLUGIN = "rag_evals.evals.plugin"

CONFTEST = """
import pytest
from rag_evals.evals.testing import FakeJudge, FakePipeline

@pytest.fixture(scope="session")
def fake():
    return FakePipeline(lambda question: "forty-two")

@pytest.fixture(scope="session")
def judge():
    return FakeJudge({"faithfulness": 0.9, "relevancy": 0.8})
"""

BARE = """
import pytest

@pytest.mark.parametrize("number", range({count}), ids=[f"q{{n}}" for n in range({count})])
async def test_answer(number):
    assert number >= 0
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of the processor, in user code and in the system, and peak memory of one process."""

    seconds: float
    mebibytes: float


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--counts", type=int, nargs="+", default=[100, 10_000, 100_000])
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    found = _measured()
    found["sessions"] = found["sessions"] or sessions(options.runs)
    done = {result["questions"] for result in found["results"]}
    for count in (count for count in options.counts if count not in done):
        with tempfile.TemporaryDirectory() as folder:
            found["results"].append(measure(Path(folder), count, options.runs))
        save(NAME, {"runs": options.runs, **found})
    results = sorted(found["results"], key=lambda result: result["questions"])
    further = [_further(results[0], result) for result in results[1:]]
    told = {"sessions": found["sessions"], "results": results, "further tests": further}
    save(NAME, {"runs": options.runs, **told})
    for table in (results, further):
        if table:
            print_table([["", *(f"{result['questions']:,}" for result in table)], *_rows(table)])
    print_table(
        [["a session with one plain test", ""], *((n, f"{v:,.1f}") for n, v in found["sessions"].items())]
    )


def _measured() -> dict[str, Any]:
    file = RESULTS / f"{NAME}.json"
    found = json.loads(file.read_text()) if file.exists() else {}
    is_current = found.get("commit") == commit()
    return {
        "sessions": found["sessions"] if is_current else None,
        "results": found["results"] if is_current else [],
    }


def _further(least: dict[str, Any], more: dict[str, Any]) -> dict[str, float]:
    """Return what each test costs beyond the fewest, which pay for imports and for the end as well."""
    tests = more["questions"] - least["questions"]
    kinds = [name.partition(", ")[2] for name in least if name.startswith("times bare")]
    milliseconds = {
        name: (more[f"seconds, {name}"] - least[f"seconds, {name}"]) / tests * 1000
        for name in (*kinds, "bare")
    }
    kibibytes = {
        name: (more[f"peak MiB, {name}"] - least[f"peak MiB, {name}"]) / tests * 1024
        for name in (*kinds, "bare")
    }
    return {
        "questions": more["questions"],
        **{f"milliseconds a further test, {name}": cost for name, cost in milliseconds.items()},
        **{f"KiB a further test, {name}": size for name, size in kibibytes.items()},
    }


def _rows(results: Sequence[dict[str, Any]]) -> list[list[str]]:
    names = [name for name in results[0] if name != "questions"]
    return [[name, *(f"{result[name]:,.3f}" for result in results)] for name in names]


def measure(folder: Path, count: int, runs: int) -> dict[str, float]:
    """Run all suites in turn, `runs` times, the largest once; medians."""
    suite, real, plain = _projects(folder, count)
    _pytest(real)  # what an unchanged run finds
    kinds: dict[str, list[Cost]] = {"new": [], "no cache": [], "unchanged": [], "bare": []}
    for _ in range(runs if count < LARGE else 1):
        shutil.rmtree(suite / ".rag-evals", ignore_errors=True)
        kinds["new"].append(_pytest(suite))
        kinds["no cache"].append(_pytest(suite, "--evals-no-cache"))
        kinds["unchanged"].append(_pytest(real))
        kinds["bare"].append(_pytest(plain))
    assert reused(real) == count, "the unchanged run made something anew"
    seconds = {name: median(cost.seconds for cost in costs) for name, costs in kinds.items()}
    peaks = {name: median(cost.mebibytes for cost in costs) for name, costs in kinds.items()}
    over = {
        name: median(
            (c.seconds - b.seconds) / count * 1000 for c, b in zip(costs, kinds["bare"], strict=True)
        )
        for name, costs in kinds.items()
    }
    assert not _heavy_at_collection(suite), "a heavy library is imported at collection"
    return {
        "questions": count,
        **{f"seconds, {name}": found for name, found in seconds.items()},
        **{f"milliseconds a test over bare, {name}": over[name] for name in kinds if name != "bare"},
        "seconds over bare, unchanged": seconds["unchanged"] - seconds["bare"],
        **{f"times bare, {name}": seconds[name] / seconds["bare"] for name in kinds if name != "bare"},
        **{f"peak MiB, {name}": found for name, found in peaks.items()},
    }


def sessions(runs: int) -> dict[str, float]:
    """Return what it costs a session that evaluates nothing that the plugin is there, in milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        (project / "test_plain.py").write_text("def test_plain():\n    assert True\n")
        (project / "pytest.ini").write_text(INI)
        kinds: dict[str, list[float]] = {"with": [], "without": []}
        for number in range(5 * runs + 1):
            pair = (_pytest(project), _pytest(project, "-p", f"no:{PLUGIN}"))
            if number:  # the first ones compile
                for name, cost in zip(kinds, pair, strict=True):
                    kinds[name].append(cost.seconds * 1000)
    over = [ours - bare for ours, bare in zip(kinds["with"], kinds["without"], strict=True)]
    return {
        "milliseconds, with the plugin": median(kinds["with"]),
        "milliseconds, without it": median(kinds["without"]),
        "milliseconds over": median(over),
    }


def _projects(folder: Path, count: int) -> tuple[Path, Path, Path]:
    """Write the projects: a fake pipeline, answers of real size, and tests that evaluate nothing."""
    suite, real, bare = folder / "suite", folder / "real", folder / "bare"
    for project, conftest in ((suite, CONFTEST), (real, REAL_SIZE)):
        project.mkdir()
        write_project(project, conftest, ASKING.format(pipeline="fake"))
        write_questions(project, count)
    bare.mkdir()
    (bare / "test_bare.py").write_text(BARE.format(count=count))
    (bare / "pytest.ini").write_text(INI)
    return suite, real, bare


def _pytest(project: Path, *arguments: str) -> Cost:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    if project.name == "bare":
        command += ["-p", f"no:{PLUGIN}"]
    shutil.rmtree(project / ".rag-evals" / "runs", ignore_errors=True)
    process = subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL, env=_environment(project))
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"{project.name}: pytest ended with status {status}"
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def _environment(project: Path) -> dict[str, str]:
    """Return an environment in which modules are compiled once, as they are where they are installed."""
    given = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**given, "PYTHONPYCACHEPREFIX": str(project.parent / "compiled")}


def _heavy_at_collection(suite: Path) -> list[str]:
    command = [sys.executable, "-X", "importtime", "-m", "pytest", "-q", "--collect-only"]
    output = subprocess.run(command, cwd=suite, capture_output=True, text=True, check=True).stderr
    imported = set(re.findall(r"\|\s+(\w+)$", output, re.MULTILINE))
    return [name for name in HEAVY if name in imported]


if __name__ == "__main__":
    main()
