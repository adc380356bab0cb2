"""What a service is sent: a template with the question, and what was said before it, in their places."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from rag_evals.rag.answer import Message
from rag_evals.rag.config.service import HISTORY, MESSAGES, QUESTION, ServiceConfig, texts_in, variable_in
from rag_evals.rag.llm.http.secrets import Secret, with_environment, with_headers
from rag_evals.rag.llm.http.server import Sending


class Request:
    """The requests to a service, one a question.

    Args:
        config: The settings.

    Attributes:
        headers: Headers of each; what may be a credential is a `Secret`.

    Raises:
        ModelError: An environment variable is not set, or a header cannot be sent.
    """

    def __init__(self, config: ServiceConfig) -> None:
        self._body = _with_variables(config.request) if config.method == "POST" else None
        self._params = _with_variables(config.sent_params)
        self.headers = _headers(config)

    @property
    def secrets(self) -> list[str]:
        """What of body and query is never shown."""
        return [text for text in texts_in([self._body, self._params]) if isinstance(text, Secret)]

    def sending(self, question: str, history: Sequence[Message] = ()) -> Sending:
        """Return what is sent for a question."""
        return Sending(self._filled_body(question, history), self._query(question))

    def _filled_body(self, question: str, history: Sequence[Message]) -> bytes | None:
        if self._body is None:
            return None
        said = [{"role": message.role, "content": message.content} for message in history]
        whole = {HISTORY: said, MESSAGES: [*said, {"role": "user", "content": question}]}
        # In ASCII: half of a pair of surrogates is sent as an escape, where UTF-8 has no form for it.
        return json.dumps(_filled(self._body, question, whole)).encode()

    def _query(self, question: str) -> str:
        filled = _filled(self._params, question, {})
        return f"?{urlencode(filled, errors='replace')}" if filled else ""


def _headers(config: ServiceConfig) -> dict[str, str]:
    headers = {"Accept": "application/json", "User-Agent": "rag-evals"}
    if config.method == "POST":
        headers["Content-Type"] = "application/json"
    return with_headers(headers, {name: _as_variable(value) for name, value in config.headers.items()})


def _as_variable(value: str) -> str:
    """Return `$NAME` of a text `env:NAME`, and any other as it is."""
    return f"${{{variable}}}" if (variable := variable_in(value)) else value


def _with_variables(value: Any) -> Any:
    """Put the values of environment variables into nested tables and lists."""
    if isinstance(value, str):
        variable = variable_in(value)
        return Secret(with_environment(f"the text {value!r}", f"${{{variable}}}")) if variable else value
    if isinstance(value, Mapping):
        return {name: _with_variables(inner) for name, inner in value.items()}
    return [_with_variables(inner) for inner in value] if isinstance(value, list | tuple) else value


def _filled(value: Any, question: str, whole: Mapping[str, Any]) -> Any:
    """Put the question into the texts of nested tables and lists, and messages in place of whole texts."""
    if isinstance(value, Secret):
        return value
    if isinstance(value, str):
        return whole[value] if value in whole else value.replace(QUESTION, question)
    if isinstance(value, Mapping):
        return {name: _filled(inner, question, whole) for name, inner in value.items()}
    return [_filled(inner, question, whole) for inner in value] if isinstance(value, list) else value
