"""Texts that go round in circles end, and nothing else does."""

from __future__ import annotations

import re

import pytest
from rag_evals.rag.llm.local.repetition import repeated_from

CLAIM = " The router sends each token to two of the eight experts."
OTHER = " A gate scores every expert and keeps the two highest."
THIRD = " The load is balanced over all of the eight experts."


def pieces_of(text: str) -> list[str]:
    """Cut a text as tokenizers do: a word with the space before it, a mark, a line's end."""
    return re.findall(r" ?\w+| ?[^\w\s]|\n| +", text)


def ending(text: str) -> str:
    """Feed a text piece by piece, as it is generated; return what is left when it is cut, or all of it."""
    pieces = pieces_of(text)
    assert "".join(pieces) == text
    for count in range(1, len(pieces) + 1):
        start = repeated_from(pieces[:count])
        if start is not None:
            return "".join(pieces[:start])
    return text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (CLAIM * 3, CLAIM),
        (OTHER + CLAIM * 9, OTHER + CLAIM),
        ((CLAIM + OTHER) * 3, CLAIM + OTHER),
        (f"1.{CLAIM}\n2.{CLAIM}\n3.{CLAIM}\n4.{CLAIM}\n", f"1.{CLAIM}"),
        (CLAIM + OTHER + CLAIM + THIRD + CLAIM, CLAIM + OTHER + CLAIM + THIRD),
        ("It is" + " one of the experts that is" * 20, "It" + " is one of the experts that" * 2),
        (
            "Yes" + ", and so on and on and on and on and on, yes" * 3,
            "Yes" + ", and so on and on and on and on and on, yes",
        ),
    ],
)
def test_a_loop_is_cut_behind_its_first_round(text, left):
    """Sentences and runs of tokens that come a third time end the text where they came the second time."""
    assert ending(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "",
        CLAIM * 2,
        (CLAIM + OTHER) * 2,
        " It is. It does." * 4,
        " 0 0 0 1" * 40,
        ("\n| 0 | 0 | 0 | 1 |" * 20),
        "Layers: " + ", ".join(f"layer {n} has eight experts of its own" for n in range(32)) + ".",
        "".join(f"\n{n}. Expert {n} is chosen for the token by the router." for n in range(9)),
        "".join(f"\n- {name} is one of the eight experts." for name in ("A", "B", "C", "D")),
        "The value is 3.5 and not 3.51, and the value is 3.5.",
        "= " * 60,
    ],
)
def test_what_is_no_loop_stays(text):
    """Twice is not a loop; nor are short sentences, rows of numbers, tables and lists whose items differ."""
    assert ending(text) == text


def test_a_loop_ends_as_soon_as_it_is_one():
    """The third round is the last that is written, and half a sentence is none."""
    pieces = pieces_of(CLAIM * 3)
    assert [repeated_from(pieces[:count]) for count in range(len(pieces))] == [None] * len(pieces)
    assert repeated_from(pieces) == len(pieces) // 3
