"""Logs: what counts, what is drawn, and answers read again from their lines."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from rag_evals.evals.answers.log import Sampling, load_log
from rag_evals.evals.answers.log_summary import LogSummary, summary_from_json, summary_to_json, told_of
from rag_evals.evals.answers.replay import LoggedPipeline
from rag_evals.evals.answers.strata import values_of
from rag_evals.evals.base.drawn import Drawn
from rag_evals.evals.base.errors import AnswerFileError, LostAnswerError, UsageError
from rag_evals.rag.answer import Answer, Context, Pipeline, replays


def line(name: str | None = None, **more: object) -> dict:
    return {**({"id": name} if name else {}), "question": f"Q {name}?", "answer": f"A {name}.", **more}


@pytest.fixture
def log(tmp_path, monkeypatch):
    """Write a log and load it."""
    monkeypatch.chdir(tmp_path)

    def made(*lines: object, name: str = "log.jsonl") -> Path:
        texts = (one if isinstance(one, str) else json.dumps(one) for one in lines)
        (tmp_path / name).write_text("".join(f"{text}\n" for text in texts), "utf-8")
        return tmp_path / name

    return made


def test_answers_are_read_again(log):
    """What is asked is kept in the order of the files; an answer is read when it is wanted."""
    first = log(line("b", contexts=["One."]), line("a"))
    loaded = load_log([first, log(line("c"), name="other.ndjson"), first])
    assert [question.id for question in loaded.questions] == ["b", "a", "c"]
    assert loaded.logged("b").answer == Answer("A b.", (Context("One."),))
    assert loaded.logged("c").answer == Answer("A c.", contexts_known=False)


def test_a_line_that_is_another_one_now(log):
    """What is no longer there, or has changed, is said with its place."""
    file = log(line("a"), line("b"))
    loaded = load_log([file])
    log(line("a"), line("c"))
    assert loaded.logged("a").question.id == "a"
    with pytest.raises(LostAnswerError, match=r"^log.jsonl:2 is not what it was when the session began$"):
        loaded.logged("b")
    file.unlink()
    with pytest.raises(LostAnswerError, match=r"^log.jsonl:2 cannot be read any more: No such file"):
        loaded.logged("b")
    with pytest.raises(LostAnswerError, match=r'^the log has no answer "z"$'):
        loaded.logged("z")
    assert loaded.beside("b") == {}


def test_what_is_beside_an_answer(log):
    """What says nothing is left out, and so are credentials."""
    loaded = load_log([log(line("a", trace="t", password="geheim-1", tokens={"read": 1})), line_file(log)])
    assert loaded.beside("a") == {"trace": "t", "metadata": {"password": "***"}}
    assert loaded.beside("b") == {}


def line_file(log) -> Path:
    return log(line("b"), name="b.jsonl")


def test_the_same_line_again(log):
    """It counts once, whatever the order of its keys; another answer under the same id is a problem."""
    twice = {"answer": "A a.", "id": "a", "question": "Q a?"}
    loaded = load_log([log(line("a"), twice)])
    assert (loaded.summary.lines, loaded.summary.named) == (2, (("a", "a"),))
    with pytest.raises(AnswerFileError) as caught:
        load_log([log(line("a"), {**twice, "answer": "B."}), log(name="empty.jsonl")])
    assert str(caught.value) == (
        "2 problems in logs of answers:\n"
        '  log.jsonl:2: duplicate id "a" (first at log.jsonl:1)\n'
        "  empty.jsonl: no answers in it"
    )


def test_the_digest_is_that_of_what_counts(log):
    """Whatever the order of the lines; another answer makes another one."""
    first = load_log([log(line("a"), line("b"))])
    assert load_log([log(line("b"), line("a"), line("a"))]).digest == first.digest
    assert load_log([log(line("a"), line("b", time="2026-01-01"))]).digest != first.digest


def test_turns_of_a_conversation(log):
    """What was said before a turn is what the log has of the turns before it, wherever they stand."""
    place = {"conversation": "x"}
    lines = [
        line("c", turn=3, **place),
        line("a", turn=1, **place),
        line("b", turn=2, **place),
        line("other"),
        line("own", turn=2, conversation="y", history=[{"role": "user", "content": "Hm."}]),
        line("behind", turn=4, conversation="y"),
    ]
    loaded = load_log([log(*lines)], Sampling(5, 0))
    told = {one.id: [message.content for message in one.history] for one in loaded.questions}
    assert (
        told.items()
        <= {
            "a": [],
            "b": ["Q a?", "A a."],
            "c": ["Q a?", "A a.", "Q b?", "A b."],
            "other": [],
            "own": ["Hm."],
            "behind": ["Hm.", "Q own?", "A own."],
        }.items()
    )
    assert len(told) == 5


def test_turns_behind_a_gap_are_counted(log):
    """A turn that the log does not have is missed by all behind it, up to one that says its history."""
    said = [{"role": "user", "content": "Hm."}]
    lines = [
        line("a", turn=1, conversation="x"),
        line("b", turn=3, conversation="x"),
        line("c", turn=4, conversation="x"),
        line("d", turn=6, conversation="x", history=said),
        line("e", turn=7, conversation="x"),
        line("f", turn=2, conversation="y"),
    ]
    assert load_log([log(*lines)]).summary.behind_gaps == 3


def test_turns_that_say_the_same(log):
    """Behind other words the same turn is another one."""
    same = {"question": "And in winter?", "answer": "Closed."}
    lines = [
        line("a", conversation="x", turn=1),
        {"id": "b", "conversation": "x", "turn": 2, **same},
        line("c", conversation="y", turn=1),
        {"id": "d", "conversation": "y", "turn": 2, **same},
    ]
    assert load_log([log(*lines)]).summary.duplicates == 0


def test_a_turn_that_is_given_twice(log):
    with pytest.raises(AnswerFileError) as caught:
        load_log([log(line("a", conversation="x", turn=1), line("b", conversation="x", turn=1))])
    assert str(caught.value) == (
        "1 problem in logs of answers:\n"
        '  log.jsonl:2: turn 1 of conversation "x" is given twice (first at log.jsonl:1)'
    )


def test_a_drawn_log(log):
    """Strata are the values of a field, and what has none is one, too."""
    lines = [line(f"q{n}", **({"tier": "gold"} if n < 5 else {})) for n in range(20)]
    loaded = load_log([log(*lines)], Sampling(8, 1, "tier"))
    assert (
        sorted(loaded.drawn.values(), key=lambda one: one.stratum)
        == [Drawn("", 15, 6)] * 6 + [Drawn("gold", 5, 2)] * 2
    )
    assert loaded.summary == LogSummary(
        lines=20,
        drawn=8,
        without_contexts=8,
        seed=1,
        by="tier",
        strata=(("", 15, 6), ("gold", 5, 2)),
        count_of_strata=2,
    )


@pytest.mark.parametrize(
    ("by", "problem"),
    [
        ("teir", 'evals_stratify = teir: no logged answer has such a field; did you mean "tier"?'),
        (
            "zzz",
            "evals_stratify = zzz: no logged answer has such a field; there are user.id, tier, answerable",
        ),
    ],
)
def test_a_field_that_is_not_there(log, by, problem):
    with pytest.raises(UsageError) as caught:
        load_log([log(line("a", tier="x", metadata={"user": {"id": 3}}))], Sampling(1, 0, by))
    assert str(caught.value) == problem


def test_values_that_tell_answers_apart(log):
    """Of the question, of the log and of its metadata, as texts."""
    told = line("a", tags=["b", "a"], model="m", metadata={"user": {"id": 3}, "vip": True, "none": None})
    assert values_of(load_log([log(told)]).logged("a")) == {
        "user.id": "3",
        "vip": "true",
        "answerable": "true",
        "model": "m",
        "tags": "a, b",
    }


def test_the_pipeline_of_a_log(log):
    """It gives the answer by the question's id; by its text only where one line has it."""
    loaded = load_log([log(line("a"), line("b"), line("c", question="Q b?"))])
    pipeline = LoggedPipeline(loaded)
    assert isinstance(pipeline, Pipeline)
    assert replays(pipeline)
    assert pipeline.replayed("c").text == "A c."
    assert asyncio.run(pipeline.answer("Q a?")).text == "A a."
    for question, count in (("Q b?", "2 answers"), ("Q z?", "no answer")):
        with pytest.raises(LostAnswerError) as caught:
            asyncio.run(pipeline.answer(question))
        assert str(caught.value) == f"the log has {count} to this question: ask with a question of the run"


