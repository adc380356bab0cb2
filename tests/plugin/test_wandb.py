"""A whole run at Weights & Biases, field by field as in its records: online, with workers, offline."""

from __future__ import annotations

import json
import math
import re
import socket
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from subprocess import CompletedProcess
from typing import Any

import pytest
from rag_evals.evals.gate.decision import decision_from_json
from rag_evals.evals.gate.rules import rules_from
from rag_evals.evals.questions.load import load_questions
from rag_evals.evals.reports.terminal.summary import decision_lines
from rag_evals.evals.runs.run import read_run
from rag_evals.evals.trackers.rows import columns_for
from rag_evals.rag.identity import digest

from tests.servers.sessions import QUESTIONS, Project, said
from tests.servers.wandb import LoopbackWandb
from tests.servers.wandb_offline import OfflineRun, read_offline
from tests.servers.wandb_store import ENTITY, WandbRun

GATE = "relevancy.mean >= 0.9"
SETTINGS = ("--evals-repeat=3", f"--evals-gate={GATE}")
ENVIRONMENT = {
    "WANDB_TAGS": "nightly, b",
    "WANDB_NOTES": "why",
    "WANDB_RUN_GROUP": "all",
    "WANDB_NAME": "mine",
}
METRICS = ("faithfulness", "relevancy", "refusal")
STAGES = ("retrieve", "rerank", "generate", "judge")
MERGED = (*STAGES, "merge")
CONTEXTS = "[b.pdf, page 2] eight experts\n\n[a.md] no pages"
REASONS = {
    "fails": "faithfulness 0.10 < 0.50",
    "unscored": "faithfulness unscored: no verdict",
    "error": "pipeline {} raised OSError: no disk",
}
TABLES = ("evaluations_live", "evaluations")


@dataclass(frozen=True)
class Sent:
    """A session, and the server that it sent to."""

    project: Project
    server: LoopbackWandb
    done: CompletedProcess[str]

    @property
    def run(self) -> WandbRun:
        """The only run."""
        (run,) = self.server.runs.values()
        return run


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Sent]]:
    """Run all sessions, two at a time, each to a server of its own."""
    wanted = {
        "online": (("--evals-html=report.html",), {"WANDB_ENTITY": ENTITY, **ENVIRONMENT}, "rag"),
        "xdist": (("-n", "2"), {}, f"{ENTITY}/rag"),
        "offline": ((), {"WANDB_MODE": "offline", **ENVIRONMENT}, f"{ENTITY}/rag"),
        "pipelines": (("--evals-wandb-runs=pipeline",), {}, f"{ENTITY}/rag"),
    }
    servers = {name: LoopbackWandb().__enter__() for name in wanted}

    def run(name: str) -> Sent:
        options, environment, project = wanted[name]
        made = Project.begun(tmp_path_factory.mktemp("sessions") / name)
        told = ("--evals-tracker-wait=60", f"--evals-wandb={project}", *SETTINGS, *options)
        return Sent(made, servers[name], made.run(*told, **{**servers[name].env, **environment}))

    try:
        with ThreadPoolExecutor(2) as pool:
            yield dict(zip(wanted, pool.map(run, wanted), strict=True))
    finally:
        for server in servers.values():
            server.close()


@pytest.fixture(params=["online", "xdist"])
def sent(request: pytest.FixtureRequest, sessions: dict[str, Sent]) -> Sent:
    """What a session sent, from one process and with workers."""
    return sessions[request.param]


def scalars_of(lines: Sequence[dict[str, Any]]) -> Iterator[dict[str, float]]:
    """Yield the scalars of each test in turn, made from nothing but the lines of the records."""
    values: dict[str, list[float]] = {metric: [] for metric in METRICS}
    passed: list[float] = []
    for index, line in enumerate(lines):
        row: dict[str, float] = {"test/index": index, "seconds": sum(line["seconds"].values())}
        for metric, score in line["scores"].items():
            if score["value"] is not None:
                values[metric].append(score["value"])
                row |= {f"score/{metric}": score["value"], **_bounded(f"mean/{metric}", values[metric])}
        if line["outcome"] != "unscored":
            passed.append(line["outcome"] == "passed")
            row |= _bounded("pass_rate", passed)
        row["unscored"] = sum(other["outcome"] == "unscored" for other in lines[: index + 1])
        row |= {f"seconds/{stage}": seconds for stage, seconds in line["seconds"].items()}
        row |= {f"tokens/{kind}": line["tokens"][kind] for kind in ("evaluated", "reused", "generated")}
        yield row


