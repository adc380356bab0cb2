"""Failures that a server reports with status 200: an error in place of a reply, or in the middle of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rag_evals.rag.llm.http.trouble import Failure
from rag_evals.rag.llm.remote.bodies import parsed_body

# What an error without a number calls itself, and the HTTP status that says the same.
_KINDS = (
    ("insufficient_quota", 402),
    ("rate_limit", 429),
    ("too_many", 429),
    ("exhausted", 429),
    ("overloaded", 529),
    ("unavailable", 503),
    ("timeout", 504),
    ("server_error", 500),
    ("internal", 500),
)
# How a reply ends that a filter withholds: OpenAI's word, and those of Google that some gateways leave.
_FILTERS = ("content_filter", "safety", "recitation", "prohibited_content")
FILTERED = "the content filter withheld the reply"
UPSTREAM = 502  # an error in the middle of a reply: what stands behind the server is lost


def failure_in(data: bytes) -> Failure | None:
    """Return the failure that the body of a reply reports; None where it is a reply, or no JSON."""
    # Nearly every reply is one: it is not read twice.
    if b'"error"' not in data and not any(word.encode() in data.lower() for word in _FILTERS):
        return None
    try:
        table = parsed_body(data)
    except ValueError:
        return None
    if isinstance(table, list) and table:  # Gemini puts its error into a list
        table = table[0]
    if not isinstance(table, dict):
        return None
    choices = table.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else {}
    choice = choice if isinstance(choice, dict) else {}
    text = data.decode(errors="replace")
    if str(choice.get("finish_reason")).lower() in _FILTERS:
        return Failure(200, FILTERED, text)
    if choice.get("finish_reason") == "error" or choice.get("error"):
        error = choice.get("error") or table.get("error")
        return Failure(_status(error) or UPSTREAM, _words(error) or "an error in place of a reply", text)
    error = table.get("error")
    status = _status(error)
    return (
        Failure(status, _words(error), text) if error and status and not choice.get("finish_reason") else None
    )


def _status(error: Any) -> int | None:
    """Return the HTTP status of an error; None where nothing tells it."""
    if not isinstance(error, Mapping):
        return None
    names = [error.get(key) for key in ("code", "status", "type")]
    for name in names:
        number = int(name) if isinstance(name, str) and name.isdigit() else name
        if type(number) is int and 400 <= number < 600:
            return number
    words = " ".join(name.lower() for name in names if isinstance(name, str))
    return next((status for word, status in _KINDS if word in words), None)


def _words(error: Any) -> str:
    if not isinstance(error, Mapping):
        return str(error or "")
    details = error.get("metadata")
    raw = details.get("raw") if isinstance(details, Mapping) else None
    return ": ".join(str(part) for part in (error.get("message"), raw) if part)
