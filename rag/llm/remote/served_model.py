"""What a server says of the weights behind a model's name: other names, the file, its digest.

There is no common way to ask. The list of models (`/v1/models`) has the name or the path of the file with
llama-server and llama_cpp.server, and with vLLM and SGLang the repository as `root`; llama-server tells the
path in `/props`, Ollama the digest of its file in the Modelfile of `/api/show`. What a server does not tell
is left out: none of it is needed to ask the model anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import urllib3
from rag_evals.rag.llm.remote.address import Address
from rag_evals.rag.llm.remote.replies import object_or_empty
from rag_evals.rag.llm.weights import Weights
from urllib3.exceptions import HTTPError
from urllib3.util import Timeout

TIMEOUT = Timeout(connect=3.0, read=5.0)
MOST_BYTES = 4 * 10**6  # the list of a gateway has thousands of models
# Of the file that a Modelfile begins from: its name in the store is its digest.
_BLOB = re.compile(r"^FROM\s+\S*sha256[-:]([0-9a-f]{64})\s*$", re.MULTILINE)


def served_weights(address: Address, headers: Mapping[str, str], connections: urllib3.PoolManager) -> Weights:
    """Ask the server of `address` what it knows of the weights of its model.

    Args:
        address: The model, and where it is.
        headers: Headers of each request.
        connections: Opens connections to the server.
    """

    def asked(method: str, path: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        return _asked(connections, method, f"{path}{address.query}", headers, data)

    models = asked("GET", f"{address.url}/models").get("data")
    entries = [object_or_empty(entry) for entry in models] if isinstance(models, list) else []
    own = [entry for entry in entries if entry.get("id") == address.model]
    if not own and len(entries) == 1:
        own = entries  # a server with one model answers to every name
    names = [address.model, *(name for entry in own for name in _names(entry))]
    origin = address.url.removesuffix("/v1")
    if any(entry.get("owned_by") == "llamacpp" for entry in own):
        names += _names(asked("GET", f"{origin}/props"))
    shown: Mapping[str, Any] = {}
    if any(entry.get("owned_by") in ("library", "ollama") for entry in own):
        shown = asked("POST", f"{origin}/api/show", {"model": address.model})
    blob = _BLOB.search(str(shown.get("modelfile") or ""))
    return Weights(tuple(dict.fromkeys(names)), blob[1] if blob else None)


def _names(entry: Mapping[str, Any]) -> Iterator[str]:
    for key in ("id", "root", "model_alias", "model_path"):
        if isinstance(name := entry.get(key), str) and name.strip():
            yield name


def _asked(
    connections: urllib3.PoolManager, method: str, url: str, headers: Mapping[str, str], body: bytes | None
) -> Mapping[str, Any]:
    """Return the object that a server answers with; an empty one for anything else, once and not again."""
    try:
        response = connections.request(
            method,
            url,
            body=body,
            headers=headers,
            timeout=TIMEOUT,
            retries=False,
            redirect=False,
            preload_content=False,
        )
        try:
            data = response.read(MOST_BYTES + 1)
        finally:
            response.close()
        is_read = response.status == 200 and len(data) <= MOST_BYTES
        return object_or_empty(json.loads(data)) if is_read else {}
    except (HTTPError, ValueError, RecursionError):
        return {}
