"""What llama.cpp's settings bring on this machine, each against the default, and what they do to verdicts.

What changes no result is chosen by itself and kept: the number of threads. What changes results in the last
digits (flash attention, types of the key/value cache, size of a batch) is only measured. Takes about half a
minute with a 1.5B model on two cores.

    python -m benchmarks.tuning NAME
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray
from rag_evals.rag.config.llm import LLMConfig
from rag_evals.rag.llm.local.llama_cpp import LlamaCppModel
from rag_evals.rag.llm.local.probe import PASSAGE, SecondContext, chosen, second_context
from rag_evals.rag.llm.local.speeds import Speeds, Tuning, keep, physical_cores
from rag_evals.rag.llm.protocol import Prompt
from rag_evals.rag.models.resolve import Model, resolve

from benchmarks.report import print_table, save

# Tokens of a reading and of a writing that are timed.
READ, WRITTEN = 192, 12
# Seconds that a setting is measured for at least; a round with a large model takes longer.
LEAST_SECONDS = 1.5

STATEMENTS = (
    "Each token is processed by two experts.",
    "Each token is processed by eight experts.",
    "The model may be used under the licence Apache 2.0.",
    "The instruction-tuned model is better at mathematics.",
)

TASK = "Can the statement be inferred from the passages above? Answer no or yes."


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting against the default, measured in turns.

    Attributes:
        setting: What was set, as `LLMConfig` spells it.
        speeds: With it; None where llama.cpp does not run the model so.
        default: Without it, at the same time.
        difference: Largest difference that it made to a verdict's share of yes, 0 to 1; None as above.
        is_exact: Whether every logit was the same to the last bit.
    """

    setting: str
    speeds: Speeds | None
    default: Speeds
    difference: float | None
    is_exact: bool


