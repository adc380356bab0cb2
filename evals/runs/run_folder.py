"""The run folder: `run.json` and `records.jsonl`, one self-contained line an event, flushed as it happens."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rag_evals.evals.runs.evaluation import SCHEMA, evaluation_from_json, last_attempts
from rag_evals.evals.runs.header import COMPONENTS, component_from_json, header_from_json
from rag_evals.evals.runs.masking import masked
from rag_evals.evals.runs.run import LATEST, Run
from rag_evals.evals.runs.trace_lines import FILE as TRACES
from rag_evals.rag.identity import canonical

# Half of a surrogate pair (the name of a file need not be valid Unicode) becomes JSON's own escape for it.
_HALVES = "backslashreplace"


class RunFolder:
    """A run's folder under `home/runs`; it is made at the first line, never before."""

    def __init__(self, home: Path) -> None:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        self.run_id = f"{stamp}-{os.urandom(3).hex()}"
        self.path = home / "runs" / self.run_id
        self._home = home
        self._file: Any = None
        self._traces: Any = None

    def start(self, info: Mapping[str, Any]) -> None:
        """Make the folder, write `run.json` and the first line, without secrets, and point `latest` at it."""
        self.path.mkdir(parents=True)
        ignore = self._home / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
        head = {"type": "run", "schema": SCHEMA, "run": self.run_id, **masked(dict(info))}
        (self.path / "run.json").write_text(canonical(head) + "\n", encoding="utf-8", errors=_HALVES)
        self._file = (self.path / "records.jsonl").open("w+", encoding="utf-8", errors=_HALVES)
        self.append(canonical(head))
        self._point_latest()

    def append(self, line: str) -> None:
        """Append one event, JSON already, and flush it: a killed session loses the question in flight."""
        self._file.write(line + "\n")
        self._file.flush()

    def append_trace(self, lines: str) -> None:
        """Append the spans of an evaluation, JSON Lines already, to a file of their own."""
        if self._traces is None:
            self._traces = (self.path / TRACES).open("a", encoding="utf-8", errors=_HALVES)
        self._traces.write(lines + "\n")
        self._traces.flush()

    def read(self) -> tuple[Run, list[dict[str, Any]]]:
        """Read back the run, its evaluations in the order they were finished in, and all other lines."""
        evaluations, others = [], []
        # By the open file, not by its path: the folder may have been moved or removed meanwhile.
        self._file.seek(0)
        for line in map(json.loads, self._file):
            if line["type"] == "evaluation":
                evaluations.append(evaluation_from_json(line))
            else:
                others.append(line)
        components = tuple(component_from_json(line) for line in others if line["type"] in COMPONENTS)
        counted, attempts = last_attempts(evaluations)
        return Run(self.run_id, header_from_json(others[0]), components, counted, attempts=attempts), others

    def finish(self, totals: Mapping[str, Any]) -> None:
        """Write the last line and close the file."""
        self.append(canonical({"type": "end", **totals}))
        self._file.close()
        if self._traces is not None:
            self._traces.close()

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
