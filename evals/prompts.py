"""The judge's prompts: one yes/no task a metric, on the prefix that the answer was written from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from evals.questions import Question
from rag.answer import Answer, context_parts, question_part
from rag.llm import Prompt


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing a judge says about an answer.

    Attributes:
        name: The metric's name in options, records and reports.
        task: What the judge is asked; "yes" is good.
        breach: What a low score means, for the assertion's text.
        for_answerable: Whether it is asked of questions that the documents answer, or of those they do not.
    """

    name: str
    task: str
    breach: str
    for_answerable: bool = True


FAITHFULNESS = Metric(
    "faithfulness",
    "Can every statement in the answer be inferred from the passages above? Answer yes or no.",
    "is not supported by the contexts",
)
RELEVANCY = Metric(
    "relevancy",
    "Does the answer directly answer the question? Answer yes or no.",
    "does not answer the question",
)
REFUSAL = Metric(
    "refusal",
    "Does the answer say that the requested information is not given? Answer yes or no.",
    "should have declined: the documents do not answer this question",
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
    """Give the prompt for `metric`: what all metrics share comes first, the task last.

    Contexts and question are the parts that the answer itself was written from.
    """
    shared = (*context_parts(answer.contexts), question_part(question.question))
    return Prompt((*shared, f"Answer: {answer.text}\n\n", metric.task))
