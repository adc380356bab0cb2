"""Inputs and outputs of traces to questions and answers: chat messages, arguments, replies, plain texts.

Message forms read: `{role, content}` as OpenAI and most have it, the content a text or a list of parts;
`{role, parts}` (OpenTelemetry `gen-ai-input-messages.json`); `{message: ...}` (OpenInference, choices of
OpenAI); LangChain's messages, serialized (`{lc, id, kwargs}`), as `{type, data}`, `{type, content}` or
`[role, text]`, also in lists of lists; LlamaIndex's (`blocks`); Haystack's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rag_evals.evals.base.bounds import parse_json

Role = Literal["user", "assistant", "other"]

_ROLES: dict[str, Role] = {
    **dict.fromkeys(("user", "human", "humanmessage", "humanmessagechunk"), "user"),
    **dict.fromkeys(("assistant", "ai", "model", "bot", "aimessage", "aimessagechunk"), "assistant"),
    **dict.fromkeys(("system", "developer", "tool", "function", "critic", "systemmessage"), "other"),
    **dict.fromkeys(("toolmessage", "functionmessage", "tool_call", "chat", "generic"), "other"),
}
_MESSAGES = ("messages", "input_messages", "new_messages", "output_messages", "chat_messages")
_HISTORY = ("chat_history", "history", "previous_messages", "conversation_history")
_QUESTIONS = (
    *("question", "user_question", "query", "user_query", "query_str", "query_text", "user_input", "input"),
    *(
        "inputs",
        "prompt",
        "user_message",
        "message",
        "text",
        "content",
        "str_or_query_bundle",
        "query_bundle",
    ),
    *("instruction", "search_query", "request", "body", "kwargs", "args", "data"),
)
_ANSWERS = (
    *("answer", "final_answer", "response", "output", "outputs", "result", "output_text", "reply", "replies"),
    *("completion", "generated_text", "generation", "text", "content", "message", "choices", "generations"),
    *("return_values", "answers", "body", "data", "kwargs"),
)
# Deeper than this no library nests what somebody asked.
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked.

    Attributes:
        question: The question; of several messages the last of the user.
        history: The messages before it, of user and assistant, as `{role, content}`.
    """

    question: str
    history: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a chat: who said it, and the text."""

    role: Role
    text: str


def asked_in(value: object, depth: int = 0) -> Asked | None:
    """Return what an input asks; None when it holds no question."""
    if depth > _DEEPEST:
        return None
    if isinstance(value, str):
        inner = unpacked(value)
        found = asked_in(inner, depth + 1) if inner is not value else None
        return found or (Asked(value.strip()) if value.strip() else None)
    if isinstance(value, list):
        if messages := messages_in(value):
            return _asked_of(messages)
        return asked_in(value[0], depth + 1) if len(value) == 1 else None
    return _asked_in_object(value, depth) if isinstance(value, dict) else None


def answered_in(value: object, depth: int = 0) -> str | None:
    """Return what an output answers, "" for an empty text; None when it holds no answer."""
    if depth > _DEEPEST:
        return None
    if isinstance(value, str):
        inner = unpacked(value)
        found = answered_in(inner, depth + 1) if inner is not value else None
        return found or value.strip()
    if isinstance(value, list):
        return _answered_in_list(value, depth)
    return _answered_in_object(value, depth) if isinstance(value, dict) else None


def messages_in(value: Sequence[object]) -> tuple[Said, ...]:
    """Return the messages of a list, also of a list in a list; nothing where a member is none."""
    members = value[0] if len(value) == 1 and isinstance(value[0], list) else value
    if _message(value[0] if value else None):  # `[["human", "Why?"]]` is a list of messages
        members = value
    found = [_message(member) for member in members]
    return tuple(said for said in found if said) if all(found) else ()


def history_of(messages: Iterable[Said]) -> tuple[dict[str, str], ...]:
    """Return messages as a history has them: those of user and assistant that say something."""
    return tuple(
        {"role": said.role, "content": said.text}
        for said in messages
        if said.role != "other" and said.text.strip()
    )


def unpacked(value: Any) -> Any:
    """Return the value of a text that is a JSON list, object or text, anything else as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "[", '"'):
        return value
    try:
        return parse_json(value)
    except ValueError:
        return value


# --- inputs ---


