"""Pipelines of LangChain, Haystack and DSPy, made with the libraries themselves; the models are scripted."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rag_evals.rag.answer import Pipeline, Span, Tokens

from rag_evals import (
    Answer,
    Context,
    Message,
    pipeline_from_dspy,
    pipeline_from_haystack,
    pipeline_from_langchain,
)

QUESTION = "How many experts does each token use?"
TEXTS = ("Each token uses two experts.", "There are eight experts.", "Rain fell.")
# What libraries say of themselves as they are imported.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture(autouse=True)
def untold(monkeypatch):
    """Haystack writes into the home folder as it is imported, unless it is told not to."""
    monkeypatch.setenv("HAYSTACK_TELEMETRY_ENABLED", "False")


def answered(pipeline: Pipeline, history: tuple[Message, ...] = ()) -> Answer:
    assert isinstance(pipeline, Pipeline)
    more: dict[str, Any] = {"history": history} if history else {}
    return asyncio.run(pipeline.answer(QUESTION, **more))


# --- LangChain ---


@pytest.fixture
def chain_parts():
    """A retriever over three documents, as a loader of PDF files and a splitter leave them, and a model."""
    pytest.importorskip("langchain_core")
    from langchain_core.documents import Document
    from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.retrievers import BaseRetriever

    documents = [
        Document(
            text, metadata={"source": "moe.pdf", "page": n, "page_label": str(n + 1), "start_index": 10 * n}
        )
        for n, text in enumerate(TEXTS)
    ]

    class Found(BaseRetriever):
        count: int = 3

        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
            return documents[: self.count]

    class Reranked(BaseRetriever):
        base: Any

        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
            found = self.base.invoke(query, config={"callbacks": run_manager.get_child()})
            return list(reversed(found))[:2]

    usage = {
        "input_tokens": 50,
        "output_tokens": 3,
        "total_tokens": 53,
        "input_token_details": {"cache_read": 20},
    }
    model = GenericFakeChatModel(messages=iter([AIMessage("Two.", usage_metadata=usage)] * 9))
    return Found, Reranked, model


PLACED = tuple(
    Context(text, "moe.pdf", page=n + 1, start=10 * n, end=10 * n + len(text)) for n, text in enumerate(TEXTS)
)


def test_a_chain_of_langchain(chain_parts):
    """A chain that takes the question and gives a text: passages are what its retriever gave."""
    from langchain_core.output_parsers import StrOutputParser
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_core.runnables import RunnablePassthrough

    found, _, model = chain_parts
    prompt = ChatPromptTemplate.from_template("{context}\n\n{question}")
    chain = {"context": found(), "question": RunnablePassthrough()} | prompt | model | StrOutputParser()
    answer = answered(pipeline_from_langchain(chain))
    assert (answer.text, answer.contexts) == ("Two.", PLACED)
    assert answer.stages == {}
    assert list(answer.seconds) == ["retrieve", "generate", "other"]
    assert answer.tokens == {"generate": Tokens(30, 20, 3)}


def test_retrievers_of_retrievers(chain_parts):
    """Where one retriever works for another, what it gave are the candidates."""
    from langchain_core.runnables import RunnableLambda, RunnablePassthrough

    found, reranked, model = chain_parts
    chain = (
        RunnablePassthrough.assign(context=lambda x: x["question"]).assign(
            docs=RunnableLambda(lambda x: x["question"]) | reranked(base=found())
        )
        | RunnableLambda(lambda x: str(x["docs"]) + x["question"])
        | model
    )
    answer = answered(pipeline_from_langchain(chain, input_key="question"))
    assert (answer.text, answer.contexts) == ("Two.", (PLACED[2], PLACED[1]))
    assert [span.page for span in answer.candidates] == [1, 2, 3]


def test_a_table_of_answer_and_context(chain_parts):
    """What chains of retrieval give, a table of answer and context, says which passages there were."""
    from langchain_core.runnables import RunnableLambda, RunnablePassthrough

    found, _, model = chain_parts
    documents = RunnableLambda(lambda x: x["input"]) | found()
    chain = RunnablePassthrough.assign(context=documents | (lambda found: found[:1])).assign(
        answer=RunnableLambda(lambda x: x["input"]) | model
    )
    answer = answered(pipeline_from_langchain(chain, name="mine", input_key="input"))
    assert (answer.text, answer.contexts) == ("Two.", PLACED[:1])
    assert [span.page for span in answer.candidates] == [1, 2, 3]
    refused = pipeline_from_langchain(chain, name="mine", input_key="input", answer_key="said")
    with pytest.raises(TypeError) as caught:
        answered(refused)
    assert str(caught.value) == (
        "pipeline mine gave a table with input, context, answer, not 'said': name the key of the answer, "
        "answer_key=..."
    )


def test_a_conversation_of_langchain(chain_parts):
    """Graphs and agents take messages, chains a list of them beside the question."""
    from langchain_core.runnables import RunnableLambda

    asked: list[Any] = []

    def graph(table: Any) -> Any:
        asked.append(table)
        return {"messages": [*table["messages"], chain_parts[2].invoke("x")]}

    before = (Message("user", "What is Mixtral?"), Message("assistant", "A model."))
    answer = answered(pipeline_from_langchain(RunnableLambda(graph), input_key="messages"), before)
    assert answer.text == "Two."
    said = [("human", "What is Mixtral?"), ("ai", "A model.")]
    assert asked == [{"messages": [*said, ("human", QUESTION)]}]
    chain = RunnableLambda(lambda table: asked.append(table) or "Two.")
    answered(pipeline_from_langchain(chain, history_key="chat_history"), before)
    assert asked[-1] == {"input": QUESTION, "chat_history": said}


def test_a_runnable_that_gives_something_else(chain_parts):
    """What is no answer is refused with what it is."""
    from langchain_core.runnables import RunnableLambda

    with pytest.raises(TypeError) as caught:
        answered(pipeline_from_langchain(RunnableLambda(lambda _: 2), name="mine"))
    assert str(caught.value) == (
        "pipeline mine gave int for an answer: it must give a text or a message, or a table with one: name "
        "its key, answer_key=..."
    )


# --- Haystack ---


def haystack_pipeline(*, ranker: bool = False, builder: bool = False) -> Any:
    """A pipeline of the library's own components around a scripted generator."""
    pytest.importorskip("haystack")
    from haystack import Document, Pipeline, component
    from haystack.components.builders import AnswerBuilder, PromptBuilder
    from haystack.components.rankers import LostInTheMiddleRanker
    from haystack.components.retrievers.in_memory import InMemoryBM25Retriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    @component
    class Generator:
        @component.output_types(replies=list[str], meta=list[dict])
        def run(self, prompt: str) -> dict[str, Any]:
            return {"replies": ["Two."], "meta": [{"usage": {"prompt_tokens": 50, "completion_tokens": 3}}]}

    store = InMemoryDocumentStore()
    meta = {"file_path": "moe.pdf", "page_number": 3, "split_idx_start": 7}
    store.write_documents([Document(content=text, meta=meta) for text in TEXTS])
    pipeline = Pipeline()
    pipeline.add_component("retriever", InMemoryBM25Retriever(store, top_k=3))
    template = "{% for one in documents %}{{ one.content }}{% endfor %} {{ question }}"
    pipeline.add_component("prompt", PromptBuilder(template, required_variables=["question", "documents"]))
    pipeline.add_component("llm", Generator())
    last = "retriever"
    if ranker:
        pipeline.add_component("ranker", LostInTheMiddleRanker(top_k=1))
        pipeline.connect("retriever.documents", "ranker.documents")
        last = "ranker"
    pipeline.connect(f"{last}.documents", "prompt.documents")
    pipeline.connect("prompt", "llm")
    if builder:
        pipeline.add_component("builder", AnswerBuilder())
        pipeline.connect("llm.replies", "builder.replies")
        pipeline.connect(f"{last}.documents", "builder.documents")
    return pipeline


