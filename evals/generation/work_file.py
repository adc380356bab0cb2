"""The work of a run, an item a line: what a killed run goes on from, and what an audit reads.

Beside `questions.jsonl` lies `questions.jsonl.work.jsonl`. Its first line says what the items depend on; a
run with another model, other documents, another seed or another mix does not go on from it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_evals.evals.base.bounds import parse_json
from rag_evals.evals.base.errors import GenerationError
from rag_evals.evals.base.files import next_lines, open_plain, whole_lines
from rag_evals.evals.base.messages import printable
from rag_evals.evals.generation.candidate import Candidate, candidate_from_json, candidate_to_json
from rag_evals.evals.generation.writing.writer import PlannedQuestion
from rag_evals.rag.identity import canonical

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class WorkItem:
    """What became of one item.

    Attributes:
        number: Which item of the run it is, counted from 0.
        kind: Its kind.
        start: Offset of the sentence that it is about in its document.
        outcome: `kept`, `dropped` or `invalid`.
        reason: Why it was dropped, or what is wrong with it; None when it was kept.
        rule: The rule that dropped it.
        value: The number by which it did.
        threshold: The number that it should have had.
        values: What each rule measured, by its name.
        candidate: The question; None where the reply was no valid item.
        output: What the model wrote, where that was no valid item.
    """

    number: int
    kind: str
    start: int
    outcome: str
    reason: str | None = None
    rule: str | None = None
    value: float | None = None
    threshold: float | None = None
    values: Mapping[str, float | None] | None = None
    candidate: Candidate | None = None
    output: str | None = None


class WorkFile:
    """The items done so far, on disk; each is there before the next is begun.

    Args:
        path: The file; made when the first line is written.
        header: What the items depend on, by its name for people.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path = path
        self._header = dict(header)

    def load(self, *, restart: bool = False) -> tuple[WorkItem, ...]:
        """Return the items of an earlier run, and begin the file anew where there are none, or to `restart`.

        A last line that a killed run left unfinished is cut off.

        Raises:
            GenerationError: The file is of a run with other settings, is damaged, or cannot be written.
        """
        try:
            lines = [] if restart or not self.path.exists() else self._lines_cut()
            if not lines:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.write_text(_line({"type": "work", "schema": SCHEMA, **self._header}), "utf-8")
                return ()
        except OSError as error:
            raise GenerationError(
                f"the work cannot be kept in {printable(str(self.path))}: {error.strerror}"
            ) from error
        self._check(self._parsed(1, lines[0]))
        return tuple(self._item(number, line) for number, line in enumerate(lines[1:], 2))

    def append(self, done: WorkItem) -> None:
        """Write one item; it is on disk when this returns."""
        # What a model wrote may hold halves of surrogate pairs: JSON has an escape for them.
        with self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(_line(_to_json(done)))

    def _lines_cut(self) -> list[str]:
        """Return the lines, and cut off what is behind the last whole one."""
        with open_plain(self.path) as file:
            lines = [*map(_text, next_lines(file))]
            size = file.tell()
            is_cut = bool(file.read(1))
        if is_cut:
            os.truncate(self.path, size)
        return lines

    def _parsed(self, number: int, line: str) -> dict[str, Any]:
        try:
            value = parse_json(line)
            if isinstance(value, dict) and value.get("type") == ("work" if number == 1 else "item"):
                return value
        except ValueError:
            pass
        raise self._damaged(number)

    def _item(self, number: int, line: str) -> WorkItem:
        value = self._parsed(number, line)
        try:
            return _done(value)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._damaged(number) from None

    def _damaged(self, number: int) -> GenerationError:
        return GenerationError(
            f"{printable(str(self.path))}:{number}: not a line of a work file. "
            "Give --restart to begin anew, or another --out."
        )

    def _check(self, header: Mapping[str, Any]) -> None:
        wanted = {"schema": SCHEMA, **self._header}
        other = [name for name in wanted if canonical(header.get(name)) != canonical(wanted[name])]
        if other:
            changes = [
                f"  {name}: {_told(header.get(name))} then, {_told(wanted[name])} now" for name in other
            ]
            raise GenerationError(
                "\n".join(
                    [
                        f"{printable(str(self.path))} holds the work of a run with other settings:",
                        *changes,
                        "Give the settings of then to go on, --restart to begin anew, or another --out.",
                    ]
                )
            )


def work_path(out: Path) -> Path:
    """Return the file with the work of the question set `out`."""
    return out.with_name(f"{out.name}.work.jsonl")


def done_of(item: PlannedQuestion, outcome: str, **fields: Any) -> WorkItem:
    """Return what became of `item`."""
    return WorkItem(item.number, item.kind, item.target.start, outcome, **fields)


def load_work(path: Path) -> Iterator[WorkItem]:
    """Yield the items of a work file, whatever run it is of; one that is being written is left as it is.

    Raises:
        GenerationError: The file cannot be read, or a line is damaged.
    """
    lines, work = _read(path), WorkFile(path, {})
    yield from (work._item(number, line) for number, line in enumerate(lines[1:], 2))


def load_header(path: Path) -> Mapping[str, Any]:
    """Return the first line of a work file: what its items depend on.

    Raises:
        GenerationError: The file cannot be read, or has no such line.
    """
    return WorkFile(path, {})._parsed(1, next(iter(_read(path)), ""))


def _read(path: Path) -> list[str]:
    try:
        return [*map(_text, whole_lines(path))]
    except OSError as error:
        raise GenerationError(f"{printable(str(path))} cannot be read: {error.strerror}") from error


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace")


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"


def _to_json(done: WorkItem) -> dict[str, Any]:
    fields = {name: getattr(done, name) for name in WorkItem.__dataclass_fields__}
    candidate = candidate_to_json(done.candidate) if done.candidate else None
    return {"type": "item", **fields, "candidate": candidate}


def _done(value: dict[str, Any]) -> WorkItem:
    known = {name: value[name] for name in WorkItem.__dataclass_fields__ if name in value}
    candidate = value.get("candidate")
    return WorkItem(**{**known, "candidate": candidate_from_json(candidate) if candidate else None})


def _told(value: object) -> str:
    text = value if isinstance(value, str) else canonical(value)
    return printable(text if len(text) <= 60 else f"{text[:57]}...")
