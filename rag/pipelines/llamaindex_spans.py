"""The steps inside a LlamaIndex query engine as spans, by what LlamaIndex itself tells of them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.instrumentation.span import BaseSpan
from llama_index.core.instrumentation.span_handlers import BaseSpanHandler
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.response_synthesizers import BaseSynthesizer
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index_instrumentation import get_dispatcher
from rag_evals.rag.answer import Context, Tokens
from rag_evals.rag.retrieval.llamaindex import LlamaIndexEmbedding
from rag_evals.rag.tracing.conventions import INPUT, OUTPUT, RETRIEVED, documents, token_attributes
from rag_evals.rag.tracing.spans import OpenSpan, SpanKind, span

# What a step is by the part that makes it, anyone's own part as well; of others nothing is told.
STEPS: Sequence[tuple[type, str, SpanKind]] = (
    (BaseRetriever, "retrieve", "RETRIEVER"),
    (BaseNodePostprocessor, "rerank", "RERANKER"),
    (BaseEmbedding, "embed", "EMBEDDING"),
    (BaseLLM, "generate", "LLM"),
    (BaseSynthesizer, "synthesize", "CHAIN"),
    (BaseQueryEngine, "query", "CHAIN"),
)

_IS_HEARD: ContextVar[bool] = ContextVar("rag_llama_index_is_heard", default=False)


@contextmanager
def heard() -> Iterator[None]:
    """Make spans of what LlamaIndex does inside.

    Its dispatcher gets our handler the first time and keeps it: it passes over whatever is not inside.
    """
    handlers = get_dispatcher().span_handlers
    if not any(isinstance(handler, Steps) for handler in handlers):
        handlers.append(Steps())
    token = _IS_HEARD.set(True)
    try:
        yield
    finally:
        _IS_HEARD.reset(token)


class Step(BaseSpan):
    """A call of LlamaIndex under way.

    Attributes:
        instance: The part whose method it is.
        told: Our span of it; None where nothing is told.
        is_inner: Whether it is a part's call of itself, whose span is that of the outer call.
    """

    instance: Any = None
    told: Any = None
    is_inner: bool = False


class Steps(BaseSpanHandler[Step]):
    """Makes a span of each call of a part that is known, one for a part that goes on to call itself."""

    def new_span(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,  # noqa: ARG002
        instance: Any = None,
        parent_span_id: str | None = None,
        tags: dict[str, Any] | None = None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> Step | None:
        """Begin a span, if there is one to begin."""
        if not _IS_HEARD.get():
            return None
        around = self.open_spans.get(parent_span_id or "")
        if around is not None and instance is not None and around.instance is instance:
            return Step(id_=id_, instance=instance, told=around.told, is_inner=True)
        return Step(id_=id_, instance=instance, told=_begun(instance))

    def prepare_to_exit_span(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,
        instance: Any = None,  # noqa: ARG002
        result: Any = None,
        **kwargs: Any,  # noqa: ARG002
    ) -> Step | None:
        """End the span."""
        step = self.open_spans.get(id_)
        if step is not None and step.told is not None:
            step.told.set_from(_told, step.instance, bound_args, result)
            if not step.is_inner:
                step.told.__exit__(None, None, None)
        return step

    def prepare_to_drop_span(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,  # noqa: ARG002
        instance: Any = None,  # noqa: ARG002
        err: BaseException | None = None,
        **kwargs: Any,  # noqa: ARG002
    ) -> Step | None:
        """End the span of a call that raised."""
        step = self.open_spans.get(id_)
        if step is not None and step.told is not None and not step.is_inner:
            step.told.__exit__(type(err) if err else None, err, None)
        return step


def _begun(instance: Any) -> OpenSpan | None:
    if isinstance(instance, LlamaIndexEmbedding):
        return None  # our embedder tells it itself
    for part, name, kind in STEPS:
        if isinstance(instance, part):
            return span(name, kind, **{"llama_index.class": type(instance).__name__}).__enter__()
    return None


# --- what is told of a step ---


def _told(instance: Any, bound: inspect.BoundArguments, result: Any) -> dict[str, Any]:
    given = [value for value in bound.arguments.values() if value is not None]
    asked = next((text for value in given if (text := _text(value)) is not None), None)
    match instance:
        case BaseRetriever():
            return {INPUT: asked, **documents(RETRIEVED, _contexts(result))}
        case BaseNodePostprocessor():
            return _reranked(instance, asked, given, result)
        case BaseEmbedding():
            return {
                "embedding.model_name": instance.model_name,
                "embedding.embeddings.0.embedding.text": asked,
            }
        case BaseLLM():
            return _generated(instance, bound, result)
    return {INPUT: asked, OUTPUT: str(result) if _text(result) is None else _text(result)}


def _reranked(instance: Any, asked: str | None, given: Sequence[Any], result: Any) -> dict[str, Any]:
    before = next((_contexts(value) for value in given if isinstance(value, list)), [])
    model = getattr(instance, "model", None)
    return {
        INPUT: asked,
        "reranker.query": asked,
        "reranker.model_name": model if isinstance(model, str) else type(instance).__name__,
        "reranker.top_k": getattr(instance, "top_n", None),
        **documents("reranker.input_documents", before, with_text=False),
        **documents("reranker.output_documents", _contexts(result)),
    }


def _generated(llm: Any, bound: inspect.BoundArguments, result: Any) -> dict[str, Any]:
    prompt = next(iter(bound.arguments.values()), None)
    # A template is filled in by an inner call, which tells the prompt.
    parts = [prompt] if isinstance(prompt, str) else prompt if isinstance(prompt, list | tuple) else ()
    said = result if isinstance(result, str) else _item(result, "text") or _item(result, "message")
    return {
        INPUT: "\n\n".join(map(str, parts)) or None,
        OUTPUT: None if said is None else str(said),
        "llm.model_name": llm.metadata.model_name,
        **_usage(getattr(result, "raw", None)),
    }


def _usage(raw: Any) -> dict[str, Any]:
    """Describe the tokens that a reply tells: ours, or those of a server in the form of OpenAI's."""
    tokens = getattr(raw, "tokens", None)
    if isinstance(tokens, Tokens):
        return token_attributes(tokens)
    usage = _item(raw, "usage")
    read, written = _item(usage, "prompt_tokens"), _item(usage, "completion_tokens")
    if not isinstance(read, int) or not isinstance(written, int):
        return {}
    known = _item(_item(usage, "prompt_tokens_details"), "cached_tokens")
    reused = known if isinstance(known, int) else 0
    return token_attributes(Tokens(evaluated=read - reused, reused=reused, generated=written))


def _item(thing: Any, name: str) -> Any:
    return thing.get(name) if isinstance(thing, Mapping) else getattr(thing, name, None)


def _text(value: Any) -> str | None:
    if isinstance(value, QueryBundle):
        return value.query_str
    return value if isinstance(value, str) else None


def _contexts(found: Any) -> list[Context]:
    """Return nodes as passages that are known by their ids."""
    nodes = [one for one in found if isinstance(one, NodeWithScore)] if isinstance(found, list) else []
    return [Context(one.node.get_content(), document=one.node.node_id, score=one.score) for one in nodes]
