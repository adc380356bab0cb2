"""Fakes for your own tests: a language model, a pipeline and a judge that say what you tell them to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rag_evals.evals.base.errors import ScriptError
from rag_evals.evals.judges.metrics import METRICS, metrics_for
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.score import Judgement, Score
from rag_evals.rag.answer import Answer, Message, Tokens
from rag_evals.rag.identity import digest
from rag_evals.rag.llm.protocol import Choice, Completion, Prompt
from rag_evals.rag.profile import Profile

ScriptedReply = str | Completion | Mapping[str, float] | Choice
Said = Answer | str | Exception
Values = Mapping[str, float | None]


class ScriptedLLM:
    """A language model that gives the replies of its script, one a call, and keeps the prompts it saw.

    A text or a `Completion` is a reply to `complete`; a mapping of option to probability or a `Choice` is
    one to `choose`. A function of the prompt may stand for either.

        llm = ScriptedLLM("Two.", {"yes": 0.9, "no": 0.1})

    Args:
        *replies: The script, first call first.
        name: Name for people.

    Attributes:
        prompts: The prompts seen so far.
    """

    def __init__(
        self, *replies: ScriptedReply | Callable[[Prompt], ScriptedReply], name: str = "scripted"
    ) -> None:
        self.name = name
        self.fingerprint = digest({"scripted": name})
        self.prompts: list[Prompt] = []
        self._replies = replies

    def count_tokens(self, text: str) -> int:
        """Count the words of `text`."""
        return len(text.split())

    def complete(
        self,
        prompt: Prompt,
        *,
        max_tokens: int,
        schema: Mapping[str, Any] | None = None,  # noqa: ARG002 - the script says what it says
    ) -> Completion:
        """Return the script's next reply as a completion, cut at `max_tokens` words if it is a text.

        Raises:
            ScriptError: The script has run out, or its next reply is one to `choose`.
        """
        reply = self._next("complete", prompt)
        if isinstance(reply, Completion):
            return reply
        if not isinstance(reply, str):
            raise self._mismatch("complete", "a text or a Completion", reply)
        words = reply.split()
        finished = len(words) <= max_tokens
        text = reply if finished else " ".join(words[:max_tokens])
        return Completion(text, self._tokens(prompt, min(len(words), max_tokens)), finished)

    def choose(self, prompt: Prompt, options: Sequence[str]) -> Choice:
        """Return the script's next reply as a choice; an option it does not name has no probability.

        Raises:
            ScriptError: The script has run out, or its next reply is one to `complete`.
        """
        reply = self._next("choose", prompt)
        if isinstance(reply, Choice):
            return reply
        if not isinstance(reply, Mapping):
            raise self._mismatch("choose", "a mapping of option to probability or a Choice", reply)
        masses = {option: reply.get(option, 0.0) for option in options}
        return Choice(masses, max(0.0, 1.0 - sum(masses.values())), self._tokens(prompt))

    def _next(self, call: str, prompt: Prompt) -> ScriptedReply:
        self.prompts.append(prompt)
        if len(self.prompts) > len(self._replies):
            count = f"{len(self._replies)} {'reply' if len(self._replies) == 1 else 'replies'}"
            raise ScriptError(
                f"{self.name}: call {len(self.prompts)} is {call}(), but the script has {count}. "
                f"The prompt ends: {''.join(prompt.parts)[-120:]!r}"
            )
        reply = self._replies[len(self.prompts) - 1]
        return reply(prompt) if callable(reply) else reply

    def _mismatch(self, call: str, wanted: str, reply: object) -> ScriptError:
        return ScriptError(
            f"{self.name}: call {len(self.prompts)} is {call}(), which needs {wanted}, "
            f"but the script says {reply!r}"
        )

    def _tokens(self, prompt: Prompt, generated: int = 0) -> Tokens:
        return Tokens(evaluated=sum(map(self.count_tokens, prompt.parts)), generated=generated)


class FakePipeline:
    """A pipeline that gives the answers you say.

    Args:
        answers: Answer by question (its text), or a function from the one to the other. A text is an answer
            without contexts; an exception is raised.
        name: Name for people.

    Attributes:
        asked: The questions asked so far.
        told: What was said before each of them.
    """

    def __init__(self, answers: Mapping[str, Said] | Callable[[str], Said], *, name: str = "fake") -> None:
        self.name = name
        told = {} if callable(answers) else {question: repr(said) for question, said in answers.items()}
        self.fingerprint = digest({"fake": name, "answers": told})
        self.profile = Profile(is_cacheable=not callable(answers))  # what a function says cannot be seen
        self.asked: list[str] = []
        self.told: list[tuple[Message, ...]] = []
        self._answers = answers

    async def answer(self, question: str, history: Sequence[Message] = ()) -> Answer:
        """Return the answer that was said.

        Raises:
            ScriptError: Nothing was said to `question`.
        """
        self.asked.append(question)
        self.told.append(tuple(history))
        said = self._answers(question) if callable(self._answers) else self._said(self._answers, question)
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, Answer) else Answer(said)

    def _said(self, answers: Mapping[str, Said], question: str) -> Said:
        if question not in answers:
            raise ScriptError(f"{self.name} has no answer to {question!r}: it has answers to {list(answers)}")
        return answers[question]


class FakeJudge:
    """A judge that gives the scores you say.

    Args:
        scores: Value by metric, or a function of question and answer to such a mapping; it may raise. None is
            a verdict that could not be had. Of a mapping, each question gets the metrics that apply to it, so
            that `{"faithfulness": 0.9, "refusal": 0.9}` serves questions of both kinds; metrics of your own
            apply to all.
        name: Name for people.
    """

    def __init__(self, scores: Values | Callable[[Question, Answer], Values], *, name: str = "fake") -> None:
        self.name = name
        told = {} if callable(scores) else {metric: repr(value) for metric, value in scores.items()}
        self.fingerprint = digest({"fake": name, "scores": told})
        self.profile = Profile(is_cacheable=not callable(scores))
        self._scores = scores

    async def score(self, question: Question, answer: Answer) -> Judgement:
        """Return the scores that were said."""
        said = self._scores(question, answer) if callable(self._scores) else _applying(self._scores, question)
        return Judgement(tuple(_score(metric, value) for metric, value in said.items()))


def _applying(scores: Values, question: Question) -> Values:
    applying = {metric.name for metric in metrics_for(question)}
    return {name: value for name, value in scores.items() if name in applying or name not in METRICS}


def _score(metric: str, value: float | None) -> Score:
    if value is None:
        return Score(metric, None, reason="the fake judge gives no verdict")
    return Score(metric, value)