def test_a_pipeline_of_haystack():
    """The question goes where it is wanted; passages are what the retriever gave."""
    answer = answered(pipeline_from_haystack(haystack_pipeline()))
    assert answer.text == "Two."
    first = answer.contexts[0]
    assert (first.text, first.document, first.page) == (TEXTS[0], "moe.pdf", 3)
    assert (first.start, first.end) == (7, 7 + len(TEXTS[0]))
    assert first.score is not None
    assert answer.tokens == {"answer": Tokens(50, 0, 3)}
    assert (list(answer.seconds), answer.stages) == (["answer"], {})


@pytest.mark.parametrize("builder", [False, True])
def test_stages_of_haystack(builder):
    """What the retriever gave are the candidates where a later component gives documents, too."""
    pipeline = haystack_pipeline(ranker=True, builder=builder)
    answer = answered(pipeline_from_haystack(pipeline))
    assert (answer.text, len(answer.contexts)) == ("Two.", 1)
    assert list(answer.stages) == ["candidates"]
    assert len(answer.candidates) == 2
    assert all(isinstance(span, Span) and span.document == "moe.pdf" for span in answer.candidates)


def test_inputs_and_outputs_by_name():
    """Where neither is found, or another is meant, they are named; what is not there is said."""
    from haystack import Pipeline

    pipeline = haystack_pipeline()
    named = pipeline_from_haystack(
        pipeline, question=["retriever.query", "prompt.question"], answer="llm.replies"
    )
    assert answered(named).text == "Two."
    with pytest.raises(TypeError) as caught:
        answered(pipeline_from_haystack(pipeline, name="mine", answer="llm.said"))
    assert str(caught.value) == (
        "pipeline mine gave no llm.said: name the output, answer='COMPONENT.OUTPUT'; it gave "
        "retriever.documents, llm.replies, llm.meta"
    )
    with pytest.raises(TypeError) as caught:
        pipeline_from_haystack(Pipeline(), name="mine")
    assert str(caught.value) == (
        "pipeline mine has no input that takes a question: name them, question=['COMPONENT.INPUT']; "
        "it has none"
    )


