"""Ours beside stock LlamaIndex: same model file, same embedder, same document, same questions.

The stock path is a VectorStoreIndex query engine as it comes, BatchEvalRunner with FaithfulnessEvaluator
and RelevancyEvaluator, and the model behind llama-cpp-python's own chat completion, which reuses the
longest common prefix with the prompt before.

A verdict is labelled, and counts, where the truth is known: a planted false answer is unfaithful; an
answer that has the expected words, with the evidence in its contexts, is faithful and relevant. Other
answers (wrong ones, and declined ones) are counted as such, and their verdicts are not.

    python -m benchmarks.vs_llamaindex --docs mixtral.pdf
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rag_evals.evals.judges.build import CARDS, JudgeModels, judge_for
from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge
from rag_evals.evals.judges.metrics import DEFAULT_THRESHOLD, METRICS
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Answer
from rag_evals.rag.config import config_for
from rag_evals.rag.documents.document import Corpus
from rag_evals.rag.documents.read import read_documents
from rag_evals.rag.models.resolve import resolve
from rag_evals.rag.pipelines.resources import Resources
from rag_evals.rag.pipelines.retrieval_pipeline import build_pipeline
from rag_evals.rag.retrieval.embedder import Embedder

from benchmarks.report import RESULTS, print_table, save

QUESTIONS = Path(__file__).parent / "questions" / "mixtral.json"


@dataclass(slots=True)
class Side:
    """What one side used in all, for `answer` and `verdicts`, and what it said to each question."""

    name: str
    seconds: dict[str, float] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    log: list[dict[str, Any]] = field(default_factory=list)

    def means(self) -> dict[str, float]:
        """Return the means per question."""
        rows: dict[str, float] = {}
        for unit, used in (("seconds", self.seconds), ("tokens", self.tokens)):
            rows |= {f"{unit}/question, {stage}": total / len(self.log) for stage, total in used.items()}
            rows[f"{unit}/question"] = sum(used.values()) / len(self.log)
        return rows


@dataclass(frozen=True, slots=True)
class Tally:
    """How often one side was right, by the labels of the questions."""

    right_answers: int
    right_verdicts: int
    verdicts: int
    noes_to_right_answers: int
    verdicts_on_right_answers: int


def tally(log: list[dict[str, Any]], questions: list[dict[str, str]]) -> Tally:
    """Hold what a side said against the labels; a verdict that could not be had is never right."""
    labels = {line["id"]: line for line in questions}
    expected = [
        re.search(labels[said["id"]]["expect"], said["answer"], re.IGNORECASE) is not None for said in log
    ]
    judged = [
        verdict
        for said, is_right in zip(log, expected, strict=True)
        if is_right and said["evidence_retrieved"]
        for verdict in said["verdicts"].values()
    ]
    planted = [said["planted_judged_faithful"] for said in log]
    right = judged.count(True) + planted.count(False)
    return Tally(sum(expected), right, len(judged) + len(planted), judged.count(False), len(judged))


class Meter:
    """Counts the tokens that a llama.cpp model evaluates, whoever asks."""

    def __init__(self, llama: Any) -> None:
        self.tokens = 0
        fill = llama._batch.set_batch  # every evaluation goes through it

        def counted(batch: Sequence[int], n_past: int, logits_all: bool) -> None:
            self.tokens += len(batch)
            fill(batch=batch, n_past=n_past, logits_all=logits_all)

        llama._batch.set_batch = counted

    @contextmanager
    def measured(self, side: Side, stage: str) -> Iterator[None]:
        """Add seconds and evaluated tokens of the block to what `side` used for `stage`."""
        start, before = time.perf_counter(), self.tokens
        yield
        side.seconds[stage] = side.seconds.get(stage, 0.0) + time.perf_counter() - start
        side.tokens[stage] = side.tokens.get(stage, 0) + self.tokens - before


def main() -> None:
    """Measure both sides, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--docs", type=Path)
    group.add_argument(
        "--recount", action="store_true", help="hold the saved answers against the labels again"
    )
    parser.add_argument("--model", help="another model: name or path")
    options = parser.parse_args()
    questions = json.loads(QUESTIONS.read_text())
    if options.recount:
        saved = json.loads((RESULTS / "vs_llamaindex.json").read_text())
        report([Side(**side) for side in saved["sides"]], questions, saved["command"])
        return
    corpus = read_documents(options.docs)
    resources = Resources()
    ours = run_ours(questions, corpus, resources, options.model)
    stock = asyncio.run(run_stock(questions, corpus, resources, options.model))
    report([ours, stock], questions)


def run_ours(
    questions: list[dict[str, str]], corpus: Corpus, resources: Resources, model: str | None
) -> Side:
    """Answer and judge with the baseline pipeline and the choice judge."""
    config = config_for("baseline", model=model)
    side = Side("rag-evals")
    with tempfile.TemporaryDirectory() as folder:
        pipeline = build_pipeline(config, corpus, resources, Path(folder))
    llm = resources.llm(config.llm)
    meter = Meter(llm._llama)  # type: ignore[attr-defined]
    models = JudgeModels(resources, config)
    # As it ships, with its card; the metrics that the other side has too.
    judge = judge_for("choice", models, metrics=("faithfulness", "relevancy"), folders=[CARDS])
    assert isinstance(judge, CalibratedJudge)
    for line in questions:
        question = Question(id=line["id"], question=line["question"])
        with meter.measured(side, "answer"):
            answer = pipeline.answer_now(question.question)
        with meter.measured(side, "verdicts"):
            scores = _said(judge, question, answer)
        # The planted answer is judged as well, but it is no part of a question's cost.
        planted = _said(judge, question, Answer(line["false"], answer.contexts))
        contexts = [context.text for context in answer.contexts]
        _log(side, line, answer.text, contexts, scores, planted["faithfulness"])
    return side


