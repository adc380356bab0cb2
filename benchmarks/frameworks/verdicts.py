"""What runs in a framework's own environment: an answer a line comes in, its verdict a line goes out.

    python verdicts.py FRAMEWORK URL < answers > verdicts

Imports nothing of this project, which is not installed there.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

Judge = Callable[[Mapping[str, Any]], float]

MODEL = "judge"
SETTINGS = {
    "DEEPEVAL_TELEMETRY_OPT_OUT": "YES",
    "DEEPEVAL_PER_ATTEMPT_TIMEOUT_SECONDS_OVERRIDE": "300",  # 88 by itself: a processor is slower than that
    "DEEPEVAL_PER_TASK_TIMEOUT_SECONDS_OVERRIDE": "1200",
    "RAGAS_DO_NOT_TRACK": "true",
    "OPENAI_API_KEY": "none",
}


def main() -> None:
    """Judge what stands on standard input."""
    framework, url = sys.argv[1:]
    os.environ |= SETTINGS
    out, sys.stdout = sys.stdout, sys.stderr  # both print what they please
    judge = {"deepeval": deepeval_judge, "ragas": ragas_judge}[framework](url)
    for line in sys.stdin:
        answer = json.loads(line)
        try:
            value, problem = judge(answer), None
        except Exception as error:  # noqa: BLE001 - whatever a framework raises is no verdict
            value, problem = None, f"{type(error).__name__}: {error}"[:300]
        print(json.dumps({"value": value, "problem": problem}), file=out, flush=True)


def deepeval_judge(url: str) -> Judge:
    """Return what judges by DeepEval's metrics, as they come."""
    from deepeval.metrics import AnswerRelevancyMetric, FaithfulnessMetric
    from deepeval.models import LocalModel
    from deepeval.test_case import LLMTestCase

    model = LocalModel(model=MODEL, api_key="none", base_url=url, temperature=0)
    of = {"faithfulness": FaithfulnessMetric, "relevancy": AnswerRelevancyMetric}

    def judge(answer: Mapping[str, Any]) -> float:
        case = LLMTestCase(
            input=answer["question"], actual_output=answer["answer"], retrieval_context=answer["contexts"]
        )
        metric = of[answer["metric"]](model=model, include_reason=False, async_mode=False)
        return float(metric.measure(case, _show_indicator=False))

    return judge


def ragas_judge(url: str) -> Judge:
    """Return what judges by ragas' metrics, as they come, with the embedder of the server."""
    from openai import AsyncOpenAI
    from ragas.embeddings.base import BaseRagasEmbedding
    from ragas.llms import llm_factory
    from ragas.metrics.collections import AnswerRelevancy, Faithfulness

    class Embedder(BaseRagasEmbedding):
        """Asks the server for embeddings."""

        def embed_text(self, text: str, **options: Any) -> list[float]:
            raise NotImplementedError

        async def aembed_text(self, text: str, **options: Any) -> list[float]:
            found = await client.embeddings.create(model="embedder", input=[text])
            return list(found.data[0].embedding)

    client = AsyncOpenAI(base_url=url, api_key="none", timeout=900, max_retries=0)
    llm = llm_factory(MODEL, client=client)
    of = {"faithfulness": Faithfulness(llm=llm), "relevancy": AnswerRelevancy(llm=llm, embeddings=Embedder())}

    def judge(answer: Mapping[str, Any]) -> float:
        import asyncio

        of_metric = {"faithfulness": {"retrieved_contexts": answer["contexts"]}}.get(answer["metric"], {})
        metric = of[answer["metric"]]
        value = asyncio.run(
            metric.ascore(user_input=answer["question"], response=answer["answer"], **of_metric)
        )
        value = float(value.value)
        if value != value:  # NaN stands for no verdict
            raise ValueError("not a number")
        return value

    return judge


if __name__ == "__main__":
    main()
