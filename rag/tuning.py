"""How fast a model runs on this machine, and which settings would make it faster; measured once and kept.

What changes no result is chosen by itself: the number of threads. What changes results in the last digits
(flash attention, types of the key/value cache, size of a batch) is only measured: what it would bring, and
how far it moves the probability of a verdict.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from rag.config import LLMConfig
from rag.identity import digest
from rag.models import Model, cache_dir
from rag.threads import let_threads_sleep

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rag.llm import LocalLLM

# Set to 0, no model is measured when it is first loaded.
PROBE = "RAG_EVALS_PROBE"

# Tokens of a reading and of a writing that are timed. The short ones must pass unnoticed in a first load.
READ, WRITTEN, SHORT_READ, SHORT_WRITTEN = 192, 12, 64, 8
# Seconds that a setting is measured for at least; a round with a large model takes longer.
LEAST_SECONDS = 1.5
# Another number of threads than all is taken for at least this gain; less is noise.
LEAST_GAIN = 1.05
# A measurement that got less of the cores than this was disturbed: its speeds are not kept.
LEAST_SHARE = 0.7

PASSAGE = (
    "The router of a sparse mixture of experts sends each token to two of eight experts. A gate "
    "scores every expert with a linear layer and keeps the two highest; their outputs are added, "
    "weighted by the softmax of the scores. As only two experts run, a token uses 13 of 47 billion "
    "parameters. The load of the experts is balanced by an auxiliary loss, which is lowest when each "
    "expert gets as many tokens as any other. During training some tokens are dropped where an expert "
    "is over its capacity, and during inference none are. The model was trained on texts in five "
    "languages with a context of 32 thousand tokens. It is published under the licence Apache 2.0, "
    "and so is its instruction-tuned sibling, which was trained on pairs of replies of "
)
STATEMENTS = (
    "Each token is processed by two experts.",
    "Each token is processed by eight experts.",
    "The model may be used under the licence Apache 2.0.",
    "The instruction-tuned model is better at mathematics.",
)
TASK = "Can the statement be inferred from the passages above? Answer no or yes."


@dataclass(frozen=True, slots=True)
class Speeds:
    """Tokens per second.

    Attributes:
        prefill: Tokens of a prompt read, in parts as long as a passage.
        decode: Tokens written, one by one.
    """

    prefill: float
    decode: float


@dataclass(frozen=True, slots=True)
class Threads:
    """Threads that read prompts, and those that write one token at a time, which have less to share."""

    prefill: int
    decode: int


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


@dataclass(frozen=True, slots=True)
class Tuning:
    """What is known of a model on this machine: its speeds with these threads, and what was tried."""

    speeds: Speeds
    threads: Threads
    trials: tuple[Trial, ...] = ()


# --- what is kept ------------------------------------------------------------------------------------------


def speeds_of(model: Model, *, n_gpu_layers: int = 0) -> Speeds | None:
    """Give how fast `model` ran on this machine when it was measured; None if it never was."""
    known = tuning_of(model, n_gpu_layers=n_gpu_layers)
    return known.speeds if known else None


def tuning_of(model: Model, *, n_gpu_layers: int = 0) -> Tuning | None:
    """Give all that is known of `model` on this machine; None if it was never measured."""
    try:
        kept = json.loads(_place(model, n_gpu_layers).read_text(encoding="utf-8"))["tuning"]
        trials = tuple(
            Trial(
                **{
                    **trial,
                    "speeds": Speeds(**trial["speeds"]) if trial["speeds"] else None,
                    "default": Speeds(**trial["default"]),
                }
            )
            for trial in kept["trials"]
        )
        return Tuning(Speeds(**kept["speeds"]), Threads(**kept["threads"]), trials)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def keep(model: Model, tuning: Tuning, *, n_gpu_layers: int = 0) -> None:
    """Keep `tuning` for the next process; where the cache cannot be written it is measured anew."""
    path = _place(model, n_gpu_layers)
    text = json.dumps({"model": model.name, "machine": _machine(), "tuning": asdict(tuning)}, indent=1)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)


def _place(model: Model, n_gpu_layers: int) -> Path:
    key = digest([model.sha256, version("llama_cpp_python"), n_gpu_layers, _machine()])
    return cache_dir() / ".tuning" / f"{key}.json"


def _machine() -> dict[str, Any]:
    let_threads_sleep()  # as when the model runs: how threads wait says how many are best
    waiting = [os.environ.get(name, "") for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")]
    return {"processor": processor(), "cores": len(os.sched_getaffinity(0)), "waiting": waiting}


def processor() -> str:
    """Give the name of this machine's processor, as its system says it."""
    return _cpu_facts("model name").pop("model name", platform.processor() or platform.machine())


