"""Question files to questions: JSON Lines, JSON, YAML, or plain text with one question a line.

All files are read before anything is said: one error lists every problem with its file and line.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evals.errors import QuestionFileError

SUFFIXES = (".jsonl", ".ndjson", ".json", ".yaml", ".yml", ".txt")


@dataclass(frozen=True, slots=True)
class Source:
    """Where the answer to a question stands.

    Attributes:
        document: Name of the document, as the corpus has it.
        page: Page, counted from 1.
        start: Offset of the first character in the document's text.
        end: Offset behind the last character.
        quote: The words themselves.
    """

    document: str
    page: int | None = None
    start: int | None = None
    end: int | None = None
    quote: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a question file; curated and generated questions look alike.

    Attributes:
        id: Unique over all files of a run, and fit to be a pytest id.
        question: The text that is asked.
        reference: The answer that would be right.
        sources: Where that answer stands.
        tags: Words to select and group by.
        answerable: False when the right answer is that the documents do not say.
        thresholds: Pairs of metric and threshold that overrule the run's own, sorted by metric; pairs, as a
            mapping could be changed, or not be hashed and pickled. See `threshold_for`.
        provenance: How the question came to be, as the file says it; not to be changed.
    """

    id: str
    question: str
    reference: str | None = None
    sources: tuple[Source, ...] = ()
    tags: tuple[str, ...] = ()
    answerable: bool = True
    thresholds: tuple[tuple[str, float], ...] = ()
    provenance: Mapping[str, Any] | None = field(default=None, hash=False)

    def threshold_for(self, metric: str) -> float | None:
        """Return this question's own threshold for a metric, None when it has none."""
        return dict(self.thresholds).get(metric)


def load_questions(paths: Sequence[Path]) -> tuple[Question, ...]:
    """Read question files, in the order given; a path given twice is read once.

    Args:
        paths: Files ending in .jsonl, .ndjson, .json, .yaml, .yml or .txt.

    Returns:
        The questions in the order of the files and their lines.

    Raises:
        QuestionFileError: When anything is wrong with any file; lists every problem as `file:line: problem`.
    """
    questions: list[Question] = []
    problems: list[str] = []
    places: dict[str, str] = {}
    for path in dict.fromkeys(paths):
        shown = _shown(path)
        for line, outcome in _read(path):
            place = f"{shown}:{line}" if line else shown
            if isinstance(outcome, _Fault):
                problems += [f"{place}: {text}" for text in outcome.problems]
            elif outcome.id in places:
                problems.append(f'{place}: duplicate id "{outcome.id}" (first at {places[outcome.id]})')
            else:
                places[outcome.id] = place
                questions.append(outcome)
    if problems:
        raise QuestionFileError(
            _listing(f"{_counted(len(problems), 'problem')} in question files:", problems)
        )
    return tuple(questions)


def expand_globs(patterns: Sequence[str], root: Path) -> tuple[Path, ...]:
    """Turn patterns into the files they match.

    Args:
        patterns: File names or globs (`*`, `?`, `[...]`, `**`), relative to `root` or absolute. Hidden files
            are matched only by a pattern that names them.
        root: Folder that relative patterns start from.

    Returns:
        The files, sorted within each pattern; a file that several patterns match is given once.

    Raises:
        QuestionFileError: When a pattern matches no file; lists every such pattern.
    """
    matches = {pattern: _matches(pattern, root) for pattern in patterns}
    barren = [pattern for pattern, files in matches.items() if not files]
    if barren:
        headline = f"{_counted(len(barren), 'pattern')} without a question file under {root}:"
        raise QuestionFileError(_listing(headline, (_barren(pattern, root) for pattern in barren)))
    return tuple(dict.fromkeys(file for files in matches.values() for file in files))


def _matches(pattern: str, root: Path) -> list[Path]:
    import glob

    if pattern and (root / pattern).is_file():
        return [root / pattern]  # also a file whose name holds brackets
    # Unlike Path.glob it takes absolute patterns and passes hidden files over.
    found = glob.glob(pattern, root_dir=root, recursive=True)  # noqa: PTH207
    return sorted(root / name for name in found if (root / name).is_file())


def _barren(pattern: str, root: Path) -> str:
    is_folder = pattern and (root / pattern).is_dir()
    hint = f' (a folder; did you mean "{pattern.rstrip("/")}/*"?)' if is_folder else ""
    return f"{_quoted(pattern)}{hint}"


def _listing(headline: str, entries: Iterable[str]) -> str:
    return "\n".join([headline, *(f"  {entry}" for entry in entries)])


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _shown(path: Path) -> str:
    """Return a path as people would type it here."""
    here = Path.cwd()
    return (path.relative_to(here) if path.is_relative_to(here) else path).as_posix()


# --- files to raw entries ---


