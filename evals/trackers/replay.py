"""A recorded run, told to a tracker from its first line to its last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from filelock import FileLock, Timeout
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import printable
from rag_evals.evals.runs.run import Run
from rag_evals.evals.trackers.feed import Feed
from rag_evals.evals.trackers.messages import lock_of, text_of
from rag_evals.evals.trackers.tracker import tracker_for


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of it.

    Attributes:
        lines: Where the run can be seen.
        problem: What did not arrive; empty for nothing.
    """

    lines: tuple[str, ...]
    problem: str


def replay(run: Run, name: str, options: Mapping[str, Any]) -> Sent:
    """Tell the tracker `name` of `run`; what it has of it already is not sent again.

    Args:
        run: The run; one that was killed is told as far as it goes.
        name: Name of the tracker.
        options: What the tracker is told.

    Raises:
        UsageError: There is no such tracker, or its session is still sending the run.
    """
    feed = Feed(name, tracker_for(name), run.records.folder.absolute(), is_replay=True)
    problem = ""
    try:
        with FileLock(lock_of(run.records.folder, name), timeout=0):
            try:
                for _, event in run.records.events():
                    feed.take({**event, "trackers": {name: options}} if event["type"] == "run" else event)
                feed.finish()
            except Exception as error:  # noqa: BLE001  # a tracker may raise anything
                problem = printable(text_of(error))
    except Timeout:
        raise UsageError(f"run {run.name} is being sent to {name} right now: wait for it to end") from None
    if not problem and not feed.trackers:
        return Sent((f"run {run.name} has no evaluation: there is nothing to send",), "")
    return Sent(tuple(line for tracker in feed.trackers for line in tracker.where()), problem)
