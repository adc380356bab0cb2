"""The choice judge: what it asks, how it reads the model's word, and when it has none."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from evals.judges import Judge
from evals.judges.choice import ChoiceJudge
from evals.prompts import FAITHFULNESS, REFUSAL, RELEVANCY
from evals.questions import Question
from evals.records import Score
from evals.testing import ScriptedLLM
from rag.answer import Answer, Context, Tokens
from rag.config import PipelineConfig
from rag.llm import Choice
from rag.pipelines import RetrievalPipeline
from rag.reranking import NoReranker

QUESTION = Question("experts", "How many experts?")
UNANSWERABLE = Question("who", "Who paid?", answerable=False)
CONTEXTS = (Context("Two of eight experts.", "moe.pdf", page=3), Context("Nothing more.", "b.md"))
ANSWER = Answer("Two experts.", CONTEXTS)
NOT_SUPPORTED = '"Two experts." is not supported by the contexts (best ranked: moe.pdf p.3)'
NO_ANSWER = '"Two experts." does not answer the question'


def judged(*replies, question=QUESTION, answer=ANSWER) -> tuple[Score, ...]:
    return asyncio.run(ChoiceJudge(ScriptedLLM(*replies)).score(question, answer)).scores


def test_value_is_yes_against_no():
    """A score is P(yes) / (P(yes) + P(no)), with what a low one complains of as evidence."""
    assert judged({"yes": 0.6, "no": 0.2}, {"yes": 0.0, "no": 1.0}) == (
        Score("faithfulness", pytest.approx(0.75), evidence=NOT_SUPPORTED),
        Score("relevancy", 0.0, evidence=NO_ANSWER),
    )


def test_seconds_and_tokens_of_all_metrics_are_counted():
    """The judgement carries what all its questions took together."""
    llm = ScriptedLLM(*[Choice({"yes": 1.0, "no": 0.0}, 0.0, Tokens(5, 40, 0))] * 2)
    judgement = ChoiceJudge(llm).score_now(QUESTION, ANSWER)
    assert judgement.tokens == Tokens(10, 80, 0)
    assert 0 < judgement.seconds < 10


@pytest.mark.parametrize(
    ("choice", "score"),
    [
        ({"yes": 0.5, "no": 0.0}, Score("faithfulness", 1.0, evidence=NOT_SUPPORTED)),
        ({"yes": 0.25, "no": 0.25}, Score("faithfulness", 0.5, evidence=NOT_SUPPORTED)),
        (
            {"yes": 0.49, "no": 0.0},
            Score("faithfulness", None, reason="only 0.49 of the judge's probability fell on yes or no"),
        ),
        ({}, Score("faithfulness", None, reason="only 0.00 of the judge's probability fell on yes or no")),
    ],
)
def test_too_little_on_yes_and_no_is_unscored(choice, score):
    """With less than half of the probability on yes or no there is no verdict, and neither 0 nor 1."""
    assert judged(choice, {"yes": 1.0})[0] == score


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_empty_answer_is_unscored(text):
    """An empty answer is not put to the model: there is nothing to judge."""
    reason = "the answer is empty"
    assert judged(answer=replace(ANSWER, text=text)) == (
        Score("faithfulness", None, reason=reason),
        Score("relevancy", None, reason=reason),
    )


def test_metrics_by_the_kind_of_question():
    """A question that the documents cannot answer is asked for refusal alone."""
    (score,) = judged({"yes": 0.9, "no": 0.1}, question=UNANSWERABLE)
    assert score == Score(
        "refusal",
        pytest.approx(0.1),
        evidence='"Two experts." should have declined: the documents do not answer this question',
    )


def test_one_yes_or_no_question_a_metric():
    """Each metric is one prompt: contexts where it reads them, question, answer, and the task last."""
    llm = ScriptedLLM(*[{"yes": 1.0}] * 3)
    judge = ChoiceJudge(llm)
    judge.score_now(QUESTION, ANSWER)
    judge.score_now(UNANSWERABLE, ANSWER)
    passages = ("Passage 1:\nTwo of eight experts.\n\n", "Passage 2:\nNothing more.\n\n")
    asked = "Question: How many experts?\n"
    assert [prompt.parts for prompt in llm.prompts] == [
        (*passages, asked, "Statement: Two experts.\n\n", FAITHFULNESS.task),
        (asked, "Reply: Two experts.\n\n", RELEVANCY.task),
        ("Question: Who paid?\n", "Reply: Two experts.\n\n", REFUSAL.task),
    ]


def test_prompt_begins_as_the_answer_prompt_did():
    """Contexts and question are the very parts of the answer's prompt, so that a model reads them once."""

    class Index:
        fingerprint = "0"

        def retrieve(self, question):
            return CONTEXTS

    llm = ScriptedLLM("Two experts.", {"yes": 1.0}, {"yes": 1.0})
    config = PipelineConfig("base", instruction="Answer in one sentence.")
    answer = RetrievalPipeline(config, Index(), llm, NoReranker()).answer_now(QUESTION.question)
    ChoiceJudge(llm).score_now(QUESTION, answer)
    asked, faithfulness, relevancy = llm.prompts
    assert asked.parts[-1] == "Answer in one sentence."
    assert asked.system == faithfulness.system == relevancy.system
    assert faithfulness.parts[: len(asked.parts) - 1] == asked.parts[:-1]
    assert faithfulness.parts[len(asked.parts) - 1] == "Statement: Two experts.\n\n"


@pytest.mark.parametrize(
    ("contexts", "where"),
    [
        ((), ""),
        ((Context("Two."),), ""),
        ((Context("Two.", "b.md"),), " (best ranked: b.md)"),
        (CONTEXTS, " (best ranked: moe.pdf p.3)"),
    ],
)
def test_evidence_names_the_best_ranked_context(contexts, where):
    """The complaint names the best context as far as it has a place."""
    score, _ = judged({"yes": 1.0}, {"yes": 1.0}, answer=Answer("Two.", contexts))
    assert score.evidence == f'"Two." is not supported by the contexts{where}'


def test_evidence_is_one_short_line():
    """A long answer of many lines is quoted as one line of at most 120 characters."""
    score, _ = judged({"yes": 1.0}, {"yes": 1.0}, answer=Answer("all\n work and\tno play " * 20))
    quoted, _, rest = score.evidence.removeprefix('"').rpartition('"')
    assert quoted == ("all work and no play " * 20)[:119] + "…"
    assert rest == " is not supported by the contexts"


def test_judge_is_named_and_told_apart_by_its_model():
    """The judge keeps the protocol; another model is another judge."""
    judge = ChoiceJudge(ScriptedLLM(name="qwen"))
    assert isinstance(judge, Judge)
    assert judge.name == "choice (qwen)"
    assert judge.fingerprint == ChoiceJudge(ScriptedLLM(name="qwen")).fingerprint
    assert judge.fingerprint != ChoiceJudge(ScriptedLLM(name="smollm")).fingerprint
