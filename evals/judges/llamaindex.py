"""LlamaIndex's own evaluators as a scorer: the peer that this harness is compared with."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any, cast

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.judges.choice.explain import explain
from rag_evals.evals.judges.choice.grader import MOST_LOG_ODDS
from rag_evals.evals.judges.judge import Explanation, RawScore, RawScores, trace_attributes
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.score import ClaimScore
from rag_evals.rag.answer import Answer, Tokens
from rag_evals.rag.errors import ModelDiedError, RemoteError
from rag_evals.rag.identity import digest
from rag_evals.rag.llm.local.local_llm import LocalLLM
from rag_evals.rag.llm.protocol import LLM, Completion, Prompt
from rag_evals.rag.profile import load, profile_of_model
from rag_evals.rag.tracing.conventions import token_attributes
from rag_evals.rag.tracing.spans import span

# Counts up when the way from an answer to its raw scores changes in a way that no setting shows.
VERSION = 1
_EVALUATORS = {"faithfulness": "FaithfulnessEvaluator", "relevancy": "RelevancyEvaluator"}


class LlamaIndexScorer:
    """Asks LlamaIndex's FaithfulnessEvaluator and RelevancyEvaluator about the whole answer.

    What they make of a reply stays as it is: whatever does not contain "yes" is 0.0, and so is an answer
    without contexts. Their relevancy holds question and answer against the contexts, ours looks at the answer
    alone. LlamaIndex's global settings are not read for a model, so that none of a vendor is ever made.

    Args:
        llm: The judging model; one that says how many tokens its context window holds. For one on a server
            that is what its settings say (`n_ctx`).

    Raises:
        UsageError: The model does not say so.
    """

    metrics = tuple(_EVALUATORS)

    def __init__(self, llm: LLM) -> None:
        if not isinstance(getattr(llm, "context_size", None), int):
            raise UsageError(
                f"the llamaindex judge packs its prompts by the model's context window, and {llm.name} does "
                "not say how many tokens that holds: use a local model, one on a server, or another judge."
            )
        self.name = f"llamaindex ({llm.name})"
        self.fingerprint = digest(
            {
                "reader": "llamaindex",
                "version": VERSION,
                "llm": llm.fingerprint,
                "llama-index-core": version("llama-index-core"),
                **_window(llm),
            }
        )
        self.profile = profile_of_model(llm)
        self._llm = llm

    def load(self) -> None:
        """Load the language model now, or ask its server whether it is there.

        Raises:
            ModelError: It cannot be loaded.
            RemoteError: The server cannot be reached, or refuses.
        """
        load(self._llm)

    def read(self, metrics: Sequence[str], question: Question, answer: Answer) -> Mapping[str, RawScores]:
        """Read `answer` for each of `metrics`, in the calling thread: one raw score for the whole answer."""
        return {metric: self._traced(metric, question, answer) for metric in metrics}

    def explain(self, metric: str, question: Question, answer: Answer, claim: ClaimScore) -> Explanation:
        """Have the model say what is wrong with `claim`, in the calling thread; in words of ours."""
        return explain(self._llm, metric, question, answer, claim)

    def _traced(self, metric: str, question: Question, answer: Answer) -> RawScores:
        with span(metric), span("verdict", kind="EVALUATOR") as step:
            raw_scores = self._read(metric, question, answer)
            for raw_score in raw_scores.items:
                step.set_from(trace_attributes, raw_score)
            step.set_from(token_attributes, raw_scores.tokens)
            if raw_scores.reason:
                step.fail(raw_scores.reason)
        return raw_scores

    def _read(self, metric: str, question: Question, answer: Answer) -> RawScores:
        metered = _Metered(self._llm)
        try:
            is_passing = _passes(_EVALUATORS[metric], metered, question, answer)
        except (RemoteError, ModelDiedError):
            raise  # another try may well give a verdict
        except Exception as error:  # noqa: BLE001 - an evaluator that fails has given no verdict
            reason = f"LlamaIndex's {_EVALUATORS[metric]} raised {type(error).__name__}: {error}"
            return RawScores(tokens=metered.tokens, reason=reason)
        log_odds = MOST_LOG_ODDS if is_passing else -MOST_LOG_ODDS
        whole = RawScore(answer.text, float(is_passing), {"yes": log_odds}, 0, len(answer.text), graded=False)
        return RawScores((whole,), metered.tokens)


def _window(llm: LLM) -> dict[str, int]:
    """Return the window that prompts are packed by; not that of a local model, which loading it tells."""
    return {} if isinstance(llm, LocalLLM) else {"window": llm.context_size}  # type: ignore[attr-defined]


class _Metered:
    """A language model that adds up its tokens; as much of one as the bridge to LlamaIndex asks for."""

    def __init__(self, llm: LLM) -> None:
        self.name = llm.name
        self.context_size: int = llm.context_size  # type: ignore[attr-defined]
        self.tokens = Tokens()
        self._llm = llm

    def complete(
        self, prompt: Prompt, *, max_tokens: int, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        completion = self._llm.complete(prompt, max_tokens=max_tokens, schema=schema)
        self.tokens += completion.tokens
        return completion


def _passes(evaluator: str, metered: _Metered, question: Question, answer: Answer) -> bool:
    from llama_index.core import evaluation
    from rag_evals.rag.retrieval.llamaindex import LlamaIndexLLM

    asked: Any = getattr(evaluation, evaluator)(llm=LlamaIndexLLM(cast("LocalLLM", metered)))
    contexts = [context.text for context in answer.contexts]
    # In a thread of its own: the calling one may run an event loop, theirs is none of its business.
    with ThreadPoolExecutor(max_workers=1) as thread:
        judged = asked.aevaluate(query=question.question, response=answer.text, contexts=contexts)
        return bool(thread.submit(asyncio.run, judged).result().passing)
