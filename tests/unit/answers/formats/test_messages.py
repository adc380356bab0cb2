"""What inputs ask and outputs answer, in the forms in which libraries have them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rag_evals.evals.answers.formats.messages import Asked, answered_in, asked_in

HELLO = ({"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Yes?"})
CHAT = [{"role": "system", "content": "Be brief."}, *HELLO, {"role": "user", "content": " Why? "}]


def serialized(name: str, text: str) -> dict[str, Any]:
    return {"lc": 1, "type": "constructor", "id": ["langchain", "schema", name], "kwargs": {"content": text}}


@pytest.mark.parametrize(
    "value",
    [
        "Why?",
        '"Why?"',
        {"question": "Why?"},
        {"query": "Why?", "k": 4},
        {"anything": "Why?", "k": 4},
        {"input": {"question": "Why?"}, "config": {"a": 1}},
        {"args": ["Why?"], "kwargs": {}},
        {"args": [], "kwargs": {"query": "Why?"}},
        json.dumps({"inputs": {"question": "Why?"}}),
        ["Why?"],
        [{"role": "user", "content": "Why?"}],
        {
            "role": "user",
            "content": [{"type": "text", "text": "Why?"}, {"type": "image_url", "image_url": {}}],
        },
        [{"role": "user", "parts": [{"type": "text", "content": "Why?"}]}],
        [{"role": "user", "blocks": [{"block_type": "text", "text": "Why?"}]}],
        {"messages": [["human", "Why?"]]},
        {"messages": [[serialized("SystemMessage", "Be brief."), serialized("HumanMessage", "Why?")]]},
        {"messages": [{"type": "human", "data": {"content": "Why?"}}]},
        [{"message": {"role": "user", "contents": [{"message_content": {"type": "text", "text": "Why?"}}]}}],
        [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}],
    ],
)
def test_asked(value):
    """The question, however it is wrapped; what was said after it is no part of it."""
    assert asked_in(value) == Asked("Why?")


@pytest.mark.parametrize(
    "value",
    [
        CHAT,
        {"messages": CHAT},
        {"messages": [CHAT]},
        {"input": "Why?", "chat_history": [["human", "Hello"], ["ai", "Yes?"]]},
        {"question": "Why?", "history": json.dumps(HELLO)},
        json.dumps(CHAT),
    ],
)
def test_history(value):
    """Of several messages the last of the user is the question, and those before are the history."""
    assert asked_in(value) == Asked("Why?", HELLO)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        " \n",
        3,
        True,
        [],
        {},
        ["a", "b"],
        {"a": "x", "b": "y"},
        {"question": ""},
        {"question": 3},
        [{"role": "system", "content": "Be brief."}],
        [{"role": "user", "content": None}],
    ],
)
def test_nothing_asked(value):
    """No question is guessed where two texts may be it, or none is."""
    assert asked_in(value) is None


@pytest.mark.parametrize(
    "value",
    [
        "So.",
        '"So."',
        {"answer": "So.", "sources": ["a"]},
        {"output": {"answer": "So."}},
        {"result": "So.", "query": "Why?"},
        {"anything": "So.", "k": 4},
        [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}],
        {"messages": [{"type": "human", "content": "Why?"}, {"type": "ai", "content": "So."}]},
        {"choices": [{"index": 0, "message": {"role": "assistant", "content": "So."}}]},
        {"choices": [{"text": "So."}]},
        {"generations": [[{"text": "So.", "message": serialized("AIMessage", "So.")}]]},
        {"generations": [[{"text": "", "message": serialized("AIMessage", "So.")}]]},
        [
            {
                "role": "assistant",
                "parts": [{"type": "tool_call", "name": "f"}, {"type": "text", "content": "So."}],
            }
        ],
        {"response": "So.", "source_nodes": [{"node": {"text": "x"}, "score": 1}]},
        {"replies": ["So."], "meta": [{"model": "x"}]},
        json.dumps({"role": "assistant", "content": "So."}),
    ],
)
def test_answered(value):
    """The answer, however it is wrapped."""
    assert answered_in(value) == "So."


@pytest.mark.parametrize("value", ["", " ", {"answer": ""}, {"choices": [{"text": ""}]}, [{"text": ""}]])
def test_an_empty_answer(value):
    """An empty text is an answer."""
    assert answered_in(value) == ""


@pytest.mark.parametrize(
    "value",
    [
        None,
        3,
        [],
        {},
        ["a", "b"],
        {"a": "x", "b": "y"},
        [{"role": "user", "content": "Why?"}],
        {"role": "user", "content": "Why?"},
    ],
)
def test_nothing_answered(value):
    """Where nothing is known to be the answer, there is none."""
    assert answered_in(value) is None


def test_text_that_looks_like_json():
    """A question that is JSON by itself is taken as it is."""
    assert asked_in('{"a": 1} is what?') == Asked('{"a": 1} is what?')
    assert asked_in("[1, 2]") == Asked("[1, 2]")
    assert answered_in('{"a": 1, "b": 2}') == '{"a": 1, "b": 2}'


def test_depth():
    """What is nested without end is no question, and takes no time."""
    value: Any = "Why?"
    for _ in range(90):
        value = {"input": value}
    assert asked_in(value) is None
    assert answered_in({"output": value}) is None
