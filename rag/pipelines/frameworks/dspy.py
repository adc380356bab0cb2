"""A module of DSPy as a pipeline: what its retrievers gave and what its predictors were shown is heard."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rag_evals.rag.answer import CANDIDATES, Answer, Context, Pipeline, Tokens
from rag_evals.rag.pipelines.adapters import pipeline_from
from rag_evals.rag.pipelines.frameworks.passages import once, passage, spans

# Under which names signatures have the passages.
_CONTEXTS = ("context", "contexts", "passages", "documents")
_TEXTS = ("long_text", "text", "content", "passage")


def pipeline_from_dspy(
    module: Any,
    *,
    name: str = "dspy",
    fingerprint: str | None = None,
    question: str = "question",
    answer: str = "answer",
) -> Pipeline:
    """Make a pipeline of a DSPy module.

    Passages are those in its prediction (`context`, `passages`), else those that its last predictor was
    shown, else those that `dspy.Retrieve` gave. Models and retrievers are those that DSPy has been given.

    Args:
        module: The module.
        name: Name for people.
        fingerprint: Anything that changes when the answers do; without one no answer is reused.
        question: Name of the argument that is the question.
        answer: Name of the field that is the answer.
    """
    # Else LiteLLM fetches a table of prices as it is imported.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

    def ask(asked: str) -> Answer:
        import dspy

        heard = _Heard()
        callbacks = [*(dspy.settings.get("callbacks") or []), _callback(heard)]
        start = time.perf_counter()
        with dspy.context(callbacks=callbacks, track_usage=True):
            given = module(**{question: asked})
        return _answer(name, answer, given, heard, time.perf_counter() - start)

    return pipeline_from(ask, name=name, fingerprint=fingerprint)


@dataclass(slots=True)
class _Heard:
    """What the parts of a module were shown and gave.

    Attributes:
        retrieving: The calls of retrievers that are under way, and when they began.
        retrieved: What retrievers gave.
        shown: What the predictor that was asked last was shown.
        seconds: What retrievers took.
    """

    retrieving: dict[str, float] = field(default_factory=dict)
    retrieved: list[Context] = field(default_factory=list)
    shown: tuple[Context, ...] = ()
    seconds: float = 0.0


def _callback(heard: _Heard) -> Any:
    import dspy
    from dspy.utils.callback import BaseCallback

    class Callback(BaseCallback):  # type: ignore[misc]
        def on_module_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
            if isinstance(instance, dspy.Retrieve):
                heard.retrieving[call_id] = time.perf_counter()
            elif isinstance(instance, dspy.Predict):
                heard.shown = _told(inputs.get("kwargs") or {}) or heard.shown

        def on_module_end(self, call_id: str, outputs: Any, exception: Any = None) -> None:
            began = heard.retrieving.pop(call_id, None)
            if began is not None and exception is None:
                heard.seconds += time.perf_counter() - began
                heard.retrieved += _told(outputs) or ()

    return Callback()


def _answer(name: str, field_name: str, given: Any, heard: _Heard, seconds: float) -> Answer:
    text = given.get(field_name) if hasattr(given, "get") else None
    if not isinstance(text, str):
        has = ", ".join(given.keys()) if hasattr(given, "keys") else type(given).__name__
        what = "nothing" if text is None else type(text).__name__
        raise TypeError(
            f"pipeline {name} gave {what} for {field_name!r}: name the field that is the text of the answer, "
            f"answer=...; its prediction has {has or 'no field'}"
        )
    retrieved = once(heard.retrieved)
    contexts = _told(given) or heard.shown or retrieved
    parts = {"retrieve": heard.seconds, "generate": max(0.0, seconds - heard.seconds)}
    tokens = _tokens(given)
    return Answer(
        text,
        contexts,
        parts if heard.seconds else {"answer": seconds},
        {"generate": tokens} if tokens != Tokens() else {},
        stages={CANDIDATES: spans(retrieved)} if retrieved and retrieved != contexts else {},
    )


def _told(table: Any) -> tuple[Context, ...]:
    """Return the passages in a prediction, or in what a predictor is shown, under one of the usual names."""
    if not hasattr(table, "get"):
        return ()
    for key in _CONTEXTS:
        found = table.get(key)
        if isinstance(found, str) and found:
            return (Context(found),)
        if isinstance(found, list | tuple) and found:
            return tuple(one for one in map(_passage, found) if one is not None)
    return ()


def _passage(one: Any) -> Context | None:
    if isinstance(one, str):
        return Context(one)
    get = one.get if hasattr(one, "get") else lambda key: getattr(one, key, None)
    text = next((found for key in _TEXTS if isinstance(found := get(key), str)), None)
    if text is None:
        return None
    known = dict(one.items()) if hasattr(one, "items") else vars(one)
    metadata = known.get("metadata")
    return passage(text, {**known, **metadata} if isinstance(metadata, Mapping) else known)


def _tokens(given: Any) -> Tokens:
    usage = given.get_lm_usage() if hasattr(given, "get_lm_usage") else None
    total = Tokens()
    for counts in (usage or {}).values():
        reused = (counts.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        read, written = counts.get("prompt_tokens") or 0, counts.get("completion_tokens") or 0
        total += Tokens(max(0, read - reused), reused, written)
    return total
