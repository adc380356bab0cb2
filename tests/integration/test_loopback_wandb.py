"""The loopback W&B server and the reader of offline runs, against the real wandb in a process of its own."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.wandb import LoopbackWandb
from tests.servers.wandb_offline import OfflineArtifact, read_offline
from tests.servers.wandb_store import ENTITY, Alert

START = """
import sys
import wandb

quiet = wandb.Settings(console="off")

def start(id, **more):
    return wandb.init(project="evals", entity="loopback", id=id, settings=quiet, **more)
"""

EVERYTHING = """
run = start("run-1", name="First", group="nightly", job_type="eval", tags=["a", "b"], notes="why",
            config={"top_k": 4, "nested": {"sizes": [1, 2]}}, resume="allow")
growing = wandb.Table(columns=["question", "score"], log_mode="INCREMENTAL", allow_mixed_types=True)
for step in range(4):
    growing.add_data(f"q{step}", step / 4)
    run.log({"score": step / 4, "growing": growing} if step % 2 else {"score": step / 4}, step=step)
whole = wandb.Table(columns=["question", "passed"], data=[["q0", True], ["q1", None]], allow_mixed_types=True)
run.log({"whole": whole, "page": wandb.Html("<p>hello</p>"), "spread": wandb.Histogram([1, 2, 3]),
         "bar": wandb.plot.bar(whole, "question", "passed", title="Passed")}, step=4)
run.summary["faithfulness_mean"] = 0.5
run.alert("BLOCK", "faithfulness 0.40 < 0.70", level="ERROR")
open("notes.txt", "w").write("saved")
run.save("notes.txt", policy="now")
questions = wandb.Artifact("eval-questions", type="dataset", metadata={"n": 1})
with questions.new_file("what is #1?/questions 100%.txt") as file:
    file.write("q0")
with questions.new_file("questions.jsonl") as file:
    file.write('{"id": "q0"}')
