"""A question file under review: decisions on its questions, and the session in which a person takes them.

Each decision is on disk before the next question is shown. What was decided stands beside the file, one line
a decision, in `.NAME.review.jsonl`: a review that was ended in whatever way goes on from there, and the
questions that were dropped are kept there whole.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rag_evals.evals.base.bounds import parse_json
from rag_evals.evals.base.errors import QuestionFileError, UsageError
from rag_evals.evals.base.files import all_lines, replace_file
from rag_evals.evals.base.messages import display_path, printable
from rag_evals.evals.questions.manifest import manifest_of, save_manifest
from rag_evals.evals.questions.question import Question, question_to_json, short_digest, to_line
from rag_evals.evals.questions.question_set import edited, load_set, marked_edits
from rag_evals.evals.questions.reviewing.editor import UnfitError
from rag_evals.evals.questions.rewrite import read_writable
from rag_evals.evals.questions.sources.check import CheckedQuestion, check_question
from rag_evals.evals.questions.sources.locate import SourceFinder

ReviewVerdict = Literal["kept", "edited", "dropped"]
VERDICTS: tuple[ReviewVerdict, ...] = ("kept", "edited", "dropped")


@dataclass(slots=True)
class ReviewedQuestion:
    """A question under review.

    Attributes:
        question: The question as it is now.
        verdict: What was decided about it as it is now; None when nothing was.
    """

    question: Question
    verdict: ReviewVerdict | None = None


def review_path(path: Path) -> Path:
    """Return the file of what was decided in reviews of the question file `path`."""
    return path.with_name(f".{path.name}.review.jsonl")


class Review:
    """The questions of a file, all or those with a tag, and what is decided about them.

    With `is_again` what was decided about questions that are in the file is forgotten.

    Raises:
        QuestionFileError: The file cannot be read, or not be written again.
    """

    def __init__(self, path: Path, *, tag: str | None = None, is_again: bool = False) -> None:
        self.path = path
        self._file = read_writable(path)
        self._bytes = self._file.data
        found = load_set(path)
        self._manifest = found.manifest
        self._is_decided = False
        self._read = {question.id: question for question in found.questions}
        self._now: dict[str, Question | None] = {
            question.id: question for question in marked_edits(found.questions, found.edits)
        }
        self.log = review_path(path)
        known = {} if is_again else _decisions(self.log)
        self.items = [
            ReviewedQuestion(question, _verdict_on(question, known.get(question.id)))
            for question in self._now.values()
            if question and (tag is None or tag in question.tags)
        ]

    def counts(self) -> Mapping[ReviewVerdict, int]:
        """Count what was decided, this time and before."""
        counted = Counter(item.verdict for item in self.items)
        return {verdict: counted[verdict] for verdict in VERDICTS}

    def next_open(self, place: int) -> int | None:
        """Return the first question from `place` on that nothing was decided about, else the first of all."""
        after = [*range(place, len(self.items)), *range(place)]
        return next((n for n in after if self.items[n].verdict is None), None)

    def keep(self, place: int, question: Question | None = None) -> None:
        """Keep a question, a dropped one as well; with what was found out about its sources, if given."""
        item = self.items[place]
        verdict: ReviewVerdict = "edited" if item.verdict == "edited" else "kept"
        self._decide(item, question or item.question, verdict)

    def edit(self, place: int, question: Question) -> None:
        """Put `question` in place of another; where that came from is kept, and that it was edited."""
        item = self.items[place]
        self._decide(item, edited(replace(question, provenance=item.question.provenance)), "edited")

    def drop(self, place: int) -> None:
        """Take a question out of the file; it stays in what is kept beside it."""
        item = self.items[place]
        # First there, then out of the file: killed between the two, it is in both.
        self._note(item.question, "dropped")
        self._write(item.question.id, None)
        item.verdict = "dropped"

    def close(self) -> None:
        """Bring the manifest up to date, if there is one and the file is as this review has written it."""
        if self._manifest is None or not self._is_decided or self.path.read_bytes() != self._bytes:
            return
        manifest = manifest_of([question for question in self._now.values() if question])
        old = self._manifest
        save_manifest(
            self.path,
            replace(manifest, corpus=old.corpus, documents=old.documents, generator=old.generator),
        )

    def _decide(self, item: ReviewedQuestion, question: Question, verdict: ReviewVerdict) -> None:
        self._write(question.id, question)
        self._note(question, verdict)
        item.question, item.verdict = question, verdict

    def _write(self, id: str, question: Question | None) -> None:
        """Put one question into the file, or take it away, together with all that was decided before."""
        now = {**self._now, id: question}
        changes = {id: question for id, question in now.items() if question != self._read[id]}
        text = self._file.with_changes(changes)
        if text.encode() != self._bytes:
            self._bytes = replace_file(self.path, text, before=self._bytes)
        self._now = now
        self._is_decided = True

    def _note(self, question: Question, verdict: ReviewVerdict) -> None:
        """Add a decision to what is kept beside the file."""
        line: dict[str, Any] = {"id": question.id, "verdict": verdict, "digest": short_digest(question)}
        if verdict == "dropped":
            line["question"] = question_to_json(question)
        try:
            with self.log.open("ab+") as out:
                if out.tell() and not _ends_line(self.log):
                    out.write(b"\n")  # the line before was cut when its process was killed
                out.write(f"{to_line(line)}\n".encode())
                out.flush()
                os.fsync(out.fileno())
        except OSError as error:
            raise QuestionFileError(
                printable(f"{display_path(self.log)} cannot be written: {error.strerror or error}")
            ) from error


class ReviewSession:
    """The question of a review that a person looks at, and what each key does to it.

    Args:
        review: The questions.
        finder: The documents; None when they are not known.
        edit: Lets the person edit a question, or go on from a draft that was no question.

    Attributes:
        review: The questions.
        place: Which of them is looked at; None when all are decided.
        message: What there is to say of the last key.
    """

    def __init__(
        self, review: Review, finder: SourceFinder | None, edit: Callable[[Question, str | None], Question]
    ) -> None:
        self.review = review
        self._finder = finder
        self._ask_for_edit = edit
        # What was written in an editor and was no question, by id.
        self._drafts: dict[str, str] = {}
        self.place = review.next_open(0)
        self.message = ""

    def press(self, key: str) -> None:
        """Do what a key says to the question that is looked at; other keys mean nothing."""
        self.message = ""
        place, count = self.place, len(self.review.items)
        if place is None:
            return
        if key == "k":
            checked = self.checked(place)
            self.review.keep(place, checked.accepted if checked else None)
        elif key == "d":
            self.review.drop(place)
        elif key == "e":
            self._edit(place)
        if key in ("k", "d"):
            self.place = self.review.next_open(place + 1)
        elif key in ("n", "b"):
            self.place = (place + (1 if key == "n" else -1)) % count

    def checked(self, place: int) -> CheckedQuestion | None:
        """Return where the sources of a question stand in the documents now, when those are known."""
        return check_question(self.review.items[place].question, self._finder) if self._finder else None

    def farewell(self) -> str:
        """Return what was decided, and how the review goes on."""
        counts = self.review.counts()
        open_ones = len(self.review.items) - sum(counts.values())
        told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        rest = f", {open_ones} not decided: the same command goes on there" if open_ones else ""
        return printable(f"{self.review.path}: {told}{rest}")

    def _edit(self, place: int) -> None:
        question = self.review.items[place].question
        self.message = "not changed"
        try:
            new = self._ask_for_edit(question, self._drafts.get(question.id))
        except UsageError as error:
            self.message = str(error)
            if isinstance(error, UnfitError):
                self._drafts[question.id] = error.text
        except (KeyboardInterrupt, EOFError):
            pass  # of the editing, not of the review
        else:
            self._drafts.pop(question.id, None)
            if new != question:
                self.review.edit(place, new)
                self.message = "written"


def _ends_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def _decisions(log: Path) -> dict[str, tuple[str, str]]:
    """Read the last decision about each question: verdict and hash; lines that are none are passed over."""
    known: dict[str, tuple[str, str]] = {}
    if not log.exists():
        return known
    for row in all_lines(log):
        try:
            line = parse_json(row)
            known[line["id"]] = (line["verdict"], line["digest"])
        except (ValueError, KeyError, TypeError):
            continue
    return known


def _verdict_on(question: Question, decision: tuple[str, str] | None) -> ReviewVerdict | None:
    """Return what was decided about this very question; one that was changed since is open again."""
    if decision is None or decision[1] != short_digest(question):
        return None
    # A dropped one that is in the file was put back.
    return next((verdict for verdict in VERDICTS[:2] if verdict == decision[0]), None)
