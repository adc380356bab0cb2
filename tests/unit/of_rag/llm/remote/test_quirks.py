"""What servers do not take of a request, in whatever words they refuse it, and what they are asked then."""

from __future__ import annotations

from typing import Any

import pytest

from tests.servers.openai import Said, graded, reply
from tests.unit.of_rag.llm.conftest import OPTIONS, PROMPT


def refusing(name: str, refusal: Said, answer: Any = None) -> Any:
    """A server that refuses requests with a field, or a turn, of this name."""

    def said(body: dict[str, Any]) -> Any:
        roles = [turn["role"] for turn in body["messages"]]
        return refusal if name in body or name in roles else answer or graded({"yes": 0.9, "no": 0.1})

    return said


NO_SYSTEM = [
    Said({"object": "error", "message": "System role not supported", "code": 400}, status=400),
    Said({"error": {"message": "Jinja Exception: System role not supported", "code": 500}}, status=500),
    Said("Only user and assistant roles are supported!", status=400),
    Said("Conversation roles must alternate user/assistant/user/assistant/...", status=400),
    Said("Developer instruction is not enabled for models/gemma-3-27b-it", status=400),
    Said(
        {"detail": [{"loc": ["messages", 0, "role"], "msg": "unexpected value", "input": "system"}]},
        status=422,
    ),
    Said("messages: 'system' is no valid role", status=422),
]


@pytest.mark.parametrize("refusal", NO_SYSTEM, ids=lambda said: str(said.body)[:40])
def test_a_model_without_a_system_turn(start, pauses, refusal):
    """Its text stands before the user's; that is found out once, whatever the status."""
    llm, server = start(refusing("system", refusal))
    for _ in range(2):
        assert llm.choose(PROMPT, OPTIONS).probabilities == pytest.approx({"yes": 0.9, "no": 0.1})
    merged = {"role": "user", "content": f"{PROMPT.system}\n\n{''.join(PROMPT.parts)}"}
    assert [len(body["messages"]) for body in server.bodies] == [2, 1, 1]
    assert server.bodies[1]["messages"] == [merged]
    assert pauses.slept == []


@pytest.mark.parametrize(
    "message",
    [
        "invalid temperature: only 1 is allowed for this model",
        "`temperature` is deprecated for this model.",
        "Unsupported value: 'temperature' does not support 0 with this model. Only the default is.",
        "temperature: must be 1",
    ],
)
def test_a_model_that_takes_no_temperature(start, message):
    """It is left out from then on, in whatever words it was refused."""
    llm, server = start(refusing("temperature", Said({"error": {"message": message}}, status=400)))
    for _ in range(2):
        assert llm.choose(PROMPT, OPTIONS).graded
    assert ["temperature" in body for body in server.bodies] == [True, False, False]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
        (400, "max_tokens is not supported with this model"),
        (422, '{"loc": ["body", "max_tokens"], "msg": "Extra inputs are not permitted"}'),
    ],
)
def test_another_name_of_the_bound(start, status, message):
    llm, server = start(refusing("max_tokens", Said(message, status=status)))
    assert llm.choose(PROMPT, OPTIONS).graded
    assert [body.get("max_completion_tokens") for body in server.bodies] == [None, 1]


def test_a_bound_that_is_too_low(start):
    """A server that wants more tokens than one is given those that it names."""
    low = (
        "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 1 instead."
    )

    def answer(body: dict[str, Any]) -> Any:
        return Said(low, status=400) if body["max_tokens"] < 16 else graded({"yes": 0.9, "no": 0.1})

    llm, server = start(answer)
    assert [llm.choose(PROMPT, OPTIONS).graded for _ in range(2)] == [True, True]
    assert [body["max_tokens"] for body in server.bodies] == [1, 16, 16]


def test_a_bound_that_was_reached_in_thoughts(start):
    """OpenAI refuses a request whose bound the thoughts took: that is a reply that was cut."""
    cut = "Could not finish the message because max_tokens or model output limit was reached."

    def answer(body: dict[str, Any]) -> Any:
        if "logprobs" in body:
            return Said("You are not allowed to request logprobs from this model", status=403)
        return Said(cut, status=400) if body["max_tokens"] < 200 else reply("yes")

    llm, server = start(answer)
    assert llm.choose(PROMPT, OPTIONS).probabilities == {"yes": 1.0, "no": 0.0}
    assert llm.complete(PROMPT, max_tokens=9).text == "yes"
    assert [body["max_tokens"] for body in server.bodies] == [1, 16, 2048, 9, 2057]


def test_all_quirks_at_once(start):
    """Each is found out with one refusal, and all of them are remembered together."""

    def answer(body: dict[str, Any]) -> Any:
        for name, message in (
            ("max_tokens", "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
            ("temperature", "Only the default temperature is supported."),
        ):
            if name in body:
                return Said(message, status=400)
        if len(body["messages"]) == 2:
            return Said("System role not supported", status=400)
        return graded({"yes": 0.9, "no": 0.1})

    llm, server = start(answer)
    assert [llm.choose(PROMPT, OPTIONS).graded for _ in range(2)] == [True, True]
    assert len(server.asked) == 5


def test_trouble_in_the_same_words_is_no_quirk(start, pauses):
    """An error of the server that does not speak of the request is tried again as ever."""
    llm, server = start(Said("system overload", status=500), reply("Yes."))
    assert llm.complete(PROMPT, max_tokens=9).text == "Yes."
    assert [len(body["messages"]) for body in server.bodies] == [2, 2]
    assert len(pauses.slept) == 1


# --- fields and headers of one's own ---


def test_further_fields_and_headers(start, monkeypatch):
    """They are in each request; a header takes the place of ours, and may be from the environment."""
    monkeypatch.setenv("RAG_EVALS_API_KEY", "ours")
    monkeypatch.setenv("MY_KEY", "s3cr3t-value")
    headers = {"authorization": "Basic $MY_KEY", "X-Team": "evals", "X-Both": "a-${MY_KEY}-b"}
    body = {"reasoning_effort": "low", "chat_template_kwargs": {"enable_thinking": False}}
    llm, server = start(
        reply("Yes."), Said("no: s3cr3t-value", 403), options={"headers": headers, "extra_body": body}
    )
    llm.complete(PROMPT, max_tokens=9)
    assert server.bodies[0].items() >= body.items()
    sent = {"authorization": "Basic s3cr3t-value", "x-team": "evals", "x-both": "a-s3cr3t-value-b"}
    assert server.asked[0].headers.items() >= sent.items()
    with pytest.raises(Exception, match=r"^http.* answered HTTP 403: no: \*\*\*\n"):
        llm.complete(PROMPT, max_tokens=9)
    assert "s3cr3t" not in repr((vars(llm), vars(llm._server)))
