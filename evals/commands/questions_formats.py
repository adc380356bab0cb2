"""`rag-evals questions import` and `questions export`: question sets of other tools, and for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evals.commands import questions_export, questions_import

if TYPE_CHECKING:
    from evals.cli import Commands


def add_to(verbs: Commands) -> None:
    """Declare both verbs."""
    questions_import.add_to(verbs)
    questions_export.add_to(verbs)
