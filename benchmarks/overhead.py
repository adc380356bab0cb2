"""What the harness itself costs: 10,000 evaluations with a fake pipeline and judge beside bare async tests.

python -m benchmarks.overhead
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.project import ASKING, INI, write_project, write_questions
from benchmarks.report import print_table, save

HEAVY = ("llama_cpp", "llama_index", "sentence_transformers", "torch", "wandb", "deepdiff", "scipy", "jinja2")

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
    """Wall-clock seconds and peak memory of one process."""

    seconds: float
    mebibytes: float


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), options.count, options.runs)
    print_table([["", "value"], *([name, f"{value:,.3f}"] for name, value in result.items())])
    save("overhead", {"count": options.count, "runs": options.runs, **result})


def measure(folder: Path, count: int, runs: int) -> dict[str, float]:
    """Run both suites in turn, `runs` times; medians."""
    suite, plain = _projects(folder, count)
    # In turn: with the verdicts kept, without, and without us; the judge is new to the cache each time.
    turns = [(_cold(suite), _pytest(suite, "--evals-no-cache"), _pytest(plain)) for _ in range(runs)]
    collected = median(_pytest(suite, "--collect-only").seconds for _ in range(runs))
    assert not _heavy_at_collection(suite), "a heavy library is imported at collection"
    return {
        "seconds, evaluations": median(kept.seconds for kept, _, _ in turns),
        "seconds, evaluations, --evals-no-cache": median(ours.seconds for _, ours, _ in turns),
        "seconds, bare async tests": median(bare.seconds for _, _, bare in turns),
        "milliseconds per test over bare": _over(((kept, bare) for kept, _, bare in turns), count),
        "milliseconds per test over bare, --evals-no-cache": _over(((o, b) for _, o, b in turns), count),
        "peak MiB, evaluations": median(kept.mebibytes for kept, _, _ in turns),
        "peak MiB, bare async tests": median(bare.mebibytes for _, _, bare in turns),
        "seconds, --collect-only": collected,
        "seconds, --collect-only, bare": median(
            _pytest(plain, "--collect-only").seconds for _ in range(runs)
        ),
        "milliseconds, import of the plugin over bare pytest": _import_cost(),
    }


def _over(pairs: Iterable[tuple[Cost, Cost]], count: int) -> float:
    return median((ours.seconds - bare.seconds) / count * 1000 for ours, bare in pairs)


def _cold(project: Path) -> Cost:
    shutil.rmtree(project / ".rag-evals", ignore_errors=True)
    return _pytest(project)


def _projects(folder: Path, count: int) -> tuple[Path, Path]:
    suite, bare = folder / "suite", folder / "bare"
    suite.mkdir()
    write_project(suite, CONFTEST, ASKING.format(pipeline="fake"))
    write_questions(suite, count)
    bare.mkdir()
    (bare / "test_bare.py").write_text(BARE.format(count=count))
    (bare / "pytest.ini").write_text(INI)
    return suite, bare


def _pytest(project: Path, *arguments: str) -> Cost:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    if project.name == "bare":
        command += ["-p", "no:rag_evals.evals.plugin"]
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    assert status == 0, f"{project.name}: pytest ended with status {status}"
    return Cost(seconds, usage.ru_maxrss / 1024)


def _heavy_at_collection(suite: Path) -> list[str]:
    command = [sys.executable, "-X", "importtime", "-m", "pytest", "-q", "--collect-only"]
    output = subprocess.run(command, cwd=suite, capture_output=True, text=True, check=True).stderr
    imported = set(re.findall(r"\|\s+(\w+)$", output, re.MULTILINE))
    return [name for name in HEAVY if name in imported]


def _import_cost(runs: int = 11) -> float:
    """Milliseconds of `import rag_evals.evals.plugin` when all is there that a bare session imports."""
    code = (
        "import difflib, importlib, pytest, _pytest.config, _pytest.junitxml, pytest_asyncio.plugin, time, "
        "unittest; start = time.perf_counter(); import rag_evals.evals.plugin; "
        "[importlib.import_module(name) for name in rag_evals.evals.plugin.PARTS]; "
        "print((time.perf_counter() - start) * 1000)"
    )
    times = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True) for _ in range(runs)
    ]
    return median(float(run.stdout) for run in times)


if __name__ == "__main__":
    main()
