"""The sentence that the judging model writes on a breach: what is wrong with the weakest claim."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from rag_evals.evals.judges.judge import Explanation
from rag_evals.evals.judges.prompts import harmless_text, judged_question, passage_parts
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.score import ClaimScore
from rag_evals.rag.answer import Answer, Context, Tokens, question_part
from rag_evals.rag.errors import ContextWindowError
from rag_evals.rag.llm.protocol import LLM, Completion, Prompt
from rag_evals.rag.tracing.conventions import spoken
from rag_evals.rag.tracing.spans import span

# Counts up when the prompts change: what was written by others is written anew.
VERSION = 1
MOST_TOKENS = 60
MOST_CHARACTERS = 240
_STATEMENT = (
    "Statement",
    "The passages do not support the statement. Say in one short sentence what of it they do not say.",
)
# The word before what is judged, and what is asked of it, by metric.
TASKS: Mapping[str, tuple[str, str]] = {
    "faithfulness": _STATEMENT,
    "context_recall": _STATEMENT,
    "citation_precision": _STATEMENT,
    "citation_recall": _STATEMENT,
    "relevancy": (
        "Reply",
        "The reply does not give the information that the question asks for. Say in one short sentence what "
        "is missing.",
    ),
    "refusal": (
        "Reply",
        "The reply declines, but the passages answer the question. Say in one short sentence what they say.",
    ),
    "context_relevancy": (
        "Passage",
        "The passage does not help to answer the question. Say in one short sentence what it is about.",
    ),
    "correctness": (
        "Reply",
        "The reply does not agree with the reference answer. Say in one short sentence how it differs.",
    ),
}
_UNANSWERABLE = (
    "Reply",
    "The passages do not answer the question. Say in one short sentence what of the reply they do not say.",
)
_WITH_PASSAGES = ("faithfulness", "context_recall", "refusal")
# With what is cited alone: the other passages may well say it.
_WITH_CLOSEST = ("citation_precision", "citation_recall")
_SENTENCE = re.compile(r".*?[.!?][\"')\]]*(?=\s|\Z)")


def explain(llm: LLM, metric: str, question: Question, answer: Answer, claim: ClaimScore) -> Explanation:
    """Have `llm` say in one sentence what is wrong with `claim`, the weakest by `metric`.

    What it is shown is made harmless, and so is what it writes: one bounded line. Where all contexts do not
    fit its window it is shown the closest sentence.
    """
    start = time.perf_counter()
    closest = (claim.closest,) if claim.closest else ()
    completion = None
    whole = (answer.contexts, closest) if metric in _WITH_PASSAGES else ((),)
    for contexts in (closest,) if metric in _WITH_CLOSEST else whole:
        try:
            completion = _written(llm, _prompt(metric, question, claim, contexts))
            break
        except ContextWindowError:
            continue
    text = _one_sentence(completion.text) if completion else ""
    tokens = completion.tokens if completion else Tokens()
    return Explanation(text or None, tokens, time.perf_counter() - start)


def _prompt(metric: str, question: Question, claim: ClaimScore, contexts: tuple[Context, ...]) -> Prompt:
    lead, task = TASKS[metric] if question.answerable or metric != "refusal" else _UNANSWERABLE
    reference = harmless_text(question.reference or "") if metric == "correctness" else ""
    return Prompt(
        (
            *passage_parts(contexts),
            question_part(harmless_text(judged_question(question).question)),
            *((f"Reference answer: {reference}\n",) if reference else ()),
            f"{lead}: {harmless_text(claim.text)}\n\n",
            task,
        )
    )


def _written(llm: LLM, prompt: Prompt) -> Completion:
    with span("reason", kind="LLM") as step:
        completion = llm.complete(prompt, max_tokens=MOST_TOKENS)
        step.set_from(spoken, llm.name, completion.tokens, prompt.parts, completion.text)
    return completion


def _one_sentence(text: str) -> str:
    line = harmless_text(text)
    first = _SENTENCE.match(line)
    line = first[0] if first else line
    return line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 1]}…"
