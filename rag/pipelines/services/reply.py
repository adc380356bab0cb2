"""What of a service's reply is what: paths to the answer, the passages and their places, seconds and tokens.

Paths are JMESPath. A reply is a stranger's: what is wanted and is not there, or is of another kind, is said
with the path that was looked at; of what a passage says beside its text, what cannot be used is left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from rag_evals.rag.answer import Answer, Citation, Context, Tokens
from rag_evals.rag.config.service import PARTS_OF_A_PASSAGE, ServiceConfig
from rag_evals.rag.errors import ConfigError, RagError

STAGE = "answer"  # the one stage that a service has, as far as it does not say more
_KINDS = {dict: "a table", list: "a list", str: "a text", bool: "true or false", type(None): "nothing"}


class UnusableReplyError(RagError):
    """Raised when a reply has not what is wanted where it is looked for; says what, and what to do."""


@dataclass(frozen=True, slots=True)
class Path:
    """A path in JSON.

    Attributes:
        key: What the settings call it.
        text: The path as it is written.
        found: Finds what it leads to; None where that is nothing.
    """

    key: str
    text: str
    found: Any

    def __str__(self) -> str:
        return f"{self.key} = {self.text!r}"

    def leads_to(self, data: Any) -> Any:
        """Return what the path leads to in `data`; None for nothing, or for null.

        Raises:
            UnusableReplyError: A function in the path does not take what is there.
        """
        try:
            return self.found.search(data)
        except JMESPathError as error:
            raise UnusableReplyError(f"{self} cannot be followed: {error}\nCorrect the path.") from None


def parse_path(key: str, text: str) -> Path:
    """Parse a path.

    Raises:
        ConfigError: It is none.
    """
    try:
        return Path(key, text, jmespath.compile(text))
    except JMESPathError as error:
        reason = str(error).split("\n")[0].rstrip(": ")
        raise ConfigError(
            f"{key} = {text!r}: no path: {reason}; paths are JMESPath, such as data.answer, "
            "choices[0].message.content or hits[].passage"
        ) from None


class Reply:
    """Reads the replies of a service.

    Args:
        config: The settings.

    Raises:
        ConfigError: A path is none.
    """

    def __init__(self, config: ServiceConfig) -> None:
        paths = {key: parse_path(key, text) for key, text in config.paths.items() if text}
        self._answer = paths["answer"]
        self._contexts = paths.get("contexts")
        self._citations = paths.get("citations")
        self._cites = config.cites
        self._seconds = paths.get("seconds")
        self._tokens = {name: paths[f"tokens.{name}"] for name, text in config.tokens.items() if text}
        self._stages = {name: paths[f"stages.{name}"] for name, text in config.stages.items() if text}
        parts = {**PARTS_OF_A_PASSAGE, **config.context}
        self._parts = {name: parse_path(f"context.{name}", text) for name, text in parts.items() if text}

    def answer(self, data: bytes, seconds: float) -> Answer:
        """Return the answer in the body of a reply that took so many seconds.

        Raises:
            UnusableReplyError: It has none, or passages of another kind.
        """
        table = _parsed(data)
        text = _legible(self._text(self._answer, table))
        contexts = self._passages(self._contexts, table) if self._contexts else ()
        tokens = self._counted(table)
        stages = {name: self._passages(path, table) for name, path in self._stages.items()}
        return Answer(
            text,
            contexts,
            self._timed(table) or {STAGE: seconds},
            {STAGE: tokens} if tokens != Tokens() else {},
            stages={name: tuple(one.places[0] for one in passages) for name, passages in stages.items()},
            citations=self._cited(table),
            cites=self._cites,
        )

    def _text(self, path: Path, table: Any) -> str:
        found = path.leads_to(table)
        if found is None:
            raise UnusableReplyError(f"{path} finds nothing in it\nCorrect the path: it is JMESPath.")
        if not isinstance(found, str):
            raise UnusableReplyError(
                f"{path} finds {_kind(found)} in it, not a text\n"
                "Lead the path to the text itself; join('', PATH) makes one of a list of texts."
            )
        return found

    def _passages(self, path: Path, table: Any) -> tuple[Context, ...]:
        found = path.leads_to(table)
        if found is None:
            raise UnusableReplyError(
                f"{path} finds nothing in it\n"
                f"Correct the path; write {path.text} || `[]` if the service leaves it out where it found "
                f'no passage, or {path.key} = "" if it never tells them.'
            )
        if not isinstance(found, list):
            raise UnusableReplyError(
                f"{path} finds {_kind(found)} in it, not a list\nLead the path to the list of the passages."
            )
        return tuple(self._passage(f"{path.text}[{place}]", one) for place, one in enumerate(found))

    def _passage(self, where: str, one: Any) -> Context:
        if isinstance(one, str):
            return Context(_legible(one))
        if not isinstance(one, Mapping):
            raise UnusableReplyError(
                f"{where} is {_kind(one)}, not a text or a table\nLead the path to the list of the passages."
            )
        path = self._parts["text"]
        text = path.leads_to(one)
        if not isinstance(text, str):
            raise UnusableReplyError(
                f"{path} finds {_kind(text)} in {where}, not a text; it has {', '.join(map(str, one))}\n"
                'Write where the text of a passage stands: context = { text = "PATH" }.'
            )
        said = {name: path.leads_to(one) for name, path in self._parts.items() if name != "text"}
        document = said.get("document")
        return Context(
            _legible(text),
            _legible(str(document)) if isinstance(document, str | int) else "",
            page=_whole(said.get("page")),
            start=_whole(said.get("start")),
            end=_whole(said.get("end")),
            score=_number(said.get("score")),
            page_end=_whole(said.get("page_end")),
        )

    def _cited(self, table: Any) -> tuple[Citation, ...]:
        found = self._citations.leads_to(table) if self._citations else None
        if found is not None and not isinstance(found, list):
            raise UnusableReplyError(
                f"{self._citations} finds {_kind(found)} in it, not a list\n"
                "Lead the path to the list of what is cited."
            )
        return tuple(cited for one in found or () if (cited := _citation(one)) is not None)

    def _timed(self, table: Any) -> dict[str, float]:
        found = self._seconds.leads_to(table) if self._seconds else None
        stages = found if isinstance(found, Mapping) else {STAGE: found}
        read = {_legible(str(name)): _number(value) for name, value in stages.items()}
        return {name: value for name, value in read.items() if value is not None and value >= 0}

    def _counted(self, table: Any) -> Tokens:
        read, reused, written = (
            _whole(self._tokens[name].leads_to(table)) or 0 if name in self._tokens else 0
            for name in ("read", "reused", "written")
        )
        # What is read has what was reused in it, as services count.
        return Tokens(max(0, read - reused), reused, written)


def _parsed(data: bytes) -> Any:
    try:
        text = data.decode("utf-8-sig", errors="replace")
        return json.loads(text)
    except RecursionError:
        raise UnusableReplyError("it is nested too deeply to be read\nCorrect the URL.") from None
    except ValueError:
        raise UnusableReplyError(_no_json(text.strip())) from None


def _no_json(text: str) -> str:
    if not text:
        return "it is empty, where JSON is wanted\nCorrect the URL, or have the service answer."
    if text.startswith("<"):
        return "it is HTML, where JSON is wanted\nCorrect the URL: what is there is a page for people."
    if text.startswith(("data:", "event:", "id:", ":")):
        return "it is a stream of events, where JSON is wanted\nHave it answer in one piece: stream = false."
    return "it is no JSON\nCorrect the URL, or have the service answer in JSON."


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), "a number")


def _legible(text: str) -> str:
    """Replace halves of pairs of surrogates, which no file takes."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def _whole(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number >= 0 and number == int(number) else None


def _number(value: Any) -> float | None:
    """Read a number, or a text that is one; None for anything else, and for what is not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _citation(one: Any) -> Citation | None:
    """Read what is cited: a table, the number of a passage from 1, or a document; None for anything else."""
    if isinstance(one, str):
        return Citation(document=_legible(one))
    if not isinstance(one, Mapping):
        number = _whole(one)
        return None if not number else Citation(contexts=(number - 1,))
    named = one.get("contexts")
    numbers = [_whole(number) for number in named] if isinstance(named, list) else []
    document, mark = one.get("document"), one.get("mark")
    return Citation(
        _whole(one.get("start")),
        _whole(one.get("end")),
        tuple(number for number in numbers if number is not None),
        _legible(document) if isinstance(document, str) else None,
        _whole(one.get("page")),
        _whole(one.get("page_end")),
        _legible(mark) if isinstance(mark, str) else "",
    )
