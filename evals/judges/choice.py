"""The choice reader: reads its verdicts from the probability of yes against no."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, replace

from rag_evals.evals.base.errors import NoVerdict
from rag_evals.evals.judges.claims import split_claims
from rag_evals.evals.judges.grader import LEAST_MASS, Asker, whole_of
from rag_evals.evals.judges.judge import Reading, Readings
from rag_evals.evals.judges.prompts import ANSWERS, CONTRADICTS, COVERS, DECLINES, SUPPORTED, USEFUL, plain
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Answer, Tokens
from rag_evals.rag.identity import digest
from rag_evals.rag.llm.protocol import LLM, Prompt
from rag_evals.rag.profile import load, profile_of_model
from rag_evals.rag.retrieval.embedder import Embedder
from rag_evals.rag.tracing.spans import span

# What judging an answer takes, before any was judged: measured on short answers by the three metrics that are
# scored by default (benchmarks/results/judge_time.json).
EXPECTED = Tokens(evaluated=365)
# Counts up when the way from an answer to its readings changes in a way that no setting shows.
VERSION = 1
# All that it asks, in the order in which the fingerprint has it: another order would orphan every judge card.
JUDGE_WORDINGS = (SUPPORTED, ANSWERS, DECLINES, USEFUL, CONTRADICTS, COVERS)


class ChoiceReader:
    """Asks the model one yes/no question a claim and reads the answer from its next-token distribution.

    Args:
        llm: The judging model.
        embedder: Finds the sentences closest to a claim; None for shared words.
    """

    def __init__(self, llm: LLM, embedder: Embedder | None = None) -> None:
        self.name = f"choice ({llm.name})"
        self.metrics = tuple(HOW)
        self.identity = {
            "reader": "choice",
            "version": VERSION,
            "llm": llm.fingerprint,
            "embedder": embedder.fingerprint if embedder else None,
            "least_mass": LEAST_MASS,
            "wordings": [astuple(wording) for wording in JUDGE_WORDINGS],
            "system": Prompt(()).system,
        }
        self.fingerprint = digest(self.identity)
        self.profile = replace(profile_of_model(llm), expected=EXPECTED, identity=self.identity)
        self._llm = llm
        self._embedder = embedder

    def load(self) -> None:
        """Load language model and embedder now.

        Raises:
            ModelError: One of them cannot be loaded.
        """
        load(self._llm, self._embedder)

    def read(self, metrics: Sequence[str], question: Question, answer: Answer) -> Mapping[str, Readings]:
        """Read `answer` for each of `metrics`, in the calling thread."""
        asker = Asker(self._llm, question, answer, self._embedder)
        return {metric: _read(metric, asker) for metric in metrics}


def _read(metric: str, asker: Asker) -> Readings:
    before = asker.tokens
    with span(metric) as step:
        try:
            items = tuple(HOW[metric](asker))
        except NoVerdict as nothing:
            step.fail(str(nothing))
            return Readings(tokens=asker.tokens - before, reason=str(nothing))
    return Readings(items, asker.tokens - before)


def _faithfulness(asker: Asker) -> Iterable[Reading]:
    """Is each claim of the answer supported by the contexts? One reading a claim.

    Raises:
        NoVerdict: The answer declines and so claims nothing, or there are no contexts.
    """
    if not asker.evidence.sentences:
        raise NoVerdict("there are no contexts to hold the answer against")
    if asker.is_decline:
        raise NoVerdict("the answer declines: it makes no claim")
    return asker.support(split_claims(asker.answer.text))


def _relevancy(asker: Asker) -> Iterable[Reading]:
    """Does the answer answer the question? One reading, without contexts.

    Next to the passages the model tells whether *they* give the information; alone it looks at the reply.
    """
    return [asker.relevance]


def _refusal(asker: Asker) -> Iterable[Reading]:
    """Does the answer decline exactly when the documents do not answer the question? One reading."""
    decline = asker.decline
    return [_opposite(decline) if asker.question.answerable else decline]


def _context_relevancy(asker: Asker) -> Iterable[Reading]:
    """Is each retrieved context useful for the question? One reading a context.

    Raises:
        NoVerdict: There are no contexts.
    """
    if not asker.answer.contexts:
        raise NoVerdict("there are no contexts")
    return [
        asker.ask(USEFUL, whole_of(context.text), asker.asked, closest=context)
        for context in asker.answer.contexts
    ]


def _context_recall(asker: Asker) -> Iterable[Reading]:
    """Is each claim of the reference found in the contexts? One reading a claim.

    Raises:
        NoVerdict: There are no contexts.
    """
    if not asker.evidence.sentences:
        raise NoVerdict("there are no contexts to find the reference in")
    return asker.support(split_claims(asker.question.reference or ""))


def _correctness(asker: Asker) -> Iterable[Reading]:
    """Does the answer agree with the reference? Nothing contradicted, nothing essential missing."""
    reference = f"Reference answer: {plain(asker.question.reference or '')}\n"
    whole = whole_of(asker.answer.text)
    return [asker.ask(wording, whole, asker.asked, reference) for wording in (CONTRADICTS, COVERS)]


def _opposite(reading: Reading) -> Reading:
    if reading.value is None:
        return reading
    return replace(reading, value=1.0 - reading.value, is_opposite=not reading.is_opposite)


# How each metric is read.
HOW: Mapping[str, Callable[[Asker], Iterable[Reading]]] = {
    "faithfulness": _faithfulness,
    "relevancy": _relevancy,
    "refusal": _refusal,
    "context_relevancy": _context_relevancy,
    "context_recall": _context_recall,
    "correctness": _correctness,
}
