"""Outputs of retrievers to the contexts of a logged answer.

Shapes read: documents of LangChain and MLflow (`page_content`, `metadata`), nodes of LlamaIndex (`node`,
`score`), OpenInference (`document.content`, `document.score`, `document.metadata`), Haystack (`content`,
`meta`), hits of vector stores (`payload`, `entity`, `_source`), plain texts, and lists or objects of these.

Offsets are left out: they count characters of a text that another library extracted, or of a page of it, and
a place that is wrong is worse than none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rag_evals.evals.answers.formats.messages import unpacked
from rag_evals.evals.answers.formats.values import at, first_there, whole
from rag_evals.evals.base.fields import fits, number
from rag_evals.evals.questions.formats.passage_search import file_name

Passages = list[dict[str, Any]]

_TEXTS = (
    *("page_content", "document.content", "text", "content", "page_contents", "chunk", "chunk_text"),
    *("passage", "passage_text", "snippet", "body", "contents", "context", "document"),
)
_LISTS = (
    *("documents", "retrieved_documents", "source_documents", "docs", "nodes", "source_nodes", "results"),
    *("result", "output", "outputs", "matches", "hits", "points", "chunks", "passages", "contexts"),
    *("retrieved_contexts", "retrieval_context", "context", "data", "response", "value"),
)
# Where an answer's own output or input tells the passages that it was written from.
_BESIDE = (
    "source_documents",
    "retrieved_contexts",
    "retrieval_context",
    "contexts",
    "context",
    "source_nodes",
)
_INSIDE = ("node", "document", "kwargs", "payload", "entity", "_source")
_ABOUT = ("metadata", "meta", "document.metadata", "extra_info", "attributes")
_PATHS = ("file_name", "filename", "source", "file_path", "path", "doc_uri", "document_name")
_NAMES = ("title", "url", "uri", "document_id", "doc_id", "document.id", "source_id", "id")
_SCORES = ("score", "document.score", "relevance_score", "similarity", "@search.score", "_score")
_DEEPEST = 6


def passages_in(value: object) -> Passages | None:
    """Return the passages that a retriever gave, in order; None when the texts of them are not there."""
    found = list(_members(value, 0))
    passages = [passage for member in found if (passage := _passage(member))]
    return passages if passages or _is_empty(value) else None


def passages_beside(value: object) -> Passages | None:
    """Return the passages that the input or the output of an application tells by a name of theirs."""
    value = unpacked(value)
    if not isinstance(value, dict):
        return None
    return passages_in(first_there(value, _BESIDE))


def _is_empty(value: object) -> bool:
    """Return whether a value says that nothing was found: an empty list, or an object with one."""
    value = unpacked(value)
    if isinstance(value, list):
        return all(member == [] for member in value)
    told = [value[name] for name in _LISTS if name in value] if isinstance(value, dict) else []
    return bool(told) and _is_empty(told[0])


def _members(value: object, depth: int) -> Iterator[object]:
    if depth > _DEEPEST:
        return
    value = unpacked(value)
    if isinstance(value, list):
        for member in value:
            yield from _members(member, depth + 1) if isinstance(member, list) else (member,)
        return
    if not isinstance(value, dict):
        yield value
        return
    told = next((value[name] for name in _LISTS if isinstance(value.get(name), list | dict)), None)
    if told is None or _passage(value):
        yield value
    else:
        yield from _members(told, depth + 1)


def _passage(member: object, depth: int = 0) -> dict[str, Any] | None:
    """Return a passage as a logged answer has it, None when it has no text."""
    if isinstance(member, str):
        return {"text": member} if member.strip() else None
    if not isinstance(member, dict) or depth > _DEEPEST:
        return None
    inner = next((member[name] for name in _INSIDE if isinstance(member.get(name), dict)), None)
    if inner is not None and (passage := _passage(inner, depth + 1)):
        score = _score(member)
        return passage if score is None else {**passage, "score": score}
    text = _text(member)
    if text is None:
        return None
    about = _about(member)
    known = {"text": text, "document": _name(member, about), "page": _page(about), "score": _score(member)}
    return {key: held for key, held in known.items() if held is not None}


def _text(member: Mapping[str, Any]) -> str | None:
    for name in _TEXTS:
        told = at(member, name)
        if isinstance(told, dict):  # Bedrock: {"content": {"text": ...}}
            told = told.get("text")
        if isinstance(told, str) and told.strip():
            return told
    told = at(_about(member), "text")  # Pinecone keeps the text in the metadata
    return told if isinstance(told, str) and told.strip() else None


def _about(member: Mapping[str, Any]) -> Mapping[str, Any]:
    told = unpacked(next((held for name in _ABOUT if (held := at(member, name))), None))
    return told if isinstance(told, dict) else {}


def _name(member: Mapping[str, Any], about: Mapping[str, Any]) -> str | None:
    """Return what the document is called; of a path on the disk of a service its last part."""
    for place in (about, member):
        for name in (*_PATHS, *_NAMES):
            told = at(place, name)
            told = str(told) if isinstance(told, int) and not isinstance(told, bool) else told
            if isinstance(told, str) and told.strip():
                is_path = (name in _PATHS and told.startswith(("/", "\\"))) or told[1:3] in (":\\", ":/")
                return file_name(told) or told if is_path else told
    return None


def _page(about: Mapping[str, Any]) -> int | None:
    """Return the page, counted from 1; beside a count of pages LangChain's readers of PDF count from 0."""
    for name in ("page_label", "page_number", "page"):
        told = about.get(name)
        page = None if isinstance(told, float) else whole(told)
        if page is None:
            continue
        is_from_zero = name == "page" and ("total_pages" in about or page == 0)
        return page + 1 if is_from_zero else page or None
    return None


def _score(member: Mapping[str, Any]) -> float | None:
    for name in _SCORES:
        told = at(member, name)
        if fits(number, told):
            return float(told)
    return None
