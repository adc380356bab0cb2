"""What judging a log takes beside the judge: 10,000 answers, a fake judge, the whole process of pytest.

python -m benchmarks.logged
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.project import write_project
from benchmarks.report import print_table, save

SEED = 3
# Of the words of a question, an answer and a passage, and passages an answer.
QUESTION, ANSWER, PASSAGE, PASSAGES = 10, 60, 150, 4
# One in so many lines says what another says, in other letter case.
DUPLICATE = 50
MOST_SECONDS = 60.0

CONFTEST = """
import pytest
from rag_evals.testing import FakeJudge

@pytest.fixture(scope="session")
def judge():
    return FakeJudge({"faithfulness": 0.9, "relevancy": 0.8, "refusal": 1.0})
"""


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), options.count)
    print_table([list(rows[0]), *([_shown(value) for value in row.values()] for row in rows)])
    save("logged", {"count": options.count, "most seconds": MOST_SECONDS, "runs": rows})


def measure(folder: Path, count: int) -> list[Mapping[str, object]]:
    """Run the suite on a log, again on the same, on a sample of it, and on one of a quarter of its length."""
    write_project(folder, CONFTEST, "evals_answers = log.jsonl\n")
    quarter, whole = count // 4, count
    rows = []
    write_log(folder / "log.jsonl", quarter)
    rows.append(_run(folder, "a quarter of the log", quarter))
    shutil.rmtree(folder / ".rag-evals")
    write_log(folder / "log.jsonl", whole)
    rows.append(_run(folder, "the log", whole))
    rows.append(_run(folder, "the same again, from the cache", whole))
    sample = ("--evals-sample", "200", "--evals-stratify", "channel", "--evals-gate", "pass_rate >= 0.9")
    rows.append(_run(folder, "a sample of 200", whole, *sample))
    return rows


def write_log(file: Path, count: int) -> None:
    """Write a log of so many answers, some of which say what another says."""
    rng = random.Random(SEED)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(5000)]

    def text(length: int) -> str:
        return " ".join(rng.choices(words, k=length))

    with file.open("w") as opened:
        for number in range(count):
            if number % DUPLICATE == 0:
                question, answer = text(QUESTION), text(ANSWER)
            elif number % DUPLICATE == 1:
                question, answer = question.upper(), answer.upper()
            else:
                question, answer = text(QUESTION), text(ANSWER)
            contexts = [{"text": text(PASSAGE), "document": f"{number % 50}.md"} for _ in range(PASSAGES)]
            channel = rng.choice(("web", "web", "mail", "phone"))
            line = {"question": question, "answer": answer, "contexts": contexts, "channel": channel}
            opened.write(json.dumps(line) + "\n")


def _run(folder: Path, name: str, lines: int, *arguments: str) -> Mapping[str, object]:
    """Run pytest in a process of its own; it has to pass."""
    start = time.perf_counter()
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    output = process.stdout.read() if process.stdout else ""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, output[-2000:]
    seconds = time.perf_counter() - start
    return {
        "run": name,
        "lines": lines,
        "MiB of the log": (folder / "log.jsonl").stat().st_size / 2**20,
        "seconds": seconds,
        "processor seconds": used.ru_utime + used.ru_stime,
        "peak MiB": used.ru_maxrss / 1024,
        "said": next((line for line in output.splitlines() if line.startswith("answers: ")), ""),
    }


def _shown(value: object) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
