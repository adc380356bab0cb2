"""Conversations in question files: what loads, what is refused, and in which words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from rag_evals.evals.base.errors import QuestionFileError
from rag_evals.evals.questions.conversation import conversations
from rag_evals.evals.questions.load import load_questions, parse_question
from rag_evals.evals.questions.question import Question, question_to_json, short_digest
from rag_evals.rag.answer import Message

HISTORY = [
    {"role": "user", "content": "What is Mixtral?"},
    {"role": "assistant", "content": "A sparse mixture of experts."},
]
MESSAGES = (
    Message("user", "What is Mixtral?"),
    Message("assistant", "A sparse mixture of experts."),
)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in an empty folder, so that messages show short names."""
    monkeypatch.chdir(tmp_path)


def write(name: str, *entries: dict) -> Path:
    path = Path(name)
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), "utf-8")
    return path


def turn(number: object, conversation: str = "experts", **more) -> dict:
    name = f"{conversation}-{number}"
    return {"id": name, "question": "How many?", "conversation": conversation, "turn": number} | more


def refusal(*entries: dict) -> str:
    """Return the problems with a file of these lines."""
    with pytest.raises(QuestionFileError) as caught:
        load_questions([write("q.jsonl", *entries)])
    return str(caught.value).partition("\n")[2]


@pytest.mark.parametrize("suffix", ["jsonl", "json", "yaml"])
def test_a_turn_reads_the_same_from_every_form_and_is_written_again(suffix):
    """History, conversation and turn are kept by every form of a question file."""
    entry = turn(1, history=HISTORY)
    texts = {"jsonl": json.dumps(entry), "json": json.dumps([entry]), "yaml": yaml.safe_dump([entry])}
    path = Path(f"q.{suffix}")
    path.write_text(texts[suffix], "utf-8")
    [question] = load_questions([path])
    assert question == Question("experts-1", "How many?", history=MESSAGES, conversation="experts", turn=1)
    assert question_to_json(question) == entry


def test_a_question_outside_of_a_conversation_says_nothing_of_one():
    """Lines and hashes of questions without a conversation are what they were."""
    question = Question("a", "Why?")
    assert question_to_json(question) == {"id": "a", "question": "Why?"}
    assert short_digest(question) == "c4466232acae378f"


def test_a_question_may_have_a_history_without_being_a_turn():
    """What was said before is enough: nobody has to name a conversation."""
    [question] = load_questions([write("q.jsonl", {"id": "a", "question": "How many?", "history": HISTORY})])
    assert question.history == MESSAGES
    assert (question.conversation, question.turn) == (None, None)


def test_who_speaks_when_is_not_checked_and_an_assistant_may_have_said_nothing():
    """Two messages of a user in a row, or an empty answer, happen."""
    history = [
        {"role": "user", "content": "Hello?"},
        {"role": "user", "content": "Anybody?"},
        {"role": "assistant", "content": ""},
    ]
    [question] = load_questions([write("q.jsonl", {"id": "a", "question": "Why?", "history": history})])
    assert [message.role for message in question.history] == ["user", "user", "assistant"]


def test_turns_are_put_in_order_by_their_numbers():
    """The order of the lines does not count."""
    questions = load_questions(
        [write("q.jsonl", turn(2), turn(1, "other"), turn(1), {"id": "a", "question": "?"})]
    )
    assert {name: [q.id for q in turns] for name, turns in conversations(questions).items()} == {
        "experts": ["experts-1", "experts-2"],
        "other": ["other-1"],
    }


def test_every_problem_of_a_history_is_said():
    """Roles, texts and shapes of messages are checked, each with its place."""
    history = [
        "hello",
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": " "},
        {"role": "assistant"},
        {"content": "Who?", "name": "Ann"},
    ]
    assert refusal(
        {"id": "a", "question": "?", "history": history}, {"id": "b", "question": "?", "history": {}}
    ) == (
        '  q.jsonl:1: history[0]: not an object but text ("hello")\n'
        '  q.jsonl:1: history[1]: "role" = "system" is none of user, assistant\n'
        '  q.jsonl:1: history[2]: "content" is empty\n'
        '  q.jsonl:1: history[3]: missing "content"\n'
        '  q.jsonl:1: history[4]: unknown key "name"; known are role, content\n'
        '  q.jsonl:1: history[4]: missing "role"\n'
        '  q.jsonl:2: "history" is not a list of messages but an object ({})'
    )


def test_a_turn_has_a_number_and_a_conversation():
    """One without the other, or a number that is none, is refused."""
    assert refusal(
        {"id": "a", "question": "?", "conversation": "c"},
        {"id": "b", "question": "?", "turn": 1},
        turn(0),
        turn("2"),
        turn(True),
    ) == (
        '  q.jsonl:1: "conversation" without "turn": a turn of a conversation has both\n'
        '  q.jsonl:2: "turn" without "conversation": a turn of a conversation has both\n'
        '  q.jsonl:3: "turn" = 0 is below 1\n'
        '  q.jsonl:4: "turn" is not a whole number but text ("2")\n'
        '  q.jsonl:5: "turn" is not a whole number but true or false (true)'
    )


def test_only_the_first_turn_of_a_question_file_has_a_history():
    """What was said before a later one are the turns before it, and what the pipeline answers to them."""
    assert refusal(turn(1, history=HISTORY), turn(2, history=HISTORY)) == (
        '  q.jsonl:2: "history" on turn 2: what was said before it are the turns before it; '
        "only turn 1 has a history"
    )
    logged = parse_question(turn(2, history=HISTORY))  # a log of answers has what was said then
    assert isinstance(logged, Question)
    assert (logged.turn, logged.history) == (2, MESSAGES)


def test_a_turn_given_twice_or_missing_is_said():
    """Turns are counted from 1 without a gap, each once."""
    again = turn(1) | {"id": "again"}
    assert refusal(turn(1), again, turn(4), turn(2, "other")) == (
        '  q.jsonl:2: turn 1 of conversation "experts" is given twice (first at q.jsonl:1)\n'
        '  q.jsonl:3: turn 4 of conversation "experts" without turn 2, 3: '
        "turns are counted from 1, without a gap\n"
        '  q.jsonl:4: turn 2 of conversation "other" without turn 1: turns are counted from 1, without a gap'
    )


def test_a_turn_that_cannot_be_read_is_no_gap():
    """The line is refused for what is wrong with it, the turns behind it for nothing."""
    assert refusal({"id": "a", "conversation": "experts", "turn": 1}, turn(2)) == (
        '  q.jsonl:1: missing "question"'
    )


def test_a_conversation_stands_in_one_file():
    """Two files that mean two conversations by one name would answer each other."""
    paths = [write("a.jsonl", turn(1)), write("b.jsonl", turn(2))]
    with pytest.raises(QuestionFileError) as caught:
        load_questions(paths)
    assert str(caught.value) == (
        "1 problem in question files:\n"
        '  b.jsonl:1: turn 2 of conversation "experts" is in another file than its first (a.jsonl:1): '
        "a conversation stands in one file, and has a name of its own"
    )


def test_a_very_large_number_is_refused_at_once():
    """The first few missing turns tell enough."""
    assert refusal(turn(10**12)) == (
        f'  q.jsonl:1: turn {10**12} of conversation "experts" without turn 1, 2, 3, 4, 5: '
        "turns are counted from 1, without a gap"
    )
