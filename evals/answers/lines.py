"""Lines of a log of answers, JSON each: read one by one, so that a log may have any length."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

from rag_evals.evals.answers.logged_answer import STAGE, Feedback, LoggedAnswer
from rag_evals.evals.base.bounds import bounded
from rag_evals.evals.base.files import MOST_LINE, open_plain
from rag_evals.evals.base.messages import display_path, kind_name, short_repr
from rag_evals.evals.questions.entries import Fault, json_problem, os_problem, strict_decoder
from rag_evals.evals.questions.fields import (
    check_keys,
    check_span,
    parse_context_list,
    parse_list,
    parse_number,
    parse_object,
    parse_objects,
    parse_text,
    parse_whole_number,
)
from rag_evals.evals.questions.load import is_json, parse_question
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Answer, Citation, Tokens
from rag_evals.rag.identity import digest

SUFFIXES = (".jsonl", ".ndjson")
# What a line says of the question is read as in a question file.
QUESTION_KEYS = tuple(Question.__dataclass_fields__)
ANSWER_KEYS = ("answer", "contexts", "seconds", "tokens", "citations")
CITATION_KEYS = tuple(Citation.__dataclass_fields__)
LOG_KEYS = ("time", "model", "feedback", "trace", "metadata")
KEYS = (*QUESTION_KEYS, *ANSWER_KEYS, *LOG_KEYS)


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a log.

    Attributes:
        file: The log.
        number: Number of the line, from 1; 0 for what concerns the file as a whole.
        start: Where in the file it begins, in bytes.
        value: The logged answer, or what is wrong with the line.
        hash: A hash of the line as it stands there.
    """

    file: Path
    number: int
    start: int
    value: LoggedAnswer | Fault
    hash: bytes = b""

    @property
    def place(self) -> str:
        """The file and the number of the line, as people would type them."""
        name = display_path(self.file)
        return f"{name}:{self.number}" if self.number else name


# What a line is masked with before anything is made of it.
Masking = Callable[[Mapping[str, Any]], dict[str, Any]]


def read_log(file: Path, masking: Masking | None = None) -> Iterator[LogLine]:
    """Yield the lines of a log, one after the other; blank ones and comments are none."""
    if file.suffix.lower() not in SUFFIXES:
        problem = f'unknown suffix "{file.suffix}"; logs of answers are JSON Lines and end in .jsonl, .ndjson'
        yield LogLine(file, 0, 0, Fault((problem,)))
        return
    try:
        for number, start, data in _lines(file):
            if (value := parse_line(data, masking)) is not None:
                yield LogLine(file, number, start, value, _hash(data))
    except OSError as error:
        yield LogLine(file, 0, 0, Fault((os_problem(error),)))


def read_line(file: Path, number: int, start: int, masking: Masking | None = None) -> LogLine | None:
    """Return line `number`, which begins at `start`; None for a blank one, or where there is none.

    Raises:
        OSError: The file cannot be read.
    """
    with open_plain(file) as opened:
        opened.seek(start)
        data = opened.readline(MOST_LINE)
    value = parse_line(data, masking)
    return None if value is None else LogLine(file, number, start, value, _hash(data))


def _hash(data: bytes) -> bytes:
    return sha256(data.strip()).digest()[:12]


def _lines(file: Path) -> Iterator[tuple[int, int, bytes]]:
    """Yield the number of each line, where it begins, and the line.

    Raises:
        OSError: The file cannot be read, or a line has more than 128 MB.
    """
    with open_plain(file) as opened:
        start = number = 0
        while line := opened.readline(MOST_LINE):
            if len(line) == MOST_LINE:
                raise OSError(0, f"line {number + 1} has more than {MOST_LINE // 10**6} MB")
            number += 1
            yield number, start, line
            start += len(line)


def parse_line(data: bytes, masking: Masking | None = None) -> LoggedAnswer | Fault | None:
    """Return the logged answer that a line is, or all that is wrong with it; None for one without any."""
    try:
        text = data.decode("utf-8").removeprefix("\ufeff").strip()
    except UnicodeDecodeError as error:
        return Fault((f"not UTF-8 text (byte 0x{data[error.start]:02X} at {error.start})",))
    if not text or text.startswith(("//", "#")):
        return None
    try:
        value = bounded(_decoder().decode(text))
    except (ValueError, RecursionError) as error:
        return Fault((json_problem(error),))
    return parse_logged(masking(value) if masking and isinstance(value, dict) else value)


@cache
def _decoder() -> json.JSONDecoder:
    return strict_decoder()