run.log_artifact(questions, aliases=["mine"])
"""

QUESTIONS = {"questions.jsonl": b'{"id": "q0"}', "what is #1?/questions 100%.txt": b"q0"}

ONLINE = """
questions.wait()
run.use_artifact("eval-questions:mine")
second = start("run-2", reinit="create_new")
second.log({"score": 1})
second.finish()
run.finish()
"""


@pytest.fixture
def server() -> Iterator[LoopbackWandb]:
    with LoopbackWandb() as running:
        yield running


@pytest.fixture
def run(server: LoopbackWandb, tmp_path: Path) -> Any:
    """Run a script, or wandb's own command, that knows of the server only."""
    folders = {f"WANDB_{name}": str(tmp_path) for name in ("DIR", "DATA_DIR", "CACHE_DIR", "CONFIG_DIR")}
    clean = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}

    def run(*command: str, **more: str) -> str:
        done = subprocess.run(
            [sys.executable, *command],
            env={**clean, **server.env, **folders, "WANDB_ERROR_REPORTING": "false", **more},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def rows(history: list[dict[str, Any]]) -> list[tuple[int, float | None]]:
    return [(row["_step"], row.get("score")) for row in history]


ROWS = [(0, 0), (1, 0.25), (2, 0.5), (3, 0.75), (4, None)]


def test_everything_of_a_run_arrives(server: LoopbackWandb, run: Any) -> None:
    run("-c", START + EVERYTHING + ONLINE)
    first, second = server.runs["run-1"], server.runs["run-2"]
    assert first.config == {"top_k": 4, "nested": {"sizes": [1, 2]}}
    assert (first.project, first.entity, first.name, first.group) == ("evals", ENTITY, "First", "nightly")
    assert (first.job_type, first.tags, first.notes) == ("eval", ["a", "b"], "why")
    assert (first.state, first.exit_code, first.is_complete) == ("finished", 0, True)
    assert rows(first.history) == ROWS
    assert {"whole", "page", "spread", "bar_table"} <= first.history[4].keys()
    assert first.summary["faithfulness_mean"] == 0.5
    assert sorted(table["data"] for table in first.tables.values()) == [
        [["q0", 0.0], ["q1", 0.25]],
        [["q0", True], ["q1", None]],
        [["q2", 0.5], ["q3", 0.75]],
    ]
    assert b"<p>hello</p>" in first.files[first.history[4]["page"]["path"]]
    assert first.files["notes.txt"] == b"saved"
    assert first.used == ["eval-questions:v0"]
    assert rows(second.history) == [(0, 1)]
    assert server.alerts == [Alert("run-1", "BLOCK", "faithfulness 0.40 < 0.70", "ERROR")]
    assert (server.unknown, server.telemetry) == ([], [])


def test_artifacts_arrive_whole(server: LoopbackWandb, run: Any) -> None:
    run("-c", START + EVERYTHING + ONLINE)
    assert {artifact.state for artifact in server.artifacts} == {"COMMITTED"}
    (artifact,) = server.versions("eval-questions")
    assert (artifact.name, artifact.type, artifact.run_id) == ("eval-questions:v0", "dataset", "run-1")
    assert (artifact.files, artifact.metadata) == (QUESTIONS, {"n": 1})
    assert sorted(artifact.aliases) == ["latest", "mine"]
    assert "eval-questions:v0" in server.runs["run-1"].logged


AGAIN = """
run = start("run-1", resume="allow")
for step in range(3, 7):
    run.log({"score": 1.0}, step=step)
run.config["late"] = True
run.finish()
"""


def test_a_resumed_run_goes_on_behind_its_last_step(server: LoopbackWandb, run: Any) -> None:
    """Steps that the server has are dropped by the client itself: a replay gives every row once."""
    run("-c", START + EVERYTHING + "run.finish()")
    run("-c", START + AGAIN)
    resumed = server.runs["run-1"]
    assert rows(resumed.history) == [*ROWS, (5, 1), (6, 1)]
    assert resumed.config == {"top_k": 4, "nested": {"sizes": [1, 2]}, "late": True}
    assert resumed.summary["faithfulness_mean"] == 0.5
    assert (server.unknown, server.telemetry) == ([], [])


READ_BACK = """
api = wandb.Api(timeout=10)
run = api.run("loopback/evals/run-1")
artifact = api.artifact("loopback/evals/eval-questions:mine")
folder = artifact.download(root="questions")
artifact.aliases.append("baseline")
artifact.aliases.remove("mine")
artifact.save()
wanted = [f"loopback/evals/eval-questions:{name}" for name in ("baseline", "mine", "v1")]
import json
print(json.dumps({
    "state": run.state,
    "last": run.lastHistoryStep,
    "config": run.config,
    "mean": run.summary["faithfulness_mean"],
    "steps": [row["_step"] for row in run.scan_history()],
    "scores": [row["score"] for row in run.scan_history(["score"])],
    "sampled": [row["score"] for row in run.history(keys=["score"], pandas=False)],
    "logged": sorted(one.name for one in run.logged_artifacts()),
    "used": [one.name for one in run.used_artifacts()],
    "version": artifact.version,
    "entry": open(artifact.get_entry("questions.jsonl").download(root="entry")).read(),
    "listed": [(file.name, file.size) for file in artifact.files()],
    "files": [open(f"{folder}/{name}").read() for name in sorted(artifact.manifest.entries)],
    "exists": [api.artifact_exists(name) for name in wanted],
}))
"""


def test_the_public_api_reads_a_run_and_moves_an_alias(server: LoopbackWandb, run: Any) -> None:
    run("-c", START + EVERYTHING + ONLINE)
    read = json.loads(run("-c", START + READ_BACK).splitlines()[-1])
    assert read == {
        "state": "finished",
        "last": 4,
        "config": {"top_k": 4, "nested": {"sizes": [1, 2]}},
        "mean": 0.5,
        "steps": [0, 1, 2, 3, 4],
        "scores": [0, 0.25, 0.5, 0.75],
        "sampled": [0, 0.25, 0.5, 0.75],
        "logged": [
            "eval-questions:v0",
            "run-run-1-incr-growing:v0",
            "run-run-1-incr-growing:v1",
            "run-run-1-whole:v0",
        ],
        "used": ["eval-questions:v0"],
        "version": "v0",
        "entry": '{"id": "q0"}',
        "listed": [["questions.jsonl", 12], ["what is #1?/questions 100%.txt", 2]],
        "files": ['{"id": "q0"}', "q0"],
        "exists": [True, False, False],
    }
    assert sorted(server.versions("eval-questions")[0].aliases) == ["baseline", "latest"]
    assert (server.unknown, server.telemetry) == ([], [])


VERSIONS = """
run = start("run-3")
for text in ("one", "two", "two"):
    card = wandb.Artifact("judge-card", type="judge-card")
    with card.new_file("card.json") as file:
        file.write(text)
    run.log_artifact(card).wait()
run.finish()
"""


def test_an_artifact_that_did_not_change_gets_no_new_version(server: LoopbackWandb, run: Any) -> None:
    run("-c", START + VERSIONS)
    assert [(one.version, one.files, one.aliases) for one in server.versions("judge-card")] == [
        ("v0", {"card.json": b"one"}, []),
        ("v1", {"card.json": b"two"}, ["latest"]),
    ]


def test_an_offline_run_is_read_and_synced(server: LoopbackWandb, run: Any, tmp_path: Path) -> None:
    run("-c", START + EVERYTHING + "run.finish(exit_code=1)", WANDB_MODE="offline")
    assert server.requests == []
    offline = read_offline(tmp_path)
    assert (offline.run_id, offline.group, offline.tags) == ("run-1", "nightly", ["a", "b"])
    assert (offline.exit_code, offline.is_torn) == (1, False)
    assert rows(offline.history) == ROWS
    assert offline.alerts == [Alert("run-1", "BLOCK", "faithfulness 0.40 < 0.70", "ERROR")]
    assert offline.artifacts[-1] == OfflineArtifact(
        "eval-questions", "dataset", ["latest", "mine"], {"n": 1}, QUESTIONS
    )
    run("-m", "wandb", "sync", *map(str, tmp_path.glob("wandb/offline-run-*")))
    synced = server.runs["run-1"]
    assert synced.config == offline.config == {"top_k": 4, "nested": {"sizes": [1, 2]}}
    assert synced.history == offline.history
    assert without_times(synced.summary) == without_times(offline.summary)
    assert synced.tables == offline.tables != {}
    assert set(synced.files) >= set(offline.files)
    assert by_name(server.artifacts) == by_name(offline.artifacts)
    assert (synced.group, synced.tags, synced.exit_code) == ("nightly", ["a", "b"], 1)
    assert server.alerts == offline.alerts
    assert (server.unknown, server.telemetry) == ([], [])


def by_name(artifacts: list[Any]) -> dict[str, Any]:
    """The files of all artifacts; a sync uploads the versions of a collection in no fixed order."""
    return {f"{one.collection}/{name}": data for one in artifacts for name, data in one.files.items()}


def without_times(summary: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in summary.items() if key not in ("_runtime", "_wandb", "_timestamp")}


def test_a_log_without_its_end_is_torn(run: Any, tmp_path: Path) -> None:
    run("-c", START + 'start("run-1").log({"score": 1})', WANDB_MODE="offline")
    log = next(tmp_path.rglob("*.wandb"))
    log.write_bytes(log.read_bytes()[:-20])
    offline = read_offline(log.parent)
    assert (offline.run_id, rows(offline.history)) == ("run-1", [(0, 1)])
    assert (offline.exit_code, offline.is_torn) == (None, True)


def test_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="0 runs") as caught:
        read_offline(tmp_path)
    assert str(caught.value) == f"0 runs below {tmp_path}: []"


