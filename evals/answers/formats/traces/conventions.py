"""Spans by the attributes that instrumentations write, whichever convention they follow.

OpenInference: `spec/semantic_conventions.md` of Arize-ai/openinference. OpenTelemetry GenAI:
`docs/gen-ai/gen-ai-spans.md` and `gen-ai-events.md` of open-telemetry/semantic-conventions, as they are
(`gen_ai.input.messages`, `gen_ai.usage.input_tokens`) and as they were (`gen_ai.prompt`,
`gen_ai.usage.prompt_tokens`, an event for each message). MLflow: `mlflow/tracing/constant.py`. OpenLLMetry:
`gen_ai.prompt.0.content`, `traceloop.*`. Langfuse: `langfuse.observation.*`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rag_evals.evals.answers.formats.messages import unpacked
from rag_evals.evals.answers.formats.traces.feedback import thumb_of
from rag_evals.evals.answers.formats.traces.trace import Kind, Span
from rag_evals.evals.answers.formats.values import first, members, objects, text, whole
from rag_evals.evals.answers.logged_answer import Feedback

_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("retriever", "retrieval", "search"), "retriever"),
    **dict.fromkeys(("reranker", "rerank"), "reranker"),
    **dict.fromkeys(("llm", "chat_model", "chat", "text_completion", "completion"), "model"),
    **dict.fromkeys(("generation", "generate_content"), "model"),
    **dict.fromkeys(("embedding", "embeddings", "tool", "execute_tool", "guardrail", "evaluator"), "inside"),
    **dict.fromkeys(("parser", "prompt", "event", "memory", "create_agent", "search_memory"), "inside"),
}
_KIND = (
    *("openinference.span.kind", "mlflow.spanType", "langfuse.observation.type", "traceloop.span.kind"),
    *("gen_ai.operation.name", "llm.request.type"),
)
_INPUT = (
    *("mlflow.spanInputs", "langfuse.observation.input", "gen_ai.input.messages", "gen_ai.prompt"),
    *("input.value", "traceloop.entity.input", "gen_ai.retrieval.query.text", "langfuse.trace.input"),
    "gen_ai.request.input",
)
_OUTPUT = (
    *("mlflow.spanOutputs", "langfuse.observation.output", "gen_ai.output.messages", "gen_ai.completion"),
    *("output.value", "traceloop.entity.output", "langfuse.trace.output", "gen_ai.response.output"),
)
_DOCUMENTS = ("reranker.output_documents", "retrieval.documents", "gen_ai.retrieval.documents")
_MODEL = (
    *("llm.model_name", "gen_ai.response.model", "gen_ai.request.model", "mlflow.llm.model"),
    *("langfuse.observation.model.name", "ai.model.id", "mlflow.chat.model"),
)
_READ = (
    *("llm.token_count.prompt", "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
    *("mlflow.chat.tokenUsage.input_tokens", "llm.usage.prompt_tokens"),
)
_WRITTEN = (
    *("llm.token_count.completion", "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    *("mlflow.chat.tokenUsage.output_tokens", "llm.usage.completion_tokens"),
)
SESSION = ("session.id", "gen_ai.conversation.id", "langfuse.session.id")
# Events that are a message each, as the conventions had them until they became attributes.
_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened within a span: a message, or what an evaluator said.

    Attributes:
        name: Its name.
        attributes: What is said of it.
        body: What else is said, where it is a line of a log.
    """

    name: str
    attributes: Mapping[str, Any]
    body: Any = None


def span_of(
    id: str,
    parent: str | None,
    attributes: Mapping[str, Any],
    *,
    name: object = "",
    kind: str | None = None,
    events: Sequence[Event] = (),
    times: tuple[float | None, float | None] = (None, None),
    error: str | None = None,
) -> Span:
    """Return a span by its attributes and events; `kind` is what the tool itself calls it."""
    attributes = {name: _decoded(name, value) for name, value in attributes.items()}
    told = kind_of(kind or first(attributes, *_KIND)) or _guessed(attributes)
    asked, answered = _messages(events)
    return Span(
        id=id,
        parent=parent,
        name=text(name) or "",
        kind=told,
        start=times[0],
        end=times[1],
        input=_input(attributes, told, asked),
        output=_output(attributes, answered),
        documents=_documents(attributes),
        model=text(first(attributes, *_MODEL)),
        read=whole(first(attributes, *_READ)),
        written=whole(first(attributes, *_WRITTEN)),
        error=error,
    )


