"""A question edited by a person: in an editor, or line by line where none is set."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rag_evals.evals.base.errors import QuestionFileError, UsageError
from rag_evals.evals.base.messages import display_path, printable
from rag_evals.evals.questions.load import load_questions
from rag_evals.evals.questions.question import Question, Source, escaped, question_to_json

# Not for an editor: where a question came from, and where in its conversation it stands, is kept as it is.
KEPT = ("provenance", "conversation", "turn")


class UnfitError(UsageError):
    """Raised when what a person wrote is no such question; `text` is what was written, to go on from."""

    def __init__(self, problem: str, text: str) -> None:
        super().__init__(printable(f"not changed: {problem}; e goes on with what you wrote"))
        self.text = text


def editor_of(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the command of the editor that is set; nothing when none is.

    Raises:
        UsageError: It is no command.
    """
    command = environ.get("VISUAL") or environ.get("EDITOR") or ""
    try:
        return tuple(shlex.split(command))
    except ValueError as error:
        raise UsageError(printable(f"EDITOR={command} is no command: {error}")) from error


def edit_in_editor(question: Question, editor: Sequence[str], draft: str | None = None) -> Question:
    """Let a person edit a question in an editor, a command to which a file is added, or go on from a draft.

    Where the question came from and where it stands in a conversation is not shown, and kept.

    Raises:
        UnfitError: What came of it is no question, or one with another id.
        UsageError: The editor cannot be run, or failed.
    """
    with tempfile.TemporaryDirectory(prefix="question-") as folder:
        file = Path(folder) / "question.json"
        file.write_text(draft or _text_of(question), encoding="utf-8")
        _run([*editor, str(file)])
        new = _only_question(file)
        if new.id != question.id:
            raise UnfitError(
                f'the id "{question.id}" stays: other files may name it', file.read_text("utf-8")
            )
    kept = {key: getattr(question, key) for key in KEPT}
    return replace(new, sources=_placed(question, new), **kept)


def _text_of(question: Question) -> str:
    value = {key: part for key, part in question_to_json(question).items() if key not in KEPT}
    lines = json.dumps([value], indent=2, ensure_ascii=False).split("\n")
    return "".join(f"{escaped(line)}\n" for line in lines)


def _run(command: Sequence[str]) -> None:
    try:
        status = subprocess.run(command, check=False).returncode
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(printable(f"{command[0]} cannot be run: {reason}; set EDITOR")) from error
    if status:
        raise UsageError(printable(f"not changed: {command[0]} ended with {status}"))


def _only_question(file: Path) -> Question:
    """Read the one question of a file.

    Raises:
        UnfitError: It is wrong, or there is more than one.
    """
    try:
        questions = load_questions([file])
    except QuestionFileError as error:
        problems = "; ".join(line.strip() for line in str(error).splitlines()[1:])
        place = re.escape(display_path(file))
        told = re.sub(f"{place}: ", "", re.sub(rf"{place}:(\d+): ", r"line \1: ", problems))
        raise UnfitError(told, file.read_bytes().decode(errors="replace")) from error
    if len(questions) > 1:
        raise UnfitError(f"{len(questions)} questions in place of one", file.read_text("utf-8"))
    return questions[0]


def _placed(old: Question, new: Question) -> tuple[Source, ...]:
    """Leave out offsets of a quote that was edited: they are those of other words."""
    quotes = {(source.start, source.end): source.quote for source in old.sources}
    return tuple(
        source
        if quotes.get((source.start, source.end), source.quote) == source.quote
        else replace(source, start=None, end=None)
        for source in new.sources
    )


# --- without an editor ---


def edit_by_line(question: Question) -> Question:
    """Let a person edit question and reference; without its text a reference is taken away."""
    text = _asked("question: ", question.question)
    reference = _asked("reference: ", question.reference or "")
    return replace(question, question=text or question.question, reference=reference or None)


def _asked(prompt: str, old: str) -> str:
    """Let a person edit one line of text."""
    # Line ends and control characters cannot be edited in one line; left alone they stay.
    line = printable(" ".join(old.split()))
    with _prefilled(line) as is_there:
        new = input(prompt if is_there else f"{prompt}[{line}] ").strip()
    return old if new == line or not (new or is_there) else new


@contextlib.contextmanager
def _prefilled(text: str) -> Iterator[bool]:
    """Have the next line begin with `text`; yield whether it does."""
    try:
        import readline
    except ImportError:  # the terminal's own editing begins with an empty line
        yield False
        return
    module: Any = readline
    module.set_startup_hook(lambda: module.insert_text(text))
    try:
        yield True
    finally:
        module.set_startup_hook()
