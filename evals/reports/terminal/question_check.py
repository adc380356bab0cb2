"""The screen of a review: one question with its passage, its words marked, as large as the terminal."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from rag_evals.evals.base.messages import count_of, display_path, first_names, printable
from rag_evals.evals.questions.question import Question, Source
from rag_evals.evals.questions.question_set import QuestionSet
from rag_evals.evals.questions.reviewing.review import ReviewVerdict
from rag_evals.evals.questions.sources.check import CheckedQuestion, status_counts
from rag_evals.evals.questions.sources.locate import LocatedSource
from rag_evals.evals.questions.sources.quotes import find_quote
from rag_evals.evals.reports.comparison_text import place
from rag_evals.evals.reports.text import cut, display_width, one_line, padded, wrapped

KEYS = "k keep   e edit   d drop   n next   b back   q quit"
# They stand for the borders of the marked words until lines are broken: no text holds them, as private
# characters are not printable and are replaced before.
_OPEN, _CLOSE = "\ue000", "\ue001"
_CONTEXTS = (700, 400, 200, 100, 40, 0)


@dataclass(frozen=True, slots=True)
class QuestionView:
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
    counts: Mapping[ReviewVerdict, int]
    question: Question
    verdict: ReviewVerdict | None = None
    checked: CheckedQuestion | None = None
    texts: Mapping[str, str] | None = None
    numbers: Mapping[str, float] | None = None
    message: str = ""


def screen(view: QuestionView, columns: int, rows: int, *, colour: bool = False) -> list[str]:
    """Return the rows of a screen: as much text around the words of the source as there is room for.

    The last of the rows is that of the keys. With colour words are inverted, else in brackets.
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


def _lines(view: QuestionView, columns: int, context: int) -> list[str]:
    question = view.question
    lines = [_head(view, columns), cut(_about(question), columns), ""]
    lines += wrapped(one_line(question.question), columns, first="Q: ", rest="   ")
    lines += wrapped(one_line(_reference(question)), columns, first="A: ", rest="   ")
    for located in _located(view):
        lines += ["", *_passage(located, view, columns, context)]
    if view.numbers:
        numbers = ", ".join(f"{rule} {value:.2f}" for rule, value in view.numbers.items())
        lines += ["", *wrapped(one_line(numbers), columns)]
    return lines


def _head(view: QuestionView, columns: int) -> str:
    counted = ", ".join(f"{count} {verdict}" for verdict, count in view.counts.items())
    left = f"{view.place + 1} of {view.count}: {counted}"
    right = one_line(view.question.id) + (f" ({view.verdict})" if view.verdict else "")
    gap = columns - display_width(left) - display_width(right)
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


def _located(view: QuestionView) -> Sequence[LocatedSource]:
    if view.checked:
        return view.checked.located
    return [LocatedSource(source, "unchanged", source) for source in view.question.sources]


def _passage(located: LocatedSource, view: QuestionView, columns: int, context: int) -> list[str]:
    source = located.now
    lines = [
        cut(f"{source_place(source)}: {located.status}" if view.checked else source_place(source), columns)
    ]
    if located.status in ("stale", "orphaned"):
        lines += outdated_lines(located, columns)
    if located.status == "orphaned":
        return lines
    before, words, after = _around(located, (view.texts or {}).get(source.document, ""), context)
    if not words:
        return lines
    parts = (one_line(before), f"{_OPEN}{one_line(words)}{_CLOSE}", one_line(after))
    # Blanks at the borders are lost with the line breaks; they are part of the text around.
    text = f"{parts[0]}{' ' * before[-1:].isspace()}{parts[1]}{' ' * after[:1].isspace()}{parts[2]}"
    return lines + wrapped(text, columns - 2, first="  ", rest="  ")


def _around(located: LocatedSource, text: str, context: int) -> tuple[str, str, str]:
    """Return the words of a source, with up to `context` characters of the text before and after them."""
    quote = located.now.quote or ""
    place = find_quote(quote, text, located.now.start) if quote and text else None
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


# Questions that have moved, and refusals that cannot be checked, before the rest is only counted.
LISTED = 10
# In the least width in which two columns are read more easily than two paragraphs.
TWO_COLUMNS = 90