def _asked_of(messages: Sequence[Said]) -> Asked | None:
    places = [n for n, said in enumerate(messages) if said.role == "user" and said.text.strip()]
    if not places:
        return None
    return Asked(messages[places[-1]].text.strip(), history_of(messages[: places[-1]]))


def _asked_in_object(value: Mapping[str, Any], depth: int) -> Asked | None:
    if said := _message(value):
        return Asked(said.text.strip()) if said.role == "user" and said.text.strip() else None
    for name in _MESSAGES:
        if isinstance(value.get(name), list) and (found := asked_in(value[name], depth + 1)):
            return found
    for name in _QUESTIONS:
        if value.get(name) and (found := asked_in(value[name], depth + 1)):
            return found if found.history else Asked(found.question, _history_in(value))
    only = _only_text(value)
    return Asked(only, _history_in(value)) if only else None


def _history_in(value: Mapping[str, Any]) -> tuple[dict[str, str], ...]:
    for name in _HISTORY:
        told = unpacked(value.get(name))
        if isinstance(told, list) and told:
            return history_of(messages_in(told))
    return ()


def _only_text(value: Mapping[str, Any]) -> str:
    """Return the text of an object that has no other, whatever its name."""
    texts = [text.strip() for text in value.values() if isinstance(text, str) and text.strip()]
    return texts[0] if len(texts) == 1 else ""


# --- outputs ---


def _answered_in_list(value: list[Any], depth: int) -> str | None:
    said = [message for message in messages_in(value) if message.role == "assistant" and message.text.strip()]
    if said:
        return said[-1].text.strip()
    return answered_in(value[0], depth + 1) if len(value) == 1 else None


def _answered_in_object(value: Mapping[str, Any], depth: int) -> str | None:
    if said := _message(value):
        return said.text.strip() if said.role == "assistant" else None
    found = [
        text
        for name in (*_ANSWERS, *_MESSAGES)
        if value.get(name) is not None and (text := answered_in(value[name], depth + 1)) is not None
    ]
    # An empty `text` beside a `message` with the words says nothing.
    return next(filter(None, found), None) or _only_text(value) or next(iter(found), None)


# --- messages ---


def _message(value: object) -> Said | None:
    if isinstance(value, list):
        return _pair(value)
    if not isinstance(value, dict):
        return None
    if isinstance(inner := value.get("message"), dict) and "role" not in value:
        return _message(inner) or _typed(inner)
    return _typed(value)


def _pair(value: list[Any]) -> Said | None:
    """Return a message in LangChain's short form, `[role, text]`."""
    if len(value) != 2 or not isinstance(value[0], str) or not isinstance(value[1], str):
        return None
    role = _ROLES.get(value[0].casefold())
    return Said(role, value[1]) if role else None


def _typed(value: Mapping[str, Any]) -> Said | None:
    inner = next((value[name] for name in ("kwargs", "data") if isinstance(value.get(name), dict)), None)
    told = value.get("role", value.get("_role"))
    if told is None and inner is not None:  # LangChain, serialized
        names = value.get("id")
        told = names[-1] if isinstance(names, list) and names else value.get("type")
    elif told is None and "content" in value:
        told = value.get("type")
    if isinstance(told, dict):  # an enum of Pydantic
        told = told.get("value")
    role = _ROLES.get(told.casefold()) if isinstance(told, str) else None
    return Said(role, _text_of(inner if inner is not None else value)) if role else None


def _text_of(value: Mapping[str, Any]) -> str:
    """Return the text of a message, whose parts may be images and calls of tools as well."""
    for name in ("content", "contents", "parts", "blocks", "_content"):
        if value.get(name):
            return text_of_parts(value[name])
    return ""


def text_of_parts(content: object, depth: int = 0) -> str:
    """Return the texts of a content, one behind the other; parts that are no text are left out."""
    if isinstance(content, str):
        return content
    if depth > _DEEPEST:
        return ""
    if isinstance(content, list):
        return "\n".join(filter(None, (text_of_parts(part, depth + 1) for part in content)))
    if not isinstance(content, dict):
        return ""
    part = content.get("message_content", content)  # OpenInference
    if not isinstance(part, dict) or part.get("type", "text") not in ("text", "input_text", "output_text"):
        return ""
    return next((part[name] for name in ("text", "content") if isinstance(part.get(name), str)), "")
