"""Valid files, changed as damage and malice change them: bytes, and values inside of JSON."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

# What readers stumble over: signs of each format, numbers beyond all bounds, halves of characters.
PIECES = [
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b"\\",
        b",",
        b":",
        b"\n",
        b"\r",
        b"\t",
        b"\x00",
        b"\x1b]52;c;",
        b"'",
        b"#",
        b"&a",
        b"*a",
    ),
    *(
        b"null",
        b"true",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"-0",
        b"9" * 400,
        b"0x",
        b"\\ud800",
        b"\\u0000",
        b"<<: *a",
    ),
    *(
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
        b"\xe2\x80\xae",
        b"\x85",
        b"\xc3",
        b"[" * 300,
        b'{"a":' * 200,
    ),
    *(
        b"<",
        b">",
        b"</",
        b"<!--",
        b"<!DOCTYPE a [",
        b"&#x0;",
        b"&#99999999;",
        b"]]>",
        b"endobj",
        b"stream",
        b"<<",
        b">>",
        b"%%EOF",
    ),
    *(
        b"data:",
        b"data: [DONE]",
        b"---",
        b"...",
        b"::error::",
        b"##[add-path]",
        b"../",
        b"PK\x03\x04",
        b"SQLite format 3\x00",
    ),
]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([10**400, -(2**63), 1e308, float("inf"), float("nan"), -0.0, 0.5, 1 << 70]),
    st.sampled_from(
        [
            "",
            " ",
            "a",
            "\x1b[2J",
            "\ud800",
            "..",
            "/etc/passwd",
            "1",
            "nan",
            "::error::",
            "a" * 5000,
            "\u202e",
        ]
    ),
    st.sampled_from([[], {}, [[]], [None], {"a": 1}, [{}], {"": None}, [1, "a"], {"type": "run"}]),
)


@st.composite
def mutated_bytes(draw: Any, seeds: Sequence[bytes]) -> bytes:
    """Give one of some files with a few places cut, doubled, replaced or filled."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.one_of(st.integers(start, min(len(data), start + 8)), st.integers(start, len(data))))
        kind = draw(st.integers(0, 5))
        if kind == 0:
            data = data[:start] + data[end:]
        elif kind == 1:
            data = data[:end] + data[start:end] * draw(st.integers(1, 3)) + data[end:]
        elif kind == 2:
            data = data[:start] + draw(st.sampled_from(PIECES)) + data[start:]
        elif kind == 3:
            data = data[:start] + draw(st.sampled_from(PIECES)) + data[end:]
        elif kind == 4:
            data = data[:start] + draw(st.binary(max_size=4)) + data[start + 1 :]
        else:
            data = data[:start]
    return data


@st.composite
def mutated_json(draw: Any, seeds: Sequence[Any], most: int = 4) -> Any:
    """Give one of some values with a few of its parts replaced, removed, renamed or doubled."""
    value = copy.deepcopy(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, most))):
        places = list(_places(value))
        if not places:
            return copy.deepcopy(draw(VALUES))
        parent, key = draw(st.sampled_from(places))
        kind = draw(st.integers(0, 4))
        if kind <= 1:
            parent[key] = copy.deepcopy(draw(VALUES))  # what is drawn is changed later
        elif kind == 2:
            del parent[key]
        elif kind == 3 and isinstance(parent, dict):
            parent[draw(st.sampled_from(["", "id", "a\x1b", "##[x]", "\ud800"]))] = parent.pop(key)
        elif isinstance(parent, list):
            parent.append(copy.deepcopy(parent[key]))
        else:
            parent[key] = [parent[key]]
    return value


def _places(value: Any) -> Any:
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in list(children):
        yield value, key
        yield from _places(child)


def as_json(value: Any) -> bytes:
    """Write a value as JSON, with all that JSON has no word for."""
    return json.dumps(value).encode()


def as_lines(value: Any) -> bytes:
    """Write a list as JSON Lines; anything else as a single line."""
    entries = value if isinstance(value, list) else [value]
    return b"".join(as_json(entry) + b"\n" for entry in entries)


def as_events(value: Any) -> bytes:
    """Write a list as the events of a stream."""
    entries = value if isinstance(value, list) else [value]
    return b"".join(b"data: " + as_json(entry) + b"\n\n" for entry in entries) + b"data: [DONE]\n\n"