@dataclass(frozen=True, slots=True)
class _Fault:
    """What is wrong with one line, entry or file."""

    problems: tuple[str, ...]


_Entries = Iterator[tuple[int, Any]]  # line (0: the file as a whole), and its value or a _Fault


def _read(path: Path) -> Iterator[tuple[int, Question | _Fault]]:
    """Yield each question of a file, or what is wrong with it, with its line."""
    is_empty = True
    for line, value in _entries(path):
        is_empty = False
        yield line, value if isinstance(value, _Fault) else _parse_question(value)
    if is_empty:
        yield 0, _Fault(("no questions in it",))


def _entries(path: Path) -> _Entries:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(SUFFIXES)
        yield 0, _Fault((f'unknown suffix "{path.suffix}"; question files end in {known}',))
        return
    try:
        data = path.read_bytes()
        text = data.decode("utf-8").removeprefix("\ufeff")
    except OSError as error:
        yield 0, _Fault((_os_problem(error),))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        yield line, _Fault((f"not UTF-8 text (byte 0x{data[error.start]:02X} at {error.start})",))
    else:
        yield from reader(text)


def _os_problem(error: OSError) -> str:
    return "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"


def _plain_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that are neither blank nor comments; str.splitlines would also split at U+2028."""
    for number, line in enumerate(text.split("\n"), start=1):
        if (stripped := line.strip()) and not stripped.startswith(("//", "#")):
            yield number, line.removesuffix("\r")


def _json_lines(text: str) -> _Entries:
    decoder = _strict_decoder()
    for number, line in _plain_lines(text):
        try:
            yield number, decoder.decode(line)
        except (ValueError, RecursionError) as error:
            yield number, _Fault((_json_problem(error),))


def _json_list(text: str) -> _Entries:
    """Yield the entries of a JSON list, decoded one by one so that each has its line."""
    decoder = _strict_decoder()
    start = _past_blanks(text, 0)
    line, counted_to = text.count("\n", 0, start) + 1, start
    if text[start:] and text[start] != "[":
        yield line, _Fault(("not a list of questions",))
        return
    try:
        position, has_more = _first_item(text, start)
        while has_more:
            line, counted_to = line + text.count("\n", counted_to, position), position
            value, end = _json_item(decoder, text, position)
            yield line, value
            position, has_more = _next_item(text, end)
    except json.JSONDecodeError as error:
        yield error.lineno, _Fault((_json_problem(error),))


def _json_item(decoder: json.JSONDecoder, text: str, position: int) -> tuple[Any, int]:
    """Return an item and where it ends; one that is refused for its values does not hide those behind it."""
    try:
        return decoder.raw_decode(text, position)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        problem = _json_problem(error)
    try:
        return _Fault((problem,)), json.JSONDecoder().raw_decode(text, position)[1]
    except (ValueError, RecursionError) as error:
        raise json.JSONDecodeError(problem, text, position) from error


def _first_item(text: str, start: int) -> tuple[int, bool]:
    """Return where the first item of a JSON list begins and True, or False when there is none."""
    if not text[start:]:
        return start, False
    position = _past_blanks(text, start + 1)
    return _next_item(text, position) if text[position : position + 1] == "]" else (position, True)


def _next_item(text: str, end: int) -> tuple[int, bool]:
    """Return where the next item of a JSON list begins and True, or False when the list has ended."""
    position = _past_blanks(text, end)
    if text[position : position + 1] == ",":
        return _past_blanks(text, position + 1), True
    if text[position : position + 1] != "]":
        raise json.JSONDecodeError("Expecting ',' delimiter", text, position)
    rest = _past_blanks(text, position + 1)
    if text[rest:]:
        raise json.JSONDecodeError("Extra data", text, rest)
    return rest, False


def _json_problem(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"invalid JSON at column {error.colno}: {error.msg}"
    return _first_line(error)


_JSON_BLANKS = re.compile(r"[ \t\r\n]*")


def _past_blanks(text: str, position: int) -> int:
    blanks = _JSON_BLANKS.match(text, position)
    return blanks.end() if blanks else position


def _strict_decoder() -> json.JSONDecoder:
    """Return a decoder that also refuses NaN, Infinity, numbers beyond a float, and keys given twice."""
    return json.JSONDecoder(
        parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_object_of
    )


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON; leave the value out")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits} is too large for a number")
    return value


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entry = dict(pairs)
    if len(entry) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {_quoted(twice)} is given twice")
    return entry


def _first_line(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error).partition("\n")[0]


def _yaml_list(text: str) -> _Entries:
    import yaml

    try:
        loader = _yaml_loader()(text)
        node = loader.get_single_node()
    except yaml.YAMLError as error:
        yield _yaml_fault(error)
    except RecursionError as error:
        yield 0, _Fault((_first_line(error),))
    else:
        if isinstance(node, yaml.SequenceNode):
            yield from (_yaml_entry(loader, item) for item in node.value)
        elif node is not None:
            yield node.start_mark.line + 1, _Fault(("not a list of questions",))


def _yaml_entry(loader: Any, node: Any) -> tuple[int, Any]:
    import yaml

    line = node.start_mark.line + 1
    try:
        return line, loader.construct_object(node, deep=True)
    except yaml.YAMLError as error:
        return _yaml_fault(error)
    except (ValueError, RecursionError) as error:
        return line, _Fault((_first_line(error),))


def _yaml_fault(error: Exception) -> tuple[int, _Fault]:
    """Say what a YAML error says, in one line; a control character comes with a position and no mark."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or _first_line(error)
    if mark is None:
        return 0, _Fault((f"invalid YAML: {problem}",))
    return mark.line + 1, _Fault((f"invalid YAML at column {mark.column + 1}: {problem}",))


