"""What a check of questions against the documents shows: counts, and every question that does not stand."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from itertools import chain

from evals.anchoring import Anchored
from evals.checking import Checked, counts_of
from evals.entries import counted, few, shown
from evals.errors import printable
from evals.question_sets import QuestionSet
from evals.questions import Source
from evals.reports.phrases import place
from evals.reports.wrapping import one_line, padded, wrapped

# Questions that have moved, and refusals that cannot be checked, before the rest is only counted.
LISTED = 10
# In the least width in which two columns are read more easily than two paragraphs.
TWO_COLUMNS = 90


def check_lines(
    found: QuestionSet, checked: Sequence[Checked], outdated: Sequence[str], documents: int, width: int
) -> list[str]:
    """Give the lines of a check.

    Args:
        found: The question set.
        checked: Its questions, held against the documents.
        outdated: Ids of unanswerable questions that were made from other documents.
        documents: How many there are.
        width: Most columns of a line.
    """
    head = f"{shown(found.path)}: {counted(len(checked), 'question')}, {counted(documents, 'document')}"
    counts = ", ".join(f"{status} {count:,}" for status, count in counts_of(checked).items())
    without = sum(not one.anchored for one in checked)
    lines = [printable(head), f"manifest: {_manifest(found)}", counts]
    if without:
        lines.append(f"without a source, so nothing to check: {without:,}")
    if outdated:
        note = f"unanswerable, made from other documents; these may say it now: {few(outdated)}"
        lines += wrapped(note, width, rest="  ")
    moved = [one for one in checked if one.status == "moved"]
    lines += chain(_moved(moved), *(_outdated(one, width) for one in checked if one.is_outdated))
    return lines


def _manifest(found: QuestionSet) -> str:
    if found.manifest is None:
        return "none; --write makes one"
    return f"edited since: {found.edits}" if found.edits else "as it was written"


def _moved(moved: Sequence[Checked]) -> Iterator[str]:
    if moved:
        yield from ("", "moved:")
    for one in moved[:LISTED]:
        for anchored in one.anchored:
            if anchored.status == "moved":
                old, new = place_of(anchored.source), place_of(anchored.now)
                yield printable(f"  {one.question.id}: {old} -> {new}")
    if len(moved) > LISTED:
        yield f"  and {len(moved) - LISTED:,} more"


def place_of(source: Source) -> str:
    """Give where a source stands: document, page and offsets, as far as they are known."""
    offsets = f" [{source.start}:{source.end}]" if source.start is not None else ""
    return printable(place(source.document, source.page, offsets))


def _outdated(one: Checked, width: int) -> Iterator[str]:
    yield from ("", f"{one.status}: {one.question.id}")
    yield from wrapped(f"Q: {one_line(one.question.question)}", width, first="  ", rest="     ")
    if one.question.reference:
        yield from wrapped(f"A: {one_line(one.question.reference)}", width, first="  ", rest="     ")
    for anchored in one.anchored:
        if anchored.status in ("stale", "orphaned"):
            yield from outdated_lines(anchored, width)
    if one.status == "stale":
        yield from wrapped(_standing(one.lost), width, first="  ", rest="     ")


def outdated_lines(anchored: Anchored, width: int) -> Iterator[str]:
    """Give the old and the new words of a source; words that differ stand in brackets."""
    if anchored.status == "orphaned":
        yield from wrapped(anchored.reason, width, first="  ", rest="    ")
        if anchored.source.quote:
            yield from wrapped(one_line(anchored.source.quote), width, first="  was: ", rest="       ")
        return
    yield f"  {place_of(anchored.now)}, {anchored.likeness:.0%} alike"
    was, now = marked_words(anchored.source.quote or "", anchored.now.quote or "")
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
    """Give two texts, each as one line, with brackets around the words in which they differ."""
    left, right = one_line(old).split(" "), one_line(new).split(" ")
    was, now = [], []
    for what, a, b, c, d in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        was += left[a:b] if what == "equal" else _bracketed(left[a:b])
        now += right[c:d] if what == "equal" else _bracketed(right[c:d])
    return " ".join(was), " ".join(now)


def _bracketed(words: Sequence[str]) -> list[str]:
    return [f"[{' '.join(words)}]"] if words else []


def _standing(lost: tuple[str, ...] | None) -> str:
    """Say whether the reference still stands in the new words."""
    if lost is None:
        return "reference: has no word of the source, so this cannot say whether it still stands"
    if not lost:
        return "reference: its words still stand there"
    return printable(f"reference: does not stand there any more; missing: {', '.join(lost)}")
