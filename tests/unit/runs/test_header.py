"""What a run says of itself, its pipelines and its judges: from JSON, and of components back."""

from __future__ import annotations

import pytest
from rag_evals.evals.questions.shard import Shard
from rag_evals.evals.runs.header import (
    ComponentInfo,
    RunHeader,
    component_from_json,
    component_to_json,
    header_from_json,
)

PIPELINE = {"type": "pipeline", "name": "one", "fingerprint": "a" * 64}
DOCUMENTS = {"a.md": "1", "b.md": "2"}


def test_a_header():
    """What is asked for is read as it stands, and whatever else there is stays in the line."""
    line = {
        "run": "r1", "shard": [2, 3], "mode": "gate", "metrics": ["relevancy"], "max_unscored": 0,
        "margin": 0.1, "gate": ["coverage >= 1"], "offline": True, "trackers": {"wandb": {"project": "p"}},
        "questions": [{"path": "q.txt", "digest": "d"}], "used": [{"artifact": "a:v1"}], "stale": ["q"],
        "notes": ["cut"], "later": 1,
    }  # fmt: skip
    header = header_from_json(line)
    assert header == RunHeader(
        "r1", Shard(2, 3), "gate", ["relevancy"], max_unscored=0, margin=0.1, gate=["coverage >= 1"],
        offline=True, trackers={"wandb": {"project": "p"}}, questions=({"path": "q.txt", "digest": "d"},),
        used=({"artifact": "a:v1"},), stale=("q",), notes=("cut",), line=line,
    )  # fmt: skip
    assert header.line["later"] == 1


@pytest.mark.parametrize(
    "line",
    [{}, {"trackers": None, "questions": "q.txt", "used": [1], "stale": None, "notes": None, "shard": None}],
)
def test_an_older_header(line):
    """What it does not say, or in another form, is as such a run went by."""
    assert header_from_json(line) == RunHeader(line=line)


def test_a_component():
    """What is not said stands as its default; what nobody knows is kept."""
    assert component_from_json(PIPELINE) == ComponentInfo("pipeline", "one", "a" * 64)
    line = {**PIPELINE, "settings": {"k": 1}, "identity": {}, "versioned": False, "later": [1]}
    assert component_from_json(line) == ComponentInfo(
        "pipeline", "one", "a" * 64, {"k": 1}, {}, versioned=False, others={"later": [1]}
    )


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"settings": {}, "identity": {"index": 1}},
        {"settings": None, "identity": "a text"},
        {"versioned": False},
        {"versioned": True, "later": {"x": None}},
    ],
)
def test_the_line_is_written_as_it_was_read(more):
    """Also where another version wrote something else: a baseline keeps its bytes."""
    assert component_to_json(component_from_json({**PIPELINE, **more})) == {**PIPELINE, **more}


@pytest.mark.parametrize(
    ("identity", "documents"),
    [
        ({"index": {"documents": DOCUMENTS}}, DOCUMENTS),
        ({"index": {"documents": [1]}}, None),
        ({"index": 3}, None),
        ({}, None),
        (None, None),
    ],
)
def test_documents(identity, documents):
    """Of a pipeline that tells them."""
    assert ComponentInfo("pipeline", "one", "f", identity=identity).documents == documents
