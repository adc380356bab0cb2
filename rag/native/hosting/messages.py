"""What a client, the host of the models and a model's process say to each other, a message each.

Calls and results are pickled: all three are processes of one user, started from one installation, over a
socket in a folder that only this user may enter. The host passes them on unread.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from rag_evals.rag.errors import ModelError, RagError
from rag_evals.rag.identity import digest

OPENED = b"opened"
# The first byte of a reply.
_RESULT, _ERROR = b"=", b"!"


@dataclass(frozen=True, slots=True)
class Opening:
    """The process that a client wants to call.

    Attributes:
        process: Equal for those who share a process.
        name: Name for people of the model that is called there.
        linger: Seconds that the process is held free for whoever called it last.
    """

    process: str
    name: str
    linger: float


@dataclass(frozen=True, slots=True)
class ModelFactory:
    """What makes a model, in the model's process.

    Attributes:
        make: A class or function with a name in its module.
        arguments: What it is called with.
    """

    make: Callable[..., object]
    arguments: tuple[Any, ...]

    @property
    def key(self) -> str:
        """Equal for those who mean the same model with the same settings."""
        return digest([self.make.__module__, self.make.__qualname__, repr(self.arguments)])


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a method of a model, which is made where it is not there yet."""

    key: str
    maker: ModelFactory
    method: str
    arguments: tuple[Any, ...]
    named: Mapping[str, Any]


def call_message(call: Call) -> bytes:
    """Return `call` as a message."""
    return pickle.dumps(call)


def reply_to(message: bytes, models: MutableMapping[str, object]) -> bytes:
    """Make the call in `message` and return the reply: a result or an error.

    Args:
        message: As `call_message` gives it.
        models: Those of this process so far, by key; one that is missing is made and added.
    """
    try:
        call: Call = pickle.loads(message)
        if call.key not in models:
            models[call.key] = call.maker.make(*call.maker.arguments)
        return _RESULT + pickle.dumps(getattr(models[call.key], call.method)(*call.arguments, **call.named))
    except RagError as error:
        return error_reply(error)
    except Exception as error:  # noqa: BLE001 - native libraries raise anything; whoever called is told
        return error_reply(ModelError(f"{type(error).__name__}: {error}"))


def error_reply(error: RagError) -> bytes:
    """Return the reply that makes `result_of` raise `error`."""
    return _ERROR + pickle.dumps(error)


def result_of(reply: bytes) -> Any:
    """Return the result in a reply.

    Raises:
        RagError: What the model raised.
        ModelDiedError: Its process died.
    """
    content = pickle.loads(reply[1:])
    if reply[:1] == _ERROR:
        raise content
    return content
