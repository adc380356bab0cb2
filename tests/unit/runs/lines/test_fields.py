"""Any field of any line may be anything: it is said with the line's number, and the rest is read."""

from __future__ import annotations

import copy
import io
import json
import math
import re
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rag_evals.evals.base.errors import QuestionFileError
from rag_evals.evals.cli.main import main
from rag_evals.evals.gate.decision import decide, decision_to_json
from rag_evals.evals.gate.rules import Rules
from rag_evals.evals.questions.manifest import load_manifest, manifest_path
from rag_evals.evals.questions.question import Question, Source, short_digest
from rag_evals.evals.reports.html.waterfall import rows_html, waterfalls_of
from rag_evals.evals.runs.evaluation import Evaluation, evaluation_to_json
from rag_evals.evals.runs.run import read_run
from rag_evals.evals.runs.score import ClaimScore, Decline, Score
from rag_evals.evals.runs.trace_lines import span_to_json, spans_in
from rag_evals.evals.runs.undecided import asked_test
from rag_evals.evals.trackers.wandb.copies import Copies
from rag_evals.rag.answer import Answer, Context, Span, Tokens
from rag_evals.rag.tracing.spans import TraceSpan

WRONG = (
    None, [], {}, "x", -1, 0, 1e308, 10**30, math.nan, True, [[[]]], {"a": {}}, [1, "a", None], "\ud800",
)  # fmt: skip
GONE = object()
PLACE = Span("b.md", 1, 0, 9, 2)


def evaluation(name: str) -> Evaluation:
    """Return an evaluation that has everything."""
    context = Context("Two of eight experts.", "a.md", 1, 0, 21, 0.5, 2, (PLACE,))
    claim = ClaimScore("Two.", 0.2, 0, 4, context, "unsure")
    score = Score(
        "faithfulness", 0.2, None, "Two", 0.2, 0.3, (claim,), spread=0.1, repeats=(0.2, None),
        declines=(Decline("No.", 0, 3, "rule"),),
    )  # fmt: skip
    return Evaluation(
        Question(name, "How many?", "Two.", (Source("a.md", 1, 0, 4, "Two."),), ("tag",)),
        "base",
        Answer("Two.", (context,), stages={"candidates": (PLACE,)}),
        (score, Score("relevancy", None, "no key")),
        {"faithfulness": 0.5},
        {"generate": 1.5},
        {"generate": Tokens(1, 2, 3)},
        cached=("answer",),
        usd=0.01,
        conditions=("coverage >= 0.5",),
        test=f"t.py::t[{name}]",
        keys={"answer": "k"},
    )


@cache
def lines() -> tuple[dict[str, Any], ...]:
    """Return the lines of a run, each kind with all that it may have."""
    trust = {
        "metric": "faithfulness", "threshold": 0.5, "positives": [9, 10], "negatives": [8, 10],
        "balanced_accuracy": {"value": 0.9, "low": 0.8, "high": 0.95},
    }  # fmt: skip
    head = {
        "type": "run", "schema": 1, "run": "r1", "mode": "gate", "metrics": ["faithfulness", "relevancy"],
        "thresholds": {"faithfulness": 0.5}, "max_unscored": 0.1, "judge_floor": 0.7,
        "gate": ["pass_rate >= 0.5"], "inconclusive": "warn", "margin": 0.05, "baseline": None,
        "stop_early": False, "shard": None, "args": ["-q"], "directory": "../../..",
        "as_module": True, "offline": False,
        "machine": {"python": "3.11", "processors": 2}, "git": {"commit": "c", "dirty": True},
        "versions": {"pytest": "9"}, "trackers": {}, "questions": [{"path": "q.jsonl", "digest": "d"}],
        "stale": ["s"], "used": [{"artifact": "a:v1"}], "remarks": ["r"], "notes": ["n"],
    }  # fmt: skip
    about = {
        "type": "pipeline", "name": "base", "fingerprint": "a" * 64, "settings": {"top_k": 3, "llm": "m"},
        "identity": {"index": {"documents": {"a.md": "1"}}, "knobs": {}, "prompt": "p"}, "remarks": ["r"],
    }  # fmt: skip
    judge = {
        "type": "judge", "name": "fake", "fingerprint": "b" * 64, "identity": {},
        "settings": {"metrics": ["faithfulness"], "card": {"labels": {"name": "l"}, "trust": [trust]}},
    }  # fmt: skip
    made = [evaluation(name) for name in ("q0", "q1")]
    tests = [asked_test(e.test, "base", e.question, 0, ["faithfulness", "relevancy"]) for e in made]
    with TemporaryDirectory() as folder:
        plain = [head, about, judge, *map(evaluation_to_json, made), {"type": "end", "failed": 2}]
        run = read_run(written(Path(folder), plain))
        ruling = decision_to_json(decide(Rules("gate"), run, run))
    return (
        head, {"type": "asked", "tests": tests}, about, judge, evaluation_to_json(made[0]),
        evaluation_to_json(made[1]), {**evaluation_to_json(made[0]), "type": "rejudged"},
        {**ruling, "baseline": None}, {"type": "end", "failed": 2},
    )  # fmt: skip