def _bounded(name: str, values: Sequence[float]) -> dict[str, float]:
    mean = fmean(values)
    if len(values) == 1:
        return {name: mean}
    half = 1.959963984540054 * stdev(values) / math.sqrt(len(values))
    return {name: mean, f"{name}/low": max(0, mean - half), f"{name}/high": min(1, mean + half)}


def cells_of(line: dict[str, Any], columns: Sequence[str]) -> list[Any]:
    """Return the cells of an evaluation, made from its line of the records."""
    scores, outcome = line["scores"], line["outcome"]
    claims = [claim for score in scores.values() for claim in score["claims"]]
    reason = REASONS.get(line["question_id"])
    cells = {
        "example_id": line["question_id"],
        **{key: line[key] for key in ("repeat", "pipeline", "question", "answer", "reference", "outcome")},
        "contexts": CONTEXTS if line["answer"] is not None else "",
        "tags": ", ".join(line["tags"]),
        **{metric: score["value"] for metric, score in scores.items()},
        "worst_claim": min(claims, key=lambda claim: claim["value"])["text"] if claims else None,
        "thresholds": ", ".join(f"{metric} 0.5" for metric in scores),
        "passed": None if outcome == "unscored" else outcome == "passed",
        "stage": "contradicted" if line["question_id"] == "fails" else None,
        "reason": reason and reason.format(line["pipeline"]),
        "seconds": sum(line["seconds"].values()),
        **{f"seconds_{stage}": seconds for stage, seconds in line["seconds"].items()},
        **{f"tokens_{kind}": line["tokens"][kind] for kind in ("evaluated", "reused", "generated")},
    }
    return [cells.get(column) for column in columns]


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """Return what we told of a row: without wandb's own keys, and the table that grows."""
    return {key: value for key, value in row.items() if key[0] != "_" and key not in TABLES}


def check_history(rows: Sequence[dict[str, Any]], lines: Sequence[dict[str, Any]], ends: int = 1) -> None:
    """One row a test, at the step of its place in the records, and one for the end."""
    assert [row["_step"] for row in rows] == list(range(len(lines) + ends))
    for row, expected in zip(rows, scalars_of(lines), strict=False):
        assert _told(row) == pytest.approx(expected)


def check_tables(
    history: Sequence[dict[str, Any]], tables: dict[str, Any], lines: Sequence[dict[str, Any]]
) -> None:
    """Every cell of the whole table, and of as many rows as the growing one has."""
    whole = tables[history[-1]["evaluations"]["path"]]
    assert whole["columns"] == list(columns_for(METRICS, MERGED))
    assert whole["data"] == [cells_of(line, whole["columns"]) for line in lines]
    parts = [tables[row["evaluations_live"]["path"]] for row in history if "evaluations_live" in row]
    live = [cells for part in parts for cells in part["data"]]
    assert all(part["columns"] == list(columns_for(METRICS, STAGES)) for part in parts)
    assert bool(live) == (len(lines) >= 25)
    # In its own columns: which stages a pipeline has is not known before the end.
    assert live == [cells_of(line, columns_for(METRICS, STAGES)) for line in lines[: len(live)]]


def check_summary(summary: dict[str, Any], lines: Sequence[dict[str, Any]], prefix: str = "") -> None:
    """The summary of all, or of one pipeline, under the same names; what has no value is not there."""
    ours = [line for line in lines if prefix in ("", f"{line['pipeline']}/")]
    expected: dict[str, Any] = {"n": len(ours), "coverage": 4 / 6, "pass_rate": 3 / 5}
    expected |= {"seconds_median": 2.375, "seconds_p95": 2.375}
    for outcome in ("passed", "failed", "unscored", "error"):
        expected[f"n_{outcome}"] = sum(line["outcome"] == outcome for line in ours)
    for kind in ("evaluated", "reused", "generated"):
        expected[f"tokens_{kind}"] = sum(line["tokens"][kind] for line in ours)
    for metric in METRICS[:2]:
        values = [line["scores"][metric]["value"] for line in ours if metric in line["scores"]]
        expected[f"{metric}_mean"] = fmean(value for value in values if value is not None)
    for key, value in expected.items():
        assert summary[prefix + key] == pytest.approx(value), prefix + key
    for name, value in (
        ("faithfulness", "faithfulness_mean"),
        ("relevancy", "relevancy_mean"),
        *[("pass_rate",) * 2],
    ):
        assert summary[f"{prefix}{name}_low"] < summary[prefix + value] < summary[f"{prefix}{name}_high"]
    assert f"{prefix}refusal_mean" not in summary
    assert f"{prefix}usd" not in summary


