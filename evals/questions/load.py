"""Question files to questions: JSON Lines, JSON, YAML, or plain text with one question a line.

All files are read before anything is said: one error lists every problem with its file and line.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rag_evals.evals.base.errors import QuestionFileError
from rag_evals.evals.base.messages import (
    count_of,
    display_path,
    kind_name,
    listing,
    printable,
    quoted,
    short_repr,
)
from rag_evals.evals.questions.conversation import check_place, parse_history, turn_problems
from rag_evals.evals.questions.entries import Entries, Fault, gather, plain_lines, read_entries, readers_for
from rag_evals.evals.questions.fields import (
    check_keys,
    check_span,
    is_encodable,
    parse_list,
    parse_number,
    parse_object,
    parse_objects,
    parse_text,
    parse_whole_number,
    text_problem,
)
from rag_evals.evals.questions.question import Question, Source

# What lies beside question files and is none: a pattern for them does not mean it.
BESIDE = (".manifest.json", ".work.jsonl")


def load_questions(paths: Sequence[Path]) -> tuple[Question, ...]:
    """Read question files, in the order given; a path given twice is read once.

    They end in .jsonl, .ndjson, .json, .yaml, .yml or .txt.

    Raises:
        QuestionFileError: When anything is wrong with any file; lists every problem as `file:line: problem`.
    """
    outcomes = [outcome for path in dict.fromkeys(paths) for outcome in _read(path)]
    questions, problems = gather(outcomes, lambda question: question.id)
    problems += turn_problems(outcomes)
    if problems:
        headline = f"{count_of(len(problems), 'problem')} in question files:"
        raise QuestionFileError(listing(headline, problems))
    return tuple(questions)


def expand_globs(patterns: Sequence[str], root: Path, what: str = "a question file") -> tuple[Path, ...]:
    """Turn patterns into the files they match.

    Args:
        patterns: File names or globs (`*`, `?`, `[...]`, `**`), relative to `root` or absolute. Hidden files
            are matched only by a pattern that names them.
        root: Folder that relative patterns start from.
        what: What such a file is called.

    Returns:
        The files, sorted within each pattern; a file that several patterns match is given once.

    Raises:
        QuestionFileError: When a pattern matches no file; lists every such pattern.
    """
    matches = {pattern: _matches(pattern, root) for pattern in patterns}
    barren = [pattern for pattern, files in matches.items() if not files]
    if barren:
        headline = f"{count_of(len(barren), 'pattern')} without {what} under {root}:"
        raise QuestionFileError(listing(headline, (_barren(pattern, root) for pattern in barren)))
    return tuple(dict.fromkeys(file for files in matches.values() for file in files))


def _matches(pattern: str, root: Path) -> list[Path]:
    import glob

    if pattern and (root / pattern).is_file():
        return [root / pattern]  # also a file whose name holds brackets
    # Unlike Path.glob it takes absolute patterns and passes hidden files over.
    found = glob.glob(pattern, root_dir=root, recursive=True)  # noqa: PTH207
    return sorted(root / name for name in found if (root / name).is_file() and not name.endswith(BESIDE))


def _barren(pattern: str, root: Path) -> str:
    is_folder = pattern and (root / pattern).is_dir()
    hint = f' (a folder; did you mean "{pattern.rstrip("/")}/*"?)' if is_folder else ""
    return f"{quoted(pattern)}{hint}"


def _text_lines(text: str) -> Entries:
    for number, line in plain_lines(text):
        question = line.strip()
        yield number, {"id": _slug(question), "question": question}


def _slug(question: str, limit: int = 60) -> str:
    """Make an id of a question: its words; a long question is cut and told apart by a hash."""
    words = re.sub(r"[\W_]+", "-", question.casefold()).strip("-")
    if words and len(words) <= limit:
        return words
    digest = hashlib.sha256(question.encode()).hexdigest()[:8]
    return f"{words[:limit].rpartition('-')[0] or words[:limit] or 'question'}-{digest}"


_READERS = readers_for("questions") | {".txt": _text_lines}
SUFFIXES = tuple(_READERS)


def _read(path: Path) -> Iterator[tuple[str, Question | Fault]]:
    """Yield each question of a file, or what is wrong with it, with its place."""
    is_empty = True
    for place, value in read_entries(path, "question files", _READERS):
        is_empty = False
        yield place, value if isinstance(value, Fault) else parse_question(value)
    if is_empty:
        yield display_path(path), Fault(("no questions in it",))


_KEYS = tuple(Question.__dataclass_fields__)
_SOURCE_KEYS = tuple(Source.__dataclass_fields__)


def parse_question(value: object) -> Question | Fault:
    """Return the question that an entry of a question file is, or all that is wrong with the entry."""
    if not isinstance(value, dict):
        return Fault((f"not an object but {kind_name(value)}",))
    problems: list[str] = []
    check_keys(value, _KEYS, problems)
    question = Question(
        id=_parse_id(value, problems),
        question=parse_text(value, "question", problems, is_required=True) or "",
        reference=parse_text(value, "reference", problems),
        sources=parse_objects(value, "sources", "objects", _parse_source, problems),
        tags=_parse_tags(value, problems),
        answerable=_parse_answerable(value, problems),
        thresholds=_parse_thresholds(value, problems),
        provenance=_parse_provenance(value, problems),
        history=parse_history(value, problems),
        conversation=parse_text(value, "conversation", problems),
        turn=parse_whole_number(value, "turn", 1, problems),
    )
    check_place(value, problems)
    return Fault(tuple(problems)) if problems else question


_ID_FORBIDDEN = re.compile(r"\s|\[|\]|::")


def _parse_id(entry: Mapping[str, Any], problems: list[str]) -> str:
    text = parse_text(entry, "id", problems, is_required=True) or ""
    if not may_be_id(text):
        problems.append(
            f'"id" = {quoted(text)} cannot be a test id: no blanks, "[", "]", "::" or control characters'
        )
    return text


def may_be_id(text: str) -> bool:
    """Return whether a text can be the id of a test."""
    return text.isprintable() and not _ID_FORBIDDEN.search(text)


def _parse_tags(entry: Mapping[str, Any], problems: list[str]) -> tuple[str, ...]:
    tags = parse_list(entry, "tags", "texts", problems)
    for number, tag in enumerate(tags):
        problem = text_problem(tag)
        if problem:
            problems.append(f"tags[{number}] {problem}")
    return tuple(tags)


def _parse_answerable(entry: Mapping[str, Any], problems: list[str]) -> bool:
    value = entry.get("answerable")
    if value is None:
        return True
    if not isinstance(value, bool):
        problems.append(f'"answerable" is not true or false but {kind_name(value)} ({short_repr(value)})')
    return bool(value)


def _parse_thresholds(entry: Mapping[str, Any], problems: list[str]) -> tuple[tuple[str, float], ...]:
    value = parse_object(entry, "thresholds", problems) or {}
    parsed: dict[str, float] = {}
    for metric, threshold in value.items():
        name = printable(metric) if isinstance(metric, str) and metric.isprintable() else short_repr(metric)
        if not _is_number(threshold):
            problems.append(f"threshold {name} = {short_repr(threshold)} is not a number")
        elif not 0 <= threshold <= 1:
            problems.append(f"threshold {name} = {short_repr(threshold)} is outside 0..1")
        else:
            parsed[str(metric)] = float(threshold)
    return tuple(sorted(parsed.items()))


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    # Whole numbers may have any length; beyond this they are no floats.
    return abs(value) < 10**300 if isinstance(value, int) else not math.isnan(value)


def _parse_provenance(entry: Mapping[str, Any], problems: list[str]) -> Mapping[str, Any] | None:
    value = parse_object(entry, "provenance", problems)
    if value is not None and not is_json(value):
        problems.append(
            '"provenance" holds a value that JSON cannot hold: NaN, bytes, a set or a key that is no text'
        )
    return value


def is_json(value: object) -> bool:
    """Return whether a value survives JSON unchanged; YAML has more kinds of value."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_json(key) and is_json(member) for key, member in value.items())
    if isinstance(value, list):
        return all(map(is_json, value))
    if isinstance(value, str):
        return is_encodable(value)
    return (
        value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))
    )


def _parse_source(value: Mapping[str, Any], problems: list[str]) -> Source:
    check_keys(value, _SOURCE_KEYS, problems)
    source = Source(
        document=parse_text(value, "document", problems, is_required=True) or "",
        page=parse_whole_number(value, "page", 1, problems),
        start=parse_whole_number(value, "start", 0, problems),
        end=parse_whole_number(value, "end", 0, problems),
        quote=parse_text(value, "quote", problems),
        relevance=parse_number(value, "relevance", 0, problems),
        any_of=parse_text(value, "any_of", problems),
    )
    check_span(source.start, source.end, problems)
    return source
