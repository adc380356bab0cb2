"""The screen of a review: one question with its passage, its words marked, as large as the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evals.anchoring import Anchored
from evals.checking import Checked
from evals.questions import Question
from evals.reports.checking import outdated_lines, place_of
from evals.reports.wrapping import columns_of, cut, one_line, wrapped
from evals.reviewing import Verdict

KEYS = "k keep   e edit   d drop   n next   b back   q quit"
# They stand for the borders of the marked words until lines are broken: no text holds them, as private
# characters are not printable and are replaced before.
_OPEN, _CLOSE = "\ue000", "\ue001"
_CONTEXTS = (700, 400, 200, 100, 40, 0)


@dataclass(frozen=True, slots=True)
class View:
    """What is shown of a question.

    Attributes:
        place: Which one it is, from 0.
        count: How many there are.
        counts: What was decided about the others.
        question: The question.
        verdict: What was decided about it.
        checked: Its sources in the documents; None when the documents are not known.
        texts: The text of each document by name.
        numbers: What the rules of its generation measured, by rule.
        message: Something that went wrong with the last key.
    """

    place: int
    count: int
    counts: Mapping[Verdict, int]
    question: Question
    verdict: Verdict | None = None
    checked: Checked | None = None
    texts: Mapping[str, str] | None = None
    numbers: Mapping[str, float] | None = None
    message: str = ""


def screen(view: View, columns: int, rows: int, *, colour: bool = False) -> list[str]:
    """Give the rows of a screen: as much text around the words of the source as there is room for.

    Args:
        view: What to show.
        columns: Of the terminal.
        rows: Of the terminal; the last one is that of the keys.
        colour: Whether to mark words by inverting them; else by brackets.
    """
    foot = [line for line in (cut(one_line(view.message), columns), cut(KEYS, columns)) if line]
    room = max(1, rows - len(foot))
    lines: list[str] = []
    for context in _CONTEXTS:
        lines = _lines(view, columns, context)
        if len(lines) <= room:
            break
    if len(lines) > room:
        lines = [*lines[: room - 1], "…"]
    shown = [*lines, *[""] * (room - len(lines)), *foot]
    return _inverted(shown) if colour else _in_brackets(shown)


def _lines(view: View, columns: int, context: int) -> list[str]:
    question = view.question
    lines = [_head(view, columns), cut(_about(question), columns), ""]
    lines += wrapped(one_line(question.question), columns, first="Q: ", rest="   ")
    lines += wrapped(one_line(_reference(question)), columns, first="A: ", rest="   ")
    for anchored in _anchored(view):
        lines += ["", *_passage(anchored, view, columns, context)]
    if view.numbers:
        numbers = ", ".join(f"{rule} {value:.2f}" for rule, value in view.numbers.items())
        lines += ["", *wrapped(one_line(numbers), columns)]
    return lines


def _head(view: View, columns: int) -> str:
    counted = ", ".join(f"{count} {verdict}" for verdict, count in view.counts.items())
    left = f"{view.place + 1} of {view.count}: {counted}"
    right = one_line(view.question.id) + (f" ({view.verdict})" if view.verdict else "")
    gap = columns - columns_of(left) - columns_of(right)
    return cut(f"{left}{' ' * max(2, gap)}{right}", columns)


def _about(question: Question) -> str:
    provenance = question.provenance or {}
    parts = [str(provenance[key]) for key in ("kind", "origin", "llm") if provenance.get(key)]
    parts += ["edited by hand"] if provenance.get("edited") else []
    parts += [f"tags: {', '.join(question.tags)}"] if question.tags else []
    return one_line(" · ".join(parts))


def _reference(question: Question) -> str:
    if question.reference is not None:
        return question.reference
    return "(no reference)" if question.answerable else "(the documents do not say)"


def _anchored(view: View) -> Sequence[Anchored]:
    if view.checked:
        return view.checked.anchored
    return [Anchored(source, "unchanged", source) for source in view.question.sources]


def _passage(anchored: Anchored, view: View, columns: int, context: int) -> list[str]:
    source = anchored.now
    lines = [cut(f"{place_of(source)}: {anchored.status}" if view.checked else place_of(source), columns)]
    if anchored.status in ("stale", "orphaned"):
        lines += outdated_lines(anchored, columns)
    if anchored.status == "orphaned":
        return lines
    before, words, after = _around(anchored, (view.texts or {}).get(source.document, ""), context)
    if not words:
        return lines
    parts = (one_line(before), f"{_OPEN}{one_line(words)}{_CLOSE}", one_line(after))
    # Blanks at the borders are lost with the line breaks; they are part of the text around.
    text = f"{parts[0]}{' ' * before[-1:].isspace()}{parts[1]}{' ' * after[:1].isspace()}{parts[2]}"
    return lines + wrapped(text, columns - 2, first="  ", rest="  ")


def _around(anchored: Anchored, text: str, context: int) -> tuple[str, str, str]:
    """Give the words of a source, with up to `context` characters of the text before and after them."""
    from evals.quotes import find_quote

    quote = anchored.now.quote or ""
    place = find_quote(quote, text, anchored.now.start) if quote and text else None
    if place is None:
        return "", quote, ""
    start, end = max(0, place.start - context), place.end + context
    before = f"{'…' if start else ''}{text[start : place.start]}"
    after = f"{text[place.end : end]}{'…' if end < len(text) else ''}"
    return before, text[place.start : place.end], after


def _inverted(lines: Sequence[str]) -> list[str]:
    """Invert the marked words, in each line by itself: the blanks around them are not theirs."""
    done, is_open = [], False
    for line in lines:
        indent = len(line) - len(line.lstrip(" "))
        body = f"{_OPEN}{line[indent:]}" if is_open and line.strip() else line[indent:]
        is_open = body.rfind(_OPEN) > body.rfind(_CLOSE)
        body += _CLOSE if is_open else ""
        done.append(line[:indent] + body.replace(_OPEN, "\x1b[7m").replace(_CLOSE, "\x1b[27m"))
    return done


def _in_brackets(lines: Sequence[str]) -> list[str]:
    return [line.replace(_OPEN, "[[").replace(_CLOSE, "]]") for line in lines]
