"""What models cost: the bundled table, one's own over it, and the words in which a wrong file is refused."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from rag_evals.rag.answer import Tokens
from rag_evals.rag.errors import ConfigError
from rag_evals.rag.llm.prices import Price, load_prices, price_of

MINE = Price(1.0, 0.1, 4.0, date(2026, 1, 2), "https://example.com/prices")
ENTRY = """
[models."my.model"]
input = 1
cached_input = 0.1
output = 4.0
as_of = 2026-01-02
source = "https://example.com/prices"
"""


def price_file(folder: Path, text: str) -> Path:
    path = folder / "prices.toml"
    path.write_text(text)
    return path


def refusal(folder: Path, text: str) -> str:
    """Return the message with which a file is refused, without the file's path."""
    path = price_file(folder, text)
    with pytest.raises(ConfigError) as caught:
        load_prices(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


def test_the_bundled_prices_are_sound():
    """Each has a page and a day; output costs more than input, and cached input less."""
    prices = load_prices()
    assert {"gpt-4o", "gpt-4o-mini", "gpt-4.1"} <= set(prices)
    for price in prices.values():
        assert 0 < price.cached_input < price.input < price.output
        assert price.source.startswith("https://")
        assert price.as_of >= date(2026, 1, 1)


def test_the_cost_of_tokens():
    """What is read anew, found in the cache and written has a price each."""
    price = price_of("gpt-4o", load_prices())
    assert price is not None
    assert price.cost(Tokens(evaluated=1_000_000)) == pytest.approx(2.50)
    assert price.cost(Tokens(1000, 2000, 100)) == pytest.approx(0.0025 + 0.0025 + 0.001)
    assert price.cost(Tokens()) == 0


@pytest.mark.parametrize("model", ["gpt-4o-2024-08-06", "gpt-4o-20240806", "gpt-4o"])
def test_a_date_at_the_end_of_a_name(model):
    """A dated name costs as the model it is a version of."""
    prices = load_prices()
    assert price_of(model, prices) == prices["gpt-4o"]


def test_an_exact_name_wins():
    """A version that has a price of its own has that one."""
    table = {**load_prices(), "gpt-4o-2024-05-13": MINE}
    assert price_of("gpt-4o-2024-05-13", table) == MINE


@pytest.mark.parametrize("model", ["qwen2.5", "gpt-4o-realtime", "gpt", "gpt-4o-2024", ""])
def test_unknown_models_have_no_price(model):
    """A name that only begins alike is another model."""
    assert price_of(model, load_prices()) is None


def test_ones_own_prices_win(tmp_path):
    """A file adds models and replaces prices; the others stay."""
    text = ENTRY + ENTRY.replace("my.model", "gpt-4o")
    prices = load_prices(price_file(tmp_path, text))
    assert prices == {**load_prices(), "my.model": MINE, "gpt-4o": MINE}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'no [models."NAME"] table in it'),
        ("models = 3", 'no [models."NAME"] table in it'),
        ("[model.x]", "unknown key 'model': prices are in tables [models.\"NAME\"]"),
        ("[models]\nx = 3", '[models."x"] is not a table'),
        ("[models.x]\ninput = 1", '[models."x"] lacks cached_input, output, as_of, source'),
        (
            ENTRY + "currency = 1",
            "[models.\"my.model\"] unknown key 'currency': "
            "known are input, cached_input, output, as_of, source",
        ),
        (
            ENTRY.replace('"my.model"', "my.model"),
            "[models.\"my\"] unknown key 'model': a name with a dot in it needs quotes",
        ),
        (
            ENTRY.replace("4.0", '"4"'),
            "[models.\"my.model\"] output = '4': wants a number of USD, at least 0",
        ),
        (ENTRY.replace("4.0", "-1"), '[models."my.model"] output = -1: wants a number of USD, at least 0'),
        (ENTRY.replace("4.0", "nan"), '[models."my.model"] output = nan: wants a number of USD, at least 0'),
        (
            ENTRY.replace("4.0", "true"),
            '[models."my.model"] output = True: wants a number of USD, at least 0',
        ),
        (
            ENTRY.replace("2026-01-02", '"2026"'),
            "[models.\"my.model\"] as_of = '2026': wants a day without quotes, such as 2026-04-01",
        ),
        (
            ENTRY.replace('"https://example.com/prices"', '""'),
            "[models.\"my.model\"] source = '': wants the address of the page with the price",
        ),
        ("[models", "not TOML: Expected ']' at the end of a table declaration (at end of document)"),
    ],
)
def test_a_wrong_file(tmp_path, text, message):
    """The message names the file, the model and the key."""
    assert refusal(tmp_path, text) == message


def test_a_missing_file(tmp_path):
    """A file that is not there is one line with its path."""
    path = tmp_path / "none.toml"
    with pytest.raises(ConfigError) as caught:
        load_prices(path)
    assert str(caught.value) == f"{path}: No such file or directory"


def test_not_text(tmp_path):
    """Bytes that are not UTF-8 are refused as not TOML."""
    path = tmp_path / "prices.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"prices\.toml: not TOML: 'utf-8' codec"):
        load_prices(path)