SUMMARIES = [
    (LogSummary(1, drawn=1), ["1 logged answer"]),
    (LogSummary(12000, drawn=12000), ["12,000 logged answers"]),
    (
        LogSummary(12000, 2000, (("b", "a"), ("c", "a"), ("d", "d"), ("e", "a")), drawn=200, seed=5),
        [
            "200 of 10,000 logged answers, drawn with seed 5",
            "2,000 of 12,000 logged answers say what others say, and what is said twice counts once: "
            "b (as a), c (as a), d (again) and 1,997 more",
        ],
    ),
    (
        LogSummary(3, drawn=2, seed=0, by="user", strata=(("x", 1, 1),), count_of_strata=3, missed=1),
        [
            "2 of 3 logged answers, drawn by user in 3 strata with seed 0",
            "1 of 3 values of user have no answer in the sample: it counts as drawn from all alike",
        ],
    ),
    (
        LogSummary(3, drawn=3, behind_gaps=2),
        [
            "3 logged answers",
            "2 turns are judged without all that was said before: the log has neither every earlier turn "
            "nor a history",
        ],
    ),
    (LogSummary(3, drawn=3, seed=0), ["all 3 of 3 logged answers, drawn with seed 0"]),
]


@pytest.mark.parametrize(("summary", "lines"), SUMMARIES)
def test_what_is_told(summary, lines):
    """It goes through the record's first line, and says the same from there."""
    assert summary.told() == lines
    told = json.loads(json.dumps(summary_to_json(summary)))
    assert summary_from_json(told) == summary
    assert told_of({"answers": told}) == [f"answers: {one}" for one in lines]


@pytest.mark.parametrize("told", [{}, {"answers": 3}, {"answers": {"lines": "x"}}, {"answers": {"lines": 1}}])
def test_what_another_version_told(told):
    """Nothing is said then."""
    assert told_of(told) == []
