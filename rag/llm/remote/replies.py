"""Replies of an OpenAI-compatible server: text, and tokens with probabilities where it gives any."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rag_evals.rag.answer import Tokens
from rag_evals.rag.llm.protocol import Choice
from rag_evals.rag.llm.remote.thoughts import begins_thoughts, without_thoughts

_EDGES = string.punctuation + string.whitespace + "“”„\u2018\u2019«»…"
_TOKEN_EDGES = string.whitespace + "Ġ▁"  # how byte-level BPE and SentencePiece write a leading space
_LABEL = re.compile(r"^\W*(?:final\s+)?(?:answer|verdict)\W*:", re.IGNORECASE)
_FIRST_SENTENCE = re.compile(r"\s*([*_\"'“]*\w+[*_\"'”]*)(?:[.!][*_\"'”]*(?=\s|\Z)|[ \t]*\n[ \t]*\n)")


# What may stand before an answer and says nothing: blanks, and marks of a layout.
_MARKUP = _TOKEN_EDGES + "Ċ" + "*_#>`~-:\"'“”"


@dataclass(frozen=True, slots=True)
class Position:
    """A token of a reply, with the most probable ones in its place; none where the server tells none."""

    token: str
    top: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server said.

    Attributes:
        text: The text, with the thoughts that the server leaves in it.
        answer: The text without them.
        finished: Whether it came to its end.
        tokens: What it took.
        positions: The tokens, where the server tells how probable they were.
        thinks: Whether the model thinks before it answers.
    """

    text: str
    answer: str
    finished: bool
    tokens: Tokens
    positions: tuple[Position, ...] = ()
    thinks: bool = False

    @property
    def distribution(self) -> tuple[tuple[str, float], ...]:
        """Tokens and probabilities where the first word begins; nothing where there are none."""
        return next((position.top for position in self.positions if not _is_markup(position.token)), ())

    @property
    def is_markup(self) -> bool:
        """Whether all tokens that are told are blanks or marks of a layout: the answer stands behind them."""
        is_told = any(position.top for position in self.positions)
        return is_told and all(_is_markup(position.token) for position in self.positions)


def parsed_reply(choice: Mapping[str, Any], usage: Mapping[str, Any]) -> Reply:
    """Read one choice of a chat completion; what has another shape than expected counts as absent."""
    message = object_or_empty(choice.get("message"))
    # A model that refuses says so beside the text.
    text = _text(message.get("content")) or _text(message.get("refusal"))
    # Servers that take the thoughts out of the text put them beside it, under one of two names, or into a
    # part of their own.
    beside = _text(message.get("reasoning_content")) or _text(message.get("reasoning"))
    is_apart = bool(beside) or _has_thinking_part(message.get("content"))
    positions = _positions(object_or_empty(choice.get("logprobs")))
    opened = (positions[0].token if positions else "") or text
    return Reply(
        text,
        without_thoughts(text, is_apart=is_apart),
        choice.get("finish_reason") not in ("length", "model_length", "max_tokens"),
        _tokens(usage),
        positions,
        thinks=is_apart or begins_thoughts(opened) or _thoughts(usage) > 0,
    )


def _positions(logprobs: Mapping[str, Any]) -> tuple[Position, ...]:
    content, tokens, tops = (logprobs.get(key) for key in ("content", "tokens", "top_logprobs"))
    if isinstance(content, list) and content:
        entries = map(object_or_empty, content)
        return tuple(_position(entry.get("token"), entry.get("top_logprobs")) for entry in entries)
    # The form of the older completions, in which some servers answer chats as well.
    if isinstance(tokens, list) and isinstance(tops, list):
        return tuple(_position(*pair) for pair in zip(tokens, map(_entries, tops), strict=False))
    return ()


def _position(token: Any, top: Any) -> Position:
    distribution = _distribution(top)
    return Position(_text(token) or (distribution[0][0] if distribution else ""), distribution)


def _entries(top: Any) -> list[dict[str, Any]]:
    return [{"token": token, "logprob": logprob} for token, logprob in object_or_empty(top).items()]


def _distribution(top: Any) -> tuple[tuple[str, float], ...]:
    """Read tokens and probabilities; nothing where they are none, such as 1.0 for each of them."""
    try:
        pairs = tuple((_text(entry["token"]), math.exp(entry["logprob"])) for entry in top or ())
    except (TypeError, KeyError, OverflowError):
        return ()
    # A token alone hides the other options. The sum has a little room for half precision.
    return pairs if len(pairs) > 1 and sum(probability for _, probability in pairs) < 1.01 else ()


def _is_markup(token: str) -> bool:
    return not token.strip(_MARKUP)


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
    """Return the option that a reply says, None if it says none.

    It is all of the last line, behind "Answer:" or alone; or all of the first sentence, with reasons behind
    it that have no other option in them.
    """
    lines = [line for line in reply.answer.splitlines() if line.strip()]
    # In a reply that was cut a "no" at the end may be the beginning of "not sure".
    last = _LABEL.sub("", lines[-1]) if lines and reply.finished else ""
    return _equal(last, options) or _first_said(reply.answer, options)


def _first_said(answer: str, options: Sequence[str]) -> str | None:
    first = _FIRST_SENTENCE.match(answer)
    said = _equal(first[1], options) if first else None
    if first is None or said is None:
        return None
    others = {option.casefold() for option in options if option != said}
    words = {word.casefold() for word in re.findall(r"\w+", answer[first.end() :])}
    return None if others & words else said


def _equal(text: str, options: Sequence[str]) -> str | None:
    said = text.strip(_EDGES).casefold()
    matching = [option for option in options if option.casefold() == said]
    return matching[0] if len(matching) == 1 else None


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
    """Return a text, or the texts of a list of parts one behind the other, without its thoughts."""
    if isinstance(value, list):
        return "".join(
            _text(part.get("text"))
            for part in map(object_or_empty, value)
            if part.get("type") in ("text", "output_text")
        )
    return value if isinstance(value, str) else ""


def _has_thinking_part(content: Any) -> bool:
    return isinstance(content, list) and any(
        object_or_empty(part).get("type") in ("thinking", "reasoning", "redacted_thinking")
        for part in content
    )


def _count(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0
