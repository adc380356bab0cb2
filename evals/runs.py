"""Runs read back from their folders: what another process wrote, perhaps not to its end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.errors import RunFileError, printable
from evals.records import SCHEMA, Evaluation, evaluation_from_json
from evals.sharding import Shard

RECORDS = "records.jsonl"
LISTED = 10


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run in its folder; its evaluations stay there until they are asked for.

    Attributes:
        path: The run's folder.
        head: The first line: settings, arguments, machine.
        abouts: What describes pipelines and judges, in the order in which they came.
        is_finished: Whether there is a last line; a run without one was killed, or is still going.
        is_cut: Whether the file ends in the middle of a line.
        size: Bytes of whole lines; whatever a run that is still going adds later is not read.
    """

    path: Path
    head: Mapping[str, Any]
    abouts: tuple[Mapping[str, Any], ...]
    is_finished: bool
    is_cut: bool
    size: int

    @property
    def name(self) -> str:
        """The run's id, with its shard if it is one."""
        run = printable(str(self.head.get("run", self.path.name)))
        return f"{run} ({self.shard})" if self.shard else run

    @property
    def shard(self) -> Shard | None:
        """Which part of the questions it evaluated; None for all of them."""
        given = self.head.get("shard")
        return Shard(*given) if given else None

    def events(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Give each line, as it is and as JSON, without holding more than one."""
        for line in _whole_lines(self.path / RECORDS, self.size):
            yield line.decode().rstrip("\n"), json.loads(line)

    def evaluations(self) -> Iterator[Evaluation]:
        """Give the evaluations in the order in which they were finished, without holding more than one."""
        return (evaluation_from_json(event) for _, event in self.events() if event["type"] == "evaluation")


def read_run(path: Path) -> StoredRun:
    """Read the run in the folder `path` once, from its first line to its last whole one.

    Raises:
        RunFileError: There is no run, it is of another schema, or lines of it are damaged; each is named.
    """
    file = path / RECORDS
    head: Mapping[str, Any] = {}
    abouts: list[Mapping[str, Any]] = []
    problems: list[str] = []
    is_finished = False
    size, is_cut = _whole_size(file)
    for number, line in enumerate(_whole_lines(file, size), 1):
        try:
            event = _checked(line, is_first=number == 1)
        except ValueError as error:
            problems.append(f"  {printable(str(file))}:{number}: {error}")
            continue
        head = event if number == 1 else head
        if event["type"] in ("pipeline", "judge"):
            abouts.append(event)
        is_finished = is_finished or event["type"] == "end"
    if problems:
        raise RunFileError(_listed(f"{_lines(len(problems))} of a run cannot be read", problems))
    if not head:
        raise RunFileError(f"{printable(str(file))} has no whole line: the run was killed as it began")
    return StoredRun(path, head, tuple(abouts), is_finished, is_cut, size)


def find_run(text: str, home: Path) -> Path:
    """Give the folder of the run that `text` names: a run folder, its records, a run's id, or `latest`.

    Args:
        text: What was asked for; a path that exists wins over an id.
        home: Folder of runs.

    Raises:
        RunFileError: There is no such run.
    """
    for path in (Path(text), home / "runs" / text):
        folder = path.parent if path.name == RECORDS else path
        if (folder / RECORDS).is_file():
            return folder
    raise RunFileError(
        f"no run {printable(text)!r}: it is no folder with a {RECORDS}, no such file, "
        f"and no run in {printable(str(home / 'runs'))}"
    )


def _checked(line: bytes, *, is_first: bool) -> Mapping[str, Any]:
    """Parse one line.

    Raises:
        ValueError: It is none that a run has there.
    """
    try:
        event = json.loads(line)
    except ValueError:
        raise ValueError("is not JSON") from None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise ValueError("is no object with a type")
    if is_first:
        _check_head(event)
    if event["type"] in ("pipeline", "judge") and not {"name", "fingerprint"} <= event.keys():
        raise ValueError(f"a {event['type']} without a name or a fingerprint")
    if event["type"] == "evaluation":
        try:
            evaluation_from_json(event)
        except KeyError as error:
            raise ValueError(f"an evaluation without {error}") from None
        except (TypeError, AttributeError) as error:
            raise ValueError(f"is no evaluation: {printable(str(error))}") from None
    return event


def _check_head(event: Mapping[str, Any]) -> None:
    if event["type"] != "run":
        raise ValueError("is not the first line of a run")
    if event.get("schema") != SCHEMA:
        raise ValueError(
            f"is of schema {event.get('schema')!r}, and this version reads {SCHEMA}: "
            "read it with the version of rag-evals that wrote it"
        )
    shard = event.get("shard")
    if shard and not (
        isinstance(shard, list) and len(shard) == 2 and all(type(n) is int for n in shard) and shard[1] > 0
    ):
        raise ValueError(f"shard {shard!r} is not [index, count]")


def _whole_size(file: Path) -> tuple[int, bool]:
    """Give the bytes up to the last line's end, and whether anything follows."""
    size = whole = 0
    try:
        with file.open("rb") as lines:
            for line in lines:
                size += len(line)
                whole = size if line.endswith(b"\n") else whole
    except OSError as error:
        raise RunFileError(f"{printable(str(file))} cannot be read: {error.strerror}") from error
    return whole, size > whole


def _whole_lines(file: Path, size: int) -> Iterator[bytes]:
    with file.open("rb") as lines:
        for line in lines:
            size -= len(line)
            if size < 0:
                return
            yield line


def _lines(count: int) -> str:
    return "a line" if count == 1 else f"{count} lines"


def _listed(headline: str, problems: list[str]) -> str:
    more = len(problems) - LISTED
    tail = [f"  and {more} more"] if more > 0 else []
    return "\n".join((f"{headline}:", *problems[:LISTED], *tail))
