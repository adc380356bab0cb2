"""Files to raw entries with their lines, and the readers of an entry's fields.

Question files and label files are both read with it, so that both are refused in the same words. A reader
of a field appends what is wrong to a list of problems and goes on: one error then lists every problem.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

# Names that are given before the rest is only counted.
NAMED = 10

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one line, entry or file."""

    problems: tuple[str, ...]


Entries = Iterator[tuple[int, Any]]  # line (0: the file as a whole), and its value or a Fault
Reader = Callable[[str], Entries]


def readers_for(members: str) -> dict[str, Reader]:
    """Give the readers of JSON Lines, JSON and YAML by suffix; a JSON or YAML file is a list of `members`."""
    json_list, yaml_list = partial(_json_list, members=members), partial(_yaml_list, members=members)
    return {
        ".jsonl": _json_lines,
        ".ndjson": _json_lines,
        ".json": json_list,
        ".yaml": yaml_list,
        ".yml": yaml_list,
    }


def read_entries(path: Path, files: str, readers: Mapping[str, Reader]) -> Iterator[tuple[str, Any]]:
    """Yield every entry of a file with its place.

    Args:
        path: The file.
        files: What such files are called.
        readers: What reads a file's text, by suffix.

    Yields:
        `file:line`, or `file` for what concerns it as a whole, and the entry's value or a Fault.
    """
    name = shown(path)
    for line, value in _entries(path, files, readers):
        yield (f"{name}:{line}" if line else name), value


def gather(outcomes: Iterable[tuple[str, T | Fault]], id_of: Callable[[T], str]) -> tuple[list[T], list[str]]:
    """Part what was read from what is wrong, as `place: problem`; an id that stands twice is a problem."""
    read: list[T] = []
    problems: list[str] = []
    places: dict[str, str] = {}
    for place, outcome in outcomes:
        if isinstance(outcome, Fault):
            problems += [f"{place}: {problem}" for problem in outcome.problems]
        elif (name := id_of(outcome)) in places:
            problems.append(f"{place}: duplicate id {quoted(name)} (first at {places[name]})")
        else:
            places[name] = place
            read.append(outcome)
    return read, problems


def _entries(path: Path, files: str, readers: Mapping[str, Reader]) -> Entries:
    reader = readers.get(path.suffix.lower())
    if reader is None:
        yield 0, Fault((f'unknown suffix "{path.suffix}"; {files} end in {", ".join(readers)}',))
        return
    try:
        data = path.read_bytes()
        text = data.decode("utf-8").removeprefix("\ufeff")
    except OSError as error:
        yield 0, Fault((_os_problem(error),))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        yield line, Fault((f"not UTF-8 text (byte 0x{data[error.start]:02X} at {error.start})",))
    else:
        yield from reader(text)


def _os_problem(error: OSError) -> str:
    return "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"


# --- what a file holds ---


def plain_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that are neither blank nor comments; str.splitlines would also split at U+2028."""
    for number, line in enumerate(text.split("\n"), start=1):
        if (stripped := line.strip()) and not stripped.startswith(("//", "#")):
            yield number, line.removesuffix("\r")


def _json_lines(text: str) -> Entries:
    decoder = _strict_decoder()
    for number, line in plain_lines(text):
        try:
            yield number, decoder.decode(line)
        except (ValueError, RecursionError) as error:
            yield number, Fault((_json_problem(error),))


def _json_list(text: str, members: str) -> Entries:
    """Yield the entries of a JSON list, decoded one by one so that each has its line."""
    decoder = _strict_decoder()
    start = _past_blanks(text, 0)
    line, counted_to = text.count("\n", 0, start) + 1, start
    if text[start:] and text[start] != "[":
        yield line, Fault((f"not a list of {members}",))
        return
    try:
        position, has_more = _first_item(text, start)
        while has_more:
            line, counted_to = line + text.count("\n", counted_to, position), position
            value, end = _json_item(decoder, text, position)
            yield line, value
            position, has_more = _next_item(text, end)
    except json.JSONDecodeError as error:
        yield error.lineno, Fault((_json_problem(error),))


def _json_item(decoder: json.JSONDecoder, text: str, position: int) -> tuple[Any, int]:
    """Return an item and where it ends; one that is refused for its values does not hide those behind it."""
    try:
        return decoder.raw_decode(text, position)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        problem = _json_problem(error)
    try:
        return Fault((problem,)), json.JSONDecoder().raw_decode(text, position)[1]
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
        raise ValueError(f"key {quoted(twice)} is given twice")
    return entry


def _first_line(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error).partition("\n")[0]


def _yaml_list(text: str, members: str) -> Entries:
    import yaml

    try:
        loader = _yaml_loader()(text)
        node = loader.get_single_node()
    except yaml.YAMLError as error:
        yield _yaml_fault(error)
    except RecursionError as error:
        yield 0, Fault((_first_line(error),))
    else:
        if isinstance(node, yaml.SequenceNode):
            yield from (_yaml_entry(loader, item) for item in node.value)
        elif node is not None:
            yield node.start_mark.line + 1, Fault((f"not a list of {members}",))


def _yaml_entry(loader: Any, node: Any) -> tuple[int, Any]:
    import yaml

    line = node.start_mark.line + 1
    try:
        return line, loader.construct_object(node, deep=True)
    except yaml.YAMLError as error:
        return _yaml_fault(error)
    except (ValueError, RecursionError) as error:
        return line, Fault((_first_line(error),))


def _yaml_fault(error: Exception) -> tuple[int, Fault]:
    """Say what a YAML error says, in one line; a control character comes with a position and no mark."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or _first_line(error)
    if mark is None:
        return 0, Fault((f"invalid YAML: {problem}",))
    return mark.line + 1, Fault((f"invalid YAML at column {mark.column + 1}: {problem}",))


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
                    problem = f"key {quoted(key.value)} is given twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    return Loader