INIT = (
    START
    + """
try:
    wandb.init(project=sys.argv[1], entity=sys.argv[2], settings=quiet)
except wandb.errors.CommError as error:
    print(error)
"""
)


def test_a_run_may_be_forbidden(server: LoopbackWandb, run: Any) -> None:
    server.forbid("secret")
    assert "permission denied" in run("-c", INIT, "secret", ENTITY).splitlines()
    refusal = "entity nobody not found during upsertBucket"
    assert refusal in run("-c", INIT, "evals", "nobody").splitlines()
    assert server.runs == {}


READ = (
    START
    + """
api = wandb.Api(timeout=10)
for read, path in zip((api.run, api.artifact, api.run, api.artifact), sys.argv[1:]):
    try:
        read(path)
    except (wandb.errors.CommError, ValueError) as error:
        print(error)
"""
)


def test_what_is_forbidden_is_not_there_for_readers(server: LoopbackWandb, run: Any) -> None:
    server.forbid("secret")
    paths = (
        "loopback/secret/run-1",
        "loopback/secret/card:v0",
        "loopback/evals/run-1",
        "loopback/evals/card:v0",
    )
    assert run("-c", READ, *paths).splitlines() == [
        "Could not find run <Run loopback/secret/run-1 (not found)>",
        "project 'secret' not found under entity 'loopback'",
        "Could not find run <Run loopback/evals/run-1 (not found)>",
        "artifact membership 'card:v0' not found in 'loopback/evals'",
    ]
    assert server.unknown == []


