"""What can go wrong with Weights & Biases, and what a session that meets it is seen to do."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.wandb import LoopbackWandb, Mode
from tests.servers.wandb_lab import Lab, Session, until_is
from tests.servers.wandb_store import WandbRun

PROJECT = "lab"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        name: For people.
        mode: What the server does; `gone` means that nobody listens any more, empty that all is well.
        on: With which requests; empty for all.
        seconds: How late it is, where it is late.
        from_start: Whether from the start, or once rows have arrived.
        kill: The signal that the session gets.
        disk: Bytes of the file system of W&B's folder.
    """

    name: str
    mode: Mode | str = ""
    on: tuple[str, ...] = ()
    seconds: float | None = None
    from_start: bool = False
    kill: signal.Signals | None = None
    disk: int | None = None


def _at_start(name: str, mode: str, *on: str, seconds: float | None = None) -> Fault:
    return Fault(name, mode, on, seconds, from_start=True)


NOTHING = Fault("nothing")
FAULTS = (
    _at_start("at start: server down", "gone"),
    _at_start("at start: server hangs", "hang"),
    _at_start("at start: 500", "500"),
    _at_start("at start: 401", "401"),
    _at_start("at start: 403", "403"),
    _at_start("at start: 429", "429"),
    Fault("in mid-run: 500", "500"),
    Fault("in mid-run: server hangs", "hang"),
    Fault("in mid-run: 401", "401"),
    Fault("in mid-run: server dead", "gone"),
    Fault("in mid-run: history answers 500", "500", ("file_stream",)),
    Fault("in mid-run: history answers 404", "404", ("file_stream",)),
    Fault("in mid-run: history answers 409", "409", ("file_stream",)),
    _at_start("storage answers 500", "500", "storage"),
    _at_start("storage hangs", "hang", "storage"),
    _at_start("CreateArtifact answers 500", "500", "CreateArtifact"),
    _at_start("slow network, 0.1 s a request", "slow", seconds=0.1),
    _at_start("slow network, 1 s a request", "slow", seconds=1.0),
    Fault("disk of W&B's folder full at start", disk=0),
    Fault("disk of W&B's folder full in mid-run", disk=160 * 1024),
    Fault("session killed by SIGKILL", kill=signal.SIGKILL),
    Fault("session killed by SIGTERM", kill=signal.SIGTERM),
    Fault("session ended by Ctrl-C", kill=signal.SIGINT),
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a session with W&B came to.

    Attributes:
        session: The session itself.
        arrived: Rows that were with W&B when nothing of the session was left.
        replayed: What the replay said.
        replay_status: Exit status of the replay.
        differences: In what the run at W&B is not as the records after the replay; nothing when all is well.
    """

    session: Session
    arrived: int
    replayed: str
    replay_status: int
    differences: list[str]


def without(folder: Path, questions: int) -> Session:
    """Run the session without W&B."""
    return Lab(folder, questions, questions // 3).watch(lambda: None)


def measure(fault: Fault, folder: Path, questions: int, *options: str) -> Seen:
    """Run the session with W&B and the fault, let all be well again, replay the run, and compare."""
    with LoopbackWandb() as server:
        lab = Lab(
            folder,
            questions,
            questions // 3,
            (f"--evals-wandb={PROJECT}", *options),
            server.env,
            fault.disk,
        )
        if fault.from_start:
            strike(server, fault)
        session = lab.watch(lambda: _meanwhile(fault, lab, server), fault.kill)
        arrived = len(_steps(server, lab))
        with healed(server) as again:
            told = lab.replay(again.env)
            differences = _differences(again, lab, session)
            differences += [f"unknown to the server: {what}" for what in server.unknown + again.unknown]
        return Seen(session, arrived, told.stdout + told.stderr, told.returncode, differences)


def strike(server: LoopbackWandb, fault: Fault) -> None:
    """Let it go wrong."""
    if fault.mode == "gone":
        server.close()
    elif fault.mode:
        server.fault(fault.mode, fault.on, seconds=fault.seconds)  # type: ignore[arg-type]


@contextmanager
def healed(server: LoopbackWandb) -> Iterator[LoopbackWandb]:
    """Yield a server that is well and has what the old one had: itself may be gone."""
    server.heal()
    with LoopbackWandb() as again:
        again.backend = server.backend
        again.backend.url = again.url
        yield again


def outcomes_differ(session: Session, reference: Session, *, is_killed: bool) -> list[str]:
    """Return in what the tests had other outcomes than without W&B; of a killed session, those it has."""
    found = []
    count = len(session.evaluations) if is_killed else None
    if session.evaluations != reference.evaluations[:count]:
        found.append("the records differ")
    if not is_killed and session.junit != reference.junit:
        found.append("JUnit's files differ")
    if not is_killed and session.status != reference.status:
        found.append(f"the session ended with {session.status}, not with {reference.status}")
    return found


def worst_wait(session: Session, reference: Session) -> float:
    """Return by how many seconds a test took longer than the same without W&B, at worst."""
    pairs = ((session.evaluated, reference.evaluated), (session.took, reference.took))
    return max(ours[test] - theirs[test] for ours, theirs in pairs for test in ours)


def _meanwhile(fault: Fault, lab: Lab, server: LoopbackWandb) -> None:
    """Wait until the tracker is at work; in mid-run, until rows have arrived, and then let it go wrong."""
    until_is(lambda: lab.run is not None and (lab.run / "wandb").exists(), 20)
    if fault.from_start or fault.disk is not None:
        until_is(lambda: bool(server.requests), 1)
        return
    until_is(lambda: bool(_steps(server, lab)), 60)
    strike(server, fault)


def _steps(server: LoopbackWandb, lab: Lab) -> set[int]:
    """Return the steps of the tests' rows that are with W&B."""
    run = server.runs.get(lab.run.name) if lab.run else None
    return {row["_step"] for row in run.history if "test/index" in row} if run else set()


def _differences(server: LoopbackWandb, lab: Lab, session: Session) -> list[str]:
    """Return in what the run at W&B is not as the records; empty where each row is there once and fits."""
    run = server.runs.get(lab.run.name) if lab.run else None
    if run is None or lab.run is None:
        return ["there is no run"]
    evaluations = [line for line in session.records if line["type"] == "evaluation"]
    found = _rows_differ(run, evaluations)
    table: Mapping[str, Any] = next(
        (row["evaluations"] for row in reversed(run.history) if "evaluations" in row), {}
    )
    if table.get("nrows") != len(evaluations):
        found.append(f"the table has {table.get('nrows')} rows of {len(evaluations)}")
    if run.summary.get("n") != len(evaluations):
        found.append(f"the summary says n = {run.summary.get('n')}")
    if not run.is_complete:
        found.append("the run is not complete")
    kept = server.backend.named(run.entity, run.project, f"run-records:{run.id}")
    if kept is None or kept.files.get("records.jsonl") != (lab.run / "records.jsonl").read_bytes():
        found.append("the artifact run-records is not the records")
    return found


def _rows_differ(run: WandbRun, evaluations: list[dict[str, Any]]) -> list[str]:
    """Return which tests have no row, or several, or one with other scores."""
    found = []
    rows = [row for row in run.history if "test/index" in row]
    for step, line in enumerate(evaluations):
        scores = [_scores_in(row) for row in rows if row["_step"] == step == row["test/index"]]
        if scores != [_scores_of(line)]:
            found.append(f"row {step} has the scores {scores}, not {_scores_of(line)} once")
    if len(rows) != len(evaluations):
        found.append(f"there are {len(rows)} rows of {len(evaluations)}")
    return found


def _scores_in(row: Mapping[str, Any]) -> dict[str, float]:
    return {key.removeprefix("score/"): value for key, value in row.items() if key.startswith("score/")}


def _scores_of(line: Mapping[str, Any]) -> dict[str, float]:
    scores = line["scores"].items()
    return {metric: score["value"] for metric, score in scores if score["value"] is not None}
