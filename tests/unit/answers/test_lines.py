"""Lines of a log of answers: what is read of them, and what is said of broken ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rag_evals.evals.answers.lines import parse_line, parse_logged, read_line, read_log
from rag_evals.evals.answers.logged_answer import LoggedAnswer, logged_to_json
from rag_evals.evals.questions.entries import Fault
from rag_evals.evals.questions.question import Question, Source
from rag_evals.rag.answer import Answer, Citation, Context, Message, Tokens

FULL = {
    "id": "a-1",
    "question": "How many?",
    "reference": "Two.",
    "sources": [{"document": "a.md", "page": 1}],
    "tags": ["numbers"],
    "answerable": True,
    "thresholds": {"faithfulness": 0.7},
    "answer": "Two of them.",
    "contexts": [
        "There are two.",
        {"text": "Two.", "document": "a.md", "page": 2, "start": 3, "score": -0.5},
    ],
    "time": "2026-03-01T12:30:00Z",
    "model": "big-1",
    "seconds": 1.5,
    "tokens": {"read": 100, "written": 7},
    "feedback": "down",
    "trace": "t-9",
    "history": [{"role": "user", "content": "Hello."}],
    "conversation": "c",
    "turn": 3,
    "citations": [{"start": 0, "end": 3, "contexts": [1], "document": "a.md", "page": 2}],
    "metadata": {"user": "u1"},
    "channel": "web",
}


def logged(value: object) -> LoggedAnswer:
    found = parse_logged(value)
    assert isinstance(found, LoggedAnswer), found
    return found


def problems(value: object) -> tuple[str, ...]:
    found = parse_logged(value)
    assert isinstance(found, Fault), found
    return found.problems


def written(path: Path, *lines: object) -> Path:
    path.write_text("".join(f"{x if isinstance(x, str) else json.dumps(x)}\n" for x in lines), "utf-8")
    return path


def test_a_line_says_all_that_is_known():
    """Question and answer are values as everywhere; what is not known by name is metadata."""
    assert logged(FULL) == LoggedAnswer(
        Question(
            "a-1",
            "How many?",
            "Two.",
            (Source("a.md", 1),),
            ("numbers",),
            thresholds=(("faithfulness", 0.7),),
            history=(Message("user", "Hello."),),
            conversation="c",
            turn=3,
        ),
        Answer(
            "Two of them.",
            (Context("There are two."), Context("Two.", "a.md", 2, 3, score=-0.5)),
            {"answer": 1.5},
            {"answer": Tokens(100, 0, 7)},
            citations=(Citation(0, 3, (1,), "a.md", 2),),
        ),
        "2026-03-01T12:30:00Z",
        "big-1",
        "down",
        "t-9",
        {"user": "u1", "channel": "web"},
    )


def test_a_line_goes_round():
    """What is written of a logged answer is read as the same."""
    for value in (FULL, {"question": "Why?", "answer": ""}, {"question": "Q", "answer": "A", "contexts": []}):
        first = logged(value)
        assert logged(logged_to_json(first)) == first


@pytest.mark.parametrize(
    ("contexts", "known"), [({}, False), ({"contexts": None}, False), ({"contexts": []}, True)]
)
def test_contexts_that_are_not_there(contexts, known):
    """No contexts in a line are not known; an empty list says that nothing was found."""
    answer = logged({"question": "Q", "answer": "A", **contexts}).answer
    assert (answer.contexts, answer.contexts_known) == ((), known)


def test_an_id_comes_of_the_content():
    """Whatever the order of the keys, the same line has the same id; another line another one."""
    lines = [
        {"question": "How are [you], my friend?", "answer": "Fine."},
        {"answer": "Fine.", "question": "How are [you], my friend?"},
        {"answer": "Fine.", "question": "How are [you], my friend?", "time": "2026-03-01"},
    ]
    first, second, third = (logged(line).question.id for line in lines)
    assert first == second == "how-are-you-my-friend-645a3a2b4fa3"
    assert third != first
    assert logged({"question": "…?", "answer": ""}).question.id.startswith("answer-")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], ("not an object but a list",)),
        ({}, ('missing "question"', 'missing "answer"')),
        ({"question": " ", "answer": None}, ('"question" is empty', 'missing "answer"')),
        ({"question": "Q", "answer": 3}, ('"answer" is not text but a number (3)',)),
        (
            {"question": "Q", "answer": "A", "contexts": "none"},
            ('"contexts" is not a list of texts but text ("none")',),
        ),
        (
            {
                "question": "Q",
                "answer": "A",
                "contexts": [3, {"txt": "a"}, {"text": "b", "start": 4, "end": 2}],
            },
            (
                "contexts[0] is not text but a number (3)",
                'contexts[1]: unknown key "txt" (did you mean "text"?)',
                'contexts[1]: missing "text"',
                'contexts[2]: "end" = 2 is before "start" = 4',
            ),
        ),
        (
            {"question": "Q", "answer": "A", "id": "a b", "feedback": 1, "time": "yesterday", "seconds": -1},
            (
                '"id" = "a b" cannot be a test id: no blanks, "[", "]", "::" or control characters',
                '"seconds" = -1 is below 0',
                '"time" = "yesterday" is no time of ISO 8601, such as 2026-03-01T12:30:00Z',
                '"feedback" = 1 is neither "up" nor "down"',
            ),
        ),
        (
            {"question": "Q", "answer": "A", "tokens": {"read": 1.5, "wrote": 2}},
            (
                'tokens: unknown key "wrote" (did you mean "written"?)',
                'tokens: "read" is not a whole number but a number (1.5)',
            ),
        ),
        (
            {"question": "Q", "answer": "A", "citations": ["[1]", {"contexts": [-1], "start": 3, "end": 1}]},
            (
                'citations[0]: not an object but text ("[1]")',
                'citations[1]: "contexts" = -1 is below 0',
                'citations[1]: "end" = 1 is before "start" = 3',
            ),
        ),
        (
            {"question": "Q", "answer": "A", "conversation": "c"},
            ('"conversation" without "turn": a turn of a conversation has both',),
        ),
        (
            {"question": "Q", "answer": "A", "user": 1, "metadata": {"user": 2}},
            ('"user" stands both beside "metadata" and in it: give one of them',),
        ),
        (
            {"question": "Q", "answer": "A", "user": "\ud800"},
            ('"user" holds half of a surrogate pair, which is no character',),
        ),
    ],
)
def test_what_is_wrong_with_a_line(value, said):
    """Every problem of a line is said, not the first alone."""
    assert problems(value) == said


def test_a_log_is_read_line_by_line(tmp_path, monkeypatch):
    """A broken line is named with its number, and nothing else is lost; each line can be read by itself."""
    monkeypatch.chdir(tmp_path)
    file = written(
        tmp_path / "log.jsonl",
        "\ufeff" + json.dumps({"id": "a", "question": "Q", "answer": "A\u2028B"}, ensure_ascii=False),
        "",
        "// a remark",
        '{"question": "cut',
        '{"question": "Q", "answer": NaN}',
        {"id": "b", "question": "Q", "answer": "B"},
    )
    with file.open("ab") as opened:
        opened.write(b'\xff{}\n{"id": "c", "question": "Q", "answer": "C"}')
    lines = list(read_log(file))
    assert [
        (line.place, line.value.problems if isinstance(line.value, Fault) else line.value.question.id)
        for line in lines
    ] == [
        ("log.jsonl:1", "a"),
        ("log.jsonl:4", ("invalid JSON at column 14: Unterminated string starting at",)),
        ("log.jsonl:5", ("NaN is not JSON; leave the value out",)),
        ("log.jsonl:6", "b"),
        ("log.jsonl:7", ("not UTF-8 text (byte 0xFF at 0)",)),
        ("log.jsonl:8", "c"),
    ]
    assert [read_line(file, line.number, line.start) for line in lines] == lines
    assert read_line(file, 2, lines[1].start - 13) is None


def test_files_that_are_no_logs(tmp_path, monkeypatch):
    """Another suffix, a folder and a file that is not there are one problem of the file as a whole."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.jsonl").mkdir()
    found = [line for name in ("a.csv", "folder.jsonl", "none.jsonl") for line in read_log(tmp_path / name)]
    assert [(line.place, line.value) for line in found] == [
        (
            "a.csv",
            Fault(('unknown suffix ".csv"; logs of answers are JSON Lines and end in .jsonl, .ndjson',)),
        ),
        ("folder.jsonl", Fault(("cannot be read: Is a directory",))),
        ("none.jsonl", Fault(("no such file",))),
    ]


def test_deep_json_is_a_fault():
    """A line that nests without end is named as any other."""
    deep = b'{"question": "Q", "answer": "A", "x": ' + b"[" * 5000 + b"]" * 5000 + b"}"
    assert parse_line(deep) == Fault(("nested more than 100 deep",)) or parse_line(deep) == Fault(
        ("nested too deeply",)
    )


def test_a_line_has_all_that_is_known():
    """Another time makes another line."""
    first, second = logged(FULL), logged({**FULL, "time": "2026-03-02"})
    assert logged_to_json(first) == logged_to_json(logged(FULL)) != logged_to_json(second)
