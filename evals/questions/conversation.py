"""Conversations: what was said before a question, and the questions that are turns of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from rag_evals.evals.base.messages import quoted
from rag_evals.evals.questions.entries import Fault
from rag_evals.evals.questions.fields import check_keys, parse_objects, parse_text
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Message, Role

ROLES: tuple[Role, ...] = get_args(Role)
_MESSAGE_KEYS = tuple(Message.__dataclass_fields__)


def parse_history(entry: Mapping[str, Any], problems: list[str]) -> tuple[Message, ...]:
    """Return the messages under `history`; whose turn it is to speak is not checked."""
    return parse_objects(entry, "history", "messages", _parse_message, problems)


def _parse_message(value: Mapping[str, Any], problems: list[str]) -> Message:
    check_keys(value, _MESSAGE_KEYS, problems)
    role = parse_text(value, "role", problems, is_required=True)
    if role is not None and role not in ROLES:
        problems.append(f'"role" = {quoted(role)} is none of {", ".join(ROLES)}')
    # An assistant may have said nothing; a user's message without words is a mistake in the file.
    said = parse_text(value, "content", problems, is_required=True, may_be_blank=role == "assistant")
    return Message("assistant" if role == "assistant" else "user", said or "")


def check_place(entry: Mapping[str, Any], problems: list[str]) -> None:
    """Name a conversation without a turn, and a turn without a conversation."""
    given = [key for key in ("conversation", "turn") if entry.get(key) is not None]
    if len(given) == 1:
        missing = "turn" if given == ["conversation"] else "conversation"
        problems.append(f'"{given[0]}" without "{missing}": a turn of a conversation has both')


def turn_problems(outcomes: Sequence[tuple[str, Question | Fault]]) -> list[str]:
    """Return what is wrong with the conversations of question files.

    Args:
        outcomes: What was read, with its place, `file:line`.

    Returns:
        A line for each turn given twice, missing, with a history that is not its own, or in another file than
        the first one that was read. Turns that could not be read are no gap: their lines have problems.
    """
    problems = [
        f'{place}: "history" on turn {question.turn}: what was said before it are the turns before it; '
        "only turn 1 has a history"
        for place, question in outcomes
        if isinstance(question, Question) and question.history and (question.turn or 1) > 1
    ]
    has_faults = any(isinstance(outcome, Fault) for _, outcome in outcomes)
    for name, turns in _turns_by_conversation(outcomes).items():
        problems += _conversation_problems(name, turns, is_whole=not has_faults)
    return problems


def _turns_by_conversation(
    outcomes: Iterable[tuple[str, Question | Fault]],
) -> dict[str, list[tuple[str, int]]]:
    """Return the place and number of each turn, by conversation, as they stand in the files."""
    found: dict[str, list[tuple[str, int]]] = {}
    for place, outcome in outcomes:
        if isinstance(outcome, Question) and outcome.conversation and outcome.turn:
            found.setdefault(outcome.conversation, []).append((place, outcome.turn))
    return found


def _conversation_problems(name: str, turns: Sequence[tuple[str, int]], *, is_whole: bool) -> list[str]:
    problems = []
    places: dict[int, str] = {}
    home = _file_of(turns[0][0])
    for place, turn in turns:
        if _file_of(place) != home:
            problems.append(
                f"{place}: turn {turn} of conversation {quoted(name)} is in another file than its first "
                f"({turns[0][0]}): a conversation stands in one file, and has a name of its own"
            )
        elif turn in places:
            problems.append(
                f"{place}: turn {turn} of conversation {quoted(name)} is given twice "
                f"(first at {places[turn]})"
            )
        places.setdefault(turn, place)
    last = max(places)
    # The first few tell enough: a number written wrong may be a very large one.
    missing = [str(turn) for turn in range(1, min(last, 1_000)) if turn not in places][:5]
    if missing and is_whole:
        problems.append(
            f"{places[last]}: turn {last} of conversation {quoted(name)} without turn {', '.join(missing)}: "
            "turns are counted from 1, without a gap"
        )
    return problems


def _file_of(place: str) -> str:
    return place.rpartition(":")[0]


def conversations(questions: Iterable[Question]) -> dict[str, tuple[Question, ...]]:
    """Return the turns of each conversation, in their order."""
    found: dict[str, list[Question]] = {}
    for question in questions:
        if question.conversation is not None:
            found.setdefault(question.conversation, []).append(question)
    return {name: tuple(sorted(turns, key=_number)) for name, turns in found.items()}


def in_order(questions: Sequence[Question]) -> tuple[Question, ...]:
    """Return questions with the turns of each conversation together, where the first of them stood."""
    talks = conversations(questions)
    ordered: list[Question] = []
    for question in questions:
        name = question.conversation
        ordered += [question] if name is None else talks.pop(name, ())
    return tuple(ordered)


def unit_of(question: Question) -> str:
    """Return what is never parted, by shards, by chance or among workers: its conversation, or its own id."""
    return question.id if question.conversation is None else question.conversation


def _number(question: Question) -> int:
    return question.turn or 0
