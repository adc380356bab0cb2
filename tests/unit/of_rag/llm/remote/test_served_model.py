"""What servers say of the weights behind a name, in the forms in which they publish it."""

from __future__ import annotations

import pytest
from rag_evals.rag.llm.remote.remote_llm import RemoteLLM
from rag_evals.rag.llm.weights import Weights

from tests.servers.openai import LoopbackOpenAI, Said

DIGEST = "ab" * 32
FILE = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
KNOWN = Weights(("qwen2.5-coder-1.5b-instruct", FILE), DIGEST)


def listed(name: str, **more: object) -> dict[str, object]:
    return {"object": "list", "data": [{"id": name, "object": "model", **more}]}


def told(about: dict[str, object], *, show: object = None, model: str = "m") -> Weights:
    with LoopbackOpenAI(lambda body: Said(show)) as server:
        server.about.update(about)
        return RemoteLLM(model, server.url).weights()


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ({"/v1/models": listed(f"/models/{FILE}", owned_by="me")}, Weights(("m", f"/models/{FILE}"))),
        (
            {
                "/v1/models": listed("m", owned_by="llamacpp", meta={"n_params": 1543714304}),
                "/props": {"model_alias": "m", "model_path": f"../models/{FILE}"},
            },
            Weights(("m", f"../models/{FILE}")),
        ),
        (
            {"/v1/models": listed("m", owned_by="vllm", root="Qwen/Qwen2.5-Coder-1.5B-Instruct")},
            Weights(("m", "Qwen/Qwen2.5-Coder-1.5B-Instruct")),
        ),
        ({"/v1/models": {"data": [{"id": "a"}, {"id": "m", "root": "b"}]}}, Weights(("m", "b"))),
        ({"/v1/models": {"data": [{"id": "a"}, {"id": "b"}]}}, Weights(("m",))),
        ({}, Weights(("m",))),
        ({"/v1/models": "no JSON"}, Weights(("m",))),
        ({"/v1/models": {"data": [None, 7, {"id": 8}]}}, Weights(("m",))),
    ],
    ids=["llama_cpp.server", "llama-server", "vLLM", "one of many", "none of many", "404", "text", "odd"],
)
def test_what_servers_tell(about, expected):
    """The name that is asked for comes first; what a server does not tell, or tells oddly, is left out."""
    assert told(about) == expected


def test_ollama_tells_the_digest():
    """The file that its Modelfile begins from is called by its digest."""
    shown = {"modelfile": f"# Modelfile\nFROM /root/.ollama/models/blobs/sha256-{DIGEST}\nTEMPLATE x"}
    about = {"/v1/models": listed("qwen2.5-coder:1.5b", owned_by="library")}
    weights = told(about, show=shown, model="qwen2.5-coder:1.5b")
    assert weights == Weights(("qwen2.5-coder:1.5b",), DIGEST)


def test_a_server_that_is_not_there_tells_the_name_alone():
    """Nothing is raised, and nothing is tried again: the first real question says what is wrong."""
    with LoopbackOpenAI(lambda body: Said({})) as server:
        url = server.url
    assert RemoteLLM("m", url).weights() == Weights(("m",))


@pytest.mark.parametrize(
    "name",
    [
        "qwen2.5-coder-1.5b-instruct",
        "Qwen/Qwen2.5-Coder-1.5B-Instruct",
        "Qwen/Qwen2.5-Coder-1.5B-Instruct-AWQ",
        "qwen2.5-coder:1.5b",
        "qwen2.5-coder:1.5b-instruct-q4_K_M",
        f"C:\\models\\{FILE}",
        "Qwen2.5-Coder-1.5B-Instruct.Q8_0.gguf",
        "qwen2.5-coder-1.5b-instruct-fp16.gguf",
    ],
)
def test_names_of_the_same_weights(name):
    """Folder, owner, case, precision and the ending of a file are no part of a name."""
    assert Weights((name,)).may_be(KNOWN)


@pytest.mark.parametrize("name", ["qwen2.5-coder-0.5b-instruct", "qwen2.5-1.5b-instruct", "m", "", "gguf"])
def test_names_of_other_weights(name):
    """Another size or another model is another name."""
    assert not Weights((name,)).may_be(KNOWN)


def test_a_digest_is_as_good_as_a_name():
    """A file with the same digest is the same, whatever it is called."""
    assert Weights(("judge",), DIGEST).may_be(KNOWN)
    assert not Weights(("judge",), "cd" * 32).may_be(KNOWN)
    assert not Weights(("judge",)).may_be(Weights(("other",)))