def written(home: Path, events: list[dict[str, Any]]) -> Path:
    folder = home / "runs" / "r1"
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{json.dumps(event)}\n" for event in events)
    (folder / "records.jsonl").write_text(text, "utf-8")
    return folder


def places() -> list[tuple[int, tuple[str | int, ...]]]:
    """Return the number of a line and the way to a field of it, for each field; of lists to the first."""
    return [(number, path) for number, line in enumerate(lines()) for path in _paths(line)]


def _paths(value: Any, way: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    members = (
        value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    )
    for name, member in members:
        yield (*way, name)
        yield from _paths(member, (*way, name))


def mutated(number: int, path: tuple[str | int, ...], value: object) -> list[dict[str, Any]]:
    return [changed(line, path, value) if n == number else line for n, line in enumerate(lines())]


def changed(line: dict[str, Any], path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """Return a line in which the field at `path` is another value, or not there."""
    holder: Any = (line := copy.deepcopy(line))
    for name in path[:-1]:
        holder = holder[name]
    if value is GONE:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return line


def called(*words: str) -> tuple[int, str]:
    """Call a command; return its status and all that it says."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        status = main(words)
    return status, said.getvalue()


# With the damaged run, a whole one and a folder for what is written: each ends with a status, no traceback.
COMMANDS = (
    *(f"report BAD --format {form}" for form in ("terminal", "markdown", "html", "csv", "junit")),
    "compare BAD GOOD",
    "compare GOOD BAD --format html --out OUT/page.html",
    "baseline set BAD --name main --baselines OUT",
    "merge BAD --out OUT",
    "merge BAD --partial --out OUT",
    "flaky BAD",
    "replay BAD",
)


def hold(number: int, path: tuple[str | int, ...], value: object, command: str) -> None:
    """Hold all that reads records to what it promises: no traceback, the line named, the others read."""
    with TemporaryDirectory() as name:
        home = Path(name)
        places = {
            "OUT": str(home),
            "GOOD": str(written(home / "good", [*lines()])),
            "BAD": str(written(home, mutated(number, path, value))),
        }
        words = [re.sub(r"OUT|GOOD|BAD", lambda found: places[found[0]], word) for word in command.split()]
        status, said = called(*words)
        assert status in ((4,) if "replay" in words else (0, 1, 2, 4)), said
        if number == 0 and path[0] in ("type", "schema", "shard"):
            return  # without these nothing can be read
        run = read_run(Path(places["BAD"]))
        whole = {e.question.id for e in run.evaluations if e.outcome == "failed"}
        assert whole >= {"q0", "q1"} - {{4: "q0", 5: "q1"}.get(number, "")}
        is_wrong = any(line.problem or line.odd for line in run.records.lines())
        assert any(f"records.jsonl:{number + 1} " in note for note in run.notes) == is_wrong


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from(places()), st.sampled_from([*WRONG, GONE]), st.sampled_from(COMMANDS))
def test_any_field_may_be_anything(place, value, command):
    """Reports, comparisons, merges, baselines and replays of it: an answer or one message, no traceback."""
    hold(*place, value, command)


def test_a_number_that_is_none_is_not_written_again():
    """Where NaN stands for an object, the object is not there; a merged run has JSON alone."""
    hold(4, ("scores", "relevancy"), math.nan, "merge BAD --out OUT")


def test_as_it_is():
    """Nothing is said of a whole run, and there is a field of every kind."""
    with TemporaryDirectory() as name:
        run = read_run(written(Path(name), [*lines()]))
        assert run.notes == ("n",)
        assert [e.question.id for e in run.evaluations] == ["q0", "q1"]
    assert len(places()) > 250


@pytest.mark.parametrize("path", [("scores", "faithfulness", "value"), ("contexts", 0, "page"), ("repeat",)])
def test_a_field_that_is_wrong_is_named(path):
    with TemporaryDirectory() as name:
        run = read_run(written(Path(name), mutated(4, path, "x")))
    kind = "a number" if path[0] == "scores" else "a whole number"
    field = ".".join(map(str, path))
    assert run.notes == ("n", f'records.jsonl:5 is no evaluation: {field} is "x", not {kind}: left out')
    assert [(e.question.id, e.outcome) for e in run.evaluations] == [("q1", "failed"), ("q0", "unscored")]


def everywhere(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield `value` with each of its fields gone, and being each of the wrong ones."""
    for path in _paths(value):
        for wrong in (*WRONG, GONE):
            yield changed(value, path, wrong)


def test_manifests_of_question_sets(tmp_path):
    """A manifest is read, or refused in one line."""
    question = Question("a", "Why?")
    value = {
        "type": "question-set", "schema": 1, "digest": "d", "count": 1, "kinds": {"fact": 1}, "curated": 0,
        "corpus": {"sha256": "c", "documents": {"a.md": "1"}, "remarks": ["r"]}, "created_with": "0.1.0",
        "generator": {"model": "m"}, "questions": {"a": short_digest(question)},
    }  # fmt: skip
    file = tmp_path / "q.jsonl"
    for odd in everywhere(value):
        manifest_path(file).write_text(json.dumps(odd), "utf-8")
        with suppress(QuestionFileError):
            assert load_manifest(file)


def test_what_is_known_of_artifacts(tmp_path):
    """What is not what it was is not known."""
    copies = Copies(tmp_path, "")
    (tmp_path / "v1").mkdir()
    value = {
        "versions": {"v1": {"server": "", "files": {}}},
        "aliases": {"best": {"server": "", "version": "v1", "at": 1.5}},
    }
    for odd in everywhere(value):
        (tmp_path / "known.json").write_text(json.dumps(odd), "utf-8")
        assert copies.version("v1") in (None, tmp_path / "v1")
        version, at = copies.alias("best") or ("v1", 1.5)
        assert (isinstance(version, str), isinstance(at, float)) == (True, True)


def test_spans(tmp_path):
    """A span that is none is passed over, the others are read; of all of them a page can be made."""
    about = {"evals.question_id": "q", "evals.repeat": 0}
    span = TraceSpan("t", "s", None, "evaluation", "CHAIN", 1, 2, about)
    value = span_to_json(span)
    for odd in everywhere(value):
        lines = [json.dumps(one) for one in (odd, value)]
        assert [*spans_in(line.encode() for line in lines)][-1] == span
        (tmp_path / "traces.jsonl").write_text("\n".join((*lines, "")), "utf-8")
        page = "".join(map(rows_html, waterfalls_of(tmp_path).values()))
        assert page == "" or page.startswith("<tr>")