def main() -> None:
    """Measure a model, and use from now on the threads that were found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", metavar="NAME", help="a language model: name or path")
    options = parser.parse_args()

    def say(setting: str) -> None:
        print(f"measuring {setting}", file=sys.stderr)

    tuning, trials = tune(resolve(options.name), LLMConfig(options.name), say=say)
    print_table(rows_of(trials))
    threads, speeds = tuning.threads, tuning.speeds
    print(
        f"\nfrom now on: {threads.prefill} threads read {speeds.prefill:,.0f} tokens/s, "
        f"{threads.decode} write {speeds.decode:.1f} tokens/s\n"
        "Where verdicts differ a setting is never taken by itself: whoever wants it writes it into [llm] of "
        "a configuration and calibrates the judge anew."
    )
    save("tuning", {"tuning": asdict(tuning), "trials": [asdict(trial) for trial in trials]})


def tune(
    model: Model, config: LLMConfig, *, say: Callable[[str], None] = lambda _: None
) -> tuple[Tuning, tuple[Trial, ...]]:
    """Measure threads and settings of `model` on this machine; keep its speeds and its threads.

    Args:
        model: The resolved model.
        config: Context size and GPU layers; the settings that are tried replace its own.
        say: Told what comes next.

    Raises:
        ModelError: The model cannot be loaded.
    """
    everyone = len(os.sched_getaffinity(0))
    llm = LlamaCppModel(model, LLMConfig(config.model, n_threads=everyone, n_gpu_layers=config.n_gpu_layers))
    llm.load()
    measured: dict[int, Speeds] = {}
    trials = []
    with second_context(llm._llama) as default:
        expected = _verdicts(llm, default)
        for count in _thread_counts(everyone):
            say(f"n_threads = {count}")
            trial = _thread_trial(llm, default, count, everyone, expected)
            trials.append(trial)
            if trial.speeds and trial.is_exact:
                measured[count] = trial.speeds
        for setting, params in _settings().items():
            say(setting)
            trials.append(_setting_trial(llm, default, setting, params, expected))
    measured[everyone] = _middle([trial.default for trial in trials])
    tuning = chosen(measured, measured, everyone)
    keep(model, tuning, n_gpu_layers=config.n_gpu_layers)
    return tuning, tuple(trials)


def rows_of(trials: Sequence[Trial]) -> list[tuple[str, ...]]:
    """Return `trials` as rows of text, the header first."""
    header = (
        "setting",
        "read tokens/s",
        "against default",
        "written tokens/s",
        "against default",
        "verdicts",
    )
    rows: list[tuple[str, ...]] = [header]
    for trial in trials:
        if trial.speeds is None:
            rows.append((trial.setting, "", "", "", "", "llama.cpp does not run the model so"))
            continue
        read, written = trial.speeds.prefill, trial.speeds.decode
        rows.append(
            (
                trial.setting,
                f"{read:.0f}",
                f"x {read / trial.default.prefill:.2f}",
                f"{written:.1f}",
                f"x {written / trial.default.decode:.2f}",
                "the same to the last bit" if trial.is_exact else f"differ by up to {trial.difference:.3f}",
            )
        )
    return rows


def _settings() -> dict[str, dict[str, int]]:
    """Return what is tried, by what it is called in a configuration: parameters of a llama.cpp context."""
    import llama_cpp

    attention = {"flash_attn_type": llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED}
    small = {"type_k": llama_cpp.GGML_TYPE_Q8_0, "type_v": llama_cpp.GGML_TYPE_Q8_0}
    return {
        "n_batch = 256": {"n_batch": 256, "n_ubatch": 256},
        "n_batch = 128": {"n_batch": 128, "n_ubatch": 128},
        "flash_attn = true": attention,
        'flash_attn = true, cache_type = "q8_0"': {**attention, **small},
    }


def _thread_counts(everyone: int) -> list[int]:
    """Return the numbers of threads worth a try besides all: powers of two, and one a physical core."""
    powers = {1 << n for n in range(everyone.bit_length())}
    return sorted({count for count in powers | {physical_cores()} if count < everyone})


@dataclass(frozen=True, slots=True)
class _Verdicts:
    """What a context says to the fixed prompts: the share of yes of each, and all logits."""

    shares: tuple[float, ...]
    logits: tuple[NDArray[np.float32], ...]

    def difference(self, other: _Verdicts) -> float:
        return max(abs(a - b) for a, b in zip(self.shares, other.shares, strict=True))

    def is_same(self, other: _Verdicts) -> bool:
        return all((a == b).all() for a, b in zip(self.logits, other.logits, strict=True))


def _thread_trial(
    llm: LlamaCppModel, default: SecondContext, count: int, everyone: int, expected: _Verdicts
) -> Trial:
    plain, speeds = _in_turns(lambda: _speeds(default, everyone), lambda: _speeds(default, count))
    said = _verdicts(llm, default, count)
    default.use(everyone)
    return Trial(f"n_threads = {count}", speeds, plain, said.difference(expected), said.is_same(expected))


def _setting_trial(
    llm: LlamaCppModel, default: SecondContext, setting: str, params: dict[str, int], expected: _Verdicts
) -> Trial:
    try:
        with second_context(llm._llama, **params) as context:
            said = _verdicts(llm, context)
            plain, speeds = _in_turns(lambda: _speeds(default), lambda: _speeds(context))
    except (ValueError, RuntimeError):  # as llama-cpp-python says that llama.cpp refused
        return Trial(setting, None, _speeds(default), None, is_exact=False)
    return Trial(setting, speeds, plain, said.difference(expected), said.is_same(expected))


def _in_turns(first: Callable[[], Speeds], second: Callable[[], Speeds]) -> tuple[Speeds, Speeds]:
    """Measure both in turns, small models more than once: the machine's other work changes all the time."""
    started = time.perf_counter()
    pairs = [(first(), second())]
    while time.perf_counter() - started < LEAST_SECONDS:
        pairs.append((first(), second()))
    return _middle([pair[0] for pair in pairs]), _middle([pair[1] for pair in pairs])


def _speeds(context: SecondContext, threads: int | None = None) -> Speeds:
    return context.timed(context.tokens(PASSAGE)[:READ], WRITTEN, threads)


def _middle(speeds: Sequence[Speeds]) -> Speeds:
    return Speeds(median(each.prefill for each in speeds), median(each.decode for each in speeds))


def _verdicts(llm: LlamaCppModel, context: SecondContext, threads: int | None = None) -> _Verdicts:
    """Read the verdicts on all statements: the passage once, then each statement behind it."""
    if threads:
        context.use(threads)
    yes, no = llm.spellings("yes"), llm.spellings("no")
    prompts = [Prompt((PASSAGE, f"Statement: {statement}\n\n{TASK}")) for statement in STATEMENTS]
    shares, logits = [], []
    *shared, _ = llm.blocks(prompts[0])
    context.forget(0)
    for block in shared:
        context.read(block)
    start = context.length
    for prompt in prompts:
        context.forget(start)
        logits.append(context.read(llm.blocks(prompt)[-1]).copy())
        weights = np.exp(logits[-1].astype(np.float64) - logits[-1].max())
        shares.append(float(weights[yes].sum() / weights[yes + no].sum()))
    return _Verdicts(tuple(shares), tuple(logits))


if __name__ == "__main__":
    main()
