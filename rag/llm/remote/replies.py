"""Replies of an OpenAI-compatible server: text, and tokens with probabilities where it gives any."""

from __future__ import annotations

import math
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rag_evals.rag.answer import Tokens
from rag_evals.rag.llm.protocol import Choice

_EDGES = string.punctuation + string.whitespace + "“”„\u2018\u2019«»…"
_TOKEN_EDGES = string.whitespace + "Ġ▁"  # how byte-level BPE and SentencePiece write a leading space


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server said: its text, and tokens with probabilities at the first position if it gave any."""

    text: str
    finished: bool
    tokens: Tokens
    distribution: tuple[tuple[str, float], ...]
    thinks: bool


def parsed_reply(choice: Mapping[str, Any], usage: Mapping[str, Any]) -> Reply:
    """Read one choice of a chat completion; what has another shape than expected counts as absent."""
    message = object_or_empty(choice.get("message"))
    text = _text(message.get("content"))
    # Servers that take the thoughts out of the text put them beside it, under one of two names.
    beside = _text(message.get("reasoning_content")) or _text(message.get("reasoning"))
    content = object_or_empty(choice.get("logprobs")).get("content")
    first = object_or_empty(content[0]) if isinstance(content, list) and content else {}
    opened = (_text(first.get("token")) or text).lstrip()
    return Reply(
        text,
        choice.get("finish_reason") not in ("length", "content_filter"),
        _tokens(usage),
        _distribution(first.get("top_logprobs")),
        thinks=bool(beside) or opened.startswith("<think") or _thoughts(usage) > 0,
    )


def _distribution(top: Any) -> tuple[tuple[str, float], ...]:
    """Read tokens and probabilities; nothing where they are none, such as 1.0 for each of them."""
    try:
        pairs = tuple((_text(entry["token"]), math.exp(entry["logprob"])) for entry in top or ())
    except (TypeError, KeyError, OverflowError):
        return ()
    # A token alone hides the other options. The sum has a little room for half precision.
    return pairs if len(pairs) > 1 and sum(probability for _, probability in pairs) < 1.01 else ()


def graded_choice(reply: Reply, options: Sequence[str]) -> Choice:
    """Read the probability of each option from the distribution at the first position."""
    masses = dict.fromkeys(options, 0.0)
    for option in options:
        for token, probability in reply.distribution:
            if token.strip(_TOKEN_EDGES).casefold() == option.casefold():
                masses[option] += probability
    total = max(1.0, sum(masses.values()))
    masses = {option: mass / total for option, mass in masses.items()}
    return Choice(masses, max(0.0, 1.0 - sum(masses.values())), reply.tokens)


def option_said(reply: Reply, options: Sequence[str]) -> str | None:
    """Return the option that is all of the reply's last line, None if there is no such option."""
    if not reply.finished:  # a "no" at the cut may be the beginning of "not sure"
        return None
    lines = [line for line in without_thoughts(reply.text).splitlines() if line.strip()]
    last = lines[-1].strip(_EDGES).casefold() if lines else ""
    matching = [option for option in options if option.casefold() == last]
    return matching[0] if len(matching) == 1 else None


def without_thoughts(text: str) -> str:
    """Drop a thinking block at the head; some templates open it in the prompt, and a cut one has no end."""
    head, closed, behind = text.partition("</think>")
    if closed:
        return behind
    return "" if head.lstrip().startswith("<think>") else head


def _tokens(usage: Mapping[str, Any]) -> Tokens:
    prompt, generated = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    reused = min(prompt, _count(object_or_empty(usage.get("prompt_tokens_details")).get("cached_tokens")))
    return Tokens(evaluated=prompt - reused, reused=reused, generated=generated)


def _thoughts(usage: Mapping[str, Any]) -> int:
    """Count the tokens of thoughts that are not shown."""
    return _count(object_or_empty(usage.get("completion_tokens_details")).get("reasoning_tokens"))


def object_or_empty(value: Any) -> Mapping[str, Any]:
    """Return `value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0
