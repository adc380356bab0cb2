"""Files of every tool: the line of a logged answer that each comes to, and how a file is recognised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rag_evals.evals.answers.formats import format_named
from rag_evals.evals.answers.formats.conversion import format_of
from rag_evals.evals.answers.formats.line import Skipped
from rag_evals.evals.answers.formats.places import parse_places
from rag_evals.evals.answers.formats.records import files_of
from rag_evals.evals.answers.lines import parse_logged
from rag_evals.evals.answers.logged_answer import LoggedAnswer
from rag_evals.evals.base.errors import UsageError

DATA = Path(__file__).parent / "data"
QUESTION = "How long is the warranty?"
ANSWER = "Two years from the date of purchase."
TERM = "The warranty runs for two years from the date of purchase."
BATTERY = "Batteries are covered for six months."
BASE = {"question": QUESTION, "answer": ANSWER}
NOON = "2026-03-01T12:00:00.000Z"
BEFORE = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello. What is it?"}]


def lines(name: str) -> list[Any]:
    """Return the lines that a file or folder of the data comes to, in the format that it is taken for."""
    path = DATA / name
    return [line for _, line in format_of(path).read(files_of(path), {})]


LINES: dict[str, tuple[str, list[Any]]] = {
    "langfuse/api.json": (
        "langfuse",
        [
            {
                "id": "lf-1",
                **BASE,
                "contexts": [
                    {"text": TERM, "document": "terms.pdf", "page": 4},  # counted from 0 in the file
                    {"text": BATTERY, "document": "terms.pdf", "page": 5},
                ],
                "tags": ["shop"],
                "time": NOON,
                "model": "gpt-4o",
                "seconds": 2.5,
                "tokens": {"read": 210, "written": 12},
                "feedback": "up",
                "trace": "lf-1",
                "metadata": {
                    "language": "en",
                    "release": "v3",
                    "name": "answer",
                    "session": "s-7",
                    "scores": {"user-feedback": 1, "tone": "kind"},
                },
            },
            Skipped("no answer found, as it ended in an error"),
        ],
    ),
    "langfuse-blob": (
        "langfuse",
        [
            {
                "id": "t-b",
                **BASE,
                "contexts": [],
                "history": BEFORE,
                "tags": ["mail"],
                "time": NOON,
                "model": "gpt-4o",
                "seconds": 2.5,
                "tokens": {"read": 30, "written": 9},
                "feedback": "down",
                "trace": "t-b",
                "metadata": {
                    "environment": "production",
                    "name": "service",
                    "session": "s-8",
                    "scores": {"thumbs": False},
                },
            }
        ],
    ),
    "phoenix/spans.jsonl": (
        "phoenix",
        [
            {
                "id": "8f1a",
                **BASE,
                "contexts": [{"text": TERM, "document": "terms.pdf", "page": 4, "score": 0.98}],
                "tags": ["shop"],
                "time": NOON,
                "model": "llama-3.1-8b",
                "seconds": 2.1,
                "tokens": {"read": 180, "written": 11},
                "feedback": "down",
                "trace": "8f1a",
                "metadata": {"session": "s-1", "scores": {"user feedback": "thumbs-down", "relevance": 1.0}},
            }
        ],
    ),
    "phoenix/table.jsonl": (
        "phoenix",
        [
            {
                "id": "9b2c",
                **BASE,
                "contexts": [{"text": TERM, "document": "terms.pdf", "score": 0.9}],
                "time": NOON,
                "seconds": 2.0,
                "trace": "9b2c",
            }
        ],
    ),
    "mlflow/three.json": (
        "mlflow",
        [
            {
                "id": "tr-1",
                **BASE,
                "contexts": [{"text": TERM, "document": "terms.md"}],
                "history": BEFORE,
                "reference": "Two years.",
                "time": NOON,
                "model": "gpt-4o-mini",
                "seconds": 2.1,
                "tokens": {"read": 99, "written": 8},
                "feedback": "up",
                "trace": "tr-1",
                "metadata": {"team": "shop", "session": "s-3", "scores": {"user_feedback": True}},
            }
        ],
    ),
    "mlflow/two.jsonl": (
        "mlflow",
        [{"id": "req-1", **BASE, "time": NOON, "seconds": 0.5, "trace": "req-1"}],
    ),
    "langsmith/runs.jsonl": (
        "langsmith",
        [
            {
                "id": "r-1",
                **BASE,
                "contexts": [{"text": TERM, "document": "terms.md"}],
                "history": BEFORE,
                "tags": ["shop"],
                "time": NOON,
                "model": "gpt-4o",
                "seconds": 3.0,
                "tokens": {"read": 150, "written": 10},
                "feedback": "down",
                "trace": "r-1",
                "metadata": {"thread_id": "th-1", "scores": {"user_score": 0.0, "correctness": 0.5}},
            }
        ],
    ),
    "langsmith/nested.json": (
        "langsmith",
        [{"id": "n-1", **BASE, "contexts": [], "time": NOON, "seconds": 1.0, "trace": "n-1"}],
    ),
    "otel/current.jsonl": (
        "otel",
        [
            {
                "id": "5b8efff798038103d269b633813fc60c",
                **BASE,
                "contexts": [{"text": TERM, "document": "terms.md#4", "score": 0.88}],
                "time": NOON,
                "model": "gpt-4o-2024-11-20",
                "seconds": 3.0,
                "tokens": {"read": 120, "written": 9},
                "feedback": "up",
                "trace": "5b8efff798038103d269b633813fc60c",
                "metadata": {
                    "session": "conv-1",
                    "service": "shop-bot",
                    "scores": {"user_feedback": "thumbs_up"},
                },
            }
        ],
    ),
    "otel/before.jsonl": (
        "otel",
        [
            {  # an event of a log for each message
                "id": "a" * 32,
                **BASE,
                "time": NOON,
                "model": "gpt-4",
                "seconds": 2.0,
                "tokens": {"read": 50, "written": 7},
                "trace": "a" * 32,
                "metadata": {"service": "shop-bot"},
            },
            {  # events of the span with all messages
                "id": "b" * 32,
                **BASE,
                "time": NOON,
                "model": "gpt-4",
                "seconds": 1.0,
                "trace": "b" * 32,
                "metadata": {"service": "shop-bot"},
            },
            {  # OpenLLMetry: an attribute for each message
                "id": "c" * 32,
                **BASE,
                "time": NOON,
                "model": "gpt-4",
                "seconds": 1.0,
                "trace": "c" * 32,
                "metadata": {"service": "shop-bot"},
            },
        ],
    ),
    "ragas/dataset.jsonl": (
        "ragas",
        [
            {
                **BASE,
                "contexts": [{"text": TERM}, {"text": BATTERY}],
                "reference": "Two years.",
                "metadata": {"scores": {"faithfulness": 1.0, "answer_relevancy": 0.93}},
            },
            {**BASE, "history": BEFORE},
            {"question": "Refunds?", "answer": "", "contexts": []},
        ],
    ),
    "ragas/results.csv": (
        "ragas",
        [
            {
                **BASE,
                "contexts": [{"text": TERM}, {"text": BATTERY}],
                "reference": "Two years.",
                "metadata": {"scores": {"faithfulness": 0.5}},
            }
        ],
    ),
    "ragas/old.json": (
        "ragas",
        [
            {
                **BASE,
                "contexts": [{"text": TERM}],
                "reference": "Two years.",
                "metadata": {"scores": {"context_precision": 0.9}},
            }
        ],
    ),
    "deepeval/run.json": (
        "deepeval",
        [
            {
                **BASE,
                "contexts": [{"text": TERM}, {"text": BATTERY}],
                "reference": "Two years.",
                "seconds": 1.5,
                "tags": ["shop"],
                "metadata": {"name": "test_case_0", "scores": {"Faithfulness": 0.25}},
            },
            {"question": "Hello", "answer": "Hello. What is it?", "metadata": {"name": "talk"}},
            {**BASE, "contexts": [{"text": TERM}], "history": BEFORE, "metadata": {"name": "talk"}},
        ],
    ),
    "deepeval/cases.json": ("deepeval", [BASE]),
    "deepeval/results.json": (
        "deepeval",
        [
            {
                **BASE,
                "contexts": [{"text": TERM}],
                "metadata": {"name": "x", "scores": {"Answer Relevancy": 0.9}},
            }
        ],
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_lines_of_a_file(name):
    """Each file is taken for what it is, and all that it tells is in its lines."""
    form, expected = LINES[name]
    assert format_of(DATA / name).name == form
    assert lines(name) == expected


@pytest.mark.parametrize("name", LINES)
def test_lines_are_logged_answers(name):
    """Whatever comes out is read as a logged answer."""
    for line in lines(name):
        assert isinstance(line, Skipped) or isinstance(parse_logged(line), LoggedAnswer)


def test_all_data_is_tried():
    """No file of the data is left out."""
    files = {path.relative_to(DATA).as_posix() for path in DATA.rglob("*") if path.is_file()}
    assert {name for name in files if not name.startswith("langfuse-blob/")} | {
        "langfuse-blob"
    } == LINES.keys()


def test_spans_in_any_order(tmp_path):
    """Which span stands first in a file changes nothing."""
    name = "phoenix/spans.jsonl"
    spans = (DATA / name).read_text().splitlines(keepends=True)
    for number, turned in enumerate((spans[::-1], spans[1:] + spans[:1])):
        path = tmp_path / f"{number}.jsonl"
        path.write_text("".join(turned))
        assert [line for _, line in format_named("phoenix").read([path], {})] == LINES[name][1]


def traced(tmp_path: Path, form: str, *records: Any, **places: tuple[str, str]) -> list[Any]:
    """Return the lines of some records in JSON Lines."""
    file = tmp_path / "in.jsonl"
    file.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return [line for _, line in format_named(form).read([file], places)]


def run(id: str, parent: str | None, kind: str, **more: Any) -> dict[str, Any]:
    """Return a run of LangSmith, the shortest form of a span."""
    times = {"start_time": f"2026-03-01T12:00:0{len(id)}", "end_time": f"2026-03-01T12:00:0{len(id)}"}
    return {
        "id": id,
        "trace_id": "t",
        "parent_run_id": parent,
        "run_type": kind,
        "inputs": {},
        **times,
        **more,
    }


def found(*texts: str) -> dict[str, Any]:
    """Return the output of a retriever."""
    return {"documents": [{"page_content": text} for text in texts]}


def contexts(tmp_path: Path, *runs: Any) -> list[str] | None:
    """Return the texts of the contexts of a trace, None where they are not known."""
    top = run("a", None, "chain", inputs={"question": "Why?"}, outputs={"answer": "So."})
    (line,) = traced(tmp_path, "langsmith", top, *runs)
    return [one["text"] for one in line["contexts"]] if "contexts" in line else None


def test_contexts_of_several_retrievers(tmp_path):
    """All retrievers count, in the order in which they began; a passage that two found stands once."""
    late, early = run("bbb", "a", "retriever", outputs=found("Two.", "Three.")), run("bb", "a", "retriever")
    assert contexts(tmp_path, late, {**early, "outputs": found("One.", "Two.")}) == ["One.", "Two.", "Three."]


def test_contexts_of_a_retriever_in_another(tmp_path):
    """What a retriever made of the passages of those inside of it is what counts."""
    outer = run("bb", "a", "retriever", outputs=found("Merged."))
    inner = run("bbb", "bb", "retriever", outputs=found("Leaf one.", "Leaf two."))
    assert contexts(tmp_path, outer, inner) == ["Merged."]


def test_contexts_without_their_texts(tmp_path):
    """A retriever that tells the ids alone leaves the contexts unknown; it is none that found nothing."""
    ids = run("bb", "a", "retriever", outputs={"documents": [{"id": "1", "score": 0.5}]})
    assert contexts(tmp_path, ids) is None
    assert contexts(tmp_path, run("bb", "a", "retriever", outputs={"documents": []})) == []
    assert contexts(tmp_path, run("bb", "a", "retriever", outputs=None)) is None
    assert contexts(tmp_path) is None


def test_contexts_beside_the_answer(tmp_path):
    """Where no retriever is traced, the passages that the application gives out with its answer count."""
    outputs = {"answer": "So.", "source_documents": [{"page_content": "Because."}]}
    top = run("a", None, "chain", inputs={"question": "Why?"}, outputs=outputs)
    (line,) = traced(tmp_path, "langsmith", top)
    assert line["contexts"] == [{"text": "Because."}]


def test_a_step_that_is_called_a_retriever(tmp_path):
    """A step is one when it is called so and gives a list; `RetrievalQA`, which gives an answer, is none."""
    step = run("bb", "a", "chain", name="retrieve_docs", outputs=None)
    assert contexts(tmp_path, {**step, "outputs": ["One.", "Two."]}) == ["One.", "Two."]
    top = run("a", None, "chain", name="RetrievalQA", inputs={"query": "Why?"}, outputs={"result": "So."})
    assert traced(tmp_path, "langsmith", top)[0].keys() == {
        "id",
        "question",
        "answer",
        "time",
        "seconds",
        "trace",
    }


def test_answer_of_what_is_below_the_root(tmp_path):
    """Where the root tells nothing, the span nearest to it does; of several the one that ended last."""
    first = run("bb", "a", "llm", inputs={"messages": [["human", "Why?"]]}, outputs={"output": "A plan."})
    last = run("bbb", "a", "llm", inputs={"messages": [["human", "stuffed"]]}, outputs={"output": "So."})
    (line,) = traced(tmp_path, "langsmith", run("a", None, "chain"), last, first)
    assert (line["question"], line["answer"]) == ("Why?", "So.")


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        ([run("a", None, "chain", outputs={"answer": "So."})], "no question found"),
        ([run("a", None, "chain", inputs={"question": " "})], "no question found"),
        ([run("a", None, "chain", inputs={"question": "Why?"})], "no answer found"),
        (
            [run("a", None, "chain", inputs={"question": "Why?"}, error="Timeout")],
            "no answer found, as it ended in an error",
        ),
        ([run("a", "b", "chain", inputs={"question": "Why?"}), run("b", "a", "chain")], "no question found"),
    ],
)
def test_skipped(tmp_path, runs, reason):
    """A trace without a question or an answer is skipped with its reason; so is a circle of spans."""
    assert traced(tmp_path, "langsmith", *runs) == [Skipped(reason)]


def test_an_empty_answer_is_one(tmp_path):
    """An answer that is empty is an answer, and none that is missing."""
    (line,) = traced(
        tmp_path, "langsmith", run("a", None, "chain", inputs={"q": "Why?"}, outputs={"answer": ""})
    )
    assert line["answer"] == ""


def test_places(tmp_path):
    """Where question, answer and passages stand can be told; a step that has nothing there is passed over."""
    top = run(
        "a", None, "chain", inputs={"payload": {"q": "Why?", "lang": "en"}}, outputs={"parts": ["x", "So."]}
    )
    below = run("bb", "a", "tool", outputs=json.dumps({"rows": [{"text": "Because."}]}))
    assert traced(tmp_path, "langsmith", top, below) == [Skipped("no question found")]
    places = {
        "question": ("input", "payload.q"),
        "answer": ("output", "parts.1"),
        "contexts": ("output", "rows"),
    }
    (line,) = traced(tmp_path, "langsmith", top, below, **places)
    assert [line[name] for name in ("question", "answer", "contexts")] == [
        "Why?",
        "So.",
        [{"text": "Because."}],
    ]
    places["answer"] = ("output", "parts.7")
    assert traced(tmp_path, "langsmith", top, below, **places) == [Skipped("no answer found")]


def test_what_places_are():
    """Fields, and paths in the input or the output; anything else is refused."""
    assert parse_places(["question=input.a,b.c, answer = output", "contexts=output.d.0"]) == {
        "question": ("input", "a,b.c"),
        "answer": ("output", ""),
        "contexts": ("output", "d.0"),
    }
    for text, problem in (
        ("question=q", '"question=q" is not FIELD=input.PATH or FIELD=output.PATH, with FIELD one of '),
        ("model=input.m", '"model=input.m" is not FIELD=input.PATH or FIELD=output.PATH, with FIELD one of '),
    ):
        with pytest.raises(UsageError) as caught:
            parse_places([text])
        assert str(caught.value) == f"--map {problem}question, answer, contexts"
    with pytest.raises(UsageError) as caught:
        parse_places(["answer=input", "answer=output"])
    assert str(caught.value) == "--map gives answer twice"