def check_config(config: dict[str, Any], lines: Sequence[dict[str, Any]]) -> None:
    """The first line, what describes pipelines and judges, and the digest of the questions."""
    head = {key: value for key, value in lines[0].items() if key not in ("type", "schema")}
    made: dict[str, dict[str, Any]] = {"pipelines": {}, "judges": {}}
    for line in lines:
        if line["type"] in ("pipeline", "judge"):
            about = {key: line[key] for key in ("fingerprint", "settings", "identity")}
            made[f"{line['type']}s"][line["name"]] = about
    questions = {"count": 6, "sha256": digest(sorted(QUESTIONS, key=lambda question: question["id"]))}
    # An empty object does not arrive at a server.
    config = {"thresholds": {}, **config}
    assert config == {**head, **made, "questions": questions}
    assert list(made["pipelines"]) == ["first", "second"]
    assert {"python", "system"} <= set(config["machine"])


def test_session_is_as_without(sent):
    """Outcomes and exit status are those of the tests and of the gate."""
    assert sent.done.returncode == 1
    assert re.search(r"^12 failed, 18 passed, 6 skipped", sent.done.stdout, re.M)
    assert said(sent.done) == [
        f"wandb: {sent.server.url}/loopback/rag/runs/{sent.project.folder_of_run.name}"
    ]


def test_history(sent):
    """Scores, running means with their intervals, seconds and tokens are those of the records."""
    assert len(sent.project.evaluations) == 36
    check_history(sent.run.history, sent.project.evaluations)
    last = {key for key in sent.run.history[-1] if key[0] != "_"}
    pictures = [f"{kind}/{metric}" for kind in ("histogram", "bars") for metric in METRICS[:2]]
    assert last == {"evaluations", "report", *(pictures[:2]), *(f"{name}_table" for name in pictures[2:])}


def test_tables(sent):
    """Each cell of both tables is that of the records."""
    check_tables(sent.run.history, sent.run.tables, sent.project.evaluations)


def test_pictures(sent):
    """The histograms count all values, and the bars are the means."""
    last, lines = sent.run.history[-1], sent.project.evaluations
    for metric in METRICS[:2]:
        values = [line["scores"].get(metric, {}).get("value") for line in lines]
        assert sum(last[f"histogram/{metric}"]["values"]) == sum(value is not None for value in values)
        bars = sent.run.tables[last[f"bars/{metric}_table"]["path"]]
        assert bars["columns"] == ["pipeline", metric]
        means = {name: sent.run.summary[f"{name}/{metric}_mean"] for name in ("first", "second")}
        assert dict(bars["data"]) == pytest.approx(means)


def test_summary(sent):
    """Flat keys, for all and for each pipeline; the intervals are those that the gate printed."""
    for prefix in ("", "first/", "second/"):
        check_summary(sent.run.summary, sent.project.evaluations, prefix)
    assert sent.run.summary["gate"] == "BLOCK"
    for name in ("first", "second"):
        mean, low, high = (sent.run.summary[f"{name}/relevancy_{part}"] for part in ("mean", "low", "high"))
        assert f"[{name}] {GATE}" in sent.done.stdout
        assert f"{mean:.2f}  {low:.2f} to {high:.2f}" in sent.done.stdout


def test_config(sent):
    """Every knob, fingerprints, versions and machine arrive as they are in the records."""
    check_config(sent.run.config, sent.project.lines)