# --- fields of an entry ---


def check_keys(entry: Mapping[Any, Any], known: Sequence[str], problems: list[str]) -> None:
    """Name every key that is neither known nor begins with `x-`, with the known one it may be meant for."""
    for key in entry:
        if not isinstance(key, str):
            problems.append(f"key {told(key)} is not text but {kind_of(key)}")
        elif key not in known and not key.startswith("x-"):
            problems.append(f"unknown key {quoted(key)}{_hint(key, known)}")


def _hint(key: str, known: Sequence[str]) -> str:
    import difflib

    close = difflib.get_close_matches(key.lower(), known, n=1)
    return f' (did you mean "{close[0]}"?)' if close else f"; known are {', '.join(known)}"


def parse_text(
    entry: Mapping[str, Any],
    key: str,
    problems: list[str],
    *,
    is_required: bool = False,
    may_be_blank: bool = False,
) -> str | None:
    """Return the text under a key, None when there is none; blank text is a problem unless allowed."""
    value = entry.get(key)
    if value is None:
        if is_required:
            problems.append(f'missing "{key}"')
        return None
    problem = text_problem(value, may_be_blank=may_be_blank)
    if problem:
        problems.append(f'"{key}" {problem}')
        return None
    return str(value)


def text_problem(value: object, *, may_be_blank: bool = False) -> str | None:
    """Say what keeps a value from being a text, None when it is one."""
    if not isinstance(value, str):
        return f"is not text but {kind_of(value)} ({told(value)})"
    if not (may_be_blank or value.strip()):
        return "is empty"
    return None if is_encodable(value) else "holds half of a surrogate pair, which is no character"


def is_encodable(text: str) -> bool:
    """Tell whether a text can be written as UTF-8; half of a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_list(entry: Mapping[str, Any], key: str, members: str, problems: list[str]) -> list[Any]:
    """Return the list under a key, an empty one when there is none; its members are not looked at."""
    value = entry.get(key)
    if value is None or isinstance(value, list):
        return value or []
    problems.append(f'"{key}" is not a list of {members} but {kind_of(value)} ({told(value)})')
    return []


def parse_object(entry: Mapping[str, Any], key: str, problems: list[str]) -> dict[Any, Any] | None:
    """Return the object under a key, None when there is none; its members are not looked at."""
    value = entry.get(key)
    if value is None or isinstance(value, dict):
        return value
    problems.append(f'"{key}" is not an object but {kind_of(value)} ({told(value)})')
    return None


def parse_whole_number(entry: Mapping[str, Any], key: str, least: int, problems: list[str]) -> int | None:
    """Return the whole number under a key, None when there is none; one below `least` is a problem."""
    value = entry.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        problems.append(f'"{key}" is not a whole number but {kind_of(value)} ({told(value)})')
    elif value < least:
        problems.append(f'"{key}" = {value} is below {least}')
    else:
        return value
    return None


def check_span(start: int | None, end: int | None, problems: list[str]) -> None:
    """Name a span of characters that ends before it begins."""
    if start is not None and end is not None and end < start:
        problems.append(f'"end" = {end} is before "start" = {start}')


# --- words for messages ---


def listing(headline: str, entries: Iterable[str]) -> str:
    """Give a message: the headline, and one indented line an entry."""
    return "\n".join([headline, *(f"  {entry}" for entry in entries)])


def counted(count: int, noun: str) -> str:
    """Give a count and its noun, in the plural unless it is 1."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def few(names: Collection[str]) -> str:
    """Name the first of them, and how many more there are."""
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"{', '.join(islice(names, NAMED))}{more}"


def shown(path: Path) -> str:
    """Return a path as people would type it here."""
    here = Path.cwd()
    return (path.relative_to(here) if path.is_relative_to(here) else path).as_posix()


def kind_of(value: object) -> str:
    """Name the kind of a value as the author of a file knows it."""
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "an object",
    }
    return "null" if value is None else names.get(type(value), f"a {type(value).__name__}")


def told(value: object, limit: int = 40) -> str:
    """Write a value as the file has it, cut to a readable length."""
    if isinstance(value, str) and len(value) <= limit:
        return quoted(value)
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        text = ascii(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def quoted(text: str) -> str:
    """Quote a text; one that could upset a terminal is escaped."""
    return f'"{text}"' if text.isprintable() else json.dumps(text)
