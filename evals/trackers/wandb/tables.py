"""The tables and charts of a W&B run: the one that grows, the whole one, bars."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rag_evals.evals.trackers.tracker import TrackedTable

MOST_LIVE_LOGS = 90
LEAST_ROWS = 25
LEAST_SECONDS = 10.0
# The batches grow with the run, by so much that the logs last for some 15,000 rows, or five hours.
SHARE_OF_ROWS = 1 / 20
SHARE_OF_SECONDS = 1 / 15


class LiveTable:
    """The growing table: decides when its new rows are worth a log."""

    def __init__(self, columns: Sequence[str]) -> None:
        import wandb

        self._columns = columns
        self._table = wandb.Table(columns=list(columns), log_mode="INCREMENTAL", allow_mixed_types=True)
        self._began = self._last = time.monotonic()
        self._logs = self._sent = self._waiting = 0

    def add(self, row: Mapping[str, Any]) -> bool:
        """Take a row, and tell whether it is time to log."""
        if self._logs >= MOST_LIVE_LOGS:
            return False
        self._table.add_data(*(row.get(column) for column in self._columns))
        self._waiting += 1
        now = time.monotonic()
        rows = max(LEAST_ROWS, self._sent * SHARE_OF_ROWS)
        seconds = max(LEAST_SECONDS, (now - self._began) * SHARE_OF_SECONDS)
        return self._waiting >= rows or now - self._last >= seconds

    def stop(self) -> None:
        """Log no more."""
        self._logs = MOST_LIVE_LOGS

    def take(self) -> Any:
        """Return the table, which logs what is new in it."""
        self._last = time.monotonic()
        self._sent, self._waiting = self._sent + self._waiting, 0
        self._logs += 1
        return self._table


def whole_table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Any:
    """Return all rows as a table that stays as it is."""
    cells = tuple([row.get(column) for column in columns] for row in rows)
    return wandb_table(TrackedTable("", tuple(columns), cells))


def wandb_table(table: TrackedTable) -> Any:
    """Return a table of rows that are known; it stays as it is."""
    import wandb

    cells = [list(row) for row in table.rows]
    return wandb.Table(columns=list(table.columns), data=cells, log_mode="IMMUTABLE", allow_mixed_types=True)


def joined(first: TrackedTable | None, second: TrackedTable) -> TrackedTable:
    """Return the rows of two tables with the same columns as one."""
    return replace(second, rows=(*(first.rows if first else ()), *second.rows))


def bars_of(means: Mapping[str, Mapping[str, float | None]]) -> dict[str, Any]:
    """Return one bar chart a metric, one bar a pipeline."""
    import wandb

    charts = {}
    for metric in dict.fromkeys(metric for of_pipeline in means.values() for metric in of_pipeline):
        bars = [[name, of[metric]] for name, of in means.items() if of.get(metric) is not None]
        if bars:
            table = wandb.Table(columns=["pipeline", metric], data=bars)
            charts[f"bars/{metric}"] = wandb.plot.bar(table, "pipeline", metric, title=f"mean {metric}")
    return charts