def _said(judge: CalibratedJudge, question: Question, answer: Answer) -> dict[str, bool | None]:
    thresholds = {**dict.fromkeys(METRICS, DEFAULT_THRESHOLD), **judge.profile.thresholds}
    scores = judge.score_now(question, answer).scores
    return {s.metric: None if s.value is None else s.value >= thresholds[s.metric] for s in scores}


async def run_stock(
    questions: list[dict[str, str]], corpus: Corpus, resources: Resources, model: str | None
) -> Side:
    """Answer and judge with what LlamaIndex offers out of the box."""
    from llama_index.core import Document, VectorStoreIndex
    from llama_index.core.evaluation import BatchEvalRunner, FaithfulnessEvaluator, RelevancyEvaluator
    from rag_evals.rag.retrieval.llamaindex import LlamaIndexEmbedding

    config = config_for("baseline", model=model)
    llm, meter = _stock_llm(config.llm.model, config.llm.n_ctx)
    embedder: Embedder = resources.embedder(config.embedder)
    documents = [Document(text=document.text) for document in corpus.documents]
    index = VectorStoreIndex.from_documents(documents, embed_model=LlamaIndexEmbedding(embedder))
    engine = index.as_query_engine(llm=llm)
    faithfulness, relevancy = FaithfulnessEvaluator(llm=llm), RelevancyEvaluator(llm=llm)
    runner = BatchEvalRunner({"faithfulness": faithfulness, "relevancy": relevancy}, workers=1)
    side = Side("LlamaIndex")
    for line in questions:
        query = line["question"]
        with meter.measured(side, "answer"):
            response = engine.query(query)
        with meter.measured(side, "verdicts"):
            results = await runner.aevaluate_responses(queries=[query], responses=[response])
        contexts = [node.get_content() for node in response.source_nodes]
        planted = await faithfulness.aevaluate(query, response=line["false"], contexts=contexts)
        said = {metric: bool(results[metric][0].passing) for metric in results}
        _log(side, line, str(response), contexts, said, bool(planted.passing))
    return side


def _stock_llm(model: str, n_ctx: int) -> tuple[Any, Meter]:
    """Return a LlamaIndex LLM on llama-cpp-python's own chat completion, as its integrations do it."""
    import llama_cpp
    from llama_index.core.base.llms.types import CompletionResponse, CompletionResponseGen, LLMMetadata
    from llama_index.core.llms.callbacks import llm_completion_callback
    from llama_index.core.llms.custom import CustomLLM

    llama = llama_cpp.Llama(str(resolve(model).path), n_ctx=n_ctx, n_batch=512, verbose=False)
    meter = Meter(llama)

    class StockLLM(CustomLLM):
        @property
        def metadata(self) -> LLMMetadata:
            return LLMMetadata(context_window=n_ctx, num_output=256, model_name=model)

        @llm_completion_callback()
        def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
            turn = [{"role": "user", "content": prompt}]
            given = llama.create_chat_completion(turn, temperature=0.0, max_tokens=256)
            return CompletionResponse(text=given["choices"][0]["message"]["content"])

        @llm_completion_callback()
        def stream_complete(
            self, prompt: str, formatted: bool = False, **kwargs: Any
        ) -> CompletionResponseGen:
            yield self.complete(prompt)

    return StockLLM(), meter


def _log(
    side: Side,
    line: dict[str, str],
    answer: str,
    contexts: list[str],
    said: dict[str, bool | None],
    planted: bool | None,
) -> None:
    side.log.append(
        {
            "id": line["id"],
            "answer": answer,
            "evidence_retrieved": any(re.search(line["evidence"], context) for context in contexts),
            "verdicts": said,
            "planted_judged_faithful": planted,
        }
    )
    print(f"  {side.name} {line['id']}: {' '.join(answer.split())[:90]}", flush=True)


def report(sides: list[Side], questions: list[dict[str, str]], command: str | None = None) -> None:
    """Print the table and write the JSON."""
    means = [side.means() for side in sides]
    ratios = {name: means[0][name] / means[1][name] for name in means[0]}
    tallies = [tally(side.log, questions) for side in sides]
    print()
    print_table(
        [
            ["", *(side.name for side in sides), "ratio"],
            *([name, *(f"{mean[name]:,.1f}" for mean in means), f"{ratios[name]:.2f}"] for name in ratios),
            ["right answers", *(f"{t.right_answers} of {len(questions)}" for t in tallies), ""],
            ["right verdicts", *(f"{t.right_verdicts} of {t.verdicts}" for t in tallies), ""],
            [
                "NO to right answers",
                *(f"{t.noes_to_right_answers} of {t.verdicts_on_right_answers}" for t in tallies),
                "",
            ],
        ]
    )
    result = {
        "ratios": ratios,
        "means": {side.name: mean for side, mean in zip(sides, means, strict=True)},
        "tallies": {side.name: asdict(t) for side, t in zip(sides, tallies, strict=True)},
        "sides": [asdict(side) for side in sides],
    }
    save("vs_llamaindex", result, command)


if __name__ == "__main__":
    main()
