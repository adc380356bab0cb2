"""OpenInference's semantic conventions for traces: what a span says, by their names.

The names are those of its specification (github.com/Arize-ai/openinference, spec/semantic_conventions.md), so
that tools which know them show passages, scores and tokens without being told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rag_evals.rag.answer import Context, Tokens

KIND = "openinference.span.kind"
INPUT = "input.value"
OUTPUT = "output.value"
RETRIEVED = "retrieval.documents"
# Of an embedding the texts are told, if they are so few: an index has thousands.
MOST_TEXTS = 8


def retrieved(question: str, contexts: Sequence[Context]) -> dict[str, Any]:
    """Describe a retriever's step: the question, and what was found, best first."""
    return {INPUT: question, **documents(RETRIEVED, contexts)}


def reranked(
    question: str, before: Sequence[Context], after: Sequence[Context], *, name: str, top: int | None = None
) -> dict[str, Any]:
    """Describe a reranker's step: `before` became `after`, in its order and with its scores, `top` at most.

    The texts are those of `after`, so they are not told twice.
    """
    return {
        INPUT: question,
        "reranker.query": question,
        "reranker.model_name": name,
        "reranker.top_k": top,
        **documents("reranker.input_documents", before, with_text=False),
        **documents("reranker.output_documents", after),
    }


def documents(prefix: str, contexts: Sequence[Context], *, with_text: bool = True) -> dict[str, Any]:
    """Describe passages, numbered from 0."""
    told: dict[str, Any] = {}
    for number, context in enumerate(contexts):
        place = f"{prefix}.{number}.document"
        told[f"{place}.id"] = passage_place(context)
        told[f"{place}.score"] = context.score
        if with_text:
            told[f"{place}.content"] = context.text
            told[f"{place}.metadata"] = _metadata(context)
    return told


def passage_place(context: Context) -> str:
    """Return the document and, where they are known, the characters of it that the passage is."""
    if context.start is None or context.end is None:
        return context.document
    return f"{context.document}:{context.start}-{context.end}"


def _metadata(context: Context) -> str:
    about: dict[str, Any] = {
        "document": context.document,
        "page": context.page,
        "start": context.start,
        "end": context.end,
    }
    if context.page_end is not None:
        about["page_end"] = context.page_end
    if context.other_documents:
        about["same_in"] = list(context.other_documents)
    return json.dumps({name: value for name, value in about.items() if value not in (None, "")})


def embedded(model: str, texts: Sequence[str]) -> dict[str, Any]:
    """Describe an embedder's step: its texts if they are few, not their vectors."""
    told = {f"embedding.embeddings.{n}.embedding.text": text for n, text in enumerate(texts[:MOST_TEXTS])}
    shown = told if len(texts) <= MOST_TEXTS else {}
    return {"embedding.model_name": model, "evals.texts": len(texts), **shown}


def spoken(model: str, tokens: Tokens, prompt: Sequence[str], said: str) -> dict[str, Any]:
    """Describe a language model's step: the parts of its prompt, what it took, and what it wrote or chose."""
    return {INPUT: "".join(prompt), OUTPUT: said, "llm.model_name": model, **token_attributes(tokens)}


def token_attributes(tokens: Tokens) -> dict[str, Any]:
    """Describe what a language model read and wrote; what it knew from its cache is read as well."""
    prompt = tokens.evaluated + tokens.reused
    return {
        "llm.token_count.prompt": prompt,
        "llm.token_count.completion": tokens.generated,
        "llm.token_count.total": prompt + tokens.generated,
        "llm.token_count.prompt_details.cache_read": tokens.reused,
    }


def described_passages(attributes: Mapping[str, Any], prefix: str = RETRIEVED) -> list[dict[str, Any]]:
    """Return the passages that `documents` described, each by `id`, `content`, `score` and `metadata`."""
    found: dict[int, dict[str, Any]] = {}
    for name, value in attributes.items():
        number, _, field = name.removeprefix(f"{prefix}.").partition(".document.")
        if name.startswith(f"{prefix}.") and number.isdecimal() and field:
            found.setdefault(int(number), {})[field] = value
    return [found[number] for number in sorted(found)]
