"""Where a server is and how one is let in: its address, the API key, and further headers."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from rag_evals.rag.errors import ModelError, one_line
from rag_evals.rag.llm.http.connections import is_near
from rag_evals.rag.llm.http.secrets import Secret, with_headers
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

PREFIX = "openai:"
_API_VERSION = re.compile(r"\?api-version=[\w.-]+\Z")
_AZURE = (".azure.com", ".azure.us", ".azure.cn")
# Variables with an API key: for any server, and for those of one house alone.
_KEY = "RAG_EVALS_API_KEY"
_KEYS_OF_HOUSES = (((".api.openai.com",), "OPENAI_API_KEY"), (_AZURE, "AZURE_OPENAI_API_KEY"))


@dataclass(frozen=True, slots=True)
class Address:
    """Where a model is.

    Attributes:
        model: Its name as the server knows it.
        url: Base of the API, without a slash at its end.
        query: What each request has behind its path: Azure's `?api-version=…`, or nothing.
        host: The host.
    """

    model: str
    url: str
    query: str
    host: str

    @property
    def is_near(self) -> bool:
        """Whether it is on this machine."""
        return is_near(self.host)

    @property
    def is_azure(self) -> bool:
        """Whether it takes its key as Azure does."""
        return bool(self.query) or self.host.endswith(_AZURE)


def parse_address(model: str, url: str) -> Address:
    """Take an address apart; one that names the path of chats is as good as its base.

    Raises:
        ModelError: It is none, or has credentials in it.
    """
    version = _API_VERSION.search(url)
    query = version[0] if version else ""
    base = url.removesuffix(query).rstrip("/").removesuffix("/chat/completions")
    try:
        address = parse_url(base)
    except LocationParseError:
        raise misspelled(f"{PREFIX}{model}@{url}") from None  # the cause may show a password
    if not address.host or address.port == 0:
        raise misspelled(f"{PREFIX}{model}@{url}")
    host = address.host.strip("[]")
    if address.auth or "?" in base or "#" in base:
        raise ModelError(
            f"the URL of {PREFIX}{model}@{host} has a user, a password or a query in it\n"
            f"Take it out: an API key belongs into the environment variable {_KEY}."
        )
    return Address(model, base, query, host)


def misspelled(spelled: str) -> ModelError:
    """Return the error of a model that is no address, without its secrets."""
    # What stands between two @ may be a password, behind a ? a key.
    shown = one_line(re.sub(r"@.*@", "@…@", re.split(r"[?#]", spelled)[0]))
    return ModelError(
        f"not a remote model: {shown}\n"
        "Write openai:MODEL@URL, such as openai:qwen2.5@http://127.0.0.1:8080/v1."
    )


def headers_for(address: Address, further: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of each request: the API key's, and `further` ones, which win.

    In a further one `$NAME` is the value of an environment variable. What may be a credential is a `Secret`.

    Raises:
        ModelError: The API key or a header cannot be sent, or a variable is not set.
    """
    headers = {"Content-Type": "application/json", "User-Agent": "rag-evals"}
    if key := _key(address.host):
        headers |= (
            {"api-key": Secret(key)} if address.is_azure else {"Authorization": Secret(f"Bearer {key}")}
        )
    return with_headers(headers, further)


def _key(host: str) -> str:
    houses = [name for hosts, name in _KEYS_OF_HOUSES if f".{host}".endswith(hosts)]
    for variable in (_KEY, *houses):
        if key := os.environ.get(variable, "").strip():
            # The client would quote the whole header in its error.
            if not (key.isascii() and key.isprintable() and " " not in key):
                raise ModelError(f"{variable} is no API key: it has spaces or odd characters in it")
            return key
    return ""
