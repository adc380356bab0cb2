"""Backend: what makes the evaluations that the engine is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from rag_evals.evals.engine.order.turns import Turns
from rag_evals.evals.engine.reuse import KeyedResult
from rag_evals.evals.engine.task import Task
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import ComponentKind
from rag_evals.rag.answer import Answer

# Says when a run has to end, in seconds of `time.monotonic`; None for no such bound.
Ends = Callable[[], float | None]


class Backend(Protocol):
    """Makes evaluations; what is async is called on the engine's loop, the rest from any thread."""

    def open(self, task: Task) -> None:
        """Get ready to evaluate `task`; for the first one that takes a while.

        Raises:
            UsageError: The configuration is wrong, or `task` cannot be evaluated.
        """

    def begin(self) -> None:
        """Begin with a loop on which nothing is under way; the first one, or one in place of one blocked."""

    def places(self, task: Task) -> int:
        """Return how many tasks of this kind are worked on at once."""

    async def make_answer(self, task: Task) -> KeyedResult[Answer]:
        """Make the answer to a turn of a conversation, or have it from before: what `Turns` asks for.

        Raises:
            UsageError: The configuration is wrong.
            Exception: There is none, for whatever reason.
        """

    async def ask(self, task: Task, turns: Turns) -> KeyedResult[Answer]:
        """Ask a turn that others go on from, and that was not asked; it waits for its turn.

        Args:
            task: The turn.
            turns: Those that were asked.

        Raises:
            UsageError: The configuration is wrong.
            Exception: There is no answer, for whatever reason.
        """

    async def evaluate(self, task: Task, turns: Turns) -> Evaluation:
        """Make an evaluation; it waits for its turn.

        Args:
            task: What is evaluated.
            turns: The turns of conversations that were asked.

        Raises:
            UsageError: The configuration is wrong.
        """

    def remarks(self, kind: ComponentKind, name: str) -> Sequence[str]:
        """Return what other processes remarked on a pipeline or a judge; what is here says it itself."""

    def close(self) -> None:
        """End what was begun; nothing is evaluated any more. A second time does nothing."""