def parse_logged(value: object) -> LoggedAnswer | Fault:
    """Return the logged answer that an entry of a log is, or all that is wrong with the entry."""
    if not isinstance(value, dict):
        return Fault((f"not an object but {kind_name(value)}",))
    problems: list[str] = []
    metadata = _parse_metadata(value, problems)
    question = _parse_question(value, problems)
    logged = LoggedAnswer(
        question=question,
        answer=_parse_answer(value, problems),
        time=_parse_time(value, problems),
        model=parse_text(value, "model", problems),
        feedback=_parse_feedback(value, problems),
        trace=parse_text(value, "trace", problems),
        metadata=metadata,
    )
    return Fault(tuple(problems)) if problems else logged


def _parse_question(entry: Mapping[str, Any], problems: list[str]) -> Question:
    given = {key: entry[key] for key in QUESTION_KEYS if entry.get(key) is not None}
    if "id" not in given:
        given["id"] = derived_id(entry)
    question = parse_question(given)
    if isinstance(question, Fault):
        problems += question.problems
        return Question("", "")
    return question


def derived_id(entry: Mapping[str, Any]) -> str:
    """Return the id of an entry that says none: the first words of its question, and a hash of all of it."""
    asked = entry.get("question")
    words = re.findall(r"\w+", asked.casefold()[:200]) if isinstance(asked, str) else []
    name = "-".join(words)[:40].rstrip("-") or "answer"
    return f"{name}-{digest(entry)[:12]}"


def _parse_answer(entry: Mapping[str, Any], problems: list[str]) -> Answer:
    text = parse_text(entry, "answer", problems, is_required=True, may_be_blank=True) or ""
    seconds = parse_number(entry, "seconds", 0, problems)
    tokens = _parse_tokens(entry, problems)
    return Answer(
        text,
        parse_context_list(entry, problems),
        seconds={} if seconds is None else {STAGE: seconds},
        tokens={} if tokens is None else {STAGE: tokens},
        citations=parse_objects(entry, "citations", "objects", _parse_citation, problems),
        contexts_known=entry.get("contexts") is not None,
    )


def _parse_citation(value: Mapping[str, Any], problems: list[str]) -> Citation:
    check_keys(value, CITATION_KEYS, problems)
    contexts = parse_list(value, "contexts", "numbers of passages, counted from 0,", problems)
    numbers = [parse_whole_number({"contexts": one}, "contexts", 0, problems) for one in contexts]
    citation = Citation(
        start=parse_whole_number(value, "start", 0, problems),
        end=parse_whole_number(value, "end", 0, problems),
        contexts=tuple(number for number in numbers if number is not None),
        document=parse_text(value, "document", problems),
        page=parse_whole_number(value, "page", 1, problems),
        page_end=parse_whole_number(value, "page_end", 1, problems),
        mark=parse_text(value, "mark", problems, may_be_blank=True) or "",
    )
    check_span(citation.start, citation.end, problems)
    return citation


def _parse_tokens(entry: Mapping[str, Any], problems: list[str]) -> Tokens | None:
    value = parse_object(entry, "tokens", problems)
    if value is None:
        return None
    found: list[str] = []
    check_keys(value, ("read", "written"), found)
    tokens = Tokens(
        evaluated=parse_whole_number(value, "read", 0, found) or 0,
        generated=parse_whole_number(value, "written", 0, found) or 0,
    )
    problems += [f"tokens: {problem}" for problem in found]
    return tokens


def _parse_time(entry: Mapping[str, Any], problems: list[str]) -> str | None:
    text = parse_text(entry, "time", problems)
    if text is None:
        return None
    try:
        datetime.fromisoformat(text)
    except ValueError:
        problems.append(f'"time" = {short_repr(text)} is no time of ISO 8601, such as 2026-03-01T12:30:00Z')
    return text


def _parse_feedback(entry: Mapping[str, Any], problems: list[str]) -> Feedback | None:
    value = entry.get("feedback")
    if value is None or value in get_args(Feedback):
        return value
    problems.append(f'"feedback" = {short_repr(value)} is neither "up" nor "down"')
    return None


def _parse_metadata(entry: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    """Return the metadata, with whatever else the entry has."""
    told = parse_object(entry, "metadata", problems) or {}
    others = {key: value for key, value in entry.items() if key not in KEYS}
    problems += [
        f'"{key}" stands both beside "metadata" and in it: give one of them'
        for key in sorted(told.keys() & others.keys())
    ]
    metadata = {**told, **others}
    problems += [
        f'"{key}" holds half of a surrogate pair, which is no character'
        for key in sorted(metadata)
        if not is_json(metadata[key])
    ]
    return metadata
