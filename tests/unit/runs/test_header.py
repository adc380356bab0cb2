"""What a run says of its pipelines and judges: from JSON and back, with nothing lost on the way."""

from __future__ import annotations

import pytest
from rag_evals.evals.runs.header import ComponentInfo, component_from_json, component_to_json

PIPELINE = {"type": "pipeline", "name": "one", "fingerprint": "a" * 64}
DOCUMENTS = {"a.md": "1", "b.md": "2"}


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
