"""A log of answers, read once from its files: what is asked, what counts, and where each answer stands.

Of each answer the question is kept, and where its line is: contexts are read again when they are wanted, so
that a log may be larger than the memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

from rag_evals.evals.answers.draw import draw
from rag_evals.evals.answers.duplicates import Wording, duplicates, wording_of
from rag_evals.evals.answers.lines import LogLine, Masking, read_line, read_log
from rag_evals.evals.answers.log_summary import MOST_NAMED, LogSummary
from rag_evals.evals.answers.logged_answer import LoggedAnswer
from rag_evals.evals.answers.masking import CountedMasking, Mask, masking_of
from rag_evals.evals.answers.strata import values_of
from rag_evals.evals.answers.turns import LoggedTurn, asked_text, with_histories
from rag_evals.evals.base.drawn import Drawn
from rag_evals.evals.base.errors import AnswerFileError, LostAnswerError, UsageError
from rag_evals.evals.base.messages import count_of, display_path, first_names, listing, printable, quoted
from rag_evals.evals.questions.entries import Fault
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.masking import masked
from rag_evals.rag.identity import digest


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which answers of a log are judged.

    Attributes:
        size: How many; None for all of them.
        seed: The seed they are drawn with.
        by: The field whose values are the strata; "" for none.
    """

    size: int | None = None
    seed: int = 0
    by: str = ""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line of a log, without its answer and its passages."""

    question: Question
    file: Path
    number: int
    start: int
    hash: bytes
    stratum: str
    tells_contexts: bool
    finds: bool
    is_behind_a_gap: bool = False

    @property
    def place(self) -> str:
        """The file and the number of the line, as people would type them."""
        return f"{display_path(self.file)}:{self.number}"


class AnswerLog:
    """The answers of a log that are judged.

    Args:
        entries: Those that count, by the ids of their questions, in the order of the files.
        sampling: Which of them are judged.
        lines: How many there are, with those that say what another says.
        twice: Those, each with the one that counts in its place.
        masking: What the lines were masked with, and how much that was.
    """

    def __init__(
        self,
        entries: Mapping[str, _Entry],
        sampling: Sampling,
        lines: int,
        twice: Sequence[tuple[str, str]],
        masking: CountedMasking | None = None,
    ) -> None:
        hashes = sorted(entry.hash.hex() for entry in entries.values())
        self.digest = digest([hashes, masking.mask.told] if masking else hashes)
        self._mask = masking.mask if masking else None
        self._masked = dict(masking.counts) if masking else None
        self.drawn: Mapping[str, Drawn] = {}
        self._sampling = sampling
        self._strata = Counter(entry.stratum for entry in entries.values())
        if sampling.size is not None:
            strata = {name: entry.stratum for name, entry in entries.items()}
            self.drawn = draw(strata, sampling.size, sampling.seed)
            entries = {name: entry for name, entry in entries.items() if name in self.drawn}
        self._entries = entries
        self._lines = lines
        self._twice = twice
        # What was read last is wanted twice: the answer, and then what the log says beside it.
        self._last: LoggedAnswer | None = None

    @cached_property
    def questions(self) -> tuple[Question, ...]:
        """What was asked, in the order of the files."""
        return tuple(entry.question for entry in self._entries.values())

    def finds(self, question: Question) -> bool:
        """Return whether it can be told of an answer's passages where they stand."""
        return self._entries[question.id].finds

    def logged(self, question_id: str) -> LoggedAnswer:
        """Return the logged answer to the question of this id, read from its file.

        Raises:
            LostAnswerError: There is none, or its line cannot be read any more, or is another one.
        """
        last, entry = self._last, self._entries.get(question_id)
        if last and last.question.id == question_id:
            return last
        if entry is None:
            raise LostAnswerError(f"the log has no answer {quoted(question_id)}")
        try:
            line = read_line(entry.file, entry.number, entry.start, masking_of(self._mask))
        except OSError as error:
            raise LostAnswerError(f"{entry.place} cannot be read any more: {error.strerror}") from error
        if line is None or isinstance(line.value, Fault) or line.hash != entry.hash:
            raise LostAnswerError(f"{entry.place} is not what it was when the session began")
        self._last = line.value
        return line.value

    def beside(self, question_id: str) -> dict[str, Any]:
        """Return what the log says beside an answer, without secrets; what says nothing is left out."""
        try:
            logged = self.logged(question_id)
        except LostAnswerError:
            return {}
        told = {name: getattr(logged, name) for name in ("time", "model", "feedback", "trace", "metadata")}
        return masked({name: value for name, value in told.items() if value})

    @cached_property
    def summary(self) -> LogSummary:
        """What a run says of it."""
        sampling = self._sampling
        drawn = Counter(entry.stratum for entry in self._entries.values())
        is_by = bool(sampling.by) and sampling.size is not None
        strata = [(name, count, drawn[name]) for name, count in sorted(self._strata.items())] if is_by else []
        return LogSummary(
            lines=self._lines,
            duplicates=len(self._twice),
            named=tuple(self._twice[:MOST_NAMED]),
            drawn=len(self._entries),
            without_contexts=sum(not entry.tells_contexts for entry in self._entries.values()),
            seed=None if sampling.size is None else sampling.seed,
            by=sampling.by if is_by else "",
            strata=tuple(strata[:MOST_NAMED]),
            count_of_strata=len(strata),
            missed=sum(not count for *_, count in strata),
            masked=self._masked,
            behind_gaps=sum(entry.is_behind_a_gap for entry in self._entries.values()),
        )


