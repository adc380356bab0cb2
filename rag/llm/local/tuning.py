"""How fast a model runs on this machine, and which settings would make it faster; measured once and kept.

What changes no result is chosen by itself: the number of threads. What changes results in the last digits
(flash attention, types of the key/value cache, size of a batch) is only measured: what it would bring, and
how far it moves the probability of a verdict.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from rag.config import LLMConfig
from rag.llm.local.llama_cpp import LlamaCppModel
from rag.llm.local.probe import PASSAGE, READ, WRITTEN, SecondContext, chosen, second_context
from rag.llm.local.speeds import Speeds, Trial, Tuning, keep, physical_cores
from rag.llm.protocol import Prompt
from rag.models import Model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


# Seconds that a setting is measured for at least; a round with a large model takes longer.
LEAST_SECONDS = 1.5


STATEMENTS = (
    "Each token is processed by two experts.",
    "Each token is processed by eight experts.",
    "The model may be used under the licence Apache 2.0.",
    "The instruction-tuned model is better at mathematics.",
)


TASK = "Can the statement be inferred from the passages above? Answer no or yes."


def tune(model: Model, config: LLMConfig, *, say: Callable[[str], None] = lambda _: None) -> Tuning:
    """Measure threads and settings of `model` on this machine, and keep what was found.

    Takes about half a minute with a 1.5B model on two cores.

    Args:
        model: The resolved model.
        config: Context size and GPU layers; the settings that are tried replace its own.
        say: Told what comes next.

    Raises:
        ModelError: The model cannot be loaded.
    """
    from rag.llm.local.llama_cpp import LlamaCppModel

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
    found = chosen(measured, measured, everyone)
    tuning = Tuning(found.speeds, found.threads, tuple(trials))
    keep(model, tuning, n_gpu_layers=config.n_gpu_layers)
    return tuning


def rows_of(tuning: Tuning) -> list[tuple[str, ...]]:
    """Give `tuning` as rows of text, the header first."""
    header = (
        "setting",
        "read tokens/s",
        "against default",
        "written tokens/s",
        "against default",
        "verdicts",
    )
    rows: list[tuple[str, ...]] = [header]
    for trial in tuning.trials:
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
    """Give what is tried, by what it is called in a configuration: parameters of a llama.cpp context."""
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
    """Give the numbers of threads worth a try besides all: powers of two, and one a physical core."""
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
    import numpy as np

    if threads:
        context.use(threads)
    yes, no = llm._spellings("yes"), llm._spellings("no")
    prompts = [Prompt((PASSAGE, f"Statement: {statement}\n\n{TASK}")) for statement in STATEMENTS]
    shares, logits = [], []
    *shared, _ = llm._blocks(prompts[0])
    context.forget(0)
    for block in shared:
        context.read(block)
    start = context.length
    for prompt in prompts:
        context.forget(start)
        logits.append(context.read(llm._blocks(prompt)[-1]).copy())
        weights = np.exp(logits[-1].astype(np.float64) - logits[-1].max())
        shares.append(float(weights[yes].sum() / weights[yes + no].sum()))
    return _Verdicts(tuple(shares), tuple(logits))
