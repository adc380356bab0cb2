"""Prices of hosted models: a small table that comes with the package, and one's own over it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any

from rag_evals.rag.answer import Tokens
from rag_evals.rag.config.tables import read_toml
from rag_evals.rag.errors import ConfigError

MILLION = 1_000_000

_DATE_SUFFIX = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8})$")


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs, in USD per million tokens.

    Attributes:
        input: Tokens of the prompt that were read anew.
        cached_input: Tokens of the prompt that the server found in its cache.
        output: Tokens that were written, thoughts included.
        as_of: The day for which this was known to be so.
        source: Where it is published.
    """

    input: float
    cached_input: float
    output: float
    as_of: date
    source: str

    def cost(self, tokens: Tokens) -> float:
        """Return the cost of `tokens` in USD."""
        cost = tokens.evaluated * self.input
        cost += tokens.reused * self.cached_input
        cost += tokens.generated * self.output
        return cost / MILLION


def load_prices(path: Path | None = None) -> dict[str, Price]:
    """Read the prices that come with the package, by model name; those in the TOML file `path` win.

    The file has a table `[models."NAME"]` with every field of `Price` for each model.

    Raises:
        ConfigError: The file is missing or not TOML, or a key or value in it is wrong.
    """
    bundled = _prices("prices.toml", Path(__file__).with_name("prices.toml"))
    return {**bundled, **_prices(str(path), path)} if path else bundled


def price_of(model: str, table: Mapping[str, Price]) -> Price | None:
    """Return the price of a model, or of its name without a date at the end; None if neither is known."""
    return table.get(model) or table.get(_DATE_SUFFIX.sub("", model))


def _prices(where: str, path: Path) -> dict[str, Price]:
    table = read_toml(path, where)
    for key in table:
        if key != "models":
            raise ConfigError(f'{where}: unknown key {key!r}: prices are in tables [models."NAME"]')
    models = table.get("models", {})
    if not isinstance(models, dict) or not models:
        raise ConfigError(f'{where}: no [models."NAME"] table in it')
    return {name: _price(f'{where}: [models."{name}"]', entry) for name, entry in models.items()}


def _price(where: str, entry: Any) -> Price:
    if not isinstance(entry, dict):
        # Without quotes a dot in a name makes tables in tables.
        raise ConfigError(f"{where} is not a table")
    wanted = {field.name: str(field.type) for field in fields(Price)}
    for key in entry:
        if key not in wanted:
            quotes = ": a name with a dot in it needs quotes" if isinstance(entry[key], dict) else ""
            raise ConfigError(f"{where} unknown key {key!r}{quotes or ': known are ' + ', '.join(wanted)}")
    missing = [key for key in wanted if key not in entry]
    if missing:
        raise ConfigError(f"{where} lacks {', '.join(missing)}")
    return Price(**{key: _READERS[kind](f"{where} {key}", entry[key]) for key, kind in wanted.items()})


def _number(where: str, value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < math.inf:
        raise ConfigError(f"{where} = {value!r}: wants a number of USD, at least 0")
    return float(value)


def _day(where: str, value: Any) -> date:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise ConfigError(f"{where} = {value!r}: wants a day without quotes, such as 2026-04-01")
    return value


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{where} = {value!r}: wants the address of the page with the price")
    return value


_READERS: Mapping[str, Callable[[str, Any], Any]] = {"float": _number, "date": _day, "str": _text}
