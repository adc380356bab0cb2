"""The command `questions review`: each question with its passage on the screen, kept, edited or dropped."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from rag_evals.evals.base.bounds import parse_json
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.files import whole_lines
from rag_evals.evals.base.messages import printable
from rag_evals.evals.cli.arguments import add_home, add_reading, read_corpus
from rag_evals.evals.cli.questions.keyboard import Keyboard, ended_by_signals
from rag_evals.evals.generation.work_file import work_path
from rag_evals.evals.questions.question import Question
from rag_evals.evals.questions.reviewing.editor import edit_by_line, edit_in_editor, editor_of
from rag_evals.evals.questions.reviewing.review import Review, ReviewSession
from rag_evals.evals.questions.sources.locate import SourceFinder
from rag_evals.evals.reports.terminal.question_check import QuestionView, screen

CLEAR = "\x1b[H\x1b[2J"


def add_review(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `questions review`."""
    parser.add_argument("file", type=Path, metavar="FILE", help="a question file")
    parser.add_argument(
        "--docs", type=Path, metavar="PATH", help="the documents, to show the text around each source"
    )
    parser.add_argument("--tag", help="only questions with this tag, such as stale")
    parser.add_argument("--again", action="store_true", help="begin anew: forget what was kept before")
    add_reading(parser)
    add_home(parser, "the cache, which keeps the text of documents if there is one")
    parser.set_defaults(run=_review)


def _review(options: argparse.Namespace) -> int:
    _check_terminal()
    review = Review(options.file, tag=options.tag, is_again=options.again)
    if not review.items:
        raise UsageError(printable(f'no question of {options.file} has the tag "{options.tag}"'))
    finder = (
        SourceFinder(read_corpus(options.docs, options.home, options.ocr, follow_links=options.follow_links))
        if options.docs
        else None
    )
    texts = {name: document.text for name, document in finder.documents.items()} if finder else {}
    keyboard = Keyboard()
    session = ReviewSession(review, finder, partial(_edited, keyboard))
    try:
        _run(session, keyboard, texts, audit_numbers(options.file))
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
    """Return what the rules of the generation measured, by question and rule; empty where it is not kept."""
    numbers: dict[str, dict[str, float]] = {}
    file = work_path(path)
    for row in whole_lines(file) if file.is_file() else ():
        try:
            line = parse_json(row)
            values = line["values"].items()
            numbers[line["candidate"]["question"]["id"]] = {
                str(rule): float(value) for rule, value in values if value is not None
            }
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # a line of another kind
    return numbers


def _run(
    session: ReviewSession,
    keyboard: Keyboard,
    texts: Mapping[str, str],
    numbers: Mapping[str, Mapping[str, float]],
) -> None:
    """Show one question after the other until the last is decided, or the review is left."""
    with ended_by_signals(), keyboard:
        while session.place is not None:
            _show(_view(session, session.place, texts, numbers))
            key = keyboard.read()
            if key is None or key == "q":
                return
            session.press(key)


def _show(view: QuestionView) -> None:
    size = shutil.get_terminal_size()
    colour = "NO_COLOR" not in os.environ and os.environ.get("TERM", "dumb") != "dumb"
    sys.stdout.write(CLEAR + "\n".join(screen(view, size.columns, size.lines, colour=colour)))
    sys.stdout.flush()


def _view(
    session: ReviewSession,
    place: int,
    texts: Mapping[str, str],
    numbers: Mapping[str, Mapping[str, float]],
) -> QuestionView:
    item = session.review.items[place]
    return QuestionView(
        place=place,
        count=len(session.review.items),
        counts=session.review.counts(),
        question=item.question,
        verdict=item.verdict,
        checked=session.checked(place),
        texts=texts,
        numbers=numbers.get(item.question.id),
        message=session.message,
    )


def _edited(keyboard: Keyboard, question: Question, draft: str | None) -> Question:
    """Let a person edit a question in the editor that is set, or line by line."""
    sys.stdout.write(CLEAR)
    sys.stdout.flush()
    with keyboard.lines():
        editor = editor_of(os.environ)
        return edit_in_editor(question, editor, draft) if editor else edit_by_line(question)
