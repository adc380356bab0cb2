"""Quirks of servers: what some do not take of a request, found out from the words of a refusal."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rag_evals.rag.llm.http.trouble import RefusedError
from rag_evals.rag.llm.protocol import Prompt

_ABOUT_JSON = re.compile(r"response_format|json_schema|json_object|structured.outputs?", re.IGNORECASE)
# Of a model that thought until the bound; OpenAI refuses the request then.
_ABOUT_A_CUT = re.compile(
    r"could not finish the message because max_tokens|model output limit was reached", re.I
)
_LEAST = re.compile(r"(?:>=|at least|minimum(?: value)?(?: of| is)?|greater than or equal to)\s*(\d{1,4})\b")


@dataclass(frozen=True, slots=True)
class Form:
    """How a server wants a request spelled; each value but the defaults is a quirk of some.

    Attributes:
        bound: Name of the bound on the reply's length.
        least: Tokens that the bound has to allow.
        is_greedy: Whether the temperature is set, to 0.
        has_system: Whether there is a turn of the system; else its text stands before the user's.
        json: How a reply in JSON is asked for: `json_schema`, `json_object`, or not at all.
    """

    bound: str = "max_tokens"
    least: int = 1
    is_greedy: bool = True
    has_system: bool = True
    json: str = "json_schema"

    def fields(self, max_tokens: int) -> dict[str, Any]:
        """Return the fields that bound the reply and have it written greedily."""
        bound = {self.bound: max(self.least, max_tokens)}
        return {**bound, "temperature": 0} if self.is_greedy else bound

    def turns(self, prompt: Prompt) -> tuple[tuple[str, str], ...]:
        """Return role and text of each turn."""
        text = "".join(prompt.parts)
        if self.has_system:
            return (("system", prompt.system), ("user", text))
        return (("user", f"{prompt.system}\n\n{text}" if prompt.system else text),)

    def constraint(self, schema: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the fields that ask for JSON of `schema`; none without one."""
        if schema is None or not self.json:
            return {}
        if self.json == "json_object":
            return {"response_format": {"type": "json_object"}}
        # OpenAI wants a name. Strict: there every key is required and no other is allowed, as in our schemas.
        named = {"name": "item", "strict": True, "schema": dict(schema)}
        return {"response_format": {"type": "json_schema", "json_schema": named}}


@dataclass(frozen=True, slots=True)
class Quirk:
    """What a refusal may be about, and what is done then.

    Attributes:
        statuses: HTTP statuses of such a refusal.
        words: What stands in it.
        change: Makes the form without what was refused, of the form and the refusal's text.
    """

    statuses: tuple[int, ...]
    words: re.Pattern[str]
    change: Callable[[Form, str], Form]


_BAD_REQUEST = (400, 422)
# llama_cpp.server refuses a form of reply that it does not know with status 500, and llama-server what its
# template cannot render.
_ANY = (*_BAD_REQUEST, 500, 501)

QUIRKS = (
    Quirk(
        _ANY,
        _ABOUT_JSON,
        lambda form, _: replace(form, json="json_object" if form.json == "json_schema" else ""),
    ),
    Quirk(
        _BAD_REQUEST,
        re.compile(
            r"\bmax_completion_tokens\b"
            r"|\bmax_tokens\b.{0,60}(?:unsupported|not supported|unknown|unrecognized|permitted|deprecated)"
            r"|(?:unsupported|unknown|unrecognized|unexpected|extra).{0,60}\bmax_tokens\b",
            re.IGNORECASE | re.DOTALL,
        ),
        lambda form, _: replace(form, bound="max_completion_tokens"),
    ),
    Quirk(
        _BAD_REQUEST,
        re.compile(rf"max_(?:completion_|output_)?tokens.*{_LEAST.pattern}", re.IGNORECASE | re.DOTALL),
        lambda form, text: replace(form, least=max(form.least, _least_in(text))),
    ),
    Quirk(_BAD_REQUEST, re.compile("temperature"), lambda form, _: replace(form, is_greedy=False)),
    Quirk(
        _ANY,
        re.compile(
            r"\bsystem[ _-](?:role|message|prompt|instruction)|\brole.{0,60}\bsystem\b|\bsystem\b.{0,20}role"
            r"|roles must alternate|only user and assistant|developer instruction",
            re.IGNORECASE,
        ),
        lambda form, _: replace(form, has_system=False),
    ),
)


def form_after(form: Form, refused: RefusedError) -> Form:
    """Return the form that a refusal asks for; the same one if it is about something else."""
    changed = (
        quirk.change(form, refused.body)
        for quirk in QUIRKS
        if refused.status in quirk.statuses and quirk.words.search(refused.body)
    )
    return next((other for other in changed if other != form), form)


def is_final(status: int, body: str) -> bool:
    """Return whether a refusal is about the form of the request, whatever its status: it comes again."""
    is_quirk = any(status in quirk.statuses and quirk.words.search(body) for quirk in QUIRKS)
    return is_quirk or is_about_logprobs(status, body)


def is_about_logprobs(status: int, body: str) -> bool:
    """Return whether a refusal is about probabilities."""
    # llama_cpp.server says "logprobs is not supported" with status 500, OpenAI's reasoning models 403.
    is_request = status in (400, 403, 422)
    is_lack = status in (500, 501) and "support" in body
    return (is_request or is_lack) and "logprobs" in body


def is_about_a_cut(refused: RefusedError) -> bool:
    """Return whether a refusal says that the bound was reached before the reply began."""
    return refused.status in _BAD_REQUEST and _ABOUT_A_CUT.search(refused.body) is not None


def most_logprobs(body: str, *, below: int) -> int | None:
    """Return the number of probabilities that a refusal allows: 2 or more, or other options are hidden."""
    numbers = [int(number) for number in re.findall(r"(?<![\w.-])\d{1,2}(?![\w-]|\.\d)", body)]
    return max((number for number in numbers if 2 <= number < below), default=None)


def _least_in(text: str) -> int:
    found = _LEAST.search(text)
    return int(found[1]) if found else 1