def load_log(files: Sequence[Path], sampling: Sampling = Sampling(), mask: Mask | None = None) -> AnswerLog:
    """Read the answers of log files; a file given twice is read once.

    Raises:
        AnswerFileError: Anything is wrong with any file; lists every problem as `file:line: problem`.
        UsageError: No answer has the field that strata are made of.
    """
    masking = masking_of(mask)
    reading = _Reading(sampling.by, masking)
    for file in dict.fromkeys(files):
        reading.take(file)
    reading.join_turns()
    if reading.problems:
        headline = f"{count_of(len(reading.problems), 'problem')} in logs of answers:"
        raise AnswerFileError(listing(headline, map(printable, reading.problems)))
    reading.check_field()
    twice = duplicates(reading.wordings)
    entries = {name: entry for name, entry in reading.entries.items() if name not in twice}
    again = [(name, name) for name in reading.again]
    return AnswerLog(entries, sampling, reading.lines, sorted([*twice.items(), *again]), masking)


class _Reading:
    """What was read of log files so far.

    Args:
        by: The field that strata are made of; "" for none.
        masking: What the lines are masked with.

    Attributes:
        entries: The lines, by the ids of their questions.
        wordings: What is compared of each.
        again: Ids of lines that stand there a second time.
        problems: What is wrong, with its place.
        lines: How many lines are in order.
    """

    def __init__(self, by: str, masking: CountedMasking | None = None) -> None:
        self._masking = masking
        self.entries: dict[str, _Entry] = {}
        self.wordings: dict[str, Wording] = {}
        self.again: list[str] = []
        self.problems: list[str] = []
        self.lines = 0
        self._turns: list[LoggedTurn] = []
        self._by = by
        self._is_found = not by
        self._fields: dict[str, None] = {}

    def take(self, file: Path) -> None:
        """Read a file."""
        before = self.lines + len(self.problems)
        for line in read_log(file, self._masking):
            if isinstance(line.value, Fault):
                self.problems += [f"{line.place}: {problem}" for problem in line.value.problems]
            else:
                self.lines += 1
                self._take(line, line.value)
        if self.lines + len(self.problems) == before:
            self.problems.append(f"{display_path(file)}: no answers in it")

    def _take(self, line: LogLine, logged: LoggedAnswer) -> None:
        name = logged.question.id
        if (first := self.entries.get(name)) is not None:
            if _reread(first, masking_of(self._masking.mask if self._masking else None)) == logged:
                self.again.append(name)
            else:
                self.problems.append(f"{line.place}: duplicate id {quoted(name)} (first at {first.place})")
            return
        if logged.question.conversation is None:
            self.wordings[name] = wording_of(asked_text(logged.question), logged.answer.text)
        else:  # its wording is known once it has what was said before it
            self._turns.append(LoggedTurn(line.place, logged.question, logged.answer.text))
        self.entries[name] = _Entry(
            logged.question,
            line.file,
            line.number,
            line.start,
            line.hash,
            self._stratum(logged),
            logged.answer.contexts_known,
            _finds(logged),
        )

    def _stratum(self, logged: LoggedAnswer) -> str:
        if not self._by:
            return ""
        fields = values_of(logged)
        self._is_found = self._is_found or self._by in fields
        self._fields |= dict.fromkeys(fields)
        return fields.get(self._by, "")

    def join_turns(self) -> None:
        """Give each turn of a conversation what was said before it; it may stand anywhere in the files."""
        joined = with_histories(self._turns)
        self.problems += joined.problems
        for turn in self._turns:
            question = joined.questions[turn.question.id]
            self.entries[question.id] = replace(
                self.entries[question.id],
                question=question,
                is_behind_a_gap=question.id in joined.behind_gaps,
            )
            self.wordings[question.id] = wording_of(asked_text(question), turn.answer)

    def check_field(self) -> None:
        """Hold the log to having the field that strata are made of.

        Raises:
            UsageError: No line has it.
        """
        if self._is_found:
            return
        close = get_close_matches(self._by, self._fields, 1)
        hint = (
            f"did you mean {quoted(close[0])}?"
            if close
            else f"there are {first_names(self._fields) or 'none'}"
        )
        raise UsageError(printable(f"evals_stratify = {self._by}: no logged answer has such a field; {hint}"))


def _reread(entry: _Entry, masking: Masking | None) -> LoggedAnswer | Fault | None:
    try:
        line = read_line(entry.file, entry.number, entry.start, masking)
    except OSError:
        return None
    return line.value if line else None


def _finds(logged: LoggedAnswer) -> bool:
    """Return whether it can be told of an answer's passages whether they hold its question's sources."""
    answer, sources = logged.answer, logged.question.sources
    if not (answer.contexts_known and sources):
        return False
    places = ((one.document or None, one.start, one.end) for one in answer.contexts)
    return all(None not in place for place in places) or all(source.quote for source in sources)
