"""The lines of a file of records as a whole: what a run is made of, what is lost, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rag_evals.evals.base.messages import first_names, printable
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import (
    COMPONENTS,
    RULES,
    ComponentInfo,
    RunHeader,
    component_from_json,
    header_from_json,
)
from rag_evals.evals.runs.lines.checksums import NOT_BEHIND
from rag_evals.evals.runs.lines.reader import ANOTHER_RUN, LineReader, RecordLine
from rag_evals.evals.runs.undecided import CONTINUED, NEVER_REACHED, all_undecided, asked_in, was_made

LISTED = 10


class Reading:
    """Takes the lines of a file, and holds what a run is made of.

    Args:
        is_strict: Whether to hold no evaluations.
    """

    def __init__(self, *, is_strict: bool) -> None:
        self.is_strict = is_strict
        self.count = 0
        self.header = RunHeader()
        self.components: list[ComponentInfo] = []
        self.evaluations: list[Evaluation] = []
        self.asked: list[Mapping[str, Any]] = []
        self.is_finished = self.is_interrupted = False
        self.continued = 0
        # Lines that are left out; lines that are read in spite of what is wrong with them; the numbers of
        # lines with NaN or an infinity.
        self.left_out: list[RecordLine] = []
        self.damaged: list[tuple[int, str]] = []
        self.odd: list[tuple[int, str]] = []
        self.not_finite: list[int] = []
        self._reader = LineReader()

    def take(self, line: bytes) -> None:
        """Take the next line."""
        self.count += 1
        read = self._reader.take(line)
        self.damaged += [(self.count, read.damage)] if read.damage else []
        self.odd += [(self.count, text) for text in read.odd.values()]
        if self.is_strict:  # what a run was held to is not to be guessed; the rest may be another version's
            self.damaged += [(self.count, text) for name, text in read.odd.items() if name in RULES]
        if not read.event:
            self.left_out.append(read)
            return
        if self.count == 1:
            self.header = header_from_json(read.event)
        if read.kind in COMPONENTS:
            self.components.append(component_from_json(read.event))
        self.asked += asked_in(read.event)
        if not self.is_strict and (evaluation := read.evaluation):
            self.evaluations.append(evaluation)
        if not read.is_finite:
            self.not_finite.append(self.count)
        if read.kind == "end":
            self.is_finished, self.is_interrupted = True, bool(read.event.get("interrupted"))
        elif read.kind == CONTINUED:
            self.is_finished, self.continued = False, self.count
            self.evaluations = [evaluation for evaluation in self.evaluations if was_made(evaluation)]


def lost_evaluations(found: Reading) -> list[Evaluation]:
    """Return the evaluations that were to be made and are not there: never made, or their lines left out."""
    reasons = {line.test: f"its record {line.problem}" for line in found.left_out if line.test}
    if not found.is_finished:
        never = {one["test"]: NEVER_REACHED for one in found.asked}
        return all_undecided(found.asked, found.evaluations, {**never, **reasons})
    decided = {evaluation.test for evaluation in found.evaluations}
    missing = {one["test"]: "its record is damaged" for one in found.asked if one["test"] not in decided}
    has_gap = any(text == NOT_BEHIND for _, text in found.damaged)
    # More than there are such lines: a run may well end before its last test.
    is_lost = has_gap or len(missing) <= len(found.left_out)
    return all_undecided(found.asked, found.evaluations, {**missing, **reasons} if is_lost else reasons)


def damage_notes(file: Path, found: Reading, *, is_cut: bool) -> list[str]:
    """Return a line for each line that is left out, or read in spite of what is wrong with it."""
    name = printable(file.name)
    own = [line for line in found.left_out if line.problem != ANOTHER_RUN]
    said = {line.number: [f"{line.problem}: left out"] for line in own}
    if is_cut and found.count in said:
        said[found.count] = ["is half-written: left out"]
    if len(own) < len(found.left_out):
        first = found.left_out[len(own)].number
        behind = count_lines(found.count - first)
        joined = f"it and {behind} behind it are left out; `rag-evals merge` joins runs"
        said[first] = [f"{ANOTHER_RUN}: {joined}"]
    for number, text in found.damaged:
        said.setdefault(number, []).append(text)
    for number, text in found.odd:
        said.setdefault(number, []).append(f"{text}: read as if it were not there")
    notes = [f"{name}:{number} {text}" for number in sorted(said) for text in said[number]]
    more = [f"{name}: {count_lines(len(notes) - LISTED)} more are damaged"] if len(notes) > LISTED else []
    return [*notes[:LISTED], *more]


def not_finite_notes(file: Path, numbers: Sequence[int]) -> list[str]:
    """Return which lines had NaN or an infinity in them."""
    if not numbers:
        return []
    lines = "line" if len(numbers) == 1 else "lines"
    shown = first_names([str(number) for number in numbers])
    name = printable(file.name)
    return [f"{name}: NaN or an infinity in {lines} {shown}: a score without a number is unscored"]


def count_lines(count: int) -> str:
    """Return how many lines."""
    return "a line" if count == 1 else f"{count} lines"
