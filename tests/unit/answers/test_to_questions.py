"""Questions made of what failed in a run."""

from __future__ import annotations

from dataclasses import replace

from rag_evals.evals.answers.to_questions import failed_questions, new_questions
from rag_evals.evals.questions.load import load_questions, parse_question
from rag_evals.evals.questions.question import Question, Source, question_to_json, to_line
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import header_from_json
from rag_evals.evals.runs.run import Run
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer, Message

SOURCE = Source("a.md", page=2)


def evaluation(name: str, value: float | None, **changes) -> Evaluation:
    question = Question(name, f"How many {name}?", sources=(SOURCE,), tags=("numbers",))
    given = {
        "question": question,
        "pipeline": "baseline",
        "answer": Answer("Nine."),
        "scores": (
            Score("faithfulness", value, reason="no key" if value is None else None),
            Score("relevancy", 0.9),
        ),
        "thresholds": {"faithfulness": 0.5, "relevancy": 0.5},
        **changes,
    }
    return Evaluation(**given)


def run(*evaluations: Evaluation) -> Run:
    line = {"type": "run", "schema": 1, "run": "r1", "started": "2026-03-01T12:00:00Z"}
    return Run("r1", header_from_json(line), (), evaluations)


PASSED, FAILED, UNSCORED = evaluation("ok", 0.8), evaluation("low", 0.25), evaluation("none", None)
ERROR = evaluation("lost", None, answer=None, scores=(), error="TimeoutError: late")
ALL = run(PASSED, FAILED, UNSCORED, ERROR)


def ids(*arguments, **options) -> list[str]:
    return [question.id for question in failed_questions(*arguments, **options)]


def test_what_is_taken():
    """What did not pass; one kind of it, or everything, on request."""
    assert ids(ALL) == ["low", "none", "lost"]
    assert ids(ALL, "breaches") == ["low", "lost"]
    assert ids(ALL, "unscored") == ["none"]
    assert ids(ALL, take_all=True) == ["ok", "low", "none", "lost"]


def test_what_a_question_says():
    """The question as it was; what was wrong is in the provenance, with the answer, which is no reference."""
    low, none, lost = failed_questions(ALL)
    assert low == replace(FAILED.question, provenance=low.provenance)
    assert low.reference is None
    assert low.provenance == {
        "origin": "run",
        "run": "r1",
        "started": "2026-03-01T12:00:00Z",
        "failures": [
            {
                "pipeline": "baseline",
                "outcome": "failed",
                "scores": [{"metric": "faithfulness", "value": 0.25, "threshold": 0.5}],
                "answer": "Nine.",
            }
        ],
    }
    assert none.provenance is not None
    assert none.provenance["failures"][0]["scores"] == [
        {"metric": "faithfulness", "value": None, "reason": "no key"}
    ]
    assert lost.provenance is not None
    assert lost.provenance["failures"] == [
        {"pipeline": "baseline", "outcome": "error", "error": "TimeoutError: late"}
    ]
    assert [parse_question(question_to_json(one)) for one in (low, none, lost)] == [low, none, lost]


def test_one_question_of_several_pipelines():
    """A question that failed several times is one, with all that was wrong."""
    again = replace(FAILED, pipeline="other", repeat=1)
    (question,) = failed_questions(run(FAILED, again))
    assert question.provenance is not None
    assert [(one["pipeline"], one.get("repeat")) for one in question.provenance["failures"]] == [
        ("baseline", None),
        ("other", 1),
    ]


def test_what_a_log_said():
    """The trace of a logged answer, its time and its model are in the provenance."""
    told = {"trace": "t-1", "time": "2026-03-01T12:00:00Z", "feedback": "down"}
    (question,) = failed_questions(run(replace(FAILED, pipeline="logged", logged=told)))
    assert question.provenance is not None
    (failure,) = question.provenance["failures"]
    assert {"trace": "t-1", "time": "2026-03-01T12:00:00Z"}.items() <= failure.items()
    assert "feedback" not in failure


def test_turns_of_conversations(tmp_path):
    """A turn is asked behind what was said before it, without the turns that said so; the file loads."""
    history = (Message("user", "Are there wolves?"), Message("assistant", "Yes."))
    turn = replace(FAILED.question, history=history, conversation="wolves", turn=2)
    other = replace(turn, id="low-3", turn=3, history=(*history, Message("user", "Many?")))
    found = failed_questions(run(replace(FAILED, question=turn), replace(FAILED, question=other)))
    assert [(one.history, one.conversation, one.turn) for one in found] == [
        (history, None, None),
        (other.history, None, None),
    ]
    first = found[0].provenance
    assert first is not None
    assert (first["conversation"], first["turn"]) == ("wolves", 2)
    file = tmp_path / "q.jsonl"
    file.write_text("".join(f"{to_line(question_to_json(one))}\n" for one in found))
    assert load_questions([file]) == found
    assert new_questions((), found).questions == found


def test_what_is_new():
    """The same words are the same question, whatever the white space; an id that is taken becomes another."""
    known = (Question("a", "How  many LOW?"), Question("none", "Something else?"))
    added = new_questions(known, failed_questions(ALL))
    assert added.known == 1
    none, lost = added.questions
    assert (none.question, lost.id) == ("How many none?", "lost")
    assert none.id.startswith("none-")
    assert new_questions((*known, *added.questions), failed_questions(ALL)).questions == ()
