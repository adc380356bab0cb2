"""The process of one tracker: follows the records of a run, and ends by itself whatever the tracker does.

    python -m evals.trackers.process NAME FOLDER SECONDS

The end of its standard input says that the session is over, or dead; the tracker then has SECONDS. What there
is to say goes to standard output (evals/trackers/messages.py).
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from evals.errors import printable
from evals.runs import RECORDS
from evals.trackers.feed import Feed
from evals.trackers.following import follow, lock_of
from evals.trackers.messages import say
from evals.trackers.tracker import tracker_for

# A session that is alive ends this process itself; one that was killed cannot.
SECONDS_BEYOND = 3.0
SECONDS_BETWEEN_COUNTS = 1.0
NICENESS = 5


class Session:
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


def main(arguments: list[str]) -> int:
    """Run a tracker; 0 when all has arrived."""
    name, folder, seconds = arguments[0], Path(arguments[1]), float(arguments[2])
    with suppress(OSError, AttributeError):
        os.nice(NICENESS)  # the tests go first
    session = Session()
    threading.Thread(target=_end_with, args=(session, seconds + SECONDS_BEYOND), daemon=True).start()
    try:
        with FileLock(lock_of(folder, name), timeout=0):
            return _track(name, folder, seconds, session)
    except Timeout:
        say(problem="another process is sending it")
    except Exception as error:  # noqa: BLE001  # whatever a tracker raises, here it ends
        say(problem=" ".join(printable(" ".join(str(error).split()) or type(error).__name__).split())[:300])
    return 1


def _track(name: str, folder: Path, seconds: float, session: Session) -> int:
    feed = Feed(name, tracker_for(name), folder, seconds=seconds)
    rows, told = 0, 0.0
    for event in follow(folder / RECORDS, is_over=lambda: session.is_over):
        feed.take(event)
        rows += event["type"] == "evaluation"
        if event["type"] == "evaluation" and time.monotonic() - told > SECONDS_BETWEEN_COUNTS:
            told = time.monotonic()
            say(rows=rows)
    say(rows=rows)
    try:
        feed.finish()
    finally:
        for tracker in feed.trackers:
            for line in tracker.where():
                say(said=line)
    say(done=True)
    return 0


def _end_with(session: Session, seconds: float) -> None:
    while not session.is_over:
        time.sleep(0.5)
    time.sleep(seconds)
    os._exit(1)


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stdout.flush()
    # Not by returning: what a tracker's library does when a process ends may take minutes.
    os._exit(status)