def test_about_the_run(sessions):
    """Entity, name, group, tags and notes are those of the environment."""
    run = sessions["online"].run
    assert (run.id, run.entity, run.project) == (sessions["online"].project.folder_of_run.name, ENTITY, "rag")
    assert (run.name, run.group, run.job_type) == ("mine", "all", "evals")
    assert (run.tags, run.notes) == (["nightly", "b"], "why")
    assert (run.state, run.exit_code, run.is_complete) == ("finished", 0, True)


def test_artifacts(sent):
    """Each is committed, with aliases and exact bytes; what the run was made from is declared as used."""
    server, run, project = sent.server, sent.run, sent.project
    ours = {
        one.collection: one for one in server.artifacts if not one.type.startswith(("run_table", "wandb-"))
    }
    assert {one.state for one in server.artifacts} == {"COMMITTED"}
    assert {name: (one.type, sorted(one.aliases), sorted(one.files)) for name, one in ours.items()} == {
        "eval-questions": ("dataset", ["latest"], ["questions.jsonl", "questions.txt"]),
        "index-first": ("index", ["latest"], ["made-from.json"]),
        "index-second": ("index", ["latest"], ["made-from.json"]),
        "judge-card": ("judge-card", ["latest"], ["judge-card.json"]),
        "run-records": ("run-records", sorted([project.folder_of_run.name, "latest"]), ["records.jsonl"]),
        "report": ("report", ["latest"], ["report.html"]),
    }
    assert sorted(run.used) == ["eval-questions:v0", "index-first:v0", "index-second:v0", "judge-card:v0"]
    assert {"run-records:v0", "report:v0"} <= set(run.logged)
    records = (project.folder_of_run / "records.jsonl").read_bytes()
    assert ours["run-records"].files["records.jsonl"] == records
    card = json.loads(ours["judge-card"].files["judge-card.json"])
    assert card == next(line for line in project.lines if line["type"] == "judge")
    first = next(line for line in project.lines if line.get("name") == "first")
    assert json.loads(ours["index-first"].files["made-from.json"]) == first["identity"]["index"]


def test_questions_can_be_read_back(sent, tmp_path):
    """`questions.jsonl` is a question file with the same questions, `questions.txt` has one a line."""
    (artifact,) = sent.server.versions("eval-questions")
    (tmp_path / "questions.jsonl").write_bytes(artifact.files["questions.jsonl"])
    asked = load_questions([sent.project.folder / "questions.jsonl"])
    by_id = sorted(asked, key=lambda question: question.id)
    assert list(load_questions([tmp_path / "questions.jsonl"])) == by_id
    texts = [" ".join(question.question.split()) for question in by_id]
    assert artifact.files["questions.txt"].decode().splitlines() == texts


def test_report(sessions):
    """The HTML report is there to look at and as an artifact, the same as the session's own."""
    sent = sessions["online"]
    shown = sent.run.files[sent.run.history[-1]["report"]["path"]]
    (artifact,) = sent.server.versions("report")
    assert artifact.files["report.html"] == shown
    assert shown == (sent.project.folder / "report.html").read_bytes()


def test_alert(sent):
    """A BLOCK is one alert, with what was decided."""
    (alert,) = sent.server.alerts
    assert (alert.run_id, alert.level) == (sent.run.id, "ERROR")
    assert alert.title == f"BLOCK: {sent.run.id}"
    run = read_run(sent.project.folder_of_run)
    event = next(line for line in sent.project.lines if line["type"] == "ruling")
    decided = decision_lines(decision_from_json(event, rules_from(run.header), run.evaluations))
    assert alert.text == "\n".join(line.text for line in decided)


def test_nothing_else_is_sent(sent):
    """The server understands all of it, and nothing is about the client or the machine it runs on."""
    assert sent.server.unknown == []
    assert sent.server.telemetry == []
    assert (sent.run.console, sent.run.events) == ({}, {})
    assert "e" not in sent.run.raw_config["_wandb"]["value"]
    assert "wandb-metadata.json" not in sent.run.files
    stored = [
        *sent.run.files.values(),
        *(data for one in sent.server.artifacts for data in one.files.values()),
    ]
    texts = [*stored, json.dumps(sent.run.raw_config).encode(), json.dumps(sent.run.history).encode()]
    for private in (
        str(sent.project.folder),
        sys.executable,
        str(Path.home() / ""),
        f'"{socket.gethostname()}"',
    ):
        assert not any(private.encode() in text for text in texts), private


