"""Measurements of a loaded model: its speeds and its best number of threads, in two seconds."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rag_evals.rag.llm.local.grammar import Logits
from rag_evals.rag.llm.local.speeds import Speeds, Threads, Tuning, physical_cores

# Set to 0, no model is measured when it is first loaded.
PROBE = "RAG_EVALS_PROBE"


# Tokens of a reading and of a writing that are timed: few, to pass unnoticed in a first load.
READ, WRITTEN = 64, 8


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


def may_probe() -> bool:
    """Whether a model that was never measured is measured when it is loaded."""
    return os.environ.get(PROBE) != "0"


def probe(llama: Any, *, n_gpu_layers: int = 0) -> tuple[Tuning, bool]:
    """Measure the speeds of a loaded `llama_cpp.Llama` and choose its threads, in about two seconds.

    Its own cache is left as it is.

    Returns:
        What was found, and whether it is fit to be kept: not where other work took the cores.

    Raises:
        ValueError: llama.cpp does not make a second context on this model.
        RuntimeError: It does not run it there.
    """
    with second_context(llama, n_ctx=256) as context:
        tokens = context.tokens(PASSAGE)[:READ]
        context.timed(tokens[:8], 1)
        started, spent = time.perf_counter(), time.process_time()
        everyone = len(os.sched_getaffinity(0))
        measured = {
            count: context.timed(tokens if count >= physical_cores() else tokens[:8], WRITTEN, count)
            for count in sorted({1, physical_cores(), everyone}, reverse=True)
        }
        wall, cpu = time.perf_counter() - started, time.process_time() - spent
    # A reading of eight tokens says nothing of how fast the long ones are.
    readers = {count: seen for count, seen in measured.items() if count >= physical_cores()}
    tuning = chosen(measured, readers, everyone)
    return tuning, n_gpu_layers != 0 or cpu >= LEAST_SHARE * wall


def chosen(writers: dict[int, Speeds], readers: dict[int, Speeds], everyone: int) -> Tuning:
    """Take all threads, unless fewer are clearly faster."""
    reader = max(readers, key=lambda count: readers[count].prefill)
    writer = max(writers, key=lambda count: writers[count].decode)
    if readers[reader].prefill < LEAST_GAIN * readers[everyone].prefill:
        reader = everyone
    if writers[writer].decode < LEAST_GAIN * writers[everyone].decode:
        writer = everyone
    return Tuning(Speeds(readers[reader].prefill, writers[writer].decode), Threads(reader, writer))


class SecondContext:
    """A context of its own on the weights of a loaded model."""

    def __init__(self, llama: Any, context: Any, size: int) -> None:
        self.length = 0
        self._llama = llama
        self._context = context
        self._size = size

    def tokens(self, text: str) -> list[int]:
        """Return the tokens of `text`."""
        return list(self._llama.tokenize(text.encode(), add_bos=False))

    def use(self, decode: int, prefill: int | None = None) -> None:
        """Use so many threads."""
        self._context.set_n_threads(decode, prefill or decode)

    def forget(self, length: int) -> None:
        """Keep the first `length` tokens."""
        if not self._context.kv_cache_seq_rm(0, length, -1):
            raise RuntimeError("this model cannot forget a tail")
        self.length = length

    def read(self, tokens: Sequence[int]) -> Logits:
        """Evaluate `tokens`; return the logits behind the last, shape (vocabulary,), until the next call."""
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
        """Read `tokens` from an empty cache, then write `written` more; return the speeds."""
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
def second_context(llama: Any, *, n_ctx: int = 512, **params: int) -> Iterator[SecondContext]:
    """Make a context with other parameters than the model's own has."""
    from llama_cpp._internals import LlamaContext

    own = llama.context_params
    changed = type(own).from_buffer_copy(own)
    for name, value in {"n_ctx": n_ctx, **params}.items():
        setattr(changed, name, value)
    context = LlamaContext(model=llama._model, params=changed, verbose=False)
    try:
        yield SecondContext(llama, context, min(changed.n_batch, llama.n_batch))
    finally:
        context.close()  # type: ignore[no-untyped-call]