def physical_cores() -> int:
    """Give the cores that this process may use, two threads of one core counted once."""
    usable = len(os.sched_getaffinity(0))
    facts = _cpu_facts("siblings", "cpu cores")
    try:
        threads_a_core = int(facts["siblings"]) / int(facts["cpu cores"])
    except (KeyError, ValueError, ZeroDivisionError):
        return usable
    return max(1, round(usable / max(1.0, threads_a_core)))


def _cpu_facts(*names: str) -> dict[str, str]:
    """Give what the system says of its first processor; nothing where it does not say it the way of Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
    except OSError:
        return {}
    facts = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in facts if name.strip() in names}


# --- what is measured --------------------------------------------------------------------------------------


def may_probe() -> bool:
    """Whether a model that was never measured is measured when it is loaded."""
    return os.environ.get(PROBE) != "0"


def probe(llama: Any, *, n_gpu_layers: int = 0) -> tuple[Tuning, bool]:
    """Measure the speeds of a loaded model and choose its threads, in about two seconds.

    Args:
        llama: The `llama_cpp.Llama`; its own cache is left as it is.
        n_gpu_layers: Layers on the GPU.

    Returns:
        What was found, and whether it is fit to be kept: not where other work took the cores.

    Raises:
        ValueError: llama.cpp does not make a second context on this model.
        RuntimeError: It does not run it there.
    """
    with _lane(llama, n_ctx=256) as lane:
        tokens = lane.tokens(PASSAGE)[:SHORT_READ]
        lane.timed(tokens[:8], 1)
        started, spent = time.perf_counter(), time.process_time()
        everyone = len(os.sched_getaffinity(0))
        measured = {
            count: lane.timed(tokens if count >= physical_cores() else tokens[:8], SHORT_WRITTEN, count)
            for count in sorted({1, physical_cores(), everyone}, reverse=True)
        }
        wall, cpu = time.perf_counter() - started, time.process_time() - spent
    # A reading of eight tokens says nothing of how fast the long ones are.
    readers = {count: seen for count, seen in measured.items() if count >= physical_cores()}
    tuning = _chosen(measured, readers, everyone)
    return tuning, n_gpu_layers != 0 or cpu >= LEAST_SHARE * wall


def speeds_now(
    llama: Any, *, read: int, written: int, clock: Callable[[], float] = time.perf_counter
) -> Speeds:
    """Measure how fast a loaded model reads a prompt in whole batches and goes on from it, at this moment.

    Args:
        llama: The `llama_cpp.Llama`; its own cache is left as it is, its threads are those that run.
        read: Tokens of the prompt.
        written: Tokens written behind it.
        clock: Gives seconds; `time.process_time` counts those of the processor, whatever else it runs.
    """
    import llama_cpp

    with _lane(llama, n_ctx=read + written) as lane:
        lane.use(llama_cpp.llama_n_threads(llama.ctx), llama_cpp.llama_n_threads_batch(llama.ctx))
        tokens = lane.tokens(PASSAGE)
        return lane.timed((tokens * (read // len(tokens) + 1))[:read], written, clock=clock)


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
    from rag.llm import LocalLLM

    everyone = len(os.sched_getaffinity(0))
    llm = LocalLLM(model, LLMConfig(config.model, n_threads=everyone, n_gpu_layers=config.n_gpu_layers))
    llm.load()
    measured: dict[int, Speeds] = {}
    trials = []
    with _lane(llm._llama) as default:
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
    llm.close()
    measured[everyone] = _middle([trial.default for trial in trials])
    found = _chosen(measured, measured, everyone)
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


def _chosen(writers: dict[int, Speeds], readers: dict[int, Speeds], everyone: int) -> Tuning:
    """Take all threads, unless fewer are clearly faster."""
    reader = max(readers, key=lambda count: readers[count].prefill)
    writer = max(writers, key=lambda count: writers[count].decode)
    if readers[reader].prefill < LEAST_GAIN * readers[everyone].prefill:
        reader = everyone
    if writers[writer].decode < LEAST_GAIN * writers[everyone].decode:
        writer = everyone
    return Tuning(Speeds(readers[reader].prefill, writers[writer].decode), Threads(reader, writer))


@dataclass(frozen=True, slots=True)
class _Verdicts:
    """What a context says to the fixed prompts: the share of yes of each, and all logits."""

    shares: tuple[float, ...]
    logits: tuple[NDArray[np.float32], ...]

    def difference(self, other: _Verdicts) -> float:
        return max(abs(a - b) for a, b in zip(self.shares, other.shares, strict=True))

    def is_same(self, other: _Verdicts) -> bool:
        return all((a == b).all() for a, b in zip(self.logits, other.logits, strict=True))


def _thread_trial(llm: LocalLLM, default: _Lane, count: int, everyone: int, expected: _Verdicts) -> Trial:
    plain, speeds = _in_turns(lambda: _speeds(default, everyone), lambda: _speeds(default, count))
    said = _verdicts(llm, default, count)
    default.use(everyone)
    return Trial(f"n_threads = {count}", speeds, plain, said.difference(expected), said.is_same(expected))


def _setting_trial(
    llm: LocalLLM, default: _Lane, setting: str, params: dict[str, int], expected: _Verdicts
) -> Trial:
    try:
        with _lane(llm._llama, **params) as lane:
            said = _verdicts(llm, lane)
            plain, speeds = _in_turns(lambda: _speeds(default), lambda: _speeds(lane))
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


def _speeds(lane: _Lane, threads: int | None = None) -> Speeds:
    return lane.timed(lane.tokens(PASSAGE)[:READ], WRITTEN, threads)


def _middle(speeds: Sequence[Speeds]) -> Speeds:
    return Speeds(median(each.prefill for each in speeds), median(each.decode for each in speeds))


def _verdicts(llm: LocalLLM, lane: _Lane, threads: int | None = None) -> _Verdicts:
    """Read the verdicts on all statements: the passage once, then each statement behind it."""
    import numpy as np

    from rag.llm import Prompt

    if threads:
        lane.use(threads)
    yes, no = llm._spellings("yes"), llm._spellings("no")
    prompts = [Prompt((PASSAGE, f"Statement: {statement}\n\n{TASK}")) for statement in STATEMENTS]
    shares, logits = [], []
    *shared, _ = llm._blocks(prompts[0])
    lane.forget(0)
    for block in shared:
        lane.read(block)
    start = lane.length
    for prompt in prompts:
        lane.forget(start)
        logits.append(lane.read(llm._blocks(prompt)[-1]).copy())
        weights = np.exp(logits[-1].astype(np.float64) - logits[-1].max())
        shares.append(float(weights[yes].sum() / weights[yes + no].sum()))
    return _Verdicts(tuple(shares), tuple(logits))


class _Lane:
    """A context of its own on the weights of a loaded model."""

    def __init__(self, llama: Any, context: Any, size: int) -> None:
        self.length = 0
        self._llama = llama
        self._context = context
        self._size = size

    def tokens(self, text: str) -> list[int]:
        return list(self._llama.tokenize(text.encode(), add_bos=False))

    def use(self, decode: int, prefill: int | None = None) -> None:
        self._context.set_n_threads(decode, prefill or decode)

    def forget(self, length: int) -> None:
        """Keep the first `length` tokens."""
        if not self._context.kv_cache_seq_rm(0, length, -1):
            raise RuntimeError("this model cannot forget a tail")
        self.length = length

    def read(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Evaluate `tokens`; give the logits behind the last, shape (vocabulary,), until the next reading."""
        import numpy as np

        for start in range(0, len(tokens), self._size):
            batch = tokens[start : start + self._size]
            self._llama._batch.set_batch(batch=batch, n_past=self.length, logits_all=False)
            self._context.decode(self._llama._batch)
            self.length += len(batch)
        logits = self._context.get_logits_ith(-1)
        return np.ctypeslib.as_array(logits, shape=(self._llama.n_vocab(),))

    def timed(
        self,
        tokens: Sequence[int],
        written: int,
        threads: int | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> Speeds:
        """Read `tokens` from an empty cache, then write `written` more; give the speeds."""
        if threads:
            self.use(threads)
        self.forget(0)
        started = clock()
        token = int(self.read(tokens).argmax())
        read = clock()
        for _ in range(written):
            token = int(self.read([token]).argmax())
        return Speeds(len(tokens) / (read - started), written / (clock() - read))


@contextlib.contextmanager
def _lane(llama: Any, *, n_ctx: int = 512, **params: int) -> Iterator[_Lane]:
    """Make a context with other parameters than the model's own has."""
    from llama_cpp._internals import LlamaContext

    own = llama.context_params
    changed = type(own).from_buffer_copy(own)
    for name, value in {"n_ctx": n_ctx, **params}.items():
        setattr(changed, name, value)
    context = LlamaContext(model=llama._model, params=changed, verbose=False)
    try:
        yield _Lane(llama, context, min(changed.n_batch, llama.n_batch))
    finally:
        context.close()  # type: ignore[no-untyped-call]
