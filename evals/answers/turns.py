"""Turns of conversations in a log: what was said before each is what the log has of the turns before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rag_evals.evals.base.messages import quoted
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Message


@dataclass(frozen=True, slots=True)
class LoggedTurn:
    """A turn of a conversation.

    Attributes:
        place: File and line of it.
        question: What was asked.
        answer: What was answered.
    """

    place: str
    question: Question
    answer: str


@dataclass(frozen=True, slots=True)
class JoinedTurns:
    """Turns with what was said before them.

    Attributes:
        questions: Their questions, by id.
        behind_gaps: Ids of those before which something was said that the log does not have.
        problems: A line for each turn given twice.
    """

    questions: Mapping[str, Question]
    behind_gaps: frozenset[str]
    problems: Sequence[str]


def with_histories(turns: Iterable[LoggedTurn]) -> JoinedTurns:
    """Give turns what was said before them.

    A turn that says its history itself keeps it, and those behind it have it, too. A turn that the log does
    not have is not known: it is left out.
    """
    talks: dict[str, list[LoggedTurn]] = {}
    for turn in turns:
        talks.setdefault(turn.question.conversation or "", []).append(turn)
    found: dict[str, Question] = {}
    gaps: set[str] = set()
    problems: list[str] = []
    for talk in talks.values():
        problems += _twice(talk)
        said: tuple[Message, ...] = ()
        last, is_whole = 0, True
        for turn in sorted(talk, key=_number):
            is_whole = bool(turn.question.history) or (is_whole and _number(turn) <= last + 1)
            gaps |= set() if is_whole else {turn.question.id}
            last = _number(turn)
            question = replace(turn.question, history=turn.question.history or said)
            found[question.id] = question
            asked, answered = Message("user", question.question), Message("assistant", turn.answer)
            said = (*question.history, asked, answered)
    return JoinedTurns(found, frozenset(gaps), problems)


def _number(turn: LoggedTurn) -> int:
    return turn.question.turn or 0


def _twice(talk: Iterable[LoggedTurn]) -> list[str]:
    places: dict[int, str] = {}
    problems = []
    for turn in talk:
        number = _number(turn)
        if number in places:
            name = quoted(turn.question.conversation or "")
            problems.append(
                f"{turn.place}: turn {number} of conversation {name} is given twice "
                f"(first at {places[number]})"
            )
        places.setdefault(number, turn.place)
    return problems


def asked_text(question: Question) -> str:
    """Return what tells a question from others: what was said before it, and the question."""
    return "\n".join((*(message.content for message in question.history), question.question))