# Faults are asked for directly: what wandb makes of them is a matter of other tests.

VIEWER = {"query": "query Viewer { viewer { id } }"}
FAULTS = ("500", "502", "401", "403", "404", "409", "429")


def post(server: LoopbackWandb, path: str, body: bytes, **headers: str) -> int:
    """The status of an answer, 0 for a connection that was closed without any."""
    request = urllib.request.Request(server.url + path, data=body, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return 0


def viewer(server: LoopbackWandb) -> int:
    return post(server, "/graphql", json.dumps(VIEWER).encode())


def stream(server: LoopbackWandb) -> int:
    return post(server, f"/files/{ENTITY}/evals/run-1/file_stream", b"{}")


@pytest.mark.parametrize("mode", FAULTS)
def test_a_status_as_told(server: LoopbackWandb, mode: Any) -> None:
    server.fault(mode)
    assert (viewer(server), stream(server)) == (int(mode), int(mode))
    server.heal()
    assert (viewer(server), stream(server)) == (200, 200)
    assert [one.fault for one in server.requests] == [mode, mode, "", ""]


def test_a_dropped_connection(server: LoopbackWandb) -> None:
    server.fault("drop")
    assert viewer(server) == 0


def test_a_slow_answer_is_an_answer(server: LoopbackWandb) -> None:
    server.fault("slow", seconds=0.3)
    begin = time.monotonic()
    assert viewer(server) == 200
    assert time.monotonic() - begin > 0.29


def test_a_request_hangs_until_the_server_is_healed(server: LoopbackWandb) -> None:
    server.fault("hang")
    threading.Timer(0.3, server.heal).start()
    begin = time.monotonic()
    assert viewer(server) == 0
    assert 0.29 < time.monotonic() - begin < 5


def test_a_fault_strikes_what_it_is_told_to(server: LoopbackWandb) -> None:
    server.fault("500", on="file_stream", after=1, times=2)
    assert [viewer(server), *(stream(server) for _ in range(4))] == [200, 200, 500, 500, 200]
    server.fault("429", on=("Viewer",))
    assert (viewer(server), stream(server)) == (429, 200)
    server.fault("403", on=("storage", "otel"))
    assert (viewer(server), post(server, "/otel/v1/traces", b"")) == (200, 403)


def test_a_closed_server_refuses_and_breaks_what_is_open(server: LoopbackWandb) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    kept = http.client.HTTPConnection(host, int(port), timeout=5)
    kept.request("POST", "/graphql", json.dumps(VIEWER))
    assert kept.getresponse().read()
    server.fault("hang")
    server.close()
    assert viewer(server) == 0
    assert kept.sock.recv(1) == b""
    kept.close()


def test_spans_telemetry_and_the_unknown_are_kept_apart(server: LoopbackWandb) -> None:
    zipped = gzip.compress(b"spans")
    headers = {"wandb-api-key": "k", "Content-Encoding": "gzip"}
    assert post(server, "/otel/v1/traces", zipped, **headers) == 200
    assert post(server, "/sdk/otel/v1/metrics", b"{}") == 200
    assert post(server, "/nothing", b"{}") == 400
    assert post(server, "/graphql", b'{"query": "query Surprise { x }"}') == 400
    assert [(one.body, one.headers["wandb-api-key"]) for one in server.spans] == [(b"spans", "k")]
    assert [one.path for one in server.telemetry] == ["/sdk/otel/v1/metrics"]
    assert server.unknown == [
        "POST /nothing: LookupError('unknown address')",
        "POST /graphql Surprise {}: KeyError('Surprise')",
    ]
