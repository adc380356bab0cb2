"""What servers put into a reply beside or around the answer, and failures that come with status 200."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rag_evals.rag.answer import Tokens
from rag_evals.rag.errors import RemoteError
from rag_evals.rag.llm.protocol import Choice
from rag_evals.rag.llm.remote.bodies import parsed_body

from tests.servers.openai import USAGE, Said, graded, reply
from tests.unit.of_rag.llm.conftest import OPTIONS, PROMPT

NO_LOGPROBS = Said({"error": {"message": "This model does not support logprobs."}}, status=400)


def positions(*tops: dict[str, float]) -> dict[str, Any]:
    """A graded reply of several tokens, each the first of its probabilities."""
    body = graded(tops[0])
    for top in tops[1:]:
        body["choices"][0]["logprobs"]["content"] += graded(top)["choices"][0]["logprobs"]["content"]
    return body


# --- the answer among thoughts ---


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ([{"type": "text", "text": "Two "}, {"type": "text", "text": "experts."}], "Two experts."),
        (
            [
                {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                {"type": "text", "text": "Two."},
            ],
            "Two.",
        ),
        ("It closes its notes with the tag </think> and then writes.", None),
        ("Close it with `</think>`.", None),
        ("Write <think>notes</think> first.\n</think>\nThen the rest.", None),
        ("So it is two.\n</think>\n\nTwo.", "Two."),
        ("So it is two. </think>\nTwo.", "Two."),
        ("[THINK]Hm.[/THINK]Two.", "Two."),
        ("\u25c1think\u25b7Hm.\u25c1/think\u25b7Two.", "Two."),
        ("<seed:think>Hm.</seed:think>Two.", "Two."),
        ("<|channel>thought\nHm.<channel|>Two.", "Two."),
        (
            "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Two.<|return|>",
            "Two.",
        ),
        ("<|channel|>analysis<|message|>Hm, it could be", ""),
        ("analysisWe need to answer.assistantfinalTwo.", "Two."),
    ],
)
def test_the_answer_is_what_stands_behind_the_thoughts(start, text, answer):
    """Thoughts in the marks of any family are dropped; a mark that the answer speaks of is not."""
    llm, _ = start(reply(text))
    assert llm.complete(PROMPT, max_tokens=99).text == (text if answer is None else answer)


def test_a_mark_is_a_word_where_thoughts_stand_beside(start):
    """A server that takes the thoughts out leaves no end of them in the text."""
    text = "The notes end so:\n</think>\nThen comes the reply."
    llm, _ = start(reply(text, reasoning_content="Hm."))
    assert llm.complete(PROMPT, max_tokens=99).text == text


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_an_answer_has_room_behind_the_thoughts(start, name):
    """An answer whose bound was spent on thoughts is asked for again, with room for both."""
    llm, server = start(reply("", finish="length", **{name: "Hm"}), reply("Two.", **{name: "Hm."}))
    completion = llm.complete(PROMPT, max_tokens=160)
    assert (completion.text, completion.finished, completion.tokens) == ("Two.", True, Tokens(40, 0, 2))
    assert [body["max_tokens"] for body in server.bodies] == [160, 160 + 2048]


def test_thoughts_beyond_their_budget(start):
    """A verdict that the thoughts left no room for says so, and what to change."""
    cut = reply("", finish="length", reasoning_content="Hm")
    llm, server = start(cut, cut, options={"thought_tokens": 300})
    choice = llm.choose(PROMPT, OPTIONS)
    assert choice.reason == "its thoughts took all 300 tokens: raise thought_tokens"
    assert [body["max_tokens"] for body in server.bodies] == [1, 300]


def test_a_refusal_of_the_model_is_what_it_says(start):
    """A model that refuses beside the text has said that: it is no empty answer."""
    llm, _ = start(reply(None, refusal="I can't help with that."))
    assert llm.complete(PROMPT, max_tokens=9).text == "I can't help with that."


def event(**choice: Any) -> str:
    return f"data: {json.dumps({'choices': [{'index': 0, **choice}]})}\n\n"


@pytest.mark.parametrize(
    "body",
    [
        event(delta={"role": "assistant", "content": ""})
        + event(delta={"content": "Two "}, finish_reason=None)
        + event(delta={"content": "experts."})
        + event(delta={}, finish_reason="stop")
        + f"data: {json.dumps({'choices': [], 'usage': USAGE})}\n\ndata: [DONE]\n\n",
        json.dumps(reply("Two experts.")) + "\n\ndata: [DONE]\n\n",
    ],
)
def test_a_stream_that_nobody_asked_for(start, body):
    """Some gateways send every reply as one: it is put together."""
    llm, _ = start(body)
    completion = llm.complete(PROMPT, max_tokens=9)
    assert (completion.text, completion.finished, completion.tokens) == (
        "Two experts.",
        True,
        Tokens(20, 0, 1),
    )


ERROR = {"code": 502, "message": "upstream lost"}


@pytest.mark.parametrize(
    "broken",
    [event(delta={}, finish_reason="error", error=ERROR), f"data: {json.dumps({'error': ERROR})}\n\n"],
)
def test_a_stream_that_fails(start, pauses, broken):
    """An error among the events is one in the middle of a reply."""
    llm, _ = start(event(delta={"content": "Two "}) + broken, reply("Two experts."))
    assert llm.complete(PROMPT, max_tokens=9).text == "Two experts."
    assert len(pauses.slept) == 1


def test_a_body_in_another_encoding(start):
    """A server that sends Latin letters in one byte each is understood."""
    llm, _ = start(Said(json.dumps(reply("Größe"), ensure_ascii=False).encode("latin-1")))
    assert llm.complete(PROMPT, max_tokens=9).text == "Größe"


# --- verdicts ---


@pytest.mark.parametrize(
    "first",
    [{"\n\n": 0.97, "Yes": 0.02}, {"**": 0.9, "Yes": 0.1}, {"Ċ": 0.9, "No": 0.1}, {'"': 0.8, "No": 0.1}],
)
def test_a_verdict_is_read_where_the_answer_begins(start, first):
    """Behind blanks and marks of a layout; that the answer begins later is found out once."""
    later = positions(first, {"yes": 0.8, "no": 0.15}, {".": 0.9, "!": 0.1})
    llm, server = start(graded(first), later, later)
    choices = [llm.choose(PROMPT, OPTIONS) for _ in range(2)]
    assert [choice.probabilities for choice in choices] == [pytest.approx({"yes": 0.8, "no": 0.15})] * 2
    assert choices[0].tokens == Tokens(40, 0, 2)
    assert [body["max_tokens"] for body in server.bodies] == [1, 4, 4]


def test_an_answer_that_does_not_begin(start):
    """Where the first tokens are marks only, the text decides, for this verdict only."""
    marks = graded({"\n": 0.9, "yes": 0.1})
    llm, _ = start(marks, marks, reply("\n\nYes"), graded({"no": 0.9, "yes": 0.1}))
    first = llm.choose(PROMPT, OPTIONS)
    assert first == Choice({"yes": 1.0, "no": 0.0}, 0.0, Tokens(60, 0, 3), graded=False, text="\n\nYes")
    assert llm.choose(PROMPT, OPTIONS).graded


def test_probabilities_in_the_older_form(start):
    """Some servers answer chats in the form of the older completions."""
    body = reply("Yes", finish="length")
    tops = [{"Yes": -0.2, " no": -1.8}]
    body["choices"][0]["logprobs"] = {"tokens": ["Yes"], "token_logprobs": [-0.2], "top_logprobs": tops}
    llm, _ = start(body)
    assert llm.choose(PROMPT, OPTIONS).probabilities == pytest.approx({"yes": 0.819, "no": 0.165}, abs=0.001)


@pytest.mark.parametrize("first", ["<|channel|>", "analysis", "[THINK]", "<seed:think>", "\u25c1think\u25b7"])
def test_a_first_token_that_begins_thoughts(start, first):
    """It is no verdict: the model may think, and its text is read."""
    llm, server = start(graded({first: 0.99, "yes": 0.01}), reply("Yes", reasoning_content="Hm."))
    assert llm.choose(PROMPT, OPTIONS).probabilities == {"yes": 1.0, "no": 0.0}
    assert [body["max_tokens"] for body in server.bodies] == [1, 2048]


@pytest.mark.parametrize(
    ("text", "finish", "said"),
    [
        ("Answer: Yes", "stop", "yes"),
        ("**Final answer:** No.", "stop", "no"),
        ("No. The passages do not state how many", "length", "no"),
        ("Yes\n\nThe passages state it.", "stop", "yes"),
        ("**Yes.** The passages state it.", "stop", "yes"),
        ("Yes. No, it cannot be inferred.", "stop", None),
        ("No. But yes, in a way.", "stop", None),
        ("Yes and", "length", None),
        ("No\nidea.", "stop", None),
    ],
)
def test_a_first_sentence_is_a_verdict(start, text, finish, said):
    """A reply that begins with an option as a sentence says it, unless another option stands behind it."""
    llm, _ = start(NO_LOGPROBS, reply(text, finish=finish))
    assert llm.choose(PROMPT, OPTIONS).probabilities == {option: float(option == said) for option in OPTIONS}


# --- failures with status 200 ---


def failed(error: Any, **choice: Any) -> dict[str, Any]:
    body = reply("Two of the")
    body["choices"][0] |= {"finish_reason": "error", "error": error, **choice}
    return body


@pytest.mark.parametrize(
    "failure",
    [
        {"error": {"message": "Provider returned error", "code": 502}},
        {"choices": None, "error": {"message": "Provider returned error", "code": "503"}},
        {"error": {"message": "down", "type": "server_error"}},
        {"error": {"message": "busy", "type": "overloaded_error"}},
        [{"error": {"message": "later", "code": 429, "status": "RESOURCE_EXHAUSTED"}}],
        failed({"code": 502, "message": "upstream lost"}),
        failed(None),
        failed({"code": 504, "message": "late"}, finish_reason="stop"),
    ],
)
def test_a_failure_that_passes_is_not_seen(start, pauses, failure):
    """An error in place of a reply, or in the middle of one, is tried again as one of its status is."""
    llm, _ = start(failure, reply("Two."))
    assert llm.complete(PROMPT, max_tokens=9).text == "Two."
    assert len(pauses.slept) == 1


def test_a_failure_that_stays(start, pauses):
    """It is raised with what the server says; nothing of the reply is taken for an answer or a verdict."""
    error = {"code": 502, "message": "upstream lost", "metadata": {"raw": "no route"}}
    llm, server = start(lambda body: failed(error))
    for call in (lambda: llm.complete(PROMPT, max_tokens=9), lambda: llm.choose(PROMPT, OPTIONS)):
        before = sum(pauses.slept)
        with pytest.raises(RemoteError) as caught:
            call()
        assert str(caught.value) == (
            f"{server.url}/chat/completions answered HTTP 200 with an error: upstream lost: no route "
            f"(tried 8 times over {sum(pauses.slept) - before:.1f} s)\n"
            "See the server's log; it may still be loading the model."
        )


@pytest.mark.parametrize("finish", ["content_filter", "SAFETY", "recitation"])
def test_a_content_filter(start, finish):
    """What a filter withholds is no answer and no verdict; another try would not change it."""
    llm, server = start(lambda body: reply("Two of", finish=finish))
    with pytest.raises(RemoteError) as caught:
        llm.choose(PROMPT, OPTIONS)
    assert str(caught.value) == (
        f"{server.url}/chat/completions answered HTTP 200 with an error: "
        "the content filter withheld the reply\n"
        "Have the server's content filter changed, or ask a model without one."
    )
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("first", "second", "whole"),
    [("Ye", "s", "Yes"), (["Ye"], "s", "s"), (5, "s", "s"), ("Ye", ["s"], ["s"])],
)
def test_events_of_other_types(first, second, whole):
    """Of what is no text in the events of a stream the last counts."""
    events = [{"choices": [{"index": 0, "delta": {"content": content}}]} for content in (first, second)]
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    assert parsed_body(body.encode()) == {"choices": [{"index": 0, "message": {"content": whole}}]}


@pytest.mark.parametrize("before", ["", "data: "])
def test_a_body_that_nests_without_end(before):
    """It is no JSON that anybody meant."""
    with pytest.raises(ValueError, match=r"^nested too deeply$"):
        parsed_body(f"{before}{'[' * 100_000}".encode())
