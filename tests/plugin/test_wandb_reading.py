"""Questions and baselines that are read back from Weights & Biases."""

from __future__ import annotations

import json
import os
import re

import pytest
from rag_evals.evals.cli.main import main

from tests.servers.wandb import LoopbackWandb
from tests.servers.wandb_artifacts import keep

QUESTIONS = "wandb:loopback/rag/eval-questions:latest"
BASELINE = "wandb:rag/run-records:baseline"
GOOD = "faithfulness=0.9 relevancy=0.8"


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """Neither the key nor the files of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    for name in ("WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_CONFIG_DIR", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "client"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.fixture
def server(monkeypatch):
    with LoopbackWandb() as running:
        for name, value in running.env.items():
            monkeypatch.setenv(name, value)
        yield running
        assert running.unknown == []
        assert running.telemetry == []


def lines(**questions: str) -> bytes:
    asked = (json.dumps({"id": key, "question": text}) for key, text in questions.items())
    return "".join(f"{line}\n" for line in asked).encode()


@pytest.fixture
def recorded(project, server):
    """A run of two questions whose records are at W&B; return its id."""
    project.ask(a=GOOD, b=GOOD)
    assert project.run().ret == 0
    (folder,) = project.runs
    keep(server, {"records.jsonl": (folder / "records.jsonl").read_bytes()}, "run-records", alias=folder.name)
    server.backend.add_aliases(server.artifacts[-1], ["baseline"])
    for path in (folder.parent / "latest", project.path / ".rag-evals"):
        path.rename(path.with_name(f"{path.name}-before"))
    return folder.name


def test_questions(project, server, how):
    """Mixed with files of one's own, in all ways to run; the run says which version it used."""
    keep(server, {"questions.jsonl": lines(far=GOOD, further=GOOD), "questions.txt": b"other"})
    result = project.run(*how, "--evals-questions", QUESTIONS, "--evals-questions", "questions.jsonl")
    assert result.ret == 0, result.stdout.str()
    assert {line["question_id"] for line in project.evaluations} == {"far", "further", "good"}
    used = [{"reference": QUESTIONS, "artifact": "loopback/rag/eval-questions:v0"}]
    assert project.lines[0]["used"] == used
    fetched = [one for one in server.asked("storage") if one.path.endswith("questions.jsonl")]
    assert len(fetched) == 1
    assert len(server.asked("ArtifactMembershipByName")) == 1, "one process asks, the others are told"


def test_the_run_at_wandb_says_what_it_used(project, server):
    """Questions and baseline that came from there are the inputs of its run."""
    keep(server, {"questions.jsonl": lines(far=GOOD)}, "asked")
    asked = "wandb:loopback/rag/asked:latest"
    result = project.run_apart("--evals-questions", asked, "--evals-wandb=loopback/rag")
    result.assert_outcomes(passed=1)
    (folder,) = project.runs
    assert "asked:v0" in server.runs[folder.name].used


def test_of_the_ini_file(project, server):
    """A reference is no path, wherever it stands."""
    keep(server, {"a.yaml": b"- {id: far, question: faithfulness=0.9 relevancy=0.8}"})
    ini = (project.path / "pytest.ini").read_text()
    project.write("pytest.ini", ini.replace("questions.jsonl", f"questions.jsonl {QUESTIONS}"))
    assert project.run().ret == 0
    assert [line["question_id"] for line in project.evaluations] == ["good", "far"]


@pytest.mark.parametrize("offline", ["--evals-offline", "WANDB_MODE"])
def test_without_a_connection(project, server, how, monkeypatch, offline):
    """The copy of the last time, and one line that says so; without a copy, the status of usage."""
    option = ("--evals-questions", QUESTIONS)
    extra = (offline,) if offline.startswith("-") else ()
    if not extra:
        monkeypatch.setenv("WANDB_MODE", "offline")
    refused = project.run_apart(*how, *option, *extra)
    assert refused.ret == 4
    missing = (
        f"{QUESTIONS}: W&B is not asked, as this is offline, and there is no copy of it here: "
        "fetch it once with a connection"
    )
    assert missing in refused.stdout.str() + refused.stderr.str()
    assert server.requests == []
    keep(server, {"questions.jsonl": lines(far=GOOD)})
    monkeypatch.delenv("WANDB_MODE", raising=False)
    assert project.run_apart(*option).ret == 0
    asked = len(server.requests)
    if not extra:
        monkeypatch.setenv("WANDB_MODE", "offline")
    result = project.run_apart(*how, *option, *extra)
    assert result.ret == 0
    said = [line for line in result.outlines if line.startswith("wandb:")]
    assert len(said) == 1
    pattern = "W&B is not asked, as this is offline: the copy of [-0-9]+ [0-9:]+ is taken, v0"
    assert re.fullmatch(f"{re.escape(QUESTIONS)}: {pattern}", said[0])
    assert len(server.requests) == asked


