"""Files to raw entries with their lines, and the readers of an entry's fields.

Question files and label files are both read with it, so that both are refused in the same words. A reader
of a field appends what is wrong to a list of problems and goes on: one error then lists every problem.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from rag_evals.evals.base.bounds import bounded, check_yaml
from rag_evals.evals.base.files import read_plain
from rag_evals.evals.base.messages import display_path, quoted

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one line, entry or file."""

    problems: tuple[str, ...]


Entries = Iterator[tuple[int, Any]]  # line (0: the file as a whole), and its value or a Fault
EntryReader = Callable[[str], Entries]


def readers_for(members: str, *, nan: bool = False) -> dict[str, EntryReader]:
    """Return readers of JSON Lines, JSON and YAML by suffix; a JSON or YAML file is a list of `members`.

    With `nan` a NaN, which other tools write for what is missing, is null; else it is refused.
    """
    decoder = strict_decoder(nan=nan)
    json_lines = partial(_json_lines, decoder=decoder)
    json_list = partial(_json_list, members=members, decoder=decoder)
    yaml_list = partial(_yaml_list, members=members)
    return {
        ".jsonl": json_lines,
        ".ndjson": json_lines,
        ".json": json_list,
        ".yaml": yaml_list,
        ".yml": yaml_list,
    }


def read_entries(path: Path, files: str, readers: Mapping[str, EntryReader]) -> Iterator[tuple[str, Any]]:
    """Yield every entry of a file with its place.

    Args:
        path: The file.
        files: What such files are called.
        readers: What reads a file's text, by suffix.

    Yields:
        `file:line`, or `file` for what concerns it as a whole, and the entry's value or a Fault.
    """
    name = display_path(path)
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


def _entries(path: Path, files: str, readers: Mapping[str, EntryReader]) -> Entries:
    reader = readers.get(path.suffix.lower())
    if reader is None:
        yield 0, Fault((f'unknown suffix "{path.suffix}"; {files} end in {", ".join(readers)}',))
        return
    try:
        data = read_plain(path)
        text = data.decode("utf-8").removeprefix("\ufeff")
    except OSError as error:
        yield 0, Fault((os_problem(error),))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        yield line, Fault((f"not UTF-8 text (byte 0x{data[error.start]:02X} at {error.start})",))
    else:
        yield from reader(text)


def os_problem(error: OSError) -> str:
    """Return why a file cannot be read."""
    return "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"


def plain_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that are neither blank nor comments; str.splitlines would also split at U+2028."""
    for number, line in enumerate(text.split("\n"), start=1):
        if (stripped := line.strip()) and not stripped.startswith(("//", "#")):
            yield number, line.removesuffix("\r")


def _json_lines(text: str, decoder: json.JSONDecoder) -> Entries:
    for number, line in plain_lines(text):
        try:
            yield number, bounded(decoder.decode(line))
        except (ValueError, RecursionError) as error:
            yield number, Fault((json_problem(error),))


def _json_list(text: str, members: str, decoder: json.JSONDecoder) -> Entries:
    """Yield the entries of a JSON list, decoded one by one so that each has its line."""
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
        yield error.lineno, Fault((json_problem(error),))


def _json_item(decoder: json.JSONDecoder, text: str, position: int) -> tuple[Any, int]:
    """Return an item and where it ends; one that is refused for its values does not hide those behind it."""
    try:
        value, end = decoder.raw_decode(text, position)
        return bounded(value), end
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        problem = json_problem(error)
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


def json_problem(error: Exception) -> str:
    """Return why a text is no JSON, or none that is taken."""
    if isinstance(error, json.JSONDecodeError):
        return f"invalid JSON at column {error.colno}: {error.msg}"
    return _first_line(error)


_JSON_BLANKS = re.compile(r"[ \t\r\n]*")


def _past_blanks(text: str, position: int) -> int:
    blanks = _JSON_BLANKS.match(text, position)
    return blanks.end() if blanks else position


def strict_decoder(*, nan: bool = False) -> json.JSONDecoder:
    """Return a decoder that also refuses Infinity, numbers beyond a float, keys given twice, and NaN.

    With `nan` a NaN is None.
    """
    return json.JSONDecoder(
        parse_constant=partial(_constant, nan=nan), parse_float=_finite, object_pairs_hook=_object_of
    )


def _constant(name: str, *, nan: bool) -> None:
    if nan and name == "NaN":
        return
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
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if "integer string conversion" in str(error):
        return "a whole number has more than 4,300 digits"
    return str(error).partition("\n")[0]


def _yaml_list(text: str, members: str) -> Entries:
    import yaml

    try:
        check_yaml(yaml.parse(text, yaml_loader()))
        loader = yaml_loader()(text)
        node = loader.get_single_node()
    except yaml.YAMLError as error:
        yield _yaml_fault(error)
    except (ValueError, RecursionError) as error:
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
    """Return what a YAML error says, in one line; a control character comes with a position and no mark."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or _first_line(error)
    if mark is None:
        return 0, Fault((f"invalid YAML: {problem}",))
    return mark.line + 1, Fault((f"invalid YAML at column {mark.column + 1}: {problem}",))


def yaml_loader() -> type[Any]:
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
