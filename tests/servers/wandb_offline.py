"""What a run of Weights & Biases left on disk, read with `wandb leet inspect` of wandb 0.31."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers.wandb_store import Alert


@dataclass(frozen=True, slots=True)
class OfflineArtifact:
    """One artifact that waits for its upload.

    Attributes:
        aliases: In alphabetical order: wandb writes them in no fixed order.
        files: Bytes by name; None for a file that is not where the record says.
    """

    collection: str
    type: str
    aliases: list[str]
    metadata: dict[str, Any]
    files: Mapping[str, bytes | None]


@dataclass(frozen=True, slots=True)
class OfflineRun:
    """What the run folder holds.

    Attributes:
        summary: As the server would show it.
        history: The rows. A value that is a table, a histogram or a file stands whole under its key, as on
            the server; the parts of a plain dict have a key each, joined by dots, as wandb's reader has them.
        tables: Every table file, decoded, by path.
        files: Paths of the files to upload, tables and media among them.
        exit_code: None for a run that never ended.
        is_torn: Whether the end of the run, or something before it, cannot be read.
    """

    run_id: str
    project: str
    entity: str
    name: str
    group: str
    job_type: str
    notes: str
    tags: list[str]
    config: dict[str, Any]
    summary: dict[str, Any]
    history: list[dict[str, Any]]
    tables: dict[str, dict[str, Any]]
    files: list[str]
    artifacts: list[OfflineArtifact]
    alerts: list[Alert]
    exit_code: int | None
    is_torn: bool


@dataclass(slots=True)
class _Records:
    """The records of a log, parted by their type."""

    by_type: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    complaint: str = ""

    def of(self, type_: str) -> list[dict[str, Any]]:
        return self.by_type.get(type_, [])

    def one(self, type_: str) -> dict[str, Any]:
        return (self.of(type_) or [{}])[-1]


def read_offline(folder: Path) -> OfflineRun:
    """Read the one run in a folder or below it, offline or not, finished or killed.

    Raises:
        ValueError: There is not exactly one run.
    """
    logs = sorted(folder.rglob("*.wandb"))
    if len(logs) != 1:
        raise ValueError(f"{len(logs)} runs below {folder}: {[log.name for log in logs]}")
    records = _read_records(logs[0])
    run, run_id = records.one("run"), records.one("run").get("run_id", "")
    alerts = [Alert(run_id, one["title"], one["text"], one["level"]) for one in records.of("alert")]
    files = [file["path"] for record in records.of("files") for file in record["files"]]
    exit_code = records.one("exit").get("exit_code")
    return OfflineRun(
        run_id=run_id,
        name=run.get("display_name", ""),
        group=run.get("run_group", ""),
        tags=run.get("tags", []),
        **{key: run.get(key, "") for key in ("project", "entity", "job_type", "notes")},
        config=_config(records),
        summary=_summary(logs[0]),
        history=[_row(record) for record in records.of("history")],
        tables=_tables(logs[0].parent / "files", files),
        files=files,
        artifacts=[_artifact(record) for record in records.of("artifact")],
        alerts=alerts,
        exit_code=exit_code,
        is_torn=exit_code is None or bool(records.complaint),
    )


def _inspect(log: Path, *options: str) -> tuple[str, str]:
    """What wandb's reader says of a log, and what it has to complain of."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", str(log), "--json", *options]
    environment = {**os.environ, "WANDB_ERROR_REPORTING": "false"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    is_clean = not any(word in done.stderr for word in ("incomplete .wandb file", "skipped corrupt data"))
    return done.stdout, "" if is_clean else done.stderr


def _read_records(log: Path) -> _Records:
    out, complaint = _inspect(log)
    records = _Records(complaint=complaint)
    for line in filter(None, out.split("\n")):  # a text in a record may hold any other end of a line
        record = json.loads(line)
        records.by_type.setdefault(record["type"], []).append(record[record["type"]])
    return records


def _summary(log: Path) -> dict[str, Any]:
    """Empty when the log ends before the run begins: the reader then prints nothing."""
    out, _ = _inspect(log, "--summary")
    return dict(json.loads(out)["summary"]) if out.strip() else {}


def _config(records: _Records) -> dict[str, Any]:
    config: dict[str, Any] = {}
    changes = [run["config"] for run in records.of("run") if "config" in run]
    for change in [*changes, *records.of("config")]:
        config |= change.get("update", {})
        for gone in change.get("remove", []):
            config.pop(gone["key"], None)
    return {key: value for key, value in config.items() if key.partition(".")[0] != "_wandb"}


def _row(record: dict[str, Any]) -> dict[str, Any]:
    """One row; the parts of an object, `key._type`, `key.path` and so on, are put together again."""
    objects = {key.removesuffix("._type") for key in record["item"] if key.endswith("._type")}
    row: dict[str, Any] = {"_step": record["step"]["num"]} if "step" in record else {}
    for key, value in record["item"].items():
        owner = next((one for one in objects if key.startswith(f"{one}.")), None)
        if owner is None:
            row[key] = value
        else:
            row.setdefault(owner, {})[key.removeprefix(f"{owner}.")] = value
    return row


def _tables(folder: Path, files: list[str]) -> dict[str, dict[str, Any]]:
    tables = [path for path in files if path.endswith(".table.json") and (folder / path).exists()]
    return {path: json.loads((folder / path).read_text(encoding="utf-8")) for path in tables}


def _artifact(record: dict[str, Any]) -> OfflineArtifact:
    metadata = record.get("metadata") or {}
    entries = record["manifest"].get("contents", [])
    files = {one["path"]: _bytes(Path(one.get("local_path", ""))) for one in entries if "ref" not in one}
    return OfflineArtifact(
        collection=record["name"],
        type=record["type"],
        aliases=sorted(record.get("aliases", [])),
        metadata=json.loads(metadata) if isinstance(metadata, str) else metadata,
        files=files,
    )


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
