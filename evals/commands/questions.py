"""`rag-evals questions`: keep question files; each verb is a file of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evals.commands import questions_audit, questions_check, questions_formats, questions_review

if TYPE_CHECKING:
    from evals.cli import Commands


def add_to(commands: Commands) -> None:
    """Declare `questions` and its verbs."""
    parser = commands.add_parser("questions", help="keep question files: check, review, audit, convert them")
    verbs = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for verb in (questions_audit, questions_check, questions_review, questions_formats):
        verb.add_to(verbs)
