"""The judge's prompts: one yes/no task a metric, on the prefix that the answer was written from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from evals.questions import Question
from rag.answer import Answer, context_parts, question_part
from rag.llm import Prompt


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing a judge says about an answer.

    Attributes:
        name: The metric's name in options, records and reports.
        lead: The word before the answer in the prompt.
        task: What the judge is asked, to be answered by yes or no.
        good: The answer that is good; the score is its probability.
        reads_contexts: Whether the contexts are part of the prompt.
        breach: What a low score means, for the assertion's text.
        for_answerable: Whether it is asked of questions that the documents answer, or of those they do not.
    """

    name: str
    lead: str
    task: str
    good: Literal["yes", "no"]
    reads_contexts: bool
    breach: str
    for_answerable: bool = True


FAITHFULNESS = Metric(
    name="faithfulness",
    lead="Statement",
    task="According to the passages above, is the statement correct? Answer yes or no.",
    good="yes",
    reads_contexts=True,
    breach="is not supported by the contexts",
)
RELEVANCY = Metric(
    name="relevancy",
    lead="Reply",
    task="Does the reply give the information that the question asks for? Answer yes or no.",
    good="yes",
    # Next to the passages the judge answers whether they give it; alone, it looks at the reply.
    reads_contexts=False,
    breach="does not answer the question",
)
REFUSAL = replace(
    # The very question of relevancy, with the other answer: who declines does not give the information.
    RELEVANCY,
    name="refusal",
    good="no",
    breach="should have declined: the documents do not answer this question",
    for_answerable=False,
)

METRICS: Mapping[str, Metric] = MappingProxyType({m.name: m for m in (FAITHFULNESS, RELEVANCY, REFUSAL)})


def metrics_for(question: Question) -> tuple[Metric, ...]:
    """Give the metrics that apply to `question`.

    An answer to a question that the documents cannot answer is right when it declines; whether it is
    faithful or relevant says nothing then.
    """
    return tuple(metric for metric in METRICS.values() if metric.for_answerable == question.answerable)


def judge_prompt(metric: Metric, question: Question, answer: Answer) -> Prompt:
    """Give the prompt for `metric`: what others share comes first, the task last.

    Contexts and question are the very parts that the answer was written from.
    """
    contexts = context_parts(answer.contexts) if metric.reads_contexts else ()
    return Prompt(
        (*contexts, question_part(question.question), f"{metric.lead}: {answer.text}\n\n", metric.task)
    )
