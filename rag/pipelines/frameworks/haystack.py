"""A pipeline of Haystack as one of ours: every component that gives documents is a stage."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rag_evals.rag.answer import CANDIDATES, Answer, Context, Pipeline, Tokens
from rag_evals.rag.pipelines.adapters import pipeline_from
from rag_evals.rag.pipelines.frameworks.passages import once, passage, spans

# Where a question goes in: sockets of these names, and every other text that has to be given.
_QUESTIONS = ("query", "question")
_ANSWERS = ("answers", "replies")


def pipeline_from_haystack(
    pipeline: Any,
    *,
    name: str = "haystack",
    fingerprint: str | None = None,
    question: Sequence[str] = (),
    answer: str = "",
) -> Pipeline:
    """Make a pipeline of a Haystack pipeline.

    Passages are the documents of the last component that gives some before the answer, or those of the answer
    itself. Haystack's telemetry is switched off.

    Args:
        pipeline: The pipeline.
        name: Name for people.
        fingerprint: Anything that changes when the answers do; without one no answer is reused.
        question: The inputs that get the question, `COMPONENT.INPUT` each; by default those that are called
            `query` or `question`, and every text that has to be given.
        answer: The output that is the answer, `COMPONENT.OUTPUT`; by default the `answers` or `replies` of a
            component at the end.

    Raises:
        TypeError: Nothing in it takes a question.
    """
    _without_telemetry()
    inputs = [tuple(one.rsplit(".", 1)) for one in question] or _question_inputs(pipeline)
    if not inputs:
        raise TypeError(
            f"pipeline {name} has no input that takes a question: name them, question=['COMPONENT.INPUT']; "
            f"it has {_listing(pipeline.inputs()) or 'none'}"
        )
    stages = _document_components(pipeline)

    def ask(asked: str) -> Answer:
        data: dict[str, dict[str, str]] = {}
        for component, socket in inputs:
            data.setdefault(component, {})[socket] = asked
        start = time.perf_counter()
        given = pipeline.run(data, include_outputs_from=set(stages))
        seconds = time.perf_counter() - start
        said = _said(name, given, answer)
        found = [_passages(given.get(stage, {}).get("documents")) for stage in stages]
        told = _passages(getattr(said, "documents", None))
        usage = _usage(said, given.values())
        return Answer(
            _text(name, said),
            told or next((one for one in reversed(found) if one), ()),
            {"answer": seconds},
            {"answer": usage} if usage != Tokens() else {},
            stages=_stages(pipeline, stages, found),
        )

    return pipeline_from(ask, name=name, fingerprint=fingerprint)


def _without_telemetry() -> None:
    """Switch telemetry off: for a Haystack to come by its variable, for one that is here at its place."""
    os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
    if module := sys.modules.get("haystack.telemetry._telemetry"):
        module.telemetry = None  # type: ignore[attr-defined]


def _question_inputs(pipeline: Any) -> list[tuple[str, str]]:
    return [
        (component, socket)
        for component, sockets in pipeline.inputs().items()
        for socket, about in sockets.items()
        if socket in _QUESTIONS or (about["is_mandatory"] and about["type"] is str)
    ]


def _document_components(pipeline: Any) -> list[str]:
    """Return the components that give documents, in the order in which they are asked."""
    giving = pipeline.outputs(include_components_with_connected_outputs=True)
    order = [name for name in _in_order(pipeline.graph) if name in giving]
    return [name for name in order if "documents" in giving[name]]


def _in_order(graph: Any) -> Iterable[str]:
    import networkx

    try:
        return list(networkx.lexicographical_topological_sort(graph))
    except networkx.NetworkXUnfeasible:
        return list(graph.nodes)  # there are loops: as they were added


def _stages(
    pipeline: Any, names: Sequence[str], found: Sequence[tuple[Context, ...]]
) -> dict[str, tuple[Any, ...]]:
    """Return what each stage before the last found: the first ones together are the candidates."""
    import networkx

    given = dict(zip(names, found, strict=True))
    first = [name for name in names if not networkx.ancestors(pipeline.graph, name) & {*names} - {name}]
    later = [name for name in names if name not in first][:-1]
    candidates = once(one for name in first for one in given[name])
    stages = {CANDIDATES: spans(candidates), **{name: spans(given[name]) for name in later}}
    return stages if len(names) > 1 else {}


def _said(name: str, given: Mapping[str, Mapping[str, Any]], answer: str) -> Any:
    """Return the first answer of what a pipeline gave.

    Raises:
        TypeError: There is none.
    """
    component, _, socket = answer.rpartition(".")
    outputs = [given.get(component, {}).get(socket)] if answer else []
    if not answer:
        outputs = [one[key] for key in _ANSWERS for one in given.values() if key in one]
    if not outputs or outputs[0] is None:
        wanted = answer or " or ".join(_ANSWERS)
        raise TypeError(
            f"pipeline {name} gave no {wanted}: name the output, answer='COMPONENT.OUTPUT'; it gave "
            f"{_listing(given) or 'nothing'}"
        )
    said = outputs[0]
    return (said[0] if said else "") if isinstance(said, list) else said


def _text(name: str, said: Any) -> str:
    if isinstance(said, str):
        return said
    text = getattr(said, "data", None) or getattr(said, "text", None)
    if not isinstance(text, str):
        raise TypeError(
            f"pipeline {name} gave {type(said).__name__} for an answer: it must give a text, a ChatMessage "
            "or a GeneratedAnswer: name the output, answer='COMPONENT.OUTPUT'"
        )
    return text


def _usage(said: Any, outputs: Iterable[Mapping[str, Any]]) -> Tokens:
    metas = [getattr(said, "meta", None), *(meta for one in outputs for meta in (one.get("meta") or ()))]
    usage: Mapping[str, Any] = next(
        (found for meta in metas if isinstance(meta, Mapping) and (found := meta.get("usage"))), {}
    )
    read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return Tokens(read or 0, 0, written or 0)


def _passages(documents: Any) -> tuple[Context, ...]:
    found = documents if isinstance(documents, list) else []
    return tuple(passage(one.content, one.meta, score=one.score) for one in found if one.content is not None)


def _listing(components: Mapping[str, Mapping[str, Any]]) -> str:
    return ", ".join(f"{name}.{socket}" for name, sockets in components.items() for socket in sockets)
