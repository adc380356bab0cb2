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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.report import print_table, save
from evals.judges import ChoiceJudge
from evals.questions import Question
from rag.answer import Answer
from rag.config import config_for
from rag.documents import Corpus, read_documents
from rag.embedding import Embedder
from rag.models import resolve
from rag.pipelines import Resources, build_pipeline

QUESTIONS = Path(__file__).parent / "questions" / "mixtral.json"


@dataclass(slots=True)
class Side:
    """What one side used and said."""

    name: str
    answer_seconds: list[float] = field(default_factory=list)
    judge_seconds: list[float] = field(default_factory=list)
    answer_tokens: list[int] = field(default_factory=list)
    judge_tokens: list[int] = field(default_factory=list)
    right_answers: int = 0
    right: int = 0
    labelled: int = 0
    noes: int = 0
    noes_of: int = 0
    log: list[dict[str, Any]] = field(default_factory=list)

    def count(self, wanted: bool, said: bool | None) -> None:
        """Count one labelled verdict; None (no verdict) is never right."""
        self.labelled += 1
        self.right += said is wanted
        if wanted:
            self.noes_of += 1
            self.noes += said is False


class Meter:
    """Counts the tokens that a llama.cpp model evaluates, whoever asks."""

    def __init__(self, llama: Any) -> None:
        self.tokens = 0
        evaluate = llama.eval

        def counted(tokens: Sequence[int]) -> None:
            self.tokens += len(tokens)
            evaluate(tokens)

        llama.eval = counted

    @contextmanager
    def measured(self, seconds: list[float], tokens: list[int]) -> Iterator[None]:
        """Append seconds and evaluated tokens of the block to the two lists."""
        start, before = time.perf_counter(), self.tokens
        yield
        seconds.append(time.perf_counter() - start)
        tokens.append(self.tokens - before)


def main() -> None:
    """Measure both sides, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--docs", type=Path, required=True)
    parser.add_argument("--model", help="another model: name or path")
    options = parser.parse_args()
    questions = json.loads(QUESTIONS.read_text())
    corpus = read_documents(options.docs)
    resources = Resources()
    ours = run_ours(questions, corpus, resources, options.model)
    stock = asyncio.run(run_stock(questions, corpus, resources, options.model))
    report(ours, stock)


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
    judge = ChoiceJudge(llm)
    for line in questions:
        question = Question(id=line["id"], question=line["question"])
        with meter.measured(side.answer_seconds, side.answer_tokens):
            answer = pipeline.answer_now(question.question)
        with meter.measured(side.judge_seconds, side.judge_tokens):
            scores = _said(judge, question, answer)
        # The planted answer is judged as well, but it is no part of a question's cost.
        planted = _said(judge, question, Answer(line["false"], answer.contexts))
        contexts = [context.text for context in answer.contexts]
        _tally(side, line, answer.text, contexts, scores, planted["faithfulness"])
    return side


def _said(judge: ChoiceJudge, question: Question, answer: Answer) -> dict[str, bool | None]:
    scores = judge.score_now(question, answer).scores
    return {score.metric: None if score.value is None else score.value >= 0.5 for score in scores}


async def run_stock(
    questions: list[dict[str, str]], corpus: Corpus, resources: Resources, model: str | None
) -> Side:
    """Answer and judge with what LlamaIndex offers out of the box."""
    from llama_index.core import Document, VectorStoreIndex
    from llama_index.core.evaluation import BatchEvalRunner, FaithfulnessEvaluator, RelevancyEvaluator

    from rag.bridge import LlamaIndexEmbedding

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
        with meter.measured(side.answer_seconds, side.answer_tokens):
            response = engine.query(query)
        with meter.measured(side.judge_seconds, side.judge_tokens):
            results = await runner.aevaluate_responses(queries=[query], responses=[response])
        contexts = [node.get_content() for node in response.source_nodes]
        planted = await faithfulness.aevaluate(query, response=line["false"], contexts=contexts)
        said = {metric: bool(results[metric][0].passing) for metric in results}
        _tally(side, line, str(response), contexts, said, bool(planted.passing))
    return side


def _stock_llm(model: str, n_ctx: int) -> tuple[Any, Meter]:
    """Give a LlamaIndex LLM on llama-cpp-python's own chat completion, as its integrations do it."""
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


def _tally(
    side: Side,
    line: dict[str, str],
    answer: str,
    contexts: list[str],
    said: dict[str, bool | None],
    planted: bool | None,
) -> None:
    evident = any(re.search(line["evidence"], context) for context in contexts)
    expected = re.search(line["expect"], answer, re.IGNORECASE) is not None
    side.right_answers += expected
    if expected and evident:
        side.count(True, said["faithfulness"])
        side.count(True, said["relevancy"])
    side.count(False, planted)
    side.log.append(
        {
            "id": line["id"],
            "answer": answer,
            "evidence_retrieved": evident,
            "expected_words": expected,
            "verdicts": said,
            "planted_judged_faithful": planted,
        }
    )
    print(f"  {side.name} {line['id']}: {' '.join(answer.split())[:90]}", flush=True)


def report(ours: Side, stock: Side) -> None:
    """Print the table and write the JSON."""
    rows: dict[str, list[float]] = {}
    for side in (ours, stock):
        n = len(side.answer_seconds)
        for name, total in (
            ("seconds/question, answer", sum(side.answer_seconds) / n),
            ("seconds/question, verdicts", sum(side.judge_seconds) / n),
            ("seconds/question", (sum(side.answer_seconds) + sum(side.judge_seconds)) / n),
            ("tokens/question, answer", sum(side.answer_tokens) / n),
            ("tokens/question, verdicts", sum(side.judge_tokens) / n),
            ("tokens/question", (sum(side.answer_tokens) + sum(side.judge_tokens)) / n),
        ):
            rows.setdefault(name, []).append(total)
    ratios = {name: mine / theirs for name, (mine, theirs) in rows.items()}
    print()
    print_table(
        [
            ["", ours.name, stock.name, "ratio"],
            *([name, f"{a:,.1f}", f"{b:,.1f}", f"{ratios[name]:.2f}"] for name, (a, b) in rows.items()),
            ["right answers", *(f"{s.right_answers} of {len(s.log)}" for s in (ours, stock)), ""],
            ["right verdicts", *(f"{s.right} of {s.labelled}" for s in (ours, stock)), ""],
            ["NO to right answers", *(f"{s.noes} of {s.noes_of}" for s in (ours, stock)), ""],
        ]
    )
    sides = {
        side.name: {
            "right_answers": side.right_answers,
            "questions": len(side.log),
            "right_verdicts": side.right,
            "labelled_verdicts": side.labelled,
            "log": side.log,
        }
        for side in (ours, stock)
    }
    save("vs_llamaindex", {"means": rows, "ratios": ratios, "sides": sides})


if __name__ == "__main__":
    main()
