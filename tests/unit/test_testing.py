"""The fakes: what they say, and what they say when they were told nothing."""

from __future__ import annotations

import asyncio

import pytest
from rag_evals.evals.base.errors import ScriptError
from rag_evals.evals.judges.judge import Judge
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.score import Score
from rag_evals.evals.testing import FakeJudge, FakePipeline, ScriptedLLM
from rag_evals.rag.answer import Answer, Context, Pipeline, Tokens
from rag_evals.rag.llm.protocol import LLM, Choice, Completion, Prompt

PROMPT = Prompt(("Question: How many?\n", "Answer."))
QUESTION = Question("a", "How many?")


def test_fakes_keep_the_protocols():
    """Each fake is what the harness takes it for."""
    assert isinstance(ScriptedLLM(), LLM)
    assert isinstance(FakePipeline({}), Pipeline)
    assert isinstance(FakeJudge({}), Judge)


def test_script_is_followed_call_by_call():
    """Texts and completions answer `complete`, mappings and choices answer `choose`, functions either."""
    llm = ScriptedLLM(
        "two of eight",
        Completion("Two.", Tokens(3), finished=True),
        {"yes": 0.7, "no": 0.2},
        Choice({"yes": 0.4}, 0.6, Tokens()),
        lambda prompt: prompt.parts[-1],
    )
    assert llm.complete(PROMPT, max_tokens=2) == Completion("two of", Tokens(4, 0, 2), finished=False)
    assert llm.complete(PROMPT, max_tokens=9) == Completion("Two.", Tokens(3), finished=True)
    choice = llm.choose(PROMPT, ("yes", "no", "maybe"))
    assert choice.probabilities == {"yes": 0.7, "no": 0.2, "maybe": 0.0}
    assert choice.other == pytest.approx(0.1)
    assert llm.choose(PROMPT, ("yes",)) == Choice({"yes": 0.4}, 0.6, Tokens())
    assert llm.complete(PROMPT, max_tokens=1) == Completion("Answer.", Tokens(4, 0, 1), finished=True)
    assert llm.prompts == [PROMPT] * 5


def test_script_that_ran_out_says_which_call():
    """A call beyond the script names the call, the length of the script and the end of the prompt."""
    llm = ScriptedLLM("Two.", name="qwen")
    llm.complete(PROMPT, max_tokens=9)
    with pytest.raises(ScriptError) as caught:
        llm.choose(PROMPT, ("yes", "no"))
    assert str(caught.value) == (
        "qwen: call 2 is choose(), but the script has 1 reply. "
        r"The prompt ends: 'Question: How many?\nAnswer.'"
    )


def test_reply_of_the_wrong_kind_is_refused():
    """A reply that does not suit the call is an error that names both."""
    llm = ScriptedLLM({"yes": 1.0}, "yes")
    with pytest.raises(ScriptError) as caught:
        llm.complete(PROMPT, max_tokens=9)
    assert str(caught.value) == (
        "scripted: call 1 is complete(), which needs a text or a Completion, but the script says {'yes': 1.0}"
    )
    with pytest.raises(ScriptError) as caught:
        llm.choose(PROMPT, ("yes", "no"))
    assert str(caught.value) == (
        "scripted: call 2 is choose(), which needs a mapping of option to probability or a Choice, "
        "but the script says 'yes'"
    )


def test_fake_pipeline_gives_what_was_said():
    """A text is an answer without contexts, an answer is given as it is, an exception is raised."""
    answer = Answer("Three.", (Context("There are three."),))
    pipeline = FakePipeline({"a": "Two.", "b": answer, "c": OSError("no disk")}, name="told")
    assert asyncio.run(pipeline.answer("a")) == Answer("Two.")
    assert asyncio.run(pipeline.answer("b")) is answer
    with pytest.raises(OSError, match=r"^no disk$"):
        asyncio.run(pipeline.answer("c"))
    with pytest.raises(ScriptError) as caught:
        asyncio.run(pipeline.answer("d"))
    assert str(caught.value) == "told has no answer to 'd': it has answers to ['a', 'b', 'c']"
    assert pipeline.asked == ["a", "b", "c", "d"]


def test_fake_pipeline_takes_a_function():
    """A function gives an answer, a text or an exception by the question."""
    assert asyncio.run(FakePipeline(str.upper).answer("why?")) == Answer("WHY?")


def test_fake_judge_gives_what_applies():
    """Of a mapping each question gets the metrics that apply to it; None is a verdict with a reason."""
    judge = FakeJudge({"faithfulness": 0.9, "refusal": None, "tone": 0.3})
    assert asyncio.run(judge.score(QUESTION, Answer("Two."))).scores == (
        Score("faithfulness", 0.9),
        Score("refusal", None, reason="the fake judge gives no verdict"),
        Score("tone", 0.3),
    )
    unanswerable = Question("b", "Who?", answerable=False)
    assert asyncio.run(judge.score(unanswerable, Answer("Two."))).scores == (
        Score("refusal", None, reason="the fake judge gives no verdict"),
        Score("tone", 0.3),
    )


def test_fake_judge_takes_a_function():
    """A function gives the scores by question and answer."""
    judge = FakeJudge(lambda question, answer: {question.id: float(len(answer.text))})
    assert asyncio.run(judge.score(QUESTION, Answer("Two."))).scores == (Score("a", 4.0),)


def test_fingerprints_tell_fakes_apart():
    """What changes an answer or a score changes the fingerprint."""
    assert FakePipeline({"a": "x"}).fingerprint != FakePipeline({"a": "y"}).fingerprint
    assert FakeJudge({"a": 0.1}).fingerprint != FakeJudge({"a": None}).fingerprint
    assert FakeJudge({"a": 0.1}).fingerprint == FakeJudge({"a": 0.1}).fingerprint
