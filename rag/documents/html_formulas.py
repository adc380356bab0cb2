"""Formulas and raised or lowered signs of HTML in a line of text: no number becomes another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

# Deeper formulas come out as their signs alone.
_DEPTH = 100
_ORDINAL = re.compile(r"st|nd|rd|th|er|re|e|ère|ème|[ºªoa]|TM|SM|[®™]", re.IGNORECASE)


def raised(before: str, text: str, *, is_note: bool = False) -> str:
    """Return what stands for `text` above the line, behind the character `before`.

    A power is written with `^`, the number of a note (a link) in brackets, an ordinal's ending as it is.
    """
    text = text.strip()
    if not text or not before.strip() or text[0] in "[(" or _ORDINAL.fullmatch(text):
        return text
    if is_note:
        return f"[{text}]"
    return f"^{_grouped(text)}"


def lowered(before: str, text: str) -> str:
    """Return what stands for `text` below the line: "H2O" stays, what would change a number gets a `_`."""
    text = text.strip()
    if not text or not before.strip() or (text[0].isdigit() and not before.isdigit()):
        return text
    return f"_{_grouped(text)}"


def formula(math: Any) -> str:
    """Return a MathML element as text: its TeX where the page has it, else one made of its parts."""
    for part in math.iter():
        if tag_name(part) == "annotation" and "tex" in part.get("encoding", ""):
            return f" {' '.join((part.text or '').split())} "
    text = math.get("alttext") or _line(math, _DEPTH)
    return f" {' '.join(text.split())} "


def _line(element: Any, depth: int) -> str:
    tag = tag_name(element)
    if tag.startswith("annotation") or not tag:
        return ""
    if depth == 0:
        return "".join(element.itertext())
    parts = [(element.text or "").strip(), *(_line(child, depth - 1) for child in element)]
    return _arranged(tag, [part for part in parts if part])


def _arranged(tag: str, parts: Sequence[str]) -> str:
    if tag == "mfrac" and len(parts) == 2:
        return f"{_grouped(parts[0])}/{_grouped(parts[1])}"
    if tag in ("msup", "msub", "mover", "munder") and len(parts) == 2:
        return f"{parts[0]}{'^' if tag in ('msup', 'mover') else '_'}{_grouped(parts[1])}"
    if tag in ("msubsup", "munderover") and len(parts) == 3:
        return f"{parts[0]}_{_grouped(parts[1])}^{_grouped(parts[2])}"
    if tag == "mroot" and len(parts) == 2:
        return f"({parts[0]})^(1/{parts[1]})"
    if tag == "msqrt":
        return f"√({''.join(parts)})"
    return ("\n" if tag == "mtable" else " " if tag == "mtr" else "").join(parts)


def _grouped(text: str) -> str:
    return text if re.fullmatch(r"[-\u2212+]?\w+(?:[.,]\d+)?", text) else f"({text})"


def tag_name(element: Any) -> str:
    """Return an element's name without its namespace; "" for what is no element."""
    return element.tag.rpartition("}")[2].lower() if isinstance(element.tag, str) else ""
