"""What it costs that models run in processes of their own, and what `-n 2` costs beside a serial run.

python -m benchmarks.model_process [--questions 14] [--runs 3]

Three parts: the time of a call to the model's process beside the same call in this process; a run of the
bundled questions that asks the model as pipelines and judges do, both ways in turns; and whole sessions,
serial and with `-n 2`, with the memory that all their processes take together.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

from rag_evals.rag.config.llm import LLMConfig
from rag_evals.rag.llm.local.llama_cpp import LlamaCppModel
from rag_evals.rag.llm.local.local_llm import LocalLLM
from rag_evals.rag.llm.protocol import Prompt
from rag_evals.rag.models.resolve import resolve

from benchmarks.report import print_table, save

ROOT = Path(__file__).parents[1]
MARK = "RAG_EVALS_BENCHMARK"
MIB = 2**20
PASSAGES = tuple(
    f"Passage {n}:\n{'The router sends each token to two of eight experts. ' * 12}\n\n" for n in range(6)
)


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="qwen2.5-coder-1.5b-instruct")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--questions", default="", help="pytest -k expression of the sessions")
    options = parser.parse_args()
    result = {**_calls(options.model), **_turns(options.model, options.runs)}
    result |= _sessions(options.runs, options.questions)
    print_table([("what", "value"), *((name, f"{value:,.4g}") for name, value in result.items())])
    save("model_process", result)


def _calls(model: str) -> dict[str, float]:
    """Measure the smallest call, 500 times each way."""
    own, here = _models(model)
    found = {}
    for name, llm in (("its own process", own), ("this process", here)):
        llm.load()
        found[f"milliseconds, smallest call, {name}"] = 1000 * median(
            _seconds(lambda llm=llm: llm.count_tokens("How many experts?")) for _ in range(500)
        )
    own.close()
    return found


def _turns(model: str, runs: int) -> dict[str, float]:
    """Ask as an evaluation does: an answer on six passages, then nine verdicts; both ways in turns."""
    own, here = _models(model)
    seconds: dict[str, list[float]] = {"own": [], "here": []}
    for llm in (own, here):
        _evaluation(llm, "warm-up")
    for run in range(runs):
        order = [("own", own), ("here", here)]
        for name, llm in order if run % 2 else reversed(order):
            seconds[name].append(_seconds(lambda llm=llm, run=run: _evaluation(llm, f"run {run}")))
    same = _evaluation(own, "same") == _evaluation(here, "same")
    own.close()
    ratios = [a / b for a, b in zip(seconds["own"], seconds["here"], strict=True)]
    return {
        "seconds, an evaluation, its own process": median(seconds["own"]),
        "seconds, an evaluation, this process": median(seconds["here"]),
        "ratio, median": median(ratios),
        "results are the same to the last bit": float(same),
    }


def _evaluation(llm: Any, title: str) -> list[Any]:
    shared = (f"Document {title}\n", *PASSAGES)
    said: list[Any] = [
        llm.complete(Prompt((*shared, "How many experts does a token use?")), max_tokens=24).text
    ]
    for n in range(9):
        claim = Prompt((PASSAGES[n % 6], f"Statement {title}: a token uses {n} experts."))
        said.append(llm.likelihood(claim).logs)
        said.append(llm.choose(Prompt((*claim.parts, "Is it so? Answer yes or no.")), ("yes", "no")))
    return said


def _models(name: str) -> tuple[LocalLLM, LlamaCppModel]:
    model, config = resolve(name), LLMConfig(name, n_threads=len(os.sched_getaffinity(0)))
    return LocalLLM(model, config), LlamaCppModel(model, config)


def _sessions(runs: int, selection: str) -> dict[str, float]:
    """Run the bundled questions against the baseline pipeline, serial and with two workers in turns."""
    found: dict[str, list[tuple[float, float]]] = {"serial": [], "-n 2": []}
    for _ in range(runs):
        for name, more in (("serial", ["-n", "0"]), ("-n 2", ["-n", "2"])):
            found[name].append(_session([*more, *(["-k", selection] if selection else [])]))
    result = {}
    for name, measured in found.items():
        result[f"seconds, session, {name}"] = median(seconds for seconds, _ in measured)
        result[f"MiB, all processes of the session, {name}"] = median(peak for _, peak in measured) / MIB
    ratios = [(b[0] / a[0], b[1] / a[1]) for a, b in zip(found["serial"], found["-n 2"], strict=True)]
    result["ratio of seconds, -n 2 to serial"] = median(seconds for seconds, _ in ratios)
    result["ratio of memory, -n 2 to serial"] = median(peak for _, peak in ratios)
    return result


def _session(more: Iterable[str]) -> tuple[float, float]:
    """Run one session with nothing kept from others; return its seconds and its peak of memory in bytes."""
    mark = uuid4().hex
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "pytest", "evals", "-q", "--evals-mode", "report"]
        command += ["--evals-pipelines", "baseline", "--evals-home", home, *more]
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, MARK: mark},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        peak = _peak(mark, process)
        return time.perf_counter() - began, peak


def _peak(mark: str, process: subprocess.Popen[bytes]) -> float:
    """Return the most memory that all processes with `mark` took together; shared pages count once."""
    peaks = [0.0]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.3):
            peaks.append(
                sum(_proportional(place) for place in Path("/proc").glob("[0-9]*") if _has(mark, place))
            )

    thread = threading.Thread(target=watch)
    thread.start()
    process.wait()
    ended.set()
    thread.join()
    return max(peaks)


def _has(mark: str, place: Path) -> bool:
    with suppress(OSError):
        return f"{MARK}={mark}".encode() in (place / "environ").read_bytes()
    return False


def _proportional(place: Path) -> float:
    with suppress(OSError, StopIteration):
        lines = (place / "smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return 0.0


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
