"""Questions about a run's documents, written on the way to the run and kept for the next one.

The set lies in `generated/DIGEST` of the home folder, where the digest covers all that it depends on but the
number of questions: a greater number goes on from a smaller one, and a smaller one takes the first.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from rag_evals.evals.base.errors import GenerationError, UsageError
from rag_evals.evals.base.messages import display_path, printable
from rag_evals.evals.generation import kinds
from rag_evals.evals.generation.generate import (
    GenerationProgress,
    GenerationRequest,
    make_set,
    surveyed_corpus,
    touched,
    work_header,
)
from rag_evals.evals.questions.question import Question
from rag_evals.evals.questions.question_set import load_set
from rag_evals.rag.documents.document import Corpus
from rag_evals.rag.errors import RagError
from rag_evals.rag.identity import digest
from rag_evals.rag.llm.protocol import LLM
from rag_evals.rag.retrieval.embedder import Embedder

FOLDER = "generated"
# Of the choice of sentences, here and by default of `rag-evals generate`.
SEED = 7
# What tells that the documents have nothing left to ask about.
EXHAUSTED = "exhausted.json"
ProgressDisplay = Callable[[int], AbstractContextManager[Callable[[GenerationProgress], None]]]


@dataclass(frozen=True, slots=True)
class GenerationInputs:
    """What questions are made of.

    Attributes:
        corpus: The documents.
        llm: Writes, and answers what the rules ask; loaded when it is first asked.
        embedder: Finds sentences and questions that are alike.
    """

    corpus: Corpus
    llm: LLM
    embedder: Embedder


class Generated:
    """The generated questions of a run.

    Args:
        count: Questions wanted.
        home: Folder of runs, indexes and sets.
        inputs: What they are made of.
        others: Questions of the run that are not to be asked again.

    Attributes:
        file: The set.
    """

    def __init__(
        self, count: int, home: Path, inputs: GenerationInputs, others: Sequence[Question] = ()
    ) -> None:
        self._count = count
        self._inputs = inputs
        request = GenerationRequest(Path(), count, dict(kinds.DEFAULT_MIX), SEED, tuple(others))
        depends = work_header(request, inputs.corpus, inputs.llm)
        self.file = home / FOLDER / digest(depends)[:16] / "questions.jsonl"
        self._request: GenerationRequest = replace(request, out=self.file)

    def here(self, say: Callable[[str], None]) -> tuple[Question, ...] | None:
        """Return the questions as an earlier run left them; None when some are still to be written.

        To a set that a person has edited or reviewed nothing is added.

        Raises:
            UsageError: The set is damaged.
        """
        if not self.file.exists():
            return None
        questions = load_set(self.file).questions
        how = touched(self.file)
        if how:
            say(f"generated questions: {self._place} was {how}, so it is used as it is")
        if len(questions) < self._count:
            if not how and not self._is_exhausted(len(questions)):
                return None
            say(_fewer(len(questions), self._count, how))
        return questions[: self._count]

    def make(self, say: Callable[[str], None], progress: ProgressDisplay) -> tuple[Question, ...]:
        """Return the questions; write those that are not there.

        One process writes, others wait for it. An interrupted one leaves what it wrote to the next.

        Raises:
            UsageError: The documents or the model cannot give them.
        """
        from filelock import FileLock

        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.file.parent / ".lock"):
                found = self.here(say)
                return found if found is not None else self._written(say, progress)
        except OSError as error:
            place = printable(str(self.file.parent))
            raise UsageError(
                f"the questions cannot be kept in {place} ({error.strerror}): give another folder with "
                "--evals-home"
            ) from error

    def _written(self, say: Callable[[str], None], progress: ProgressDisplay) -> tuple[Question, ...]:
        start = time.monotonic()
        try:
            material = surveyed_corpus(self._request, self._inputs.corpus)
            say(f"generating questions: {material.line}")
            with progress(self._count) as on_item:
                outcome = make_set(self._request, material, self._inputs.llm, self._inputs.embedder, on_item)
        except (RagError, GenerationError) as error:
            raise UsageError(self._told(error)) from error
        say(self._summary(outcome, time.monotonic() - start))
        if outcome.is_exhausted:
            text = json.dumps({"kept": len(outcome.kept)})
            (self.file.parent / EXHAUSTED).write_text(text, "utf-8")
        if not outcome.kept:
            raise UsageError(
                "evals_generate: the documents have nothing left to ask about, and no question was kept: "
                f"{self._audit} says why"
            )
        if len(outcome.kept) < self._count:
            say(_fewer(len(outcome.kept), self._count))
        return tuple(one.question for one in outcome.kept)

    @property
    def _place(self) -> str:
        return printable(display_path(self.file))

    @property
    def _audit(self) -> str:
        return f"rag-evals questions audit {self._place}"

    def _summary(self, outcome: GenerationProgress, seconds: float) -> str:
        dropped = sum(outcome.dropped.values())
        earlier = f" ({outcome.resumed} of them by an earlier run)" if outcome.resumed else ""
        return (
            f"generating questions: kept {len(outcome.kept)} of {outcome.items} items{earlier}, "
            f"{dropped} dropped, {outcome.invalid} invalid; {seconds:.0f} s; {self._audit} says why"
        )

    def _told(self, error: Exception) -> str:
        """Return what is wrong in the words of this option: those of the command name its own."""
        lines = [f"evals_generate = {self._count}: {error}"]
        if "--restart" in str(error):
            lines.append(f"Here: remove the folder {printable(display_path(self.file.parent))}.")
        return "\n".join(lines)

    def _is_exhausted(self, count: int) -> bool:
        try:
            return bool(json.loads((self.file.parent / EXHAUSTED).read_text("utf-8"))["kept"] == count)
        except (OSError, ValueError, KeyError, TypeError):
            return False


def _fewer(kept: int, count: int, how: str | None = None) -> str:
    why = "the documents have nothing left to ask about"
    if how:
        why = f"nothing is added to a set that was {how}"
    return f"generated questions: {kept} of {count}: {why}"
