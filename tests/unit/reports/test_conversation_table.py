"""Conversations in reports: their counts, the turns that broke them, and their place beside each other."""

from __future__ import annotations

from dataclasses import replace

from rag_evals.evals.gate.decision import decide
from rag_evals.evals.gate.rules import Rules
from rag_evals.evals.questions.question import Question
from rag_evals.evals.reports.conversation_table import broken_lines, conversation_rows, each_conversation
from rag_evals.evals.reports.html.page import run_html
from rag_evals.evals.reports.markdown import run_markdown
from rag_evals.evals.reports.terminal.summary import closing_lines
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import RunHeader
from rag_evals.evals.runs.run import Run
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer, Message

TABLE = [
    ("pipeline", "conversations", "passed", "failed", "unscored", "turns"),
    ("baseline", "4", "1", "2", "1", "9"),
]
BROKEN = [
    "baseline c: turn 2 unscored",
    "baseline hills: turn 1 failed, turns 2 to 3 unscored",
    "baseline roads: turn 1 gave an error",
]


def turn(conversation: str | None, number: int, value: float | None, **changes) -> Evaluation:
    score = Score("faithfulness", value, reason=None if value is not None else "no key")
    place = {} if conversation is None else {"conversation": conversation, "turn": number}
    question = Question(f"{conversation}-{number}", f"What is {number}?", **place)
    whole = Evaluation(question, "baseline", Answer("So."), (score,), {"faithfulness": 0.5})
    return replace(whole, **changes)


TURNS = (
    turn(None, 1, 0.1),
    turn("lakes", 2, 0.8),
    turn("lakes", 1, 0.9),
    turn("hills", 1, 0.1),
    turn("hills", 3, None),
    turn("hills", 2, None),
    turn("c", 1, 0.9),
    turn("c", 2, None),
    turn("roads", 1, None, answer=None, scores=(), error="OSError: no disk"),
    turn("roads", 2, 0.9),
)


def run_of(*evaluations: Evaluation) -> Run:
    return Run("a-run", RunHeader({}), (), evaluations)


def test_a_conversation_passed_if_all_its_turns_did():
    """One that failed is failed whatever else is not known; an error is no pass."""
    assert conversation_rows(TURNS) == TABLE
    assert broken_lines(TURNS) == BROKEN


def test_nothing_is_said_without_conversations():
    """Runs of single questions look as ever."""
    assert conversation_rows(TURNS[:1]) == []
    assert broken_lines(TURNS[:1]) == []
    assert each_conversation(TURNS[:1], ["faithfulness"]) == []


def test_each_conversation_has_the_means_of_its_turns():
    """Those that did not pass come first; what no turn has is a dash."""
    assert each_conversation(TURNS, ["faithfulness", "relevancy"]) == [
        ("conversation", "turns", "faithfulness", "relevancy"),
        ("baseline c", "turn 1 passed, turn 2 unscored", "0.90", "-"),
        ("baseline hills", "turn 1 failed, turns 2 to 3 unscored", "0.10", "-"),
        ("baseline roads", "turn 1 gave an error, turn 2 passed", "0.90", "-"),
        ("baseline lakes", "turns 1 to 2 passed", "0.85", "-"),
    ]


def test_each_repeat_is_a_conversation():
    """The second time is named."""
    again = [replace(one, repeat=1) for one in TURNS[3:6]]
    assert broken_lines([*TURNS[3:6], *again]) == [
        "baseline hills: turn 1 failed, turns 2 to 3 unscored",
        "baseline hills (2): turn 1 failed, turns 2 to 3 unscored",
    ]


def test_the_terminal_names_the_turns_that_broke_a_conversation():
    """Behind the table of the pipelines."""
    run = run_of(*TURNS)
    rules = Rules("gate", ())
    lines = [line.text for line in closing_lines(run, decide(rules, run), breaches=False)]
    start = next(n for n, line in enumerate(lines) if line.startswith("pipeline  conversations"))
    assert lines[start : start + 5] == [
        "pipeline  conversations  passed  failed  unscored  turns",
        "baseline              4       1       2         1      9",
        *BROKEN,
    ]


def test_the_terminal_names_ten_conversations_at_most():
    """A long list is in the HTML report."""
    run = run_of(*(turn(f"c{n:02}", 1, 0.1) for n in range(13)))
    lines = [line.text for line in closing_lines(run, decide(Rules("gate", ()), run), breaches=False)]
    assert "baseline c09: turn 1 failed" in lines
    assert "baseline c10: turn 1 failed" not in lines
    assert "and 3 more conversations" in lines


def test_markdown_has_the_table_and_the_turns():
    """What documents and files say stands in code spans."""
    text = run_markdown(run_of(*TURNS))
    assert "| pipeline | conversations | passed | failed | unscored | turns |" in text
    assert "- `baseline hills: turn 1 failed, turns 2 to 3 unscored`" in text


def test_the_page_shows_turns_together_with_what_was_said_before():
    """A conversation stands where the worst of its turns does; hostile history is text."""
    said = (Message("user", "What is 1?"), Message("assistant", "<script>hurt()</script>"))
    later = turn("lakes", 2, 0.1)
    later = replace(later, question=replace(later.question, history=said))
    page = run_html(run_of(turn("lakes", 1, 0.9), turn(None, 1, 0.9), later, turn(None, 0, 0.1)))
    ids = ["lakes-1", "lakes-2", "None-1", "None-0"]
    places = {name: page.index(f">{name}<") for name in ids}
    assert sorted(ids, key=places.__getitem__) == ["None-0", "lakes-1", "lakes-2", "None-1"]
    assert '<dt>Conversation</dt><dd dir="auto">lakes, turn 2</dd>' in page
    assert "user: What is 1?\nassistant: &lt;script&gt;hurt()&lt;/script&gt;</dd>" in page
    assert "turn 1 passed, turn 2 failed" in page
