"""The tracker that sends the traces of a run to a collector, as they are written."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from evals.replacing import next_lines
from evals.traces import FILE, span_from_json
from evals.trackers.otlp import OtlpExporter, Target, wandb_target
from evals.trackers.tracker import Ending, TrackedFile, TrackedRun, TrackerError
from rag.tracing import TraceSpan

WANDB = "wandb"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class OtlpTracker:
    """Reads the traces beside the records; of rows it takes only that there is something new."""

    def start(self, run: TrackedRun) -> None:
        """Begin; nothing is sent before the first trace.

        Raises:
            TrackerError: The run is offline, and the collector is elsewhere.
            UsageError: W&B is to take them, and there is no key or no entity.
        """
        target = _target(run.options)
        if run.is_offline and urlsplit(target.endpoint).hostname not in LOOPBACK:
            raise TrackerError("the session is offline: no traces were sent")
        self._file = run.folder / FILE
        self._read = 0
        self._sent = 0
        self._waiting: list[TraceSpan] = []
        self._trouble: str | None = None
        self._endpoint = target.endpoint
        resource = {**target.resource, "evals.run": run.id}
        self._exporter = OtlpExporter(target.endpoint, target.headers, resource)

    def config(self, values: Mapping[str, Any]) -> None:
        """Nothing: a span says what it is of."""

    def row(self, row: Mapping[str, Any], scalars: Mapping[str, float], step: int) -> None:  # noqa: ARG002
        """Send what is new; after trouble it waits for the end, where it is tried once more."""
        self._take_new()
        if not self._trouble:
            self._send()

    def summary(self, values: Mapping[str, Any]) -> None:
        """Nothing."""

    def file(self, file: TrackedFile) -> None:
        """Nothing."""

    def finish(self, ending: Ending) -> None:  # noqa: ARG002
        """Send the rest.

        Raises:
            TrackerError: Not all of it was taken.
        """
        self._take_new()
        self._send()
        self._exporter.close()
        if self._trouble:
            raise TrackerError(self._trouble)

    def where(self) -> Sequence[str]:
        """Say how much went where."""
        return (f"{self._sent:,} spans sent to {self._endpoint}",) if hasattr(self, "_exporter") else ()

    def _send(self) -> None:
        if not self._waiting:
            return
        self._trouble = self._exporter.export(self._waiting)
        if not self._trouble:
            self._sent += len(self._waiting)
            self._waiting = []

    def _take_new(self) -> None:
        """Read the whole lines that came since the last time."""
        if not self._file.exists():
            return
        with self._file.open("rb") as file:
            file.seek(self._read)
            for line in next_lines(file):
                with suppress(ValueError, KeyError, TypeError, AttributeError):  # damaged: it is passed over
                    self._waiting.append(span_from_json(json.loads(line)))
            self._read = file.tell()


def _target(options: Mapping[str, Any]) -> Target:
    if options["endpoint"] == WANDB:
        return wandb_target(options["project"], options.get("entity"), os.environ)
    return Target(str(options["endpoint"]), {}, {})
