"""The process of one tracker: follows the records of a run, and ends by itself whatever the tracker does.

    python -m rag_evals.evals.trackers.child NAME FOLDER STANDSTILL SECONDS SCRATCH

The end of its standard input says that the session is over, or dead; the tracker then has SECONDS, and ends
before when nothing has moved for the seconds STANDSTILL. Temporary files go to the folder SCRATCH, which is
removed. What there is to say goes to standard output (messages.py).
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from filelock import FileLock, Timeout
from rag_evals.evals.base.files import next_lines
from rag_evals.evals.base.messages import printable
from rag_evals.evals.runs.lines.reader import LineReader
from rag_evals.evals.runs.run import RECORDS
from rag_evals.evals.runs.undecided import CONTINUED
from rag_evals.evals.trackers.feed import Feed
from rag_evals.evals.trackers.messages import lock_of, say, text_of
from rag_evals.evals.trackers.tracker import tracker_for

# A session that is alive ends this process itself; one that was killed cannot.
SECONDS_BEYOND = 3.0
NICENESS = 5
# The share of its time that a process computes when it works; one that waits for W&B has 0.02.
WORKING = 0.05


class ParentSession:
    """The session that this process was begun by, seen from here."""

    def __init__(self) -> None:
        self._parent = os.getppid()
        self._closed = threading.Event()
        threading.Thread(target=self._wait_for_end, daemon=True).start()

    @property
    def is_over(self) -> bool:
        """Whether it has said so, or is gone: another child of it may hold our standard input open."""
        return self._closed.is_set() or os.getppid() != self._parent

    def _wait_for_end(self) -> None:
        with suppress(OSError):
            sys.stdin.buffer.read()
        self._closed.set()


class Movement:
    """What moves in this process: whatever it was told of, or computed."""

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._looked = (self._at, time.process_time())

    def moved(self, text: str = "") -> None:
        """Note and say that something has moved.

        Args:
            text: How far it is, for people; empty where that is not known.
        """
        self._at = time.monotonic()
        say(moved=text)

    def took(self, rows: int) -> None:
        """Note and say that so many evaluations are taken."""
        self._at = time.monotonic()
        say(rows=rows)

    def stood(self) -> float:
        """Return for how many seconds nothing has moved, until now; work since the last look is movement."""
        now, used = time.monotonic(), time.process_time()
        before, used_before = self._looked
        self._looked = (now, used)
        if used - used_before > WORKING * (now - before):
            self.moved()
        return now - self._at


def main(arguments: list[str]) -> int:
    """Run a tracker; 0 when all has arrived."""
    name, folder = arguments[0], Path(arguments[1])
    standstill, seconds = map(float, arguments[2:4])
    with suppress(OSError, AttributeError):
        os.nice(NICENESS)  # the tests go first
    session = ParentSession()
    movement = Movement()
    watched = (session, movement, standstill, seconds, Path(arguments[4]))
    threading.Thread(target=_end_with, args=watched, daemon=True).start()
    try:
        # The tracker of a session that was killed, whose run this one goes on with, ends by itself.
        with FileLock(lock_of(folder, name), timeout=SECONDS_BEYOND + 2):
            return _track(name, folder, seconds, session, movement)
    except Timeout:
        say(problem="another process is sending it")
    except Exception as error:  # noqa: BLE001  # whatever a tracker raises, here it ends
        say(problem=" ".join(printable(text_of(error)).split())[:300])
    return 1


def _track(name: str, folder: Path, seconds: float, session: ParentSession, movement: Movement) -> int:
    feed = Feed(name, tracker_for(name), folder, seconds=seconds, moved=movement.moved)
    rows = 0
    for event in follow(folder / RECORDS, is_over=lambda: session.is_over):
        feed.take(event)
        if event["type"] == "evaluation":
            rows += 1
            movement.took(rows)  # each: the next may never be done
    try:
        feed.finish()
    finally:
        for tracker in feed.trackers:
            for line in tracker.where():
                say(said=line)
    say(done=True)
    return 0


def _end_with(
    session: ParentSession, movement: Movement, standstill: float, seconds: float, scratch: Path
) -> None:
    while not session.is_over:
        time.sleep(0.5)
    over = time.monotonic()
    while True:
        passed = time.monotonic() - over
        if passed > seconds + SECONDS_BEYOND or min(passed, movement.stood()) > standstill + SECONDS_BEYOND:
            break
        time.sleep(0.5)
    leave(1, scratch)


def leave(status: int, scratch: Path) -> NoReturn:
    """End at once: what a tracker's library does when a process ends may take minutes."""
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(status)


SECONDS_BETWEEN = 0.2


def follow(file: Path, *, is_over: Callable[[], bool]) -> Iterator[Mapping[str, Any]]:
    """Yield the lines of `file` as they are written, to its last line of type `end`.

    One with which the run went on stands behind such a line at once, or not in this session.

    Args:
        file: The records.
        is_over: Whether nobody writes them any more: what stands there then is all there will be.
    """
    reader, is_ended = LineReader(), False
    with file.open("rb") as opened:
        while True:
            # Asked first: what was written before that is in what is read next.
            was_over = is_over()
            for line in map(reader.take, next_lines(opened)):
                if is_ended and line.kind != CONTINUED:
                    return
                is_ended = line.kind == "end"
                if line.event:  # one that is damaged is passed over, as by every reader
                    yield line.event
            if was_over or is_ended:
                return
            time.sleep(SECONDS_BETWEEN)


if __name__ == "__main__":
    leave(main(sys.argv[1:]), Path(sys.argv[5]))
