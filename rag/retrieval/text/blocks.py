"""Blocks of a text: the paragraphs, list items, headings and table rows that no sentence leaves."""

# ruff: noqa: RUF001 - bullets and numbers of many kinds mark items

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["text", "item", "heading", "header", "row"]

# What a line begins with that sets it apart from the line before. "12." is a marker and "2024." is not: it
# is the end of a wrapped sentence.
_MARKER = (
    r"(?:(?:[-*•–◦▪‣●·>](?!\S)|(?:\(?(?:\d{1,2}|[A-Za-z]|[ivx]{1,4})\)|\d{1,2}\.|[ivx]{1,4}\.)(?=\s++\S)"
    r"|[①-⓿❶-➓]|\d{1,2}、|[（(][一二三四五六七八九十]{1,3}[）)])\s*+)"
)
_MARKS = re.compile(
    rf"""(?P<indent>[\ \t]*+)\s*+(?: (?P<end>\Z | (?P<rule>([-*_=])(?:\s*\4){{2,}}\s*\Z)
               | (?:`{{3,}}|~{{3,}})[\w+-]*\s*\Z)
               | (?P<alone>\#{{1,6}}\s++|(?=\|)){_MARKER}*+ | {_MARKER}++ )""",
    re.VERBOSE,
)
# A line of nothing but bold words is a title; so may be one that a rule underlines.
_BOLD = re.compile(r"\s*+(\*\*|__)[^\s*_][^*_\n]{0,200}\1:?\s*\Z")
# The line under a table's header.
_DELIMITER = re.compile(r"\s*+\|?(?:\s*+:?-++:?\s*+\|)*+\s*+(?::?-++:?\s*+)?\Z")
# Tags that part blocks in HTML. Each is as long as what is read in its place.
_TAG = re.compile(r"</?(?:p|div|br|li|ul|ol|tr|td|th|table|h[1-6])\b[^<>]{0,80}>", re.IGNORECASE)
# What a model thinks before it answers.
_THOUGHTS = re.compile(r"\s*<think(?:ing)?>(?:(?!</think).){0,20000}</think(?:ing)?>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of a text, its marks left out.

    Attributes:
        start: Character offset of the stretch.
        end: Offset behind it.
        kind: What it is.
        indent: Blanks before it, for items within items.
        is_apart: Whether a blank line, a rule or a fence stands before it.
        header: Start and end of the header of the table that this is a row of.
    """

    start: int
    end: int
    kind: Kind = "text"
    indent: int = 0
    is_apart: bool = False
    header: tuple[int, int] | None = None


def split_blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of `text` in order. Takes time linear in the text's length."""
    if thoughts := _THOUGHTS.match(text):
        text = " " * thoughts.end() + text[thoughts.end() :]
    text = _TAG.sub(_blank, text)
    lines = text.splitlines(keepends=True)
    of_tables = _table_lines(lines)
    block, end = Block(0, 0), 0
    header: tuple[int, int] | None = None
    for n, line in enumerate(lines):
        marks = _MARKS.match(line)
        kind = of_tables.get(n) or ("heading" if _BOLD.match(line) else None)
        if kind or marks:
            is_rule = bool(marks and marks["rule"])
            if block.start < end:
                is_title = is_rule and marks is not None and marks[4] in "-=" and block.kind == "text"
                yield _closed(replace(block, kind="heading") if is_title else block, text, end)
            if marks and marks["end"] is not None:
                block = Block(end + marks.end(), 0, is_apart=True)
            else:
                start = end + (marks.end() if marks else 0)
                indent = len(marks["indent"].expandtabs(4)) if marks else 0
                alone: Kind = "row" if line.lstrip().startswith("|") else "heading"
                own = kind or (alone if marks and marks["alone"] is not None else "item")
                block = Block(start, 0, own, indent, is_apart=block.is_apart and block.start >= end)
        if of_tables.get(n) == "header":
            header = header or (end, end + len(line))
        elif kind == "row":
            block = replace(block, header=header)
        else:
            header = None
        end += len(line)
        if kind or (marks and marks["alone"] is not None):
            yield _closed(block, text, end)
            block = Block(end, 0)
    if block.start < end:
        yield _closed(block, text, end)


def _closed(block: Block, text: str, end: int) -> Block:
    while end > block.start and text[end - 1].isspace():
        end -= 1
    return replace(block, end=end)


def _blank(tag: re.Match[str]) -> str:
    return "\n" + " " * (len(tag[0]) - 2) + "\n"


def _table_lines(lines: list[str]) -> dict[int, Kind]:
    """Return which lines are headers and rows of tables whose header is underlined."""
    found: dict[int, Kind] = {}
    for n in range(1, len(lines)):
        if "|" in lines[n] and "|" in lines[n - 1] and "-" in lines[n] and _DELIMITER.match(lines[n]):
            found[n - 1] = "header"
            found[n] = "header"
        elif n - 1 in found and "|" in lines[n]:
            found[n] = "row"
    return found
