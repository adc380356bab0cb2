"""The choice scorer: reads its verdicts from the probability of yes against no."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, replace
from types import MappingProxyType

from rag_evals.evals.base.errors import NoVerdict
from rag_evals.evals.judges.choice.explain import explain
from rag_evals.evals.judges.choice.grader import LEAST_MASS, Grader, whole_of
from rag_evals.evals.judges.choice.own_criteria import read_criterion
from rag_evals.evals.judges.choice.whole_answer import WHOLE_ANSWER, support_in
from rag_evals.evals.judges.claims import Claim, read_claims
from rag_evals.evals.judges.criteria.criterion import Criterion
from rag_evals.evals.judges.judge import Explanation, RawScore, RawScores
from rag_evals.evals.judges.prompts import (
    ANSWERS,
    COVERS,
    DECLINES,
    SAME,
    SUPPORTED,
    USEFUL,
    judged_part,
)
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.score import ClaimScore
from rag_evals.rag.answer import Answer, Tokens
from rag_evals.rag.identity import digest
from rag_evals.rag.llm.protocol import LLM, Prompt
from rag_evals.rag.profile import load, profile_of_model
from rag_evals.rag.retrieval.embedder import Embedder
from rag_evals.rag.tracing.spans import span

# What judging an answer takes, before any was judged: measured on real ones, half of them longer than 377
# characters, by faithfulness and relevancy, whole and claim by claim (benchmarks/results/judge_time.json).
EXPECTED_WHOLE = Tokens(evaluated=413)
EXPECTED = Tokens(evaluated=671)
# Counts up when the way from an answer to its raw scores changes in a way that no setting shows.
VERSION = 2
# All that it asks, in the order in which the fingerprint has it: another order would orphan every judge card.
JUDGE_WORDINGS = (SUPPORTED, ANSWERS, DECLINES, USEFUL, SAME, COVERS)


class ChoiceScorer:
    """Asks the model one yes/no question a claim and reads the answer from its next-token distribution.

    Args:
        llm: The judging model.
        embedder: Finds the sentences closest to a claim; without one shared words do.
        reads_states: Whether claims are read from the model's hidden states, which only a card's probe
            understands, and not asked for one by one. Only a model that runs here has these.
        criteria: What it is asked besides, by name. They are no part of its fingerprint: each has its own,
            and what else it reads is the same with or without them.
    """

    def __init__(
        self,
        llm: LLM,
        embedder: Embedder | None = None,
        *,
        reads_states: bool = False,
        criteria: Mapping[str, Criterion] = MappingProxyType({}),
    ) -> None:
        self.name = f"choice ({llm.name})"
        self.metrics = (*HOW, *criteria)
        self.criteria = criteria
        self.identity = {
            "reader": "choice",
            "version": VERSION,
            "llm": llm.fingerprint,
            "embedder": embedder.fingerprint if embedder else None,
            "least_mass": LEAST_MASS,
            "wordings": [astuple(wording) for wording in JUDGE_WORDINGS],
            "system": Prompt(()).system,
            **({"hidden states": WHOLE_ANSWER} if reads_states else {}),
        }
        self.fingerprint = digest(self.identity)
        expected = EXPECTED_WHOLE if reads_states else EXPECTED
        self.profile = replace(profile_of_model(llm), expected=expected, identity=self.identity)
        self.llm = llm
        self._embedder = embedder
        self._reads_states = reads_states

    def load(self) -> None:
        """Load language model and embedder now.

        Raises:
            ModelError: One of them cannot be loaded.
        """
        load(self.llm, self._embedder)

    def read(self, metrics: Sequence[str], question: Question, answer: Answer) -> Mapping[str, RawScores]:
        """Read `answer` for each of `metrics`, in the calling thread."""
        grader = Grader(self.llm, question, answer, self._embedder, reads_states=self._reads_states)
        return {metric: self._read(metric, grader) for metric in metrics}

    def _read(self, metric: str, grader: Grader) -> RawScores:
        before, grader.declines = grader.tokens, ()
        items: tuple[RawScore, ...] = ()
        reason = None
        with span(metric) as step:
            try:
                own = self.criteria.get(metric)
                items = (read_criterion(grader, own),) if own else tuple(HOW[metric](grader))
            except NoVerdict as nothing:
                reason = str(nothing)
                step.fail(reason)
        return RawScores(items, grader.tokens - before, reason, grader.declines)

    def explain(self, metric: str, question: Question, answer: Answer, claim: ClaimScore) -> Explanation:
        """Have the model say what is wrong with `claim`, in the calling thread."""
        return explain(self.llm, metric, question, answer, claim)


def _faithfulness(grader: Grader) -> Iterable[RawScore]:
    """Is each claim of the answer supported by the contexts? One raw score a claim.

    Raises:
        NoVerdict: The answer declines and so claims nothing, or there are no contexts.
    """
    if not grader.evidence.sentences:
        raise NoVerdict("there are no contexts to hold the answer against")
    claims = [] if grader.is_decline else grader.claims()
    if not claims and grader.declines:
        raise NoVerdict("the answer declines: it makes no claim")
    return _support(grader, grader.answer.text, claims)


def _support(grader: Grader, text: str, claims: Sequence[Claim]) -> Iterable[RawScore]:
    return support_in(grader, text, claims) if grader.reads_states else grader.support(claims)


def _relevancy(grader: Grader) -> Iterable[RawScore]:
    """Does the answer answer the question? One raw score, without contexts.

    Next to the passages the model tells whether *they* give the information; alone it looks at the reply.
    """
    return [grader.relevance]


def _refusal(grader: Grader) -> Iterable[RawScore]:
    """Does the answer decline exactly when the documents do not answer the question? One raw score."""
    decline = grader.decline
    return [_opposite(decline) if grader.question.answerable else decline]


def _context_relevancy(grader: Grader) -> Iterable[RawScore]:
    """Is each retrieved context useful for the question? One raw score a context.

    Raises:
        NoVerdict: There are no contexts.
    """
    if not grader.answer.contexts:
        raise NoVerdict("there are no contexts")
    return [
        grader.ask(USEFUL, whole_of(context.text), grader.asked, closest=context)
        for context in grader.answer.contexts
    ]


def _context_recall(grader: Grader) -> Iterable[RawScore]:
    """Is each claim of the reference found in the contexts? One raw score a claim.

    Raises:
        NoVerdict: There are no contexts.
    """
    if not grader.evidence.sentences:
        raise NoVerdict("there are no contexts to find the reference in")
    reference = grader.question.reference or ""
    return _support(grader, reference, read_claims(reference).claims)


def _correctness(grader: Grader) -> Iterable[RawScore]:
    """Does the answer mean what the reference does? One raw score: nothing else, nothing less."""
    whole = whole_of(grader.answer.text)
    # Read as it is for relevancy: the key/value cache has it.
    reply = judged_part(ANSWERS, whole.text)
    return [grader.ask(SAME, whole, grader.asked, reply, read=grader.question.reference or "")]


def _citation_precision(grader: Grader) -> Iterable[RawScore]:
    """Does what is cited support what it stands behind? One raw score a citation and claim.

    Raises:
        NoVerdict: The answer declines, or cites nothing for what it claims.
    """
    return grader.citations.precision()


def _citation_recall(grader: Grader) -> Iterable[RawScore]:
    """Does each claim cite something that supports it? One raw score a claim.

    Raises:
        NoVerdict: The answer declines, or cites nothing and was not asked to.
    """
    return grader.citations.recall()


def _opposite(raw_score: RawScore) -> RawScore:
    if raw_score.value is None:
        return raw_score
    return replace(raw_score, value=1.0 - raw_score.value, is_opposite=not raw_score.is_opposite)


# How each metric is read.
HOW: Mapping[str, Callable[[Grader], Iterable[RawScore]]] = {
    "faithfulness": _faithfulness,
    "relevancy": _relevancy,
    "refusal": _refusal,
    "context_relevancy": _context_relevancy,
    "context_recall": _context_recall,
    "correctness": _correctness,
    "citation_precision": _citation_precision,
    "citation_recall": _citation_recall,
}
