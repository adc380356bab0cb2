"""The pipelines: the protocol, the retrieval pipeline in its profiles, and adapters for anyone's own."""

from __future__ import annotations

import asyncio
import inspect
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from rag_evals.rag.answer import Answer, Context, Message, Pipeline, Searches, put
from rag_evals.rag.identity import digest
from rag_evals.rag.profile import Profile, profile_of
from rag_evals.rag.tracing.spans import is_tracing

AnswerFunction = Callable[..., Any]


class FunctionPipeline:
    """Anyone's own function as a pipeline; see `pipeline_from`."""

    def __init__(
        self,
        function: AnswerFunction,
        name: str,
        fingerprint: str | None,
        *,
        in_test: bool = False,
        cites: bool = False,
    ) -> None:
        self.name = name
        self.fingerprint = digest({"function": fingerprint or name, **({"cites": True} if cites else {})})
        self.profile = Profile(is_cacheable=fingerprint is not None, runs_in_test=in_test)
        self._function = function
        self._cites = cites

    async def answer(self, question: str, history: Sequence[Message] = ()) -> Answer:
        """Answer `question` with the function; one that is not async runs in a thread, or in the test."""
        start = time.perf_counter()
        with _llama_index_heard():
            if inspect.iscoroutinefunction(self._function):
                given = await put(self._function, question, history)
            else:
                here = self.profile.runs_in_test
                ask = partial(put, self._function, question, history)
                given = ask() if here else await asyncio.to_thread(ask)
                given = await given if isinstance(given, Awaitable) else given
        seconds = time.perf_counter() - start
        answer = given if isinstance(given, Answer) else _answer_from(self.name, given, seconds)
        return replace(answer, cites=True) if self._cites else answer


class SearchOnly:
    """A pipeline that answers nothing: what it gives are the passages that another finds.

    Nothing of that pipeline is loaded that a search does not need.

    Attributes:
        whole: That pipeline.
    """

    def __init__(self, pipeline: Searches) -> None:
        self.name = pipeline.name
        self.fingerprint = digest({"search": pipeline.searching})
        self.profile = Profile(most_at_once=1, is_cacheable=profile_of(pipeline).is_cacheable)
        self.whole = pipeline

    async def answer(self, question: str, history: Sequence[Message] = ()) -> Answer:
        """Return the passages for `question`, best first, with no text."""
        found = await put(self.whole.search, question, history)
        return Answer("", found.contexts, found.seconds, found.tokens, stages=found.stages)


def pipeline_from(
    function: AnswerFunction,
    *,
    name: str | None = None,
    fingerprint: str | None = None,
    in_test: bool = False,
    cites: bool = False,
) -> Pipeline:
    """Make a pipeline of an async or plain function.

    Args:
        function: Takes a question (text); gives `(text, contexts)`, where a context is a text or a
            `Context`, or gives an `Answer`. One with a parameter `history` is given the messages before a
            question in a conversation.
        name: Name for people; the function's own by default.
        fingerprint: Anything that changes when the answers do, such as a version. Without one no answer is
            reused from an earlier run: a function's name does not tell that its code has changed.
        in_test: Whether it is called in the test that evaluates: an async one on the test's loop, a plain one
            in the test's thread. Clients and connections may be bound to where they were made; by default it
            is called elsewhere, where several questions can be under way at once.
        cites: Whether its answers are to cite what they rest on: one without a citation is at fault then.

    Raises:
        TypeError: `function` cannot be called, or (when asked) gives something else.
    """
    if not callable(function):
        raise TypeError(f"pipeline_from wants a function of a question, not {type(function).__name__}")
    name = name or str(getattr(function, "__name__", type(function).__name__))
    return FunctionPipeline(function, name, fingerprint, in_test=in_test, cites=cites)


def pipeline_from_query_engine(
    engine: Any, *, name: str = "query_engine", fingerprint: str | None = None
) -> Pipeline:
    """Make a pipeline of a LlamaIndex query engine.

    Args:
        engine: Anything with LlamaIndex's `aquery`, whose response carries its source nodes.
        name: Name for people.
        fingerprint: Anything that changes when the answers do; without one no answer is reused.
    """

    async def ask(question: str) -> Answer:
        start = time.perf_counter()
        response = await engine.aquery(question)
        contexts = tuple(_context_from_node(found) for found in response.source_nodes)
        return Answer(str(response), contexts, {"answer": time.perf_counter() - start})

    return pipeline_from(ask, name=name, fingerprint=fingerprint)


def _llama_index_heard() -> AbstractContextManager[None]:
    """Return what makes spans of LlamaIndex's steps, where there is a trace and it is used at all."""
    if not is_tracing() or "llama_index.core" not in sys.modules:
        return nullcontext()
    from rag_evals.rag.pipelines.llamaindex_spans import heard

    return heard()


def _answer_from(name: str, given: Any, seconds: float) -> Answer:
    match given:
        case (str() as text, [*contexts]) if all(isinstance(c, str | Context) for c in contexts):
            made = tuple(c if isinstance(c, Context) else Context(c) for c in contexts)
            return Answer(text, made, {"answer": seconds})
    raise TypeError(
        f"pipeline {name} gave {_shape(given)}: it must give (text, contexts) or an Answer, "
        "where contexts is a list of texts or Context objects"
    )


def _shape(given: Any) -> str:
    """Name the type of `given`, and what is in it where it is a tuple or a list."""
    if isinstance(given, tuple | list) and given:
        inside = dict.fromkeys(_shape(item) for item in given)
        return f"{type(given).__name__} of {', '.join(inside)}"
    return type(given).__name__


def _context_from_node(found: Any) -> Context:
    metadata = found.node.metadata
    page = metadata.get("page_label", metadata.get("page"))
    return Context(
        text=found.node.get_content(),
        document=str(metadata.get("file_name", metadata.get("document", ""))),
        page=int(page) if str(page).isdecimal() else None,
        start=getattr(found.node, "start_char_idx", None),
        end=getattr(found.node, "end_char_idx", None),
        score=found.score,
    )
