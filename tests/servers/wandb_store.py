"""What a loopback Weights & Biases server keeps: runs, artifacts, alerts."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

ENTITY = "loopback"


@dataclass
class WandbRun:
    """What arrived of one run.

    Attributes:
        id: The run id of the client, which is unique here over all projects.
        name: The name that is displayed.
        sweep: The sweep that the client said it belongs to.
        raw_config: The config as sent: `{"knob": {"value": 1}, "_wandb": {...}}`.
        rows: History by line number, as lines arrive.
        row_times: `time.time()` of the arrival of each line.
        console: Console lines by number.
        files: Uploaded files by path.
        is_complete: Whether the client said that it is done.
        used: Artifacts that it declared as input, `name:version`.
        logged: Artifacts that it made, `name:version`.
    """

    id: str
    project: str
    entity: str
    name: str = ""
    group: str | None = None
    sweep: str | None = None
    job_type: str | None = None
    notes: str | None = None
    tags: list[str] = field(default_factory=list)
    raw_config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    row_times: dict[int, float] = field(default_factory=dict)
    events: dict[int, dict[str, Any]] = field(default_factory=dict)
    console: dict[int, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    state: str = "running"
    exit_code: int | None = None
    is_complete: bool = False
    used: list[str] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)

    @property
    def config(self) -> dict[str, Any]:
        """The config without wandb's own entry."""
        return {key: one["value"] for key, one in self.raw_config.items() if key != "_wandb"}

    @property
    def history(self) -> list[dict[str, Any]]:
        """The rows in their order."""
        return [self.rows[number] for number in sorted(list(self.rows))]  # noqa: C414 - a copy: lines may arrive

    @property
    def last_step(self) -> int:
        return max((row["_step"] for row in self.history), default=-1)

    @property
    def tables(self) -> dict[str, dict[str, Any]]:
        """Every table file, decoded, by path."""
        return {
            path: json.loads(data) for path, data in list(self.files.items()) if path.endswith(".table.json")
        }


@dataclass
class WandbArtifact:
    """One version of an artifact.

    Attributes:
        id: The id on the server.
        collection: The name without a version.
        number: 0 for v0.
        files: Uploaded files by name; a file in the manifest that is not here never arrived.
        manifest: What the manifest says of each file: digest, size, reference.
        run_id: The run that made it; empty for none.
    """

    id: str
    collection: str
    type: str
    number: int
    project: str
    entity: str
    digest: str
    run_id: str = ""
    description: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    aliases: list[str] = field(default_factory=list)
    state: str = "PENDING"
    files: dict[str, bytes] = field(default_factory=dict)
    raw_manifest: bytes = b""

    @property
    def version(self) -> str:
        return f"v{self.number}"

    @property
    def name(self) -> str:
        """Collection and version."""
        return f"{self.collection}:{self.version}"

    @property
    def manifest(self) -> dict[str, Any]:
        return dict(json.loads(self.raw_manifest)["contents"]) if self.raw_manifest else {}


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert of a run."""

    run_id: str
    title: str
    text: str
    level: str


class RefusedError(Exception):
    """Raised when the server says no to an operation.

    Status and body are those that people paste into reports about `wandb.init`: wandb/wandb#8609 and #9156
    for 403, giuvecchio/matfuse#4 and many more for 404.
    """

    def __init__(self, status: int, field_: str, message: str, **extensions: str) -> None:
        super().__init__(message)
        error = {"message": message, "path": [field_]} | ({"extensions": extensions} if extensions else {})
        self.status, self.body = status, {"errors": [error], "data": {field_: None}}


@dataclass
class Backend:
    """Runs, artifacts and alerts, and where their files go.

    Attributes:
        entities: The entities that exist.
        forbidden: Projects that nobody may write to or see.
        stopped: Ids of runs that somebody stopped in the browser.
        ids: Artifacts by the ids that clients gave them before there was an answer.
    """

    url: str
    entities: set[str] = field(default_factory=lambda: {ENTITY})
    forbidden: set[str] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)
    runs: dict[str, WandbRun] = field(default_factory=dict)
    artifacts: list[WandbArtifact] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    ids: dict[str, WandbArtifact] = field(default_factory=dict)

    def is_visible(self, entity: str, project: str) -> bool:
        """Whether there is such an entity, and its project may be seen."""
        return entity in self.entities and project not in self.forbidden

    def run(self, name: str, project: str, entity: str) -> WandbRun:
        """The run of this id, which is made when it is new."""
        return self.runs.setdefault(name, WandbRun(name, project, entity, name))

    def versions(self, entity: str, project: str, collection: str) -> list[WandbArtifact]:
        """The versions of a collection, the oldest first."""
        wanted = (entity, project, collection)
        return [one for one in self.artifacts if (one.entity, one.project, one.collection) == wanted]

    def artifact(self, id_: str) -> WandbArtifact:
        """The artifact of an id of the server."""
        return next(one for one in self.artifacts if one.id == id_)

    def named(self, entity: str, project: str, name: str) -> WandbArtifact | None:
        """The committed version that `collection:alias` means, None for none."""
        collection, _, alias = name.partition(":")
        for one in reversed(self.versions(entity, project, collection)):
            if one.state == "COMMITTED" and (alias or "latest") in (one.version, *one.aliases):
                return one
        return None

    def add_aliases(self, artifact: WandbArtifact, aliases: list[str]) -> None:
        """Move aliases to this version: an alias belongs to one version of a collection."""
        for other in self.versions(artifact.entity, artifact.project, artifact.collection):
            other.aliases = [alias for alias in other.aliases if alias not in aliases or other is artifact]
        artifact.aliases += [alias for alias in aliases if alias not in artifact.aliases]

    def stream(self, path: tuple[str, str, str], body: dict[str, Any]) -> None:
        """Take in one post of the file stream: numbered lines of history, summary, events, console."""
        entity, project, name = path
        run = self.run(name, project, entity)
        for file, chunk in (body.get("files") or {}).items():
            for number, line in enumerate(chunk["content"], chunk["offset"]):
                _take_line(run, file, number, line)
        if body.get("complete"):
            run.is_complete, run.exit_code = True, body["exitcode"]
            run.state = "failed" if run.exit_code else "finished"

    def store(self, path: str, data: bytes) -> None:
        """Take in an uploaded file: `run/ID/PATH`, `artifact/ID/NAME` or `manifest/ID`."""
        kind, id_, *rest = path.split("/", 2)
        if kind == "run":
            self.runs[id_].files[rest[0]] = data
        elif kind == "artifact":
            self.artifact(id_).files[rest[0]] = data
        else:
            self.artifact(id_).raw_manifest = data

    def stored(self, path: str) -> bytes:
        """The bytes behind an address that this server gave out.

        Raises:
            LookupError: They never came.
        """
        kind, id_, *rest = path.split("/", 2)
        if kind == "manifest":
            return self.artifact(id_).raw_manifest
        return (self.runs[id_] if kind == "run" else self.artifact(id_)).files[rest[0]]


def _take_line(run: WandbRun, file: str, number: int, line: str) -> None:
    if file == "wandb-history.jsonl":
        run.rows[number] = json.loads(line)
        run.row_times.setdefault(number, time.time())
    elif file == "wandb-summary.json":
        run.summary = json.loads(line)
    elif file == "wandb-events.jsonl":
        run.events[number] = json.loads(line)
    elif file == "output.log":
        run.console[number] = line