def _yaml_loader() -> type[Any]:
    """Return a safe loader that leaves dates as text, as JSON does, and refuses keys given twice."""
    import yaml

    base: Any = getattr(
        yaml, "CSafeLoader", yaml.SafeLoader
    )  # libyaml: ten times as fast, where it is built in

    class Loader(base):  # type: ignore[misc]
        yaml_implicit_resolvers = {  # noqa: RUF012 -- the name and shape are PyYAML's
            first: [(tag, form) for tag, form in resolvers if tag != "tag:yaml.org,2002:timestamp"]
            for first, resolvers in base.yaml_implicit_resolvers.items()
        }

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen: set[str] = set()
            for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
                if key.value in seen:
                    problem = f"key {_quoted(key.value)} is given twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    return Loader


def _text_lines(text: str) -> _Entries:
    for number, line in _plain_lines(text):
        question = line.strip()
        yield number, {"id": _slug(question), "question": question}


def _slug(question: str, limit: int = 60) -> str:
    """Make an id of a question: its words; a long question is cut and told apart by a hash."""
    words = re.sub(r"[\W_]+", "-", question.casefold()).strip("-")
    if words and len(words) <= limit:
        return words
    digest = hashlib.sha256(question.encode()).hexdigest()[:8]
    return f"{words[:limit].rpartition('-')[0] or words[:limit] or 'question'}-{digest}"


_READERS: Mapping[str, Callable[[str], _Entries]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json_list,
    ".yaml": _yaml_list,
    ".yml": _yaml_list,
    ".txt": _text_lines,
}


# --- raw entries to questions ---

_KEYS = tuple(Question.__dataclass_fields__)
_SOURCE_KEYS = tuple(Source.__dataclass_fields__)


def _parse_question(value: object) -> Question | _Fault:
    if not isinstance(value, dict):
        return _Fault((f"not an object but {_kind(value)}",))
    problems: list[str] = []
    _check_keys(value, _KEYS, problems)
    question = Question(
        id=_parse_id(value, problems),
        question=_text(value, "question", problems, is_required=True) or "",
        reference=_text(value, "reference", problems),
        sources=_parse_sources(value, problems),
        tags=_parse_tags(value, problems),
        answerable=_parse_answerable(value, problems),
        thresholds=_parse_thresholds(value, problems),
        provenance=_parse_provenance(value, problems),
    )
    return _Fault(tuple(problems)) if problems else question


def _check_keys(entry: Mapping[Any, Any], known: Sequence[str], problems: list[str]) -> None:
    for key in entry:
        if not isinstance(key, str):
            problems.append(f"key {_told(key)} is not text but {_kind(key)}")
        elif key not in known and not key.startswith("x-"):
            problems.append(f"unknown key {_quoted(key)}{_hint(key, known)}")


def _hint(key: str, known: Sequence[str]) -> str:
    import difflib

    close = difflib.get_close_matches(key.lower(), known, n=1)
    return f' (did you mean "{close[0]}"?)' if close else f"; known are {', '.join(known)}"


_ID_FORBIDDEN = re.compile(r"\s|\[|\]|::")


def _parse_id(entry: Mapping[str, Any], problems: list[str]) -> str:
    text = _text(entry, "id", problems, is_required=True) or ""
    if not text.isprintable() or _ID_FORBIDDEN.search(text):
        problems.append(
            f'"id" = {_quoted(text)} cannot be a test id: no blanks, "[", "]", "::" or control characters'
        )
    return text


def _text(
    entry: Mapping[str, Any], key: str, problems: list[str], *, is_required: bool = False
) -> str | None:
    """Return the text under a key, None when there is none; blank text is a problem."""
    value = entry.get(key)
    if value is None:
        if is_required:
            problems.append(f'missing "{key}"')
        return None
    problem = _text_problem(value)
    if problem:
        problems.append(f'"{key}" {problem}')
        return None
    return str(value)


