"""How well a server is used: 2,000 questions, 64 at a time, to a loopback server that answers after 100 ms.

The whole way is measured: pytest, plugin, engine, retries, and the choice judge with its claims. The ideal
is the number of requests times the delay, shared by the places: those that fail take their time as well, and
so do those in their place. Beside it the share of the ideal as if nothing failed.

    python -m benchmarks.concurrency
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.project import ASKING, UNHELD, write_project, write_questions
from benchmarks.report import print_table, save

CONFTEST = """
import time
from pathlib import Path

import pytest
from rag_evals.evals.judges.choice.scorer import ChoiceScorer
from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge
from rag_evals.rag.answer import Answer, Context
from rag_evals.rag.config.llm import LLMConfig
from rag_evals.rag.llm.protocol import Prompt
from rag_evals.rag.llm.load import load_llm
from rag_evals.rag.profile import profile_of_model

PASSAGE = "The router sends each token to two of eight experts. The load is balanced. "
CONTEXTS = tuple(Context(PASSAGE + f"Passage {n} says no more. ", "a.pdf", 1, n, n + 100) for n in range(4))

@pytest.hookimpl(wrapper=True)
def pytest_runtestloop():
    start = time.perf_counter()
    try:
        return (yield)
    finally:
        Path("seconds.txt").write_text(str(time.perf_counter() - start))

@pytest.fixture(scope="session")
def llm():
    loaded = load_llm(LLMConfig(model="openai:loopback@URL"))
    loaded.allow(PLACES)
    yield loaded
    loaded.close()

class Pipeline:
    name = "remote"
    fingerprint = "benchmark"

    def __init__(self, llm):
        self._llm, self.profile = llm, profile_of_model(llm)

    async def answer(self, question):
        import asyncio

        prompt = Prompt((PASSAGE, question))
        written = await asyncio.to_thread(self._llm.complete, prompt, max_tokens=60)
        return Answer(written.text, CONTEXTS, {"generate": 0.0}, {"generate": written.tokens})

@pytest.fixture(scope="session")
def remote(llm):
    return Pipeline(llm)

@pytest.fixture(scope="session")
def judge(llm):
    return CalibratedJudge(ChoiceScorer(llm))
"""

SETTINGS = """evals_max_unscored = 1
evals_concurrency = PLACES
"""
CALLS = 4  # an answer, whether it declines, its relevancy and its one claim


def main() -> None:
    """Measure with a good server and with a bad one, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--questions", type=int, default=2000)
    parser.add_argument("--places", type=int, default=64)
    parser.add_argument("--delay", type=float, default=0.1, help="seconds that each answer takes")
    options = parser.parse_args()
    results = {
        "all answered": measure(options.questions, options.places, options.delay, failing=0.0),
        "a quarter of the questions": measure(
            options.questions // 4, options.places, options.delay, failing=0.0
        ),
        "one request in ten failing": measure(options.questions, options.places, options.delay, failing=0.1),
        "one at a time, 50 questions": measure(50, 1, options.delay, failing=0.0),
    }
    columns = list(next(iter(results.values())))
    print_table(
        [["", *columns], *([name, *(f"{row[c]:,.2f}" for c in columns)] for name, row in results.items())]
    )
    save("concurrency", {"places": options.places, "delay": options.delay, **results})


def measure(count: int, places: int, delay: float, *, failing: float) -> dict[str, float]:
    """Run `count` questions; give seconds, the ideal ones, their ratio, peak MiB and the unscored."""
    with tempfile.TemporaryDirectory() as folder, serving(delay, failing) as url:
        project = Path(folder)
        conftest, settings = (
            text.replace("URL", url).replace("PLACES", str(places)) for text in (CONFTEST, SETTINGS)
        )
        write_project(project, conftest, ASKING.format(pipeline="remote") + settings, UNHELD)
        write_questions(project, count, "Did it rain on day {}?")
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
            cwd=project,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0, said
        (run,) = (path for path in project.glob(".rag-evals/runs/*") if not path.is_symlink())
        evaluations = [json.loads(line) for line in (run / "records.jsonl").open()][1:-1]
        unscored = sum(line.get("outcome") == "unscored" for line in evaluations)
        seconds = float((project / "seconds.txt").read_text())
    # A request that fails takes its time as well, and so does the one that takes its place.
    ideal = count * CALLS / (1 - failing) * delay / places
    return {
        "seconds": seconds,
        "ideal": ideal,
        "of ideal": ideal / seconds,
        "of ideal if nothing failed": ideal * (1 - failing) / seconds,
        "peak MiB": usage.ru_maxrss / 1024,
        "unscored": unscored,
    }


@contextmanager
def serving(delay: float, failing: float) -> Iterator[str]:
    """Start the loopback server in a process of its own; yield its URL."""
    command = [sys.executable, "-m", "tests.servers.openai", f"--delay={delay}", f"--failing={failing}"]
    command.append("--status=500")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