def check_lines(
    found: QuestionSet,
    checked: Sequence[CheckedQuestion],
    outdated: Sequence[str],
    documents: int,
    width: int,
) -> list[str]:
    """Return the lines of a check.

    Args:
        found: The question set.
        checked: Its questions, held against the documents.
        outdated: Ids of unanswerable questions that were made from other documents.
        documents: How many there are.
        width: Most columns of a line.
    """
    head = (
        f"{display_path(found.path)}: {count_of(len(checked), 'question')}, {count_of(documents, 'document')}"
    )
    counts = ", ".join(f"{status} {count:,}" for status, count in status_counts(checked).items())
    without = sum(not one.located for one in checked)
    lines = [printable(head), f"manifest: {_manifest(found)}", counts]
    if without:
        lines.append(f"without a source, so nothing to check: {without:,}")
    if outdated:
        note = f"unanswerable, made from other documents; these may say it now: {first_names(outdated)}"
        lines += wrapped(note, width, rest="  ")
    moved = [one for one in checked if one.status == "moved"]
    lines += chain(_moved(moved), *(_outdated(one, width) for one in checked if one.is_outdated))
    return lines


def _manifest(found: QuestionSet) -> str:
    if found.manifest is None:
        return "none; --write makes one"
    return f"edited since: {found.edits}" if found.edits else "as it was written"


def _moved(moved: Sequence[CheckedQuestion]) -> Iterator[str]:
    if moved:
        yield from ("", "moved:")
    for one in moved[:LISTED]:
        for located in one.located:
            if located.status == "moved":
                old, new = source_place(located.source), source_place(located.now)
                yield printable(f"  {one.question.id}: {old} -> {new}")
    if len(moved) > LISTED:
        yield f"  and {len(moved) - LISTED:,} more"


def source_place(source: Source) -> str:
    """Return where a source stands: document, page and offsets, as far as they are known."""
    offsets = f" [{source.start}:{source.end}]" if source.start is not None else ""
    return printable(place(source.document, source.page, offsets))


def _outdated(one: CheckedQuestion, width: int) -> Iterator[str]:
    yield from ("", f"{one.status}: {one.question.id}")
    yield from wrapped(f"Q: {one_line(one.question.question)}", width, first="  ", rest="     ")
    if one.question.reference:
        yield from wrapped(f"A: {one_line(one.question.reference)}", width, first="  ", rest="     ")
    for located in one.located:
        if located.status in ("stale", "orphaned"):
            yield from outdated_lines(located, width)
    if one.status == "stale":
        yield from wrapped(_standing(one.lost), width, first="  ", rest="     ")


def outdated_lines(located: LocatedSource, width: int) -> Iterator[str]:
    """Yield the old and the new words of a source; words that differ stand in brackets."""
    if located.status == "orphaned":
        yield from wrapped(located.reason, width, first="  ", rest="    ")
        if located.source.quote:
            yield from wrapped(one_line(located.source.quote), width, first="  was: ", rest="       ")
        return
    yield f"  {source_place(located.now)}, {located.likeness:.0%} alike"
    was, now = marked_words(located.source.quote or "", located.now.quote or "")
    if width >= TWO_COLUMNS:
        yield from _columns(was, now, width)
        return
    yield from wrapped(was, width, first="  was: ", rest="       ")
    yield from wrapped(now, width, first="  now: ", rest="       ")


def _columns(was: str, now: str, width: int) -> Iterator[str]:
    room = (width - 7) // 2
    left, right = wrapped(was, room), wrapped(now, room)
    yield f"  {padded('was', room)} | now"
    for n in range(max(len(left), len(right))):
        one, other = (side[n] if n < len(side) else "" for side in (left, right))
        yield f"  {padded(one, room)} | {other}".rstrip()


def marked_words(old: str, new: str) -> tuple[str, str]:
    """Return two texts, each as one line, with brackets around the words in which they differ."""
    left, right = one_line(old).split(" "), one_line(new).split(" ")
    was, now = [], []
    for what, a, b, c, d in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        was += left[a:b] if what == "equal" else _bracketed(left[a:b])
        now += right[c:d] if what == "equal" else _bracketed(right[c:d])
    return " ".join(was), " ".join(now)


def _bracketed(words: Sequence[str]) -> list[str]:
    return [f"[{' '.join(words)}]"] if words else []


def _standing(lost: tuple[str, ...] | None) -> str:
    """Return whether the reference still stands in the new words."""
    if lost is None:
        return "reference: has no word of the source, so this cannot say whether it still stands"
    if not lost:
        return "reference: its words still stand there"
    return printable(f"reference: does not stand there any more; missing: {', '.join(lost)}")
