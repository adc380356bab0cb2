"""Credentials: what is sent and never shown, and where it comes from."""

from __future__ import annotations

import os
import re
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


def sent_header(name: str, value: str) -> str:
    """Return the value of a header, with those of environment variables; a `Secret` if it may be one.

    Raises:
        ModelError: It cannot be sent, or a variable is not set.
    """
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
