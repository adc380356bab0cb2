"""Cells of foreign tables: what stands for nothing, numbers as text, lists as tools print them."""

from __future__ import annotations

import ast
import io
import itertools
import json
import math
import tokenize
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any

from rag_evals.evals.base.messages import quoted
from rag_evals.evals.questions.fields import text_problem

# Above it a float no longer tells one whole number from the next.
_MOST_EXACT = 2**53


def is_nothing(cell: object) -> bool:
    """Return whether a cell says nothing: None, NaN, as pandas has it, or blanks."""
    if isinstance(cell, str):
        return not cell.strip()
    return cell is None or (isinstance(cell, float | Decimal) and math.isnan(cell))


def plain_text(cell: object) -> object:
    """Return a number, a truth or a date as the text that a person would write, anything else as it is.

    Whole numbers of a column with gaps are floats to pandas: they lose the point that it gave them.
    """
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < _MOST_EXACT:
        return str(int(cell))
    if isinstance(cell, float) and not math.isfinite(cell):
        return cell
    return str(cell) if isinstance(cell, int | float | Decimal | date | time) else cell


def parse_answer(entry: Mapping[str, Any], key: str, problems: list[str]) -> str | None:
    """Return the answer under a key, a number as text; None when there is none."""
    cell = entry.get(key)
    if is_nothing(cell):
        return None
    text = plain_text(cell)
    if problem := text_problem(text):
        problems.append(f"{quoted(key)} {problem}")
        return None
    return str(text)


def value_at(row: object, path: str) -> Any:
    """Return what stands at a path such as `answers.text`; of a list each member's, or that of a number."""
    if isinstance(row, Mapping) and path in row:
        return row[path]
    name, dot, rest = path.partition(".")
    if isinstance(row, list) and name.isdecimal():
        value = row[int(name)] if int(name) < len(row) else None
        return value_at(value, rest) if dot else value
    if isinstance(row, list):
        return [value_at(member, path) for member in row]
    if isinstance(row, Mapping) and dot:
        return value_at(row.get(name), rest)
    return None


def paths_of(row: object, before: str = "") -> list[str]:
    """Return the paths of all that a row holds, the parts of an object or of a list of such after itself."""
    if isinstance(row, list):
        return list(dict.fromkeys(path for member in row for path in paths_of(member, before)))
    if not isinstance(row, Mapping):
        return []
    found = []
    for name, value in row.items():
        found += [f"{before}{name}", *paths_of(value, f"{before}{name}.")]
    return found


class RunTogetherError(ValueError):
    """Raised for a list as NumPy prints it: nothing parts its texts, which Python would read as one."""


def parse_cell_list(cell: str) -> list[Any]:
    """Return the list that a cell of a table holds, as JSON or as Python writes it.

    Raises:
        RunTogetherError: It holds a list as NumPy prints it.
        ValueError: It holds no list.
    """
    value = parse_cell(cell)
    if not isinstance(value, list):
        raise ValueError("is not a list")
    return value


def parse_cell(cell: str) -> Any:
    """Return the value that a cell holds, as JSON or as Python prints it.

    Raises:
        RunTogetherError: It holds a list as NumPy prints it.
        ValueError: It is neither.
    """
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        pass
    _check_parted(cell)
    try:
        return _python_value(ast.parse(cell.strip(), mode="eval").body)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError("is not a list, neither in JSON nor in Python") from error


def parse_printed(cell: object) -> object:
    """Return the list or object that a text is the print of, any other cell as it is.

    Raises:
        RunTogetherError: It is a list as NumPy prints it.
    """
    if not (isinstance(cell, str) and cell.lstrip().startswith(("[", "{"))):
        return cell
    try:
        return parse_cell(cell.strip())
    except RunTogetherError:
        raise
    except ValueError:
        return cell  # a text may begin with a bracket


def _check_parted(cell: str) -> None:
    """Refuse members that stand side by side, from the opening bracket on: texts would become one."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(cell).readline))
    except (tokenize.TokenError, SyntaxError, ValueError):
        return
    tokens = [token for token in tokens if token.type not in (tokenize.NL, tokenize.NEWLINE)]
    if [token.string for token in tokens[:1]] != ["["]:
        return
    is_text, is_object = tokens[1].type == tokenize.STRING, tokens[1].string == "{"
    if (is_text or is_object) and any(token.string == "..." for token in tokens):
        raise RunTogetherError(
            'is a list that NumPy cut short ("..."): passages are missing; write it as JSON'
        )
    for first, second in itertools.pairwise(tokens if is_text or is_object else ()):
        if first.type == second.type == tokenize.STRING:
            if first.end == second.start:
                raise RunTogetherError("is a list with doubled quotes in its texts; write it as JSON")
            raise RunTogetherError(_UNPARTED)
        if (first.string, second.string) == ("}", "{"):
            raise RunTogetherError(_UNPARTED)


_UNPARTED = "is a list as NumPy prints it, without commas; write it as JSON"


def _python_value(node: ast.expr) -> Any:
    """Return a literal's value; `nan` is None, and `array([...], dtype=object)` its list."""
    match node:
        case ast.List(elts=members) | ast.Tuple(elts=members):
            return [_python_value(member) for member in members]
        case ast.Dict(keys=keys, values=values):
            return {
                ast.literal_eval(key or node): _python_value(value)
                for key, value in zip(keys, values, strict=True)
            }
        case ast.Name(id="nan" | "null" | "NaN" | "NaT"):
            return None
        case ast.Call(func=ast.Name(id="array"), args=[first, *_]):
            return _python_value(first)
    return ast.literal_eval(node)
