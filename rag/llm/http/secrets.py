"""Credentials: what is sent and never shown, and where it comes from."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import partial

from rag_evals.rag.errors import ModelError

_CREDENTIAL = re.compile(r"key|token|auth|secret|passw|credential|cookie|signature", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)\}?")


class Secret(str):
    """A text that is sent and never shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def is_harmless(name: str, value: str) -> bool:
    """Return whether a header holds no credential: neither by its name nor by a variable in its value."""
    return not (_CREDENTIAL.search(name) or _VARIABLE.search(value))


def with_headers(headers: Mapping[str, str], further: Mapping[str, str]) -> dict[str, str]:
    """Return headers with further ones, which win: in these `$NAME` is the value of an environment variable.

    What may be a credential among the further ones is a `Secret`.

    Raises:
        ModelError: One cannot be sent, or a variable is not set.
    """
    sent = dict(headers)
    for name, value in further.items():
        filled = _sent(name, value)
        sent = {known: kept for known, kept in sent.items() if known.lower() != name.lower()}
        sent[name] = filled
    return sent


def _sent(name: str, value: str) -> str:
    sent = with_environment(f"the header {name}", value)
    if not (sent.isascii() and sent.isprintable()):
        raise ModelError(f"the header {name} cannot be sent: it has odd characters in it")
    return sent if is_harmless(name, value) else Secret(sent)


def with_environment(what: str, value: str) -> str:
    """Return a text with the value of each environment variable that it names, `$NAME` or `${NAME}`.

    Raises:
        ModelError: One is not set; `what` says whose it is.
    """
    return _VARIABLE.sub(partial(_variable, what), value)


def _variable(what: str, found: re.Match[str]) -> str:
    if not (value := os.environ.get(found[1], "").strip()):
        raise ModelError(f"{what} wants the environment variable {found[1]}, which is not set")
    return value
