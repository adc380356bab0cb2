"""Bounds on what others wrote: how deep JSON and YAML nest, and what the aliases of YAML come to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

# Whatever people write is a few levels deep; Python's own calls end at about three hundred.
DEEPEST = 100
# Values that a YAML file may come to when each alias is written out.
MOST_VALUES = 1_000_000
_TOO_DEEP = f"nested more than {DEEPEST} deep"


def parse_json(data: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: It is not JSON (`json.JSONDecodeError`), not UTF-8, or too deep.
    """
    try:
        return bounded(json.loads(data))
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error


def bounded(value: Any) -> Any:
    """Return `value`, lists and objects of JSON, as it is.

    Raises:
        ValueError: It is too deep.
    """
    level = [value]
    for _ in range(DEEPEST):
        level = [one for held in level for one in _members(held) if isinstance(one, (dict, list))]
        if not level:
            return value
    raise ValueError(_TOO_DEEP)


def _members(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def check_yaml(events: Iterator[Any]) -> None:
    """Go through the events of a YAML parser, none of which holds another.

    Raises:
        ValueError: Something is too deep, or the aliases come to too much.
    """
    import yaml

    sizes: dict[str, int] = {}  # of what each anchor names
    under_way: list[tuple[str | None, int]] = []  # anchor, and values so far
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            under_way.append((event.anchor, 1))
            if len(under_way) > DEEPEST:
                raise ValueError(_TOO_DEEP)
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, size = under_way.pop()
        elif isinstance(event, yaml.AliasEvent):
            anchor, size = None, sizes.get(str(event.anchor), 1)
        elif isinstance(event, yaml.ScalarEvent):
            anchor, size = event.anchor, 1
        else:
            continue
        if anchor is not None:
            sizes[anchor] = size
        if under_way:
            outer, count = under_way[-1]
            under_way[-1] = outer, count + size
            size = count + size
        if size > MOST_VALUES:
            raise ValueError(f"its aliases come to more than {MOST_VALUES:,} values")
