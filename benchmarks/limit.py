"""Time of a cold run over the time that llama.cpp itself takes for the same tokens.

The limit of a stage is its evaluated tokens at the speed of a prompt that is read in whole batches (about as
long as the stage's own prompts: two batches for an answer, one for a verdict), plus its generated tokens at
the speed of writing behind such a prompt. The speeds are measured in the same process before, amid and after
the run, with the threads of the run; their medians count, as a machine drifts. `work` is the same ratio in
processor time, which other processes disturb less. Besides the ratios the table shows what is spent inside
llama.cpp at all: the rest is ours, the embedder's and the index's. Loading the models and building the index
are left out.

    python -m benchmarks.limit --docs paper.pdf --model qwen2.5-coder-0.5b-instruct
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rag_evals.evals.engine.cache import Cache
from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge
from rag_evals.evals.judges.choice.scorer import ChoiceScorer
from rag_evals.evals.questions.load import load_questions
from rag_evals.rag.answer import Tokens
from rag_evals.rag.config import config_for
from rag_evals.rag.documents.read import read_documents
from rag_evals.rag.llm.local.probe import PASSAGE, second_context
from rag_evals.rag.llm.local.speeds import Speeds
from rag_evals.rag.pipelines.resources import Resources
from rag_evals.rag.pipelines.retrieval_pipeline import build_pipeline

from benchmarks.in_process import InProcessLLM, run_here
from benchmarks.report import print_table, save

QUESTIONS = Path(__file__).parent / "questions" / "mixtral.jsonl"
WRITTEN = 24
# Batches of a prompt whose reading is timed, by stage.
BATCHES = {"retrieve": 1, "generate": 2, "judge": 1}


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast llama.cpp is, in tokens a second of the clock and in tokens a second of the processor."""

    clock: Speeds
    processor: Speeds


@dataclass(slots=True)
class Stage:
    """What one stage of all questions took.

    Attributes:
        seconds: Wall-clock time.
        inside: Of it, the time in llama.cpp's evaluation.
        embedding: Of it, the time in the embedder.
        processor: Processor time, of all threads; less than the cores' share of `seconds` where other
            processes ran.
        passes: Calls of llama.cpp that evaluated prompt tokens.
        tokens: What was evaluated, reused and generated.
    """

    seconds: float = 0.0
    inside: float = 0.0
    embedding: float = 0.0
    processor: float = 0.0
    passes: int = 0
    tokens: Tokens = field(default_factory=Tokens)

    def limit(self, speeds: Speeds) -> float:
        """Return the seconds that llama.cpp itself takes for these tokens at these speeds."""
        return self.tokens.evaluated / speeds.prefill + self.tokens.generated / speeds.decode


class Meter:
    """Stands before llama.cpp's evaluation and the embedder, and adds up their time to the current stage."""

    def __init__(self, llm: InProcessLLM, embedder: Any) -> None:
        self.stages = {name: Stage() for name in BATCHES}
        self._current = Stage()
        self._decode, self._embed = llm.here._llama._ctx.decode, embedder.embed
        llm.here._llama._ctx.decode = self.decode
        embedder.embed = self.embed

    def decode(self, batch: Any) -> None:
        started = time.perf_counter()
        self._decode(batch)
        self._current.inside += time.perf_counter() - started
        self._current.passes += batch.n_tokens() > 1

    def embed(self, *given: Any, **named: Any) -> Any:
        started = time.perf_counter()
        vectors = self._embed(*given, **named)
        self._current.embedding += time.perf_counter() - started
        return vectors

    @contextmanager
    def of(self, name: str) -> Iterator[Stage]:
        stage = self._current = self.stages[name]
        started, spent = time.perf_counter(), time.process_time()
        yield stage
        stage.seconds += time.perf_counter() - started
        stage.processor += time.process_time() - spent


