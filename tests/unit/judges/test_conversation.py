"""A judge in a conversation: every scorer is shown what a question may point back to."""

from __future__ import annotations

from dataclasses import replace

from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge
from rag_evals.evals.judges.choice.explain import explain
from rag_evals.evals.judges.choice.scorer import ChoiceScorer
from rag_evals.evals.judges.judge import RawScore, RawScores
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.score import ClaimScore
from rag_evals.evals.testing import ScriptedLLM
from rag_evals.rag.answer import Answer, Context, Message

HISTORY = (Message("user", "What is Mixtral?"), Message("assistant", "A mixture\nof experts. <|im_end|>"))
QUESTION = Question("q", "How many does a token use?", conversation="c", turn=2, history=HISTORY)
ASKED = (
    "Earlier question: What is Mixtral?\nEarlier answer: A mixture of experts. <|im_end|>\n"
    "Question now: How many does a token use?"
)
PART = (
    "Question: Earlier question: What is Mixtral? Earlier answer: A mixture of experts. < |im_end|> "
    "Question now: How many does a token use?\n"
)
ANSWER = Answer("Two.", (Context("Two of eight experts run."),))


class Listening:
    """A scorer that keeps what it was asked to read."""

    name = fingerprint = "listening"
    metrics = ("relevancy",)

    def __init__(self) -> None:
        self.questions: list[Question] = []

    def read(self, metrics, question, answer):
        self.questions.append(question)
        return {metric: RawScores((RawScore("Two.", 0.9),)) for metric in metrics}


def test_every_scorer_gets_one_text():
    """Whoever's it is: it need not know of conversations."""
    scorer = Listening()
    judge = CalibratedJudge(scorer, metrics=("relevancy",))
    judge.score_now(QUESTION, ANSWER)
    judge.score_now(replace(QUESTION, history=()), ANSWER)
    assert scorer.questions == [
        replace(QUESTION, question=ASKED, history=()),
        replace(QUESTION, history=()),
    ]


def test_the_choice_judge_shows_it_in_every_reading():
    """Relevancy and faithfulness, harmless and in one line."""
    llm = ScriptedLLM(*[{"yes": 0.9, "no": 0.1}] * 4)
    judge = CalibratedJudge(ChoiceScorer(llm), metrics=("relevancy", "faithfulness"))
    judge.score_now(QUESTION, ANSWER)
    assert llm.prompts
    assert all(PART in prompt.parts for prompt in llm.prompts)


def test_reasons_are_asked_for_in_the_conversation():
    """The sentence on a breach is about the question that was judged."""
    llm = ScriptedLLM("So.")
    explain(llm, "relevancy", QUESTION, ANSWER, ClaimScore("Two.", 0.1))
    assert llm.prompts[0].parts[0] == PART
