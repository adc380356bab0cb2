"""From the lines of a run to the calls of a tracker, with a tracker that writes them down."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from rag_evals.evals.gate.condition import parse_condition
from rag_evals.evals.gate.decision import decide, decision_to_json
from rag_evals.evals.gate.rules import Rules
from rag_evals.evals.questions.question import Question, Source
from rag_evals.evals.reports.terminal.summary import decision_lines
from rag_evals.evals.runs.evaluation import Evaluation, evaluation_to_json
from rag_evals.evals.runs.header import ComponentInfo, RunHeader
from rag_evals.evals.runs.run import Run
from rag_evals.evals.runs.score import ClaimScore, Score
from rag_evals.evals.trackers.feed import Feed
from rag_evals.evals.trackers.rows import Mean, Running, columns_for, evaluation_row, means_of, summary_of
from rag_evals.evals.trackers.run_files import digest_of, files_of
from rag_evals.rag.answer import Answer, Context, Span, Tokens
from rag_evals.rag.identity import canonical


class Noting:
    """A tracker that writes down its calls; `fails` names one that raises."""

    def __init__(self, calls, fails=""):
        self.calls, self.fails = calls, fails

    def __getattr__(self, call):
        def note(*told):
            self.calls.append((call, *told))
            if call == self.fails:
                raise RuntimeError(f"no {call}")

        return note


def evaluation(id="q", pipeline="first", value=0.5, **more):
    scores = (
        ()
        if value == "error"
        else (Score("faithfulness", value, reason="no verdict" if value is None else None),)
    )
    told = {"error": "OSError: no disk", "answer": None} if value == "error" else {"answer": Answer("yes")}
    given = {
        "scores": scores,
        "thresholds": {"faithfulness": 0.4},
        "seconds": {"generate": 1.0},
        **told,
        **more,
    }
    return Evaluation(Question(id, f"{id}?"), pipeline, **given)


def feed_of(tmp_path, runs="session", fails="", trackers=None):
    calls = []
    feed = Feed("mine", lambda: Noting(calls, fails), tmp_path)
    head = {
        "type": "run",
        "schema": 1,
        "run": "R",
        "metrics": ["faithfulness"],
        "trackers": {"mine": {"runs": runs}},
    }
    (tmp_path / "records.jsonl").write_text(json.dumps(head) + "\n")
    feed.take(head)
    return feed, calls


def test_calls_in_their_order(tmp_path):
    """Nothing is begun before the first evaluation; what describes a pipeline later is told then."""
    feed, calls = feed_of(tmp_path)
    about = {"type": "pipeline", "name": "first", "fingerprint": "f", "settings": {}, "identity": {}}
    feed.take(about)
    feed.take({"type": "unknown"})
    assert calls == []
    feed.take(evaluation_to_json(evaluation()))
    feed.take({**about, "type": "judge", "name": "j"})
    feed.take({"type": "ruling", "verdict": "PASS", "lines": ["all is well"], "baseline": None})
    feed.take({"type": "end"})
    feed.finish()
    assert [call for call, *_ in calls] == (
        ["start", "config", "config", "row", "config", "config", "summary"] + ["file"] * 4 + ["finish"]
    )
    assert [file.name for call, file in (c for c in calls if c[0] == "file")] == [
        "eval-questions",
        "judge-card",
        "run-records",
        "report",
    ]
    assert calls[4][1] == {"judges": {"j": {"fingerprint": "f", "settings": {}, "identity": {}}}}
    ending = calls[-1][1]
    assert (ending.verdict, ending.lines, ending.is_finished) == ("PASS", ("all is well",), True)
    assert ending.means == {"first": {"faithfulness": 0.5}}
    assert list(tmp_path.iterdir()) == [tmp_path / "records.jsonl"]


def test_what_was_decided_is_told_from_its_data(tmp_path):
    """The records have what was decided; its lines are made where they are shown."""
    feed, calls = feed_of(tmp_path)
    run = Run("run", RunHeader(), (), (evaluation(),))
    decision = decide(Rules(conditions=(parse_condition("coverage >= 1"),)), run)
    feed.take(evaluation_to_json(evaluation()))
    feed.take(json.loads(canonical({**decision_to_json(decision), "baseline": None})))
    feed.finish()
    ending = calls[-1][1]
    assert ending.verdict == "PASS"
    assert ending.lines == tuple(line.text for line in decision_lines(decision))
    assert ending.lines[-1] == "gate: PASS"


def test_one_run_a_pipeline(tmp_path):
    """Each is told of its own pipeline, and counts from 0; one that raises does not stop the other."""
    feed, calls = feed_of(tmp_path, runs="pipeline", fails="summary")
    for name in ("first", "second"):
        feed.take({"type": "pipeline", "name": name, "fingerprint": "f", "settings": {}, "identity": {}})
    for name in ("first", "second", "second"):
        feed.take(evaluation_to_json(evaluation(pipeline=name)))
    with pytest.raises(RuntimeError, match="no summary"):
        feed.finish()
    begun = [told[0] for call, *told in calls if call == "start"]
    assert [(run.id, run.name, run.group, run.pipeline) for run in begun] == [
        ("R-first", "first R", "R", "first"),
        ("R-second", "second R", "R", "second"),
    ]
    pipelines = [
        list(told[0]["pipelines"]) for call, *told in calls if call == "config" and "pipelines" in told[0]
    ]
    assert pipelines == [["first"], ["second"]]
    assert [told[2] for call, *told in calls if call == "row"] == [0, 0, 1]
    assert [len(told[0].rows) for call, *told in calls if call == "finish"] == [1, 2]


def test_mean_and_its_interval():
    """As by the textbook; a single value has no interval."""
    mean = Mean()
    mean.add(0.25)
    assert (mean.value, mean.half_width) == (0.25, math.inf)
    for value in (0.75, 0.5):
        mean.add(value)
    assert mean.value == pytest.approx(0.5)
    assert mean.half_width == pytest.approx(1.959963984540054 * 0.25 / math.sqrt(3))


def test_no_verdict_is_no_number():
    """It leaves a gap, is counted, and enters neither a mean nor the pass rate; an error is no pass."""
    running = Running()
    first = running.add(evaluation(value=None))
    assert {"score/faithfulness", "mean/faithfulness", "pass_rate"} & set(first) == set()
    assert (first["test/index"], first["unscored"]) == (0.0, 1.0)
    second, third = running.add(evaluation(value=1.0)), running.add(evaluation(value="error"))
    assert (second["mean/faithfulness"], second["pass_rate"]) == (1.0, 1.0)
    assert (third["test/index"], third["unscored"], third["pass_rate"]) == (2.0, 1.0, 0.5)
    assert (third["pass_rate/low"], third["pass_rate/high"]) == (0.0, 1.0)


def test_summary_has_the_same_keys_in_every_run():
    """None where there is no value; with several pipelines each has its own as well."""
    one = summary_of([evaluation(value=None)], ("faithfulness", "relevancy"))
    two = summary_of([evaluation(), evaluation(pipeline="second")], ("faithfulness", "relevancy"))
    assert set(one) == {key for key in two if "/" not in key}
    assert {key for key in two if key.startswith("second/")} == {f"second/{key}" for key in one}
    assert (one["n"], one["n_unscored"], one["faithfulness_mean"], one["usd"]) == (1, 1, None, None)
    assert two["n"] == 2
    assert means_of([evaluation(value=None)], ("faithfulness",)) == {"first": {"faithfulness": None}}


def test_row():
    """One cell a column; a context has its page where it has one, and the documents with the same text."""
    claims = (ClaimScore("worst", 0.1), ClaimScore("best", 0.9))
    copied = Context("b", "b.md", copies=(Span("c.md"), Span("b.md"), Span("d.pdf", 3)))
    answer = Answer("yes", (Context("a", "a.pdf", 2), copied, Context("c")))
    tokens = {"generate": Tokens(3, 2, 1), "judge": Tokens(4)}
    row = evaluation_row(
        evaluation(answer=answer, scores=(Score("faithfulness", 0.1, claims=claims),), tokens=tokens),
        ["mine"],
    )
    assert (row["contexts"], row["worst_claim"], row["thresholds"]) == (
        "[a.pdf, page 2] a\n\n[b.md; the same in c.md, d.pdf] b\n\nc",
        "worst",
        "faithfulness 0.4",
    )
    assert (row["mine"], row["passed"], row["outcome"]) == (None, False, "failed")
    assert row["reason"] == "faithfulness 0.10 < 0.40"
    assert (row["tokens_evaluated"], row["tokens_reused"], row["tokens_generated"]) == (7, 2, 1)
    assert set(row) <= set(columns_for(["mine"]))
    assert evaluation_row(evaluation(value=None), [])["passed"] is None


def test_files(tmp_path):
    """Questions are kept once and sorted; an index in the home folder goes along, up to a bound."""
    run, scratch = tmp_path / "home" / "runs" / "R", tmp_path / "scratch"
    index = tmp_path / "home" / "indexes" / ("f" * 16)
    for folder in (run, scratch, index):
        folder.mkdir(parents=True)
    (index / "vectors.npy").write_bytes(b"1")
    (run / "records.jsonl").write_text("{}\n")
    pipeline = ComponentInfo("pipeline", "first", "x", {"index": "f" * 64}, {"index": {"a.md": "1"}})
    pipelines = [pipeline, replace(pipeline, name="theirs", identity={})]
    asked = Question("b", "two\nlines?", sources=(Source("a.md", 1),), answerable=False, tags=("t",))
    evaluations = [evaluation("c"), Evaluation(asked, "first", None, (), {}), evaluation("c", "second")]
    questions, indexed, records = files_of(evaluations, pipelines, run, scratch, run_id="R")
    lines = [json.loads(line) for line in questions.paths["questions.jsonl"].read_text().splitlines()]
    assert lines == [
        {
            "id": "b",
            "question": "two\nlines?",
            "answerable": False,
            "tags": ["t"],
            "sources": [{"document": "a.md", "page": 1}],
        },
        {"id": "c", "question": "c?"},
    ]
    assert questions.paths["questions.txt"].read_text() == "two lines?\nc?\n"
    assert questions.about == digest_of(evaluations)
    assert (indexed.name, sorted(indexed.paths), indexed.about) == (
        "index-first",
        ["made-from.json", "vectors.npy"],
        {"fingerprint": "f" * 64, "vectors": True},
    )
    assert (records.aliases, records.paths["records.jsonl"].read_text()) == (("R",), "{}\n")
