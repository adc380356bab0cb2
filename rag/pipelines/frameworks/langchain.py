"""A runnable of LangChain as a pipeline: its retrievers and models are heard while it runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rag_evals.rag.answer import CANDIDATES, Answer, Context, Message, Pipeline, Tokens
from rag_evals.rag.pipelines.adapters import pipeline_from
from rag_evals.rag.pipelines.frameworks.passages import once, passage, spans

if TYPE_CHECKING:
    from langchain_core.callbacks import BaseCallbackHandler

# Under which names chains and agents give their answer, and the passages it was written from.
_ANSWERS = ("answer", "result", "output", "response", "messages")
_CONTEXTS = ("context", "source_documents", "documents", "contexts")
_ROLES = {"user": "human", "assistant": "ai"}


def pipeline_from_langchain(
    runnable: Any,
    *,
    name: str = "langchain",
    fingerprint: str | None = None,
    input_key: str = "",
    answer_key: str = "",
    history_key: str = "",
) -> Pipeline:
    """Make a pipeline of a runnable of LangChain: a chain, an agent, a graph.

    Passages are those that its output has, else those that its retrievers gave. Tracing to LangSmith is off
    while it runs.

    Args:
        runnable: Anything with `ainvoke`.
        name: Name for people.
        fingerprint: Anything that changes when the answers do; without one no answer is reused.
        input_key: The key of the question in a table that it takes, such as `input`, or `messages` for a list
            of messages; empty for one that takes the question itself.
        answer_key: The key of the answer in a table that it gives; empty for the usual ones.
        history_key: The key of what was said before a question in the table that it takes, as a list of
            messages; empty for one that takes none.
    """

    async def run(question: str, history: Sequence[Message] = ()) -> Answer:
        from langsmith.run_helpers import tracing_context

        heard = _Heard()
        given = _input(question, history, input_key, history_key)
        start = time.perf_counter()
        with tracing_context(enabled=False):
            output = await runnable.ainvoke(given, config={"callbacks": [_handler(heard)]})
        return _answer(name, output, answer_key, heard, time.perf_counter() - start)

    async def run_alone(question: str) -> Answer:
        return await run(question)

    takes_history = bool(history_key) or input_key == "messages"
    return pipeline_from(run if takes_history else run_alone, name=name, fingerprint=fingerprint)


def _input(question: str, history: Sequence[Message], input_key: str, history_key: str) -> Any:
    said = [(_ROLES[message.role], message.content) for message in history]
    if input_key == "messages":
        return {"messages": [*said, ("human", question)]}
    if not input_key and not history_key:
        return question
    return {input_key or "input": question, **({history_key: said} if history_key else {})}


@dataclass(slots=True)
class _Heard:
    """What retrievers and models did in one run.

    Attributes:
        parents: The run that each run is a part of.
        begun: When each began.
        retrievers: The runs that are of retrievers.
        found: What each gave, in the order in which they ended.
        seconds: What retrievers and models took, by stage.
        tokens: Tokens of the models.
    """

    parents: dict[Any, Any] = field(default_factory=dict)
    begun: dict[Any, float] = field(default_factory=dict)
    retrievers: set[Any] = field(default_factory=set)
    found: list[tuple[Any, tuple[Context, ...]]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    tokens: Tokens = Tokens()

    def begin(self, run: Any, parent: Any, *, is_retriever: bool = False) -> None:
        """Note that a part of the run begins."""
        self.parents[run], self.begun[run] = parent, time.perf_counter()
        if is_retriever:
            self.retrievers.add(run)

    def end(self, run: Any, stage: str) -> None:
        """Note that one ended."""
        took = time.perf_counter() - self.begun.get(run, time.perf_counter())
        self.seconds[stage] = self.seconds.get(stage, 0.0) + took

    def is_inner(self, run: Any) -> bool:
        """Return whether a retriever works for another, which merges, reranks or compresses what it gives."""
        while (run := self.parents.get(run)) is not None:
            if run in self.retrievers:
                return True
        return False

    def passages(self, *, is_inner: bool) -> tuple[Context, ...]:
        """Return what retrievers gave: those that work for others, or the others."""
        return once(one for run, found in self.found if self.is_inner(run) == is_inner for one in found)


def _handler(heard: _Heard) -> BaseCallbackHandler:
    from langchain_core.callbacks import BaseCallbackHandler

    class Handler(BaseCallbackHandler):
        run_inline = True  # in the order in which things happen

        def on_chain_start(self, *_: Any, run_id: Any, parent_run_id: Any = None, **__: Any) -> None:
            heard.begin(run_id, parent_run_id)

        on_tool_start = on_llm_start = on_chat_model_start = on_chain_start

        def on_retriever_start(self, *_: Any, run_id: Any, parent_run_id: Any = None, **__: Any) -> None:
            heard.begin(run_id, parent_run_id, is_retriever=True)

        def on_retriever_end(self, documents: Any, *, run_id: Any, **_: Any) -> None:
            heard.found.append((run_id, _passages(documents) or ()))
            if not heard.is_inner(run_id):
                heard.end(run_id, "retrieve")

        def on_llm_end(self, response: Any, *, run_id: Any, **_: Any) -> None:
            heard.end(run_id, "generate")
            for choices in response.generations:
                for choice in choices[:1]:
                    heard.tokens += _tokens(getattr(choice, "message", None))

    return Handler()


def _tokens(message: Any) -> Tokens:
    usage = getattr(message, "usage_metadata", None) or {}
    reused = (usage.get("input_token_details") or {}).get("cache_read") or 0
    return Tokens(max(0, usage.get("input_tokens", 0) - reused), reused, usage.get("output_tokens", 0))


def _answer(name: str, output: Any, answer_key: str, heard: _Heard, seconds: float) -> Answer:
    table = output if isinstance(output, Mapping) else {}
    told = next((found for key in _CONTEXTS if (found := _passages(table.get(key))) is not None), None)
    inner, outer = heard.passages(is_inner=True), heard.passages(is_inner=False)
    contexts = outer if told is None else told
    candidates = inner or (outer if told is not None else ())
    return Answer(
        _text(name, output, answer_key),
        contexts,
        {**heard.seconds, "other": max(0.0, seconds - sum(heard.seconds.values()))}
        if heard.seconds
        else {"answer": seconds},
        {"generate": heard.tokens} if heard.tokens != Tokens() else {},
        stages={CANDIDATES: spans(candidates)} if candidates else {},
    )


def _text(name: str, output: Any, answer_key: str) -> str:
    """Return the text of the answer in what a runnable gave.

    Raises:
        TypeError: There is none.
    """
    given = output
    if isinstance(output, Mapping):
        keys = (answer_key,) if answer_key else _ANSWERS
        given = next((output[key] for key in keys if key in output), None)
        if given is None:
            wanted = f"{answer_key!r}" if answer_key else f"any of {', '.join(_ANSWERS)}"
            raise TypeError(
                f"pipeline {name} gave a table with {', '.join(map(str, output)) or 'nothing in it'}, not "
                f"{wanted}: name the key of the answer, answer_key=..."
            )
    if isinstance(given, list) and given:
        given = given[-1]
    text = given if isinstance(given, str) else getattr(given, "text", None)
    text = text() if callable(text) and not isinstance(text, str) else text
    if not isinstance(text, str):
        raise TypeError(
            f"pipeline {name} gave {type(given).__name__} for an answer: it must give a text or a message, "
            "or a table with one: name its key, answer_key=..."
        )
    return str(text)


def _passages(documents: Any) -> tuple[Context, ...] | None:
    """Return documents as passages; None where it is no list of documents."""
    if not isinstance(documents, list | tuple):
        return None
    found = [one for one in documents if hasattr(one, "page_content")]
    if len(found) != len(documents):
        return None
    # The loaders of LangChain count pages from 0, and say beside it what is printed on them.
    return tuple(passage(one.page_content, one.metadata, pages_from=0) for one in found)
