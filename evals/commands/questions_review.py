"""`rag-evals questions review`: look at each question with its passage, and keep, edit or drop it."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from evals.commands.folders import add_home
from evals.errors import UsageError, printable
from evals.keys import Keyboard

if TYPE_CHECKING:
    from evals.anchoring import Anchors
    from evals.cli import Commands
    from evals.questions import Question
    from evals.reports.review import View
    from evals.reviewing import Review

CLEAR = "\x1b[H\x1b[2J"


def add_to(verbs: Commands) -> None:
    """Declare `review`."""
    parser = verbs.add_parser("review", help="look at each question with its passage; keep, edit or drop it")
    parser.add_argument("file", type=Path, metavar="FILE", help="a question file")
    parser.add_argument(
        "--docs", type=Path, metavar="PATH", help="the documents, to show the text around each source"
    )
    parser.add_argument("--tag", help="only questions with this tag, such as stale")
    parser.add_argument("--again", action="store_true", help="begin anew: forget what was kept before")
    add_home(parser, "the cache, which keeps the text of documents if there is one")
    parser.set_defaults(run=_review)


def _review(options: argparse.Namespace) -> int:
    from evals.anchoring import Anchors
    from evals.commands.questions_check import read_corpus
    from evals.reviewing import Review

    _check_terminal()
    review = Review(options.file, tag=options.tag, is_again=options.again)
    if not review.items:
        raise UsageError(printable(f'no question of {options.file} has the tag "{options.tag}"'))
    anchors = Anchors(read_corpus(options.docs, options.home)) if options.docs else None
    session = Session(review, anchors, audit_numbers(options.file))
    try:
        session.run()
    finally:
        review.close()
        print(session.farewell())
    return 0


def _check_terminal() -> None:
    """Hold the session to a terminal.

    Raises:
        UsageError: Keys cannot be read, or nothing would be seen.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "questions review needs a terminal for its keys: call it in one, or edit the file by hand, "
            "after which `rag-evals questions check FILE --docs PATH --write` brings its manifest up to date"
        )


def audit_numbers(path: Path) -> Mapping[str, Mapping[str, float]]:
    """Give what the rules of the generation measured, by question and rule; nothing where it is not kept."""
    from evals.generation.working import work_path
    from evals.replacing import whole_lines

    numbers: dict[str, dict[str, float]] = {}
    file = work_path(path)
    for row in whole_lines(file) if file.is_file() else ():
        try:
            line = json.loads(row)
            values = line["values"].items()
            numbers[line["candidate"]["question"]["id"]] = {
                str(rule): float(value) for rule, value in values if value is not None
            }
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # a line of another kind
    return numbers


class Session:
    """Shows questions and does what the keys say.

    Args:
        review: The questions.
        anchors: The documents; None when they are not known.
        numbers: What the rules of the generation measured.
    """

    def __init__(
        self, review: Review, anchors: Anchors | None, numbers: Mapping[str, Mapping[str, float]]
    ) -> None:
        self._review = review
        self._anchors = anchors
        self._texts = {name: d.text for name, d in anchors.documents.items()} if anchors else {}
        self._numbers = numbers
        self._keyboard = Keyboard()
        # What was written in an editor and was no question, by id.
        self._drafts: dict[str, str] = {}
        self._place = review.next_open(0)
        self._message = ""

    def run(self) -> None:
        """Show one question after the other until the last is decided, or the review is left."""
        from evals.keys import ended_by_signals

        with ended_by_signals(), self._keyboard:
            while self._place is not None:
                self._show(self._place)
                key = self._keyboard.read()
                self._message = ""
                if key is None or key == "q":
                    return
                self._do(key, self._place)

    def farewell(self) -> str:
        """Say what was decided, and how the review goes on."""
        counts = self._review.counts()
        open_ones = len(self._review.items) - sum(counts.values())
        told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        rest = f", {open_ones} not decided: the same command goes on there" if open_ones else ""
        return printable(f"{self._review.path}: {told}{rest}")

    def _do(self, key: str, place: int) -> None:
        if key == "k":
            self._review.keep(place, self._accepted(place))
        elif key == "d":
            self._review.drop(place)
        elif key == "e":
            self._edit(place)
        if key in ("k", "d"):
            self._place = self._review.next_open(place + 1)
        elif key == "n":
            self._place = (place + 1) % len(self._review.items)
        elif key == "b":
            self._place = (place - 1) % len(self._review.items)

    def _edit(self, place: int) -> None:
        from evals.editing import UnfitError

        question = self._review.items[place].question
        sys.stdout.write(CLEAR)
        sys.stdout.flush()
        self._message = "not changed"
        try:
            with self._keyboard.lines():
                new = self._edited(question)
        except UsageError as error:
            self._message = str(error)
            if isinstance(error, UnfitError):
                self._drafts[question.id] = error.text
        except (KeyboardInterrupt, EOFError):
            pass  # of the editing, not of the review
        else:
            self._drafts.pop(question.id, None)
            if new != question:
                self._review.edit(place, new)
                self._message = "written"

    def _edited(self, question: Question) -> Question:
        from evals.editing import edit_by_line, edit_in_editor, editor_of

        editor = editor_of(os.environ)
        if editor:
            return edit_in_editor(question, editor, self._drafts.get(question.id))
        return edit_by_line(question)

    def _accepted(self, place: int) -> Question:
        """Give the question with the words that stand in the documents now."""
        from evals.checking import check_question

        question = self._review.items[place].question
        return check_question(question, self._anchors).accepted if self._anchors else question

    def _show(self, place: int) -> None:
        from evals.reports.review import screen

        size = shutil.get_terminal_size()
        colour = "NO_COLOR" not in os.environ and os.environ.get("TERM", "dumb") != "dumb"
        rows = screen(self._view(place), size.columns, size.lines, colour=colour)
        sys.stdout.write(CLEAR + "\n".join(rows))
        sys.stdout.flush()

    def _view(self, place: int) -> View:
        from evals.checking import check_question
        from evals.reports.review import View

        item = self._review.items[place]
        return View(
            place=place,
            count=len(self._review.items),
            counts=self._review.counts(),
            question=item.question,
            verdict=item.verdict,
            checked=check_question(item.question, self._anchors) if self._anchors else None,
            texts=self._texts,
            numbers=self._numbers.get(item.question.id),
            message=self._message,
        )
