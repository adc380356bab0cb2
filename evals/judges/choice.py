"""The choice reader: reads its verdicts from the probability of yes against no."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace

from evals.asking import LEAST_MASS, Asker
from evals.errors import NoVerdict
from evals.metrics import METRICS
from evals.prompts import ANSWERS, CONTRADICTS, COVERS, DECLINES, SUPPORTED, USEFUL
from evals.questions import Question
from evals.readings import Readings
from rag.answer import Answer, Tokens
from rag.embedding import Embedder
from rag.identity import digest
from rag.llm.protocol import LLM, Prompt
from rag.loading import load
from rag.profile import profile_of_model
from rag.tracing import span

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
        self.metrics = tuple(METRICS)
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
            items = tuple(METRICS[metric].read(asker))
        except NoVerdict as nothing:
            step.fail(str(nothing))
            return Readings(tokens=asker.tokens - before, reason=str(nothing))
    return Readings(items, asker.tokens - before)