def test_baseline(project, server, recorded, how):
    """A baseline that is nowhere here."""
    project.ask(a=GOOD, b="faithfulness=0.2 relevancy=0.8")
    options = ("--evals-mode", "gate", "--evals-baseline", BASELINE, "--evals-gate", "pass_rate >= 0")
    result = project.run(*how, *options)
    head, *_ = project.lines
    assert head["used"] == [{"reference": BASELINE, "artifact": "loopback/rag/run-records:v0"}]
    assert head["baseline"] == BASELINE
    assert recorded in result.stdout.str()
    (decision,) = [line for line in project.lines if line["type"] == "ruling"]
    assert decision["baseline"].endswith(".rag-evals/wandb/loopback/rag/run-records/v0")


def test_nothing_is_fetched_for_others(project, server, how):
    """A session without evals asks nobody, whatever its ini file says: under xdist only its workers know."""
    keep(server, {"questions.jsonl": lines(far=GOOD)})
    ini = (project.path / "pytest.ini").read_text()
    project.write("pytest.ini", ini.replace("questions.jsonl", QUESTIONS))
    project.write("test_it.py", "def test_plain():\n    pass\n")
    assert project.run(*how).ret == 0
    assert server.requests == []
    assert not (project.path / ".rag-evals").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "wandb:rag",
            "wandb:rag is no reference: write wandb:[ENTITY/]PROJECT/NAME:ALIAS for an artifact, or",
        ),
        ("wandb:rag/other:latest", "wandb:rag/other:latest: http://127.0.0.1:"),
    ],
)
def test_wrong_references(project, server, text, said):
    """One line, and the status of usage."""
    for option in ("--evals-questions", "--evals-baseline"):
        result = project.run_apart(option, text)
        assert result.ret == 4
        assert [line for line in (*result.outlines, *result.errlines) if said in line]
        assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_commands(project, server, recorded, monkeypatch, capsys):
    """What takes a run takes one of W&B: `compare`, `report`, and a baseline that is made of it."""
    monkeypatch.chdir(project.path)
    assert project.run().ret == 0
    capsys.readouterr()
    assert main(["report", f"wandb:loopback/rag/{recorded}", "--format", "csv"]) == 0
    out, err = capsys.readouterr()
    assert (len(out.splitlines()), err) == (3, "")
    assert main(["compare", f"wandb:rag/{recorded}-baseline", "latest"]) == 0
    assert recorded in capsys.readouterr().out
    assert main(["baseline", "set", BASELINE, "--name", "main"]) == 0
    assert (project.path / "evals-baselines" / "main.jsonl").exists()
    capsys.readouterr()
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert main(["report", BASELINE, "--format", "csv"]) == 0
    err = capsys.readouterr().err
    assert re.fullmatch(
        rf"{BASELINE}: W&B is not asked, as this is offline: the copy of .* is taken, v0\n", err
    )


def test_what_a_session_sent(project, server, monkeypatch, capsys):
    """Questions and records as the tracker itself sends them, once as read and once as they lie here."""
    monkeypatch.chdir(project.path)
    project.ask(a=GOOD, b="faithfulness=0.7 relevancy=none")
    project.run_apart("--evals-wandb", "rag", "--evals-mode", "report", "--evals-traces")
    (run,) = project.runs
    assert main(["baseline", "set", run.name, "--name", "main", "--wandb"]) == 0
    capsys.readouterr()
    texts = []
    for text in (f"wandb:rag/{run.name}", BASELINE, run.name):
        assert main(["report", text, "--format", "html", "--out", "report.html"]) == 0
        texts.append((project.path / "report.html").read_text())
    assert texts[0] == texts[1] == texts[2]
    project.write("questions.jsonl", "")
    assert project.run_apart("--evals-questions", QUESTIONS, "--evals-mode", "report", "-n", "2").ret == 1
    latest = project.path / ".rag-evals" / "runs" / "latest" / "records.jsonl"
    asked = [json.loads(line) for line in latest.read_text().splitlines()]
    assert {line["question_id"] for line in asked if line["type"] == "evaluation"} == {"a", "b"}


def test_setting_a_baseline_at_wandb(project, server, recorded, monkeypatch, capsys):
    """The records of the run are called so; where they are not there, how to send them."""
    monkeypatch.chdir(project.path)
    assert main(["baseline", "set", f"wandb:rag/{recorded}", "--name", "main", "--wandb", "rag"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "wandb: loopback/rag/run-records:v0 is the baseline"
    assert set(server.artifacts[-1].aliases) == {"latest", recorded, "baseline", "main"}
    assert project.run().ret == 0
    new = project.runs[0].name
    capsys.readouterr()
    command = ["baseline", "set", "latest", "--name", "other", "--wandb"]
    assert main(command) == 4
    assert capsys.readouterr().err == (
        f"ERROR: run {new} was not sent to W&B: say where it is with --wandb PROJECT\n"
    )
    monkeypatch.setenv("WANDB_PROJECT", "rag")
    assert main(command) == 4
    none = f"wandb:rag/run-records:{new}: {server.url} has no such artifact, or you may not see it"
    assert capsys.readouterr().err == f"ERROR: {none}: `rag-evals replay {new}` sends the run\n"
    assert not (project.path / "evals-baselines" / "other.jsonl").exists()
    assert main([*command[:4], "v1", "--wandb"]) == 4
    assert "is what W&B calls a version" in capsys.readouterr().err