def test_pytest_never_imports_wandb(sessions):
    """Neither the session's process nor a worker has imported it."""
    for name, one in sessions.items():
        assert not {"wandb", "wandb_gql", "sentry_sdk"} & one.project.imported(), name
    assert "wandb" not in sessions["xdist"].project.imported("worker")


def test_run_folder(sessions):
    """The records, what wandb keeps, and the lock that keeps two from sending at once."""
    for one in sessions.values():
        left = sorted(path.name for path in one.project.folder_of_run.iterdir())
        assert left == ["records.jsonl", "run.json", "wandb", "wandb.lock"]
    # Copies of artifacts go once they have arrived; offline they are what will be sent.
    kept = {name: (one.project.folder_of_run / "wandb" / "data").exists() for name, one in sessions.items()}
    assert kept == {"online": False, "xdist": False, "offline": True, "pipelines": False}


@pytest.fixture(scope="module")
def kept(sessions) -> OfflineRun:
    """What the offline session left, by wandb's own reader."""
    return read_offline(sessions["offline"].project.folder_of_run)


def test_offline_sends_nothing(sessions):
    """There is no connection, and the line says where the run is."""
    sent = sessions["offline"]
    assert sent.server.requests == []
    (line,) = said(sent.done)
    run = sent.project.folder_of_run.name
    assert re.fullmatch(rf"wandb: offline: \.rag-evals/runs/{run}/wandb/offline-run-\d+_\d+-{run}", line)


def test_offline_is_the_same(sessions, kept):
    """History, tables, summary, config, artifacts and alert are those of the records."""
    project = sessions["offline"].project
    assert (kept.run_id, kept.project, kept.entity) == (project.folder_of_run.name, "rag", ENTITY)
    assert (kept.name, kept.group, kept.tags, kept.notes) == ("mine", "all", ["nightly", "b"], "why")
    assert (kept.exit_code, kept.is_torn) == (0, False)
    check_history(kept.history, project.evaluations)
    check_tables(kept.history, kept.tables, project.evaluations)
    check_config(kept.config, project.lines)
    for prefix in ("", "first/", "second/"):
        check_summary(kept.summary, project.evaluations, prefix)
    assert [alert.title for alert in kept.alerts] == [f"BLOCK: {kept.run_id}"]
    found = {one.collection: one for one in kept.artifacts}
    assert (
        found["run-records"].files["records.jsonl"] == (project.folder_of_run / "records.jsonl").read_bytes()
    )
    assert found["run-records"].aliases == sorted(["latest", project.folder_of_run.name])
    assert {"eval-questions", "index-first", "index-second", "judge-card", "report"} <= set(found)


def test_one_run_a_pipeline(sessions):
    """Each has a run in the session's group, with the tests of its own, and tables that can be joined."""
    sent = sessions["pipelines"]
    group = sent.project.folder_of_run.name
    assert set(sent.server.runs) == {f"{group}-first", f"{group}-second"}
    assert sorted(said(sent.done)) == [
        f"wandb: {sent.server.url}/loopback/rag/runs/{group}-{name}" for name in ("first", "second")
    ]
    whole = {}
    for name in ("first", "second"):
        run = sent.server.runs[f"{group}-{name}"]
        lines = [line for line in sent.project.evaluations if line["pipeline"] == name]
        assert (run.name, run.group, run.summary["gate"]) == (f"{name} {group}", group, "BLOCK")
        check_history(run.history, lines)
        check_tables(run.history, run.tables, lines)
        check_summary(run.summary, lines)
        assert list(run.config["pipelines"]) == [name]
        assert f"index-{name}:v0" in run.used
        assert len([used for used in run.used if used.startswith("index-")]) == 1
        whole[name] = run.tables[run.history[-1]["evaluations"]["path"]]
    assert whole["first"]["columns"] == whole["second"]["columns"]
    asked = {name: [cells[0] for cells in table["data"]] for name, table in whole.items()}
    assert asked["first"] == asked["second"]
    assert len(sent.server.versions("eval-questions")) == 1
    assert len(sent.server.versions("run-records")) == 1
    assert (sent.server.unknown, sent.server.telemetry) == ([], [])
