"""The run folder: `run.json` and `records.jsonl`, one self-contained line an event, written as it happens."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from rag_evals.evals.base.bounds import parse_json
from rag_evals.evals.base.files import new_path, open_plain, read_plain
from rag_evals.evals.base.messages import count_of
from rag_evals.evals.runs.evaluation import SCHEMA, Evaluation, evaluation_from_json, last_attempts
from rag_evals.evals.runs.header import COMPONENTS, component_from_json, header_from_json
from rag_evals.evals.runs.lines.checksums import KEY
from rag_evals.evals.runs.lines.reader import LineReader
from rag_evals.evals.runs.lines.writer import LineWriter, cut_to_whole_lines
from rag_evals.evals.runs.masking import masked
from rag_evals.evals.runs.run import LATEST, RECORDS, Run
from rag_evals.evals.runs.score import RETRIEVAL
from rag_evals.evals.runs.trace_lines import FILE as TRACES
from rag_evals.evals.runs.undecided import CONTINUED, was_made
from rag_evals.rag.identity import canonical

HEAD = "run.json"
Status = Literal["running", "interrupted", "finished"]
# Half of a surrogate pair (the name of a file need not be valid Unicode) becomes JSON's own escape for it.
_HALVES = "backslashreplace"
# Of an evaluation, what is nearly all of it and what no summary shows: how these lists begin, and what
# follows them. Neither can stand in a text: there quotes are escaped. Before the passages a list ends, as
# before the `contexts` of a citation, which are numbers, none does.
_LARGE = (
    ('"claims":[', '],"evidence":'),
    ('],"contexts":[', '],"error":'),
    ('],"contexts":[', '],"drawn":'),
    ('"retrieved":{', '},"scores":'),
)


class RunFolder:
    """A run's folder under `home/runs`; it is made at the first line, never before.

    What a summary needs of each line is held in memory as well: files may be lost while a session runs.

    Attributes:
        run_id: The run's id.
        path: The folder.
        losses: What of the record is not there although it was to be, a line each.
        trouble: What else went wrong; "" for nothing.
        is_there: Whether the record is where it was made, as far as anybody has looked.
    """

    def __init__(self, home: Path) -> None:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        self.run_id = f"{stamp}-{os.urandom(3).hex()}"
        self.path = home / "runs" / self.run_id
        self.losses: list[str] = []
        self.trouble = ""
        self.is_there = False
        self._home = home
        self._head: dict[str, Any] = {}
        self._writer: LineWriter | None = None
        self._traces: Any = None
        # Each line in small, by the writer's mark; where it could not be written, by a number of its own.
        self._held: dict[int | tuple[int], bytes] = {}

    def start(self, info: Mapping[str, Any]) -> None:
        """Make the folder, write `run.json` and the first line, without secrets, and point `latest` at it."""
        self.path.mkdir(parents=True)
        ignore = self._home / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
        self._head = {"type": "run", "schema": SCHEMA, "run": self.run_id, **masked(dict(info))}
        self._writer = LineWriter(self.path / RECORDS)
        self._write_head("running")
        self.append(canonical(self._head))
        self.is_there = True
        self._point_latest()

    def go_on(self, run_id: str) -> frozenset[str]:
        """Go on with a run that was interrupted, and return its lines: none of them is to be written again.

        Raises:
            OSError: It cannot be read or written.
            BlockingIOError: Another session writes it.
        """
        self.run_id, self.path = run_id, self._home / "runs" / run_id
        self._writer = LineWriter(self.path / RECORDS)
        cut_to_whole_lines(self.path / RECORDS)
        reader, texts = LineReader(), set()
        for mark, line in self._writer.marked_lines():
            if event := (read := reader.take(line)).event:
                self._head = self._head or dict(event)
                self._held[mark] = _small(read.text)
                texts.add(read.text)
        self._writer.follow(reader.chain.last())
        self._write_head("running")
        self.append(canonical({"type": CONTINUED, "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}))
        self.is_there = True
        self._point_latest()
        return frozenset(texts)

    def append(self, line: str) -> None:
        """Append one event, JSON already: a killed session loses the question in flight.

        Raises:
            OSError: It cannot be written; it is held in memory all the same.
        """
        assert self._writer is not None
        small = _small(line)
        try:
            self._held[self._writer.append(line)] = small
        except OSError as error:
            self._held[(len(self._held),)] = small
            self._lost(f"it cannot be written ({error.strerror})")
            raise

    def append_trace(self, lines: str) -> None:
        """Append the spans of an evaluation, JSON Lines already, to a file of their own."""
        if self._traces is None:
            self._traces = (self.path / TRACES).open("a", encoding="utf-8", errors=_HALVES)
        self._traces.write(lines + "\n")
        self._traces.flush()

    def read(self, *, whole: bool = True) -> tuple[Run, list[Mapping[str, Any]]]:
        """Read back the run, its evaluations in the order they were finished in, and all other lines.

        What the file has lost is taken from memory, without passages and claims; `losses` says so.

        Args:
            whole: Whether the evaluations of answers are to have passages and claims, which are nearly all of
                a file, and take nearly all of the time and the memory.
        """
        evaluations: list[Evaluation] = []
        others: list[Mapping[str, Any]] = []
        # Passages tell whether a question that was asked again was answered otherwise.
        for event in self._events(whole=whole or any(map(_is_again, self._held.values()))):
            if event["type"] == "evaluation":
                evaluations.append(evaluation_from_json(event))
            elif event["type"] == CONTINUED:
                evaluations = [one for one in evaluations if was_made(one)]
            else:
                others.append(event)
        components = tuple(component_from_json(line) for line in others if line["type"] in COMPONENTS)
        counted, attempts = last_attempts(evaluations)
        header = header_from_json(self._head)
        return Run(self.run_id, header, components, counted, attempts=attempts), others

    def finish(self, totals: Mapping[str, Any], *, is_interrupted: bool = False) -> None:
        """Write the last line and the status, and close the files."""
        end = {"type": "end", **totals, **({"interrupted": True} if is_interrupted else {})}
        self.write(canonical(end))
        self._look()
        if self.is_there:
            try:
                self._write_head("interrupted" if is_interrupted else "finished")
            except OSError as error:
                self.trouble = f"{HEAD} still says running: it cannot be written ({error.strerror})"
        self.close()

    def write(self, line: str) -> None:
        """Append one event; that it cannot be written is a loss."""
        with contextlib.suppress(OSError):
            self.append(line)

    def close(self) -> None:
        """Close the files; that the disk does not keep them is a loss."""
        try:
            if self._writer is not None:
                self._writer.close()
            if self._traces is not None:
                self._traces.close()
        except OSError as error:
            self._lost(f"the disk does not keep it ({error.strerror})")

    def _events(self, *, whole: bool) -> Iterator[Mapping[str, Any]]:
        """Yield the events of the run in their order, from the file where it has them and they are wanted."""
        there = {mark for mark, _ in self._marked_lines()} & self._held.keys()
        if lost := len(self._held) - len(there):
            self._lost(f"{count_of(lost, 'line')} of {len(self._held):,} cannot be read any more")
        self._look()
        lines = ((mark, line) for mark, line in self._marked_lines() if mark in there)
        for mark, small in self._held.items():
            event = json.loads(small)
            if mark in there and (whole or not _is_answers(event)):
                event = json.loads(next((line for other, line in lines if other == mark), small))
                event.pop(KEY, None)
            yield event

    def _marked_lines(self) -> Iterator[tuple[int, bytes]]:
        with contextlib.suppress(OSError):  # what cannot be read is not there
            yield from self._writer.marked_lines() if self._writer else ()

    def _look(self) -> None:
        """Look whether the record is where it was made."""
        self.is_there = self._writer is not None and self._writer.is_in_place
        if not self.is_there:
            self._lost("it was moved or removed while the session ran")

    def _lost(self, what: str) -> None:
        loss = f"the record {self.path / RECORDS} is lost, or a part of it: {what}"
        if loss not in self.losses:
            self.losses.append(loss)

    def _write_head(self, status: Status) -> None:
        """Write `run.json`, whole or not at all: what was asked for, and how the run stands."""
        assert self._writer is not None
        text = canonical({**self._head, "status": status, "inode": self._writer.inode})
        with new_path(self.path / HEAD) as scratch:
            scratch.write_text(f"{text}\n", encoding="utf-8", errors=_HALVES)

    def _point_latest(self) -> None:
        latest = self._home / "runs" / LATEST
        scratch = latest.with_name(f"{LATEST}-{self.run_id}")
        # A file system without symbolic links goes without; two sessions at once must not race.
        with contextlib.suppress(OSError):
            scratch.symlink_to(self.run_id, target_is_directory=True)
            try:
                scratch.replace(latest)
            except OSError:  # a folder: the tree was copied with its links resolved
                scratch.unlink()


def is_written_here(folder: Path, home: Path) -> bool:
    """Return whether a session of `home` made the run in `folder` where it is: no copy, not changed since.

    Files can be made to say anything by those who may write to this folder, and only by them.
    """
    records = folder / RECORDS
    if folder.parent != (home / "runs").resolve() or folder.is_symlink() or records.is_symlink():
        return False
    try:
        head = parse_json(read_plain(folder / HEAD))
        with open_plain(records) as opened:
            first = LineReader().take(opened.readline().removesuffix(b"\n"))
        is_ours = isinstance(head, dict) and head.get("inode") == records.stat().st_ino
    except (OSError, ValueError):
        return False
    told = {key: value for key, value in head.items() if key not in ("status", "inode")} if is_ours else {}
    return not first.damage and first.is_sealed and told == first.event


def _is_again(small: bytes) -> bool:
    """Return whether a line is of a repeat, or of another attempt of a test."""
    return b'"attempt":' in small or (b'"repeat":' in small and b'"repeat":0,' not in small)


def _is_answers(event: Mapping[str, Any]) -> bool:
    """Return whether a line is the evaluation of an answer; one of retrieval is nothing without passages."""
    return event["type"] == "evaluation" and not any(name.startswith(RETRIEVAL) for name in event["scores"])


def _small(line: str) -> bytes:
    """Return what a summary needs of a line, as `canonical` wrote it; parsing it would take 0.07 ms."""
    if '"type":"asked"' in line[-40:]:
        return b'{"type":"asked"}'
    for opening, behind in _LARGE:
        line = _emptied(line, opening, behind)
    return line.encode(errors="surrogatepass")


def _emptied(line: str, opening: str, behind: str) -> str:
    """Return a line with nothing in the lists from `opening` to `behind`."""
    parts, at = [], 0
    while (start := line.find(opening, at)) >= 0 and (end := line.find(behind, start)) >= 0:
        parts.append(line[at : start + len(opening)])
        at = end
    return "".join((*parts, line[at:]))
