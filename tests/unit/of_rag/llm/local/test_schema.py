"""A schema on the wire: how a server is asked for JSON, and what is done when it does not know how."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from rag_evals.evals.testing import ScriptedLLM
from rag_evals.rag.errors import RemoteError
from rag_evals.rag.llm.http.server import Patience
from rag_evals.rag.llm.local.grammar import is_json
from rag_evals.rag.llm.protocol import LLM, Prompt
from rag_evals.rag.llm.remote.remote_llm import RemoteLLM

from tests.servers.openai import LoopbackOpenAI, Said, reply

PROMPT = Prompt(("Write JSON.",), system="Be exact.")
SCHEMA = {
    "type": "object",
    "properties": {"question": {"type": "string"}},
    "required": ["question"],
    "additionalProperties": False,
}
AS_SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "item", "strict": True, "schema": SCHEMA},
}
AS_OBJECT = {"type": "json_object"}


@pytest.fixture
def start() -> Iterator:
    """Start a server that gives these answers in turn, and a model that asks it."""
    with ExitStack() as stack:

        def started(*said):
            script = iter(said)
            server = stack.enter_context(LoopbackOpenAI(lambda body: next(script)))
            patience = Patience(attempts=2, sleep=lambda seconds: None)
            llm = RemoteLLM("m", server.url, patience=patience)
            stack.callback(llm.close)
            return llm, server

        yield started


def forms(server: LoopbackOpenAI) -> list:
    return [body.get("response_format") for body in server.bodies]


def test_schema_is_sent_as_openai_has_it(start):
    """A server that knows schemas is asked once, strictly; without a schema nothing of the kind is sent."""
    llm, server = start(reply('{"question": "Why?"}'), reply("Because."))
    assert llm.complete(PROMPT, max_tokens=9, schema=SCHEMA).text == '{"question": "Why?"}'
    assert llm.complete(PROMPT, max_tokens=9).text == "Because."
    assert forms(server) == [AS_SCHEMA, None]


@pytest.mark.parametrize(
    "refusal",
    [
        Said({"error": {"message": "'response_format' of type 'json_schema' is not supported"}}, status=400),
        Said({"error": {"message": "Input should be 'text' or 'json_object' (response_format)"}}, status=422),
        Said({"error": {"message": "response_format type must be one of text or json_object"}}, status=500),
    ],
)
def test_server_without_schemas_is_asked_for_an_object(start, refusal):
    """Where a schema is refused, any JSON object is asked for; that is remembered."""
    llm, server = start(refusal, reply("{}"), reply("{}"))
    assert llm.complete(PROMPT, max_tokens=9, schema=SCHEMA).text == "{}"
    assert llm.complete(PROMPT, max_tokens=9, schema=SCHEMA).text == "{}"
    assert forms(server) == [AS_SCHEMA, AS_OBJECT, AS_OBJECT]


def test_server_without_any_form_is_asked_for_text(start):
    """Where an object is refused too, plain text is asked for."""
    refusal = Said({"error": {"message": "unknown field response_format"}}, status=400)
    llm, server = start(refusal, refusal, reply('Here: {"question": "Why?"}'))
    assert llm.complete(PROMPT, max_tokens=9, schema=SCHEMA).text == 'Here: {"question": "Why?"}'
    assert forms(server) == [AS_SCHEMA, AS_OBJECT, None]


def test_refusal_of_something_else_is_an_error(start):
    """A refusal that is not about the form of the reply is none to try another form on."""
    llm, server = start(Said({"error": {"message": "no such model"}}, status=400))
    with pytest.raises(RemoteError, match="no such model"):
        llm.complete(PROMPT, max_tokens=9, schema=SCHEMA)
    assert forms(server) == [AS_SCHEMA]


def test_fake_takes_a_schema():
    """The model for people's own tests is still an LLM, and says what its script says."""
    llm = ScriptedLLM('{"question": "Why?"}')
    assert isinstance(llm, LLM)
    assert llm.complete(PROMPT, max_tokens=9, schema=SCHEMA).text == '{"question": "Why?"}'


def test_whole_json():
    """A value is whole when nothing is missing and nothing stands behind it."""
    assert is_json('{"question": "Why {so}?"} ')
    assert not is_json('{"question": "Why {so}')
    assert not is_json('{"question": "Why?"} Because.')