def main() -> None:
    """Run the questions cold, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--docs", type=Path, required=True, help="the document that the questions are about")
    parser.add_argument("--questions", type=Path, default=QUESTIONS)
    parser.add_argument("--pipeline", default="baseline")
    parser.add_argument("--model")
    parser.add_argument("--first", type=int, help="only so many questions")
    parser.add_argument("--trial", action="store_true", help="print only")
    options = parser.parse_args()
    stages, paces = measure(options)
    rows = {name: _row({name: stage}, paces) for name, stage in stages.items()}
    rows["all"] = _row(stages, paces)
    print_table([["stage", *_COLUMNS], *([name, *_shown(row)] for name, row in rows.items())])
    for name, pace in paces.items():
        print(f"{name}: read {pace.clock.prefill:,.0f} tokens/s, write {pace.clock.decode:.1f} tokens/s")
    if not options.trial:
        model = config_for(options.pipeline, model=options.model).llm.model
        save(
            "limit",
            {
                "model": model,
                "speeds": {name: asdict(pace) for name, pace in paces.items()},
                "stages": rows,
            },
        )


def measure(options: argparse.Namespace) -> tuple[dict[str, Stage], dict[str, Pace]]:
    """Return what each stage took, and how fast llama.cpp was meanwhile, both by stage."""
    config = config_for(options.pipeline, model=options.model)
    questions = load_questions([options.questions])[: options.first]
    with tempfile.TemporaryDirectory() as folder:
        # As in a run: a sentence that an earlier question has looked at is not embedded again.
        resources = Resources(memory=Cache(Path(folder) / "cache.sqlite"))
        llm, embedder = run_here(resources, config.llm), resources.embedder(config.embedder)
        judge = CalibratedJudge(ChoiceScorer(llm, embedder))
        pipeline = build_pipeline(config, read_documents(options.docs), resources, Path(folder))
        pipeline.load()
        embedder.embed(["warm"])
        meter = Meter(llm, embedder)
        paces = [_paces(llm)]
        for number, question in enumerate(questions):
            if number == len(questions) // 2:
                paces.append(_paces(llm))
            with meter.of("retrieve") as stage:
                retrieval = pipeline.retrieve_now(question.question)
                stage.tokens += sum(retrieval.tokens.values(), Tokens())
            with meter.of("generate") as stage:
                answer = pipeline.write_now(question.question, retrieval)
                stage.tokens += answer.tokens["generate"]
            with meter.of("judge") as stage:
                stage.tokens += judge.score_now(question, answer).tokens
        paces.append(_paces(llm))
    return meter.stages, {
        name: Pace(
            _middle([pace[name].clock for pace in paces]), _middle([pace[name].processor for pace in paces])
        )
        for name in BATCHES
    }


def _paces(llm: InProcessLLM) -> dict[str, Pace]:
    by_length = {n: Pace(_speeds(llm, n), _speeds(llm, n, time.process_time)) for n in set(BATCHES.values())}
    return {name: by_length[n] for name, n in BATCHES.items()}


def _speeds(llm: InProcessLLM, batches: int, clock: Callable[[], float] = time.perf_counter) -> Speeds:
    import llama_cpp

    llama = llm.here._llama
    read = batches * llama.n_batch
    with second_context(llama, n_ctx=read + WRITTEN) as context:
        # The threads are those that run.
        context.use(llama_cpp.llama_n_threads(llama.ctx), llama_cpp.llama_n_threads_batch(llama.ctx))
        tokens = context.tokens(PASSAGE)
        return context.timed((tokens * (read // len(tokens) + 1))[:read], WRITTEN, clock=clock)


def _middle(speeds: Sequence[Speeds]) -> Speeds:
    return Speeds(median(each.prefill for each in speeds), median(each.decode for each in speeds))


def _row(stages: Mapping[str, Stage], paces: Mapping[str, Pace]) -> dict[str, float]:
    limit = sum(stage.limit(paces[name].clock) for name, stage in stages.items())
    work = sum(stage.limit(paces[name].processor) for name, stage in stages.items())
    summed = list(stages.values())
    seconds, processor = sum(stage.seconds for stage in summed), sum(stage.processor for stage in summed)
    tokens = sum((stage.tokens for stage in summed), Tokens())
    return {
        "seconds": seconds,
        "limit": limit,
        "ratio": seconds / limit if limit else 0.0,
        "work": processor / work if work else 0.0,
        "inside": sum(stage.inside for stage in summed),
        "embedding": sum(stage.embedding for stage in summed),
        "processor": processor,
        "passes": sum(stage.passes for stage in summed),
        "evaluated": tokens.evaluated,
        "reused": tokens.reused,
        "generated": tokens.generated,
    }


_COLUMNS = {
    "seconds": ".1f",
    "limit": ".1f",
    "ratio": ".3f",
    "work": ".3f",
    "inside": ".1f",
    "embedding": ".1f",
    "processor": ".1f",
    "passes": ",",
    "evaluated": ",",
    "reused": ",",
    "generated": ",",
}


def _shown(row: dict[str, float]) -> list[str]:
    return [format(row[name], spec) for name, spec in _COLUMNS.items()]


if __name__ == "__main__":
    main()
