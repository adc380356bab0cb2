"""Evaluated tokens per question over the floor.

The floor of a run is the number of distinct tokens of its prompts, with prefixes that any of them share
counted once, plus the generated tokens: no cache that starts from nothing can do with less.

    python -m benchmarks.tokens --pipeline baseline --model smollm2-135m-instruct
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge
from rag_evals.evals.judges.choice.scorer import ChoiceScorer
from rag_evals.evals.questions.load import load_questions
from rag_evals.rag.answer import Tokens
from rag_evals.rag.config import config_for
from rag_evals.rag.config.llm import LLMConfig
from rag_evals.rag.documents.read import read_documents
from rag_evals.rag.llm.local.llama_cpp import LlamaCppModel
from rag_evals.rag.llm.protocol import Likelihood, Prompt
from rag_evals.rag.models.resolve import Model
from rag_evals.rag.pipelines.resources import Resources
from rag_evals.rag.pipelines.retrieval_pipeline import build_pipeline

from benchmarks.in_process import run_here
from benchmarks.report import print_table, save

FIXTURES = Path(__file__).parent.parent / "fixtures"


class Recorded(LlamaCppModel):
    """A local model that keeps the token ids of every prompt it is given."""

    def __init__(self, model: Model, config: LLMConfig) -> None:
        super().__init__(model, config)
        self.prompts: list[tuple[int, ...]] = []

    def blocks(self, prompt: Prompt) -> list[tuple[int, ...]]:
        blocks = super().blocks(prompt)
        self.prompts.append(tuple(token for block in blocks for token in block))
        return blocks

    def likelihood(self, prompt: Prompt) -> Likelihood:
        head, _ = self._around(prompt.system)
        parts = [self._tokenize(head, template=True), *map(self._tokenize, prompt.parts)]
        self.prompts.append(tuple(token for part in parts for token in part))
        return super().likelihood(prompt)


def main() -> None:
    """Measure each pipeline, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--docs", type=Path, default=FIXTURES / "corpus" / "primer.pdf")
    parser.add_argument("--questions", type=Path, default=FIXTURES / "questions" / "primer.jsonl")
    parser.add_argument("--pipeline", nargs="+", default=["baseline", "auto_merging"])
    parser.add_argument("--model")
    options = parser.parse_args()
    results = {
        name: measure(name, options.docs, options.questions, options.model) for name in options.pipeline
    }
    print_table(
        [
            ["pipeline", "evaluated", "reused", "generated", "floor", "ratio"],
            *(
                [name, *(f"{row[key]:,.0f}" for key in KEYS), f"{row['ratio']:.3f}"]
                for name, row in results.items()
            ),
        ]
    )
    save("tokens", {"per_question": results})


KEYS = ("evaluated", "reused", "generated", "floor")


def measure(name: str, docs: Path, questions: Path, model: str | None) -> dict[str, float]:
    """Return the mean counts per question of one pipeline with the choice judge."""
    config = config_for(name, model=model)
    resources = Resources()
    llm = run_here(resources, config.llm, Recorded)
    judge = CalibratedJudge(ChoiceScorer(llm, resources.embedder(config.embedder)))
    with tempfile.TemporaryDirectory() as folder:
        pipeline = build_pipeline(config, read_documents(docs), resources, Path(folder))
    asked = load_questions([questions])
    used = Tokens()
    for question in asked:
        answer = pipeline.answer_now(question.question)
        used += answer.total + judge.score_now(question, answer).tokens
    least = floor(llm.here.prompts) + used.generated
    counts = {**asdict(used), "floor": least}
    return {
        **{name: count / len(asked) for name, count in counts.items()},
        "ratio": (used.evaluated + used.generated) / least,
    }


def floor(prompts: Iterable[tuple[int, ...]]) -> int:
    """Count the nodes of the trie of `prompts`."""
    nodes: dict[tuple[int, int], int] = {}
    for prompt in prompts:
        node = 0
        for token in prompt:
            node = nodes.setdefault((node, token), len(nodes) + 1)
    return len(nodes)


if __name__ == "__main__":
    main()
