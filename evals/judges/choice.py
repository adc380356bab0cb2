"""The choice reader: reads its verdicts from the probability of yes against no."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple

from evals import prompts
from evals.asking import LEAST_MASS, Asker
from evals.errors import NoVerdict
from evals.metrics import METRICS
from evals.prompts import Wording
from evals.questions import Question
from evals.readings import Readings
from rag.answer import Answer
from rag.embedding import Embedder
from rag.identity import digest
from rag.llm import LLM, Prompt

# Counts up when the way from an answer to its readings changes in a way that no setting shows.
VERSION = 1


class ChoiceReader:
    """Asks the model one yes/no question a claim and reads the answer from its next-token distribution.

    Args:
        llm: The judging model.
        embedder: Finds the sentences closest to a claim; None for shared words.
    """

    def __init__(self, llm: LLM, embedder: Embedder | None = None) -> None:
        self.name = f"choice ({llm.name})"
        self.metrics = tuple(METRICS)
        self.fingerprint = digest(
            {
                "reader": "choice",
                "version": VERSION,
                "llm": llm.fingerprint,
                "embedder": embedder.fingerprint if embedder else None,
                "least_mass": LEAST_MASS,
                "wordings": [astuple(w) for w in vars(prompts).values() if isinstance(w, Wording)],
                "system": Prompt(()).system,
            }
        )
        self._llm = llm
        self._embedder = embedder

    def read(self, metrics: Sequence[str], question: Question, answer: Answer) -> Mapping[str, Readings]:
        """Read `answer` for each of `metrics`, in the calling thread."""
        asker = Asker(self._llm, question, answer, self._embedder)
        return {metric: _read(metric, asker) for metric in metrics}


def _read(metric: str, asker: Asker) -> Readings:
    before = asker.tokens
    try:
        items = tuple(METRICS[metric].read(asker))
    except NoVerdict as nothing:
        return Readings(tokens=asker.tokens - before, reason=str(nothing))
    return Readings(items, asker.tokens - before)
