"""Tables of TOML files: read, and checked against the dataclass that they are to become."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from rag_evals.rag.errors import ConfigError


def read_toml(path: Path, where: str) -> dict[str, Any]:
    """Read a TOML file that messages call `where`.

    Raises:
        ConfigError: It is missing or not TOML.
    """
    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ConfigError(f"{where}: {error.strerror or error}") from error
    except RecursionError as error:
        raise ConfigError(f"{where}: not TOML: nested too deeply") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: not TOML: {error}") from error


def checked(where: str, section: str, table: Mapping[str, Any], into: type) -> dict[str, Any]:
    """Check the keys and types of `table` against the fields of the dataclass `into`; return it as its own.

    Raises:
        ConfigError: One is unknown, or of another type.
    """
    named = [each for each in fields(into) if each.name not in ("name", "llm")]
    defaults = {each.name: {} if each.default is MISSING else each.default for each in named}
    check_keys(where, section, table, defaults)
    return {key: _typed(where, section, key, value, defaults[key]) for key, value in table.items()}


def _typed(where: str, section: str, key: str, value: Any, default: Any) -> Any:
    if (
        isinstance(default, tuple)
        and isinstance(value, list)
        and all(type(v) is int and v > 0 for v in value)
    ):
        return tuple(value)
    if isinstance(default, float) and type(value) in (int, float):
        return float(value)
    if type(value) is type(default):
        return value
    kind = "a list of whole numbers above 0" if isinstance(default, tuple) else f"{_KINDS[type(default)]}"
    raise ConfigError(f"{where}: [{section}] {key} = {value!r}: wants {kind}")


_KINDS = {dict: "a table", bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def check_table(where: str, section: str, table: Any) -> None:
    """Refuse what is no table.

    Raises:
        ConfigError: It is none.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where}: [{section}] is not a table")


def check_keys(where: str, section: str, table: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse keys that are not known, with the nearest of those that are.

    Raises:
        ConfigError: There is one.
    """
    for key in table:
        if key not in known:
            hint = get_close_matches(key, list(known), 1)
            tail = f", did you mean {hint[0]!r}?" if hint else f": known are {', '.join(known)}"
            raise ConfigError(f"{where}: {f'[{section}] ' if section else ''}unknown key {key!r}{tail}")