def _text_problem(value: object) -> str | None:
    if not isinstance(value, str):
        return f"is not text but {_kind(value)} ({_told(value)})"
    if not value.strip():
        return "is empty"
    return None if _is_encodable(value) else "holds half of a surrogate pair, which is no character"


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parse_tags(entry: Mapping[str, Any], problems: list[str]) -> tuple[str, ...]:
    tags = _list(entry, "tags", "texts", problems)
    for number, tag in enumerate(tags):
        problem = _text_problem(tag)
        if problem:
            problems.append(f"tags[{number}] {problem}")
    return tuple(tags)


def _list(entry: Mapping[str, Any], key: str, members: str, problems: list[str]) -> list[Any]:
    value = entry.get(key)
    if value is None or isinstance(value, list):
        return value or []
    problems.append(f'"{key}" is not a list of {members} but {_kind(value)} ({_told(value)})')
    return []


def _parse_answerable(entry: Mapping[str, Any], problems: list[str]) -> bool:
    value = entry.get("answerable")
    if value is None:
        return True
    if not isinstance(value, bool):
        problems.append(f'"answerable" is not true or false but {_kind(value)} ({_told(value)})')
    return bool(value)


def _parse_thresholds(entry: Mapping[str, Any], problems: list[str]) -> tuple[tuple[str, float], ...]:
    value = _object(entry, "thresholds", problems) or {}
    parsed: dict[str, float] = {}
    for metric, threshold in value.items():
        name = metric if isinstance(metric, str) and metric.isprintable() else _told(metric)
        if not _is_number(threshold):
            problems.append(f"threshold {name} = {_told(threshold)} is not a number")
        elif not 0 <= threshold <= 1:
            problems.append(f"threshold {name} = {_told(threshold)} is outside 0..1")
        else:
            parsed[str(metric)] = float(threshold)
    return tuple(sorted(parsed.items()))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _object(entry: Mapping[str, Any], key: str, problems: list[str]) -> dict[Any, Any] | None:
    value = entry.get(key)
    if value is None or isinstance(value, dict):
        return value
    problems.append(f'"{key}" is not an object but {_kind(value)} ({_told(value)})')
    return None


def _parse_provenance(entry: Mapping[str, Any], problems: list[str]) -> Mapping[str, Any] | None:
    value = _object(entry, "provenance", problems)
    if value is not None and not _is_json(value):
        problems.append(
            '"provenance" holds a value that JSON cannot hold: NaN, bytes, a set or a key that is no text'
        )
    return value


def _is_json(value: object) -> bool:
    """Tell whether a value survives JSON unchanged; YAML has more kinds of value."""
    if isinstance(value, dict):
        return all(
            isinstance(key, str) and _is_json(key) and _is_json(member) for key, member in value.items()
        )
    if isinstance(value, list):
        return all(map(_is_json, value))
    if isinstance(value, str):
        return _is_encodable(value)
    return (
        value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))
    )


def _parse_sources(entry: Mapping[str, Any], problems: list[str]) -> tuple[Source, ...]:
    sources = []
    for number, value in enumerate(_list(entry, "sources", "objects", problems)):
        found: list[str] = []
        sources.append(_parse_source(value, found))
        problems += [f"sources[{number}]: {problem}" for problem in found]
    return tuple(sources)


def _parse_source(value: object, problems: list[str]) -> Source:
    if not isinstance(value, dict):
        problems.append(f"not an object but {_kind(value)} ({_told(value)})")
        return Source("")
    _check_keys(value, _SOURCE_KEYS, problems)
    source = Source(
        document=_text(value, "document", problems, is_required=True) or "",
        page=_whole_number(value, "page", 1, problems),
        start=_whole_number(value, "start", 0, problems),
        end=_whole_number(value, "end", 0, problems),
        quote=_text(value, "quote", problems),
    )
    if source.start is not None and source.end is not None and source.end < source.start:
        problems.append(f'"end" = {source.end} is before "start" = {source.start}')
    return source


def _whole_number(entry: Mapping[str, Any], key: str, least: int, problems: list[str]) -> int | None:
    value = entry.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        problems.append(f'"{key}" is not a whole number but {_kind(value)} ({_told(value)})')
    elif value < least:
        problems.append(f'"{key}" = {value} is below {least}')
    else:
        return value
    return None


def _kind(value: object) -> str:
    """Name the kind of a value as a question file's author knows it."""
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "an object",
    }
    return "null" if value is None else names.get(type(value), f"a {type(value).__name__}")


def _told(value: object, limit: int = 40) -> str:
    """Write a value as a question file would, cut to a readable length."""
    if isinstance(value, str) and len(value) <= limit:
        return _quoted(value)
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        text = ascii(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _quoted(text: str) -> str:
    """Quote a text; one that could upset a terminal is escaped."""
    return f'"{text}"' if text.isprintable() else json.dumps(text)