def kind_of(told: object) -> Kind | None:
    """Return the kind that a tool's own word means; None where it says none."""
    word = told.strip('"').casefold() if isinstance(told, str) else ""
    return _KINDS.get(word, "step") if word and word not in ("unknown", "unset") else None


def annotations_of(attributes: Mapping[str, Any]) -> tuple[Feedback | None, dict[str, Any]]:
    """Return the thumb and the scores that OpenInference has on a span."""
    told = []
    for place in ("annotations", "evaluations", "trace.annotations", "trace.evaluations"):
        word = place.rpartition(".")[2].removesuffix("s")
        told += [
            (first(one, f"{word}.name"), first(one, f"{word}.score", f"{word}.label"))
            for one in objects(members(attributes, place))
        ]
    return judged(told)


def evaluations_of(events: Iterable[Event]) -> tuple[Feedback | None, dict[str, Any]]:
    """Return the thumb and the scores that events of OpenTelemetry have."""
    return judged(
        (
            event.attributes.get("gen_ai.evaluation.name"),
            first(event.attributes, "gen_ai.evaluation.score.value", "gen_ai.evaluation.score.label"),
        )
        for event in events
        if event.name == "gen_ai.evaluation.result"
    )


def judged(told: Iterable[tuple[Any, Any]]) -> tuple[Feedback | None, dict[str, Any]]:
    """Return the thumb, which is the last of several, and the scores of pairs of name and value."""
    scores = {name: value for name, value in told if isinstance(name, str) and value is not None}
    thumbs = [thumb for name, value in scores.items() if (thumb := thumb_of(name, value))]
    return (thumbs[-1] if thumbs else None), scores


def _decoded(name: str, value: Any) -> Any:
    """Return an attribute of MLflow, which writes all of them as JSON, as the value that it is."""
    return unpacked(value) if name.startswith("mlflow.") else value


def _guessed(attributes: Mapping[str, Any]) -> Kind:
    if _documents(attributes) is not None:
        return "retriever"
    return "model" if first(attributes, *_MODEL) else "step"


def _input(attributes: Mapping[str, Any], kind: Kind, asked: list[Any]) -> Any:
    """Return what went in; of a model its messages, where the conventions have them one by one."""
    listed = members(attributes, "llm.input_messages") or members(attributes, "gen_ai.prompt")
    if kind == "model" and listed:
        return listed
    told = first(attributes, *_INPUT)
    return told if told is not None else listed or asked or None


def _output(attributes: Mapping[str, Any], answered: list[Any]) -> Any:
    listed = members(attributes, "llm.output_messages") or members(attributes, "gen_ai.completion")
    told = first(attributes, *_OUTPUT)
    return listed or (told if told is not None else answered or None)


def _documents(attributes: Mapping[str, Any]) -> Any:
    for name in _DOCUMENTS:
        if listed := members(attributes, name):
            return listed
        if (told := first(attributes, name)) is not None:
            return told
    return None


def _messages(events: Sequence[Event]) -> tuple[list[Any], list[Any]]:
    """Return the messages that events tell: those that went in, and those that came out."""
    asked: list[Any] = []
    answered: list[Any] = []
    for event in events:
        told = {**_object(event.attributes.get("gen_ai.event.content")), **_object(event.body)}
        told = {**event.attributes, **told}
        if event.name in _ROLES:
            asked.append({"content": told.get("content"), "role": _ROLES[event.name]})
        elif event.name == "gen_ai.choice":
            message = _object(told.get("message")) or {"content": told.get("message", told.get("content"))}
            answered.append({"role": "assistant", **message})
        else:
            asked += _listed(told, "gen_ai.input.messages", "gen_ai.prompt")
            answered += _listed(told, "gen_ai.output.messages", "gen_ai.completion")
    return asked, answered


def _listed(told: Mapping[str, Any], *names: str) -> list[Any]:
    value = unpacked(first(told, *names))
    if isinstance(value, str):
        return [{"role": "user" if names[0].endswith("input.messages") else "assistant", "content": value}]
    return value if isinstance(value, list) else []


def _object(value: Any) -> dict[str, Any]:
    value = unpacked(value)
    return dict(value) if isinstance(value, Mapping) else {}
