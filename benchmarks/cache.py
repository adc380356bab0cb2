"""What the cache costs and spares: a run with nothing in it, and the same run again, on fakes.

python -m benchmarks.cache
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.project import ASKING, write_project, write_questions
from benchmarks.report import print_table, save

# Eight passages of 700 characters an answer, three claims with evidence a judgement: as real ones have.
CONFTEST = """
import random

import pytest
from rag_evals.evals.runs.score import ClaimScore, Judgement, Score
from rag_evals.rag.answer import Answer, Context, Tokens
from rag_evals.rag.identity import digest
from rag_evals.rag.profile import Profile

WORDS = [digest(n)[:2 + n % 9] for n in range(1000)]

def passage(question, n):
    words = " ".join(random.Random(f"{question}{n}").choices(WORDS, k=140))
    return Context(words[:700], f"document-{n}.pdf", n + 1, 700 * n, 700 * n + 700, 0.9 - n / 10)

class Pipeline:
    name = "fake"
    fingerprint = digest("pipeline")
    profile = Profile(identity={"knobs": {"top_k": 8}})

    async def answer(self, question):
        contexts = tuple(passage(question, n) for n in range(8))
        seconds, tokens = {"retrieve": 0.1, "generate": 2.0}, {"generate": Tokens(900, 100, 30)}
        return Answer(f"The answer to {question} is this.", contexts, seconds, tokens)

class Judge:
    name = "fake judge"
    fingerprint = digest("judge")
    profile = Profile(identity={"wordings": ["Is it?"]})

    async def score(self, question, answer):
        claims = tuple(
            ClaimScore(f"Claim {n} of {question.id}.", 0.9, 0, 10, answer.contexts[n].part(100, 250))
            for n in range(3)
        )
        scores = (
            Score("faithfulness", 0.9, evidence="because", least=0.9, mean=0.9, claims=claims),
            Score("relevancy", 0.8, least=0.8, mean=0.8),
        )
        return Judgement(scores, 1.5, Tokens(300, 600, 3))

@pytest.fixture(scope="session")
def fake():
    return Pipeline()

@pytest.fixture(scope="session")
def judge():
    return Judge()
"""


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    results = []
    for count in options.counts:
        with tempfile.TemporaryDirectory() as folder:
            results.append(measure(Path(folder), count, options.runs))
    names = list(results[0])
    print_table([["", *(f"{r['questions']:,.0f}" for r in results)], *_rows(names[1:], results)])
    save("cache", {"runs": options.runs, "results": results})


def _rows(names: list[str], results: list[dict[str, float]]) -> list[list[str]]:
    return [[name, *(f"{result[name]:,.2f}" for result in results)] for name in names]


def measure(folder: Path, count: int, runs: int) -> dict[str, float]:
    """Run once without a cache, once with an empty one and `runs` times with a full one; medians."""
    write_project(folder, CONFTEST, ASKING.format(pipeline="fake"))
    write_questions(folder, count)
    without = _pytest(folder, "--evals-no-cache")
    cold = _pytest(folder)
    warm = median(_pytest(folder) for _ in range(runs))
    assert reused(folder) == count, "the warm run made something anew"
    size = (folder / ".rag-evals" / "cache.sqlite").stat().st_size
    return {
        "questions": count,
        "seconds, without a cache": without,
        "seconds, cold": cold,
        "seconds, warm": warm,
        "milliseconds per question, warm": warm / count * 1000,
        "MiB of the file": size / 2**20,
    }


def _pytest(project: Path, *arguments: str) -> float:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    start = time.perf_counter()
    status = subprocess.run(command, cwd=project, stdout=subprocess.DEVNULL).returncode
    seconds = time.perf_counter() - start
    assert status == 0, f"pytest ended with status {status}"
    return seconds


def reused(project: Path) -> int:
    """Count the evaluations of the last run that were neither answered nor judged anew."""
    with (project / ".rag-evals" / "runs" / "latest" / "records.jsonl").open(encoding="utf-8") as lines:
        return sum(json.loads(line).get("cached") == ["answer", "scores"] for line in lines)


if __name__ == "__main__":
    main()