# --- DSPy ---


def dspy_module(*, tells: bool = False, retrieves: bool = True) -> Any:
    """A module that retrieves and answers, as in the tutorials of DSPy."""
    dspy = pytest.importorskip("dspy")

    class Answers(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.retrieve = dspy.Retrieve(k=3)
            self.respond = dspy.ChainOfThought("context, question -> answer")

        def forward(self, question: str) -> Any:
            context = self.retrieve(question).passages if retrieves else list(TEXTS[:1])
            said = self.respond(context=context[:2], question=question)
            return dspy.Prediction(answer=said.answer, context=context[:1]) if tells else said

    return Answers()


@pytest.fixture
def dspy_models():
    dspy = pytest.importorskip("dspy")
    from dspy.utils import DummyLM

    model = DummyLM([{"reasoning": "It says so.", "answer": "Two."}] * 9)
    with dspy.context(
        lm=model, rm=lambda query, k, **_: [dspy.Example(long_text=text) for text in TEXTS[:k]]
    ):
        yield


def test_a_module_of_dspy(dspy_models):
    """Passages are what the predictor was shown; what the retriever gave are the candidates."""
    answer = answered(pipeline_from_dspy(dspy_module()))
    assert (answer.text, answer.contexts) == ("Two.", (Context(TEXTS[0]), Context(TEXTS[1])))
    assert len(answer.candidates) == 3
    assert list(answer.seconds) == ["retrieve", "generate"]


def test_a_prediction_that_tells_its_context(dspy_models):
    """It is believed."""
    answer = answered(pipeline_from_dspy(dspy_module(tells=True)))
    assert (answer.contexts, len(answer.candidates)) == ((Context(TEXTS[0]),), 3)


def test_a_module_with_a_search_of_its_own(dspy_models):
    """What the predictor was shown is known whatever found it."""
    answer = answered(pipeline_from_dspy(dspy_module(retrieves=False)))
    assert (answer.contexts, answer.stages) == ((Context(TEXTS[0]),), {})
    assert list(answer.seconds) == ["answer"]


def test_a_prediction_without_the_field(dspy_models):
    """It is said which fields there are."""
    with pytest.raises(TypeError) as caught:
        answered(pipeline_from_dspy(dspy_module(tells=True), name="mine", answer="reply"))
    assert str(caught.value) == (
        "pipeline mine gave nothing for 'reply': name the field that is the text of the answer, answer=...; "
        "its prediction has answer, context"
    )


# --- all of them ---

_ALONE = """
import asyncio, atexit, json, sys
reached = []
near = ("127.0.0.1", "::1", "localhost")
# The first that is registered is the last that runs: what the libraries send at their end counts, too.
atexit.register(lambda: print(json.dumps([host for host in reached if host not in near])))
def hook(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        reached.append(str(arguments[1][0]))
    if event == "socket.getaddrinfo":
        reached.append(str(arguments[0]))
sys.addaudithook(hook)
sys.path.insert(0, {root!r})
from tests.integration import test_frameworks as ours
from langchain_core.runnables import RunnableLambda
import dspy
from dspy.utils import DummyLM
from rag_evals import pipeline_from_dspy, pipeline_from_haystack, pipeline_from_langchain
dspy.configure(lm=DummyLM([{{"reasoning": "r", "answer": "Two."}}] * 9))
for pipeline in (
    pipeline_from_langchain(RunnableLambda(lambda question: "Two.")),
    pipeline_from_haystack(ours.haystack_pipeline()),
    pipeline_from_dspy(ours.dspy_module(retrieves=False)),
):
    assert asyncio.run(pipeline.answer("How many?")).text == "Two."
"""


def test_nothing_is_told_to_anybody(tmp_path):
    """No socket but loopback is opened, whatever telemetry and tracing are set to."""
    for library in ("langchain_core", "haystack", "dspy"):
        pytest.importorskip(library)
    environ = {
        **os.environ,
        "HOME": str(tmp_path),
        "LANGSMITH_TRACING": "true",
        "LANGCHAIN_TRACING_V2": "true",
        "LANGSMITH_API_KEY": "lsv2_none",
        "HAYSTACK_TELEMETRY_ENABLED": "true",
    }
    code = _ALONE.format(root=str(Path(__file__).parents[2]))
    ran = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environ, cwd=tmp_path, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1]) == []
