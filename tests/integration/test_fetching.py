"""Artifacts of W&B, fetched from a server on this machine: kept, read again, refused."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest
from rag_evals.evals.base.errors import RunFileError, UsageError
from rag_evals.evals.trackers.wandb import ask
from rag_evals.evals.trackers.wandb.fetch import FetchedArtifact, fetch_text, fetched_in, give_aliases
from rag_evals.evals.trackers.wandb.fetched_files import question_files, run_folder, run_of
from rag_evals.evals.trackers.wandb.reference import run_reference

from tests.servers.wandb import LoopbackWandb
from tests.servers.wandb_artifacts import keep
from tests.servers.wandb_store import ENTITY

NAME = "wandb:loopback/rag/eval-questions:latest"
LINE = b'{"id": "a", "question": "Why?"}\n'


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


@pytest.fixture
def home(tmp_path):
    return tmp_path / ".rag-evals"


def refusal(text: str, home: Path, **options) -> str:
    with pytest.raises(UsageError) as error:
        fetch_text(text, home, **options)
    return str(error.value)


def without_time(warning: str | None) -> str:
    before, _, after = str(warning).partition("the copy of ")
    return f"{before}the copy of TIME{after[16:]}"


def test_fetching(server, home):
    """The files are here, whole; a new version is another folder; a version that is here is not asked for."""
    keep(server, {"questions.jsonl": LINE, "more/notes.txt": b"x"}, alias="curated")
    first = fetch_text(NAME, home)
    assert (first.entity, first.version, first.warning) == ("loopback", "v0", None)
    assert first.folder == home / "wandb" / "loopback" / "rag" / "eval-questions" / "v0"
    assert (first.folder / "questions.jsonl").read_bytes() == LINE
    assert (first.folder / "more" / "notes.txt").read_bytes() == b"x"
    assert first.told == {"reference": NAME, "artifact": "loopback/rag/eval-questions:v0"}
    stored = len(server.asked("storage"))
    assert fetch_text("wandb:rag/eval-questions:curated", home).folder == first.folder
    assert len(server.asked("storage")) == stored
    keep(server, {"questions.jsonl": LINE * 2})
    second = fetch_text(NAME, home)
    assert (second.version, (second.folder / "questions.jsonl").read_bytes()) == ("v1", LINE * 2)
    asked = len(server.requests)
    assert fetch_text("wandb:rag/eval-questions:v0", home).folder == first.folder
    assert len(server.requests) == asked
    assert (home / ".gitignore").read_text() == "*\n"
    left = {path.name for path in (home / "wandb").iterdir()}
    assert left == {"loopback", "entities.json", ".lock"}
    assert "wandb" not in sys.modules


def test_offline(server, home, monkeypatch):
    """Offline, and with nobody there, the version of then is taken and one line says from when."""
    keep(server, {"questions.jsonl": LINE})
    missing = (
        f"{NAME}: W&B is not asked, as this is offline, and there is no copy of it here: "
        "fetch it once with a connection"
    )
    assert refusal(NAME, home, is_offline=True) == missing
    assert server.requests == []
    fetch_text(NAME, home)
    asked = len(server.requests)
    offline = f"{NAME}: W&B is not asked, as this is offline: the copy of TIME is taken, v0"
    assert without_time(fetch_text(NAME, home, is_offline=True).warning) == offline
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert without_time(fetch_text(NAME, home).warning) == offline
    assert refusal("wandb:loopback/rag/eval-questions:other", home).startswith(
        "wandb:loopback/rag/eval-questions:other: W&B is not asked, as this is offline, and there is no copy"
    )
    assert len(server.requests) == asked
    monkeypatch.delenv("WANDB_MODE")
    server.fault("500")
    said = f"{NAME}: there is no answer from {server.url}: the copy of TIME is taken, v0"
    assert without_time(fetch_text(NAME, home).warning) == said


def test_refusals(server, home, monkeypatch):
    """Each in one line: what is not there, what may not be seen, a key that is none, no key, no package."""
    keep(server, {"questions.jsonl": LINE})
    fetch_text(NAME, home)
    none = f"{server.url} has no such artifact, or you may not see it"
    other = "wandb:loopback/rag/eval-questions:other"
    assert refusal(other, home) == f"{other}: {none}"
    run = "wandb:rag/20261123-051549-abc123"
    assert refusal(run, home) == f"{run}: {none}: `rag-evals replay 20261123-051549-abc123` sends the run"
    server.forbid("secret")
    assert refusal("wandb:loopback/secret/x:v1", home) == f"wandb:loopback/secret/x:v1: {none}"
    server.fault("401")
    assert refusal(NAME, home) == f"{NAME}: {server.url} does not accept the API key (`wandb login`)"
    server.heal()
    monkeypatch.delenv("WANDB_API_KEY")
    key = "there is no API key (`wandb login`, or set WANDB_API_KEY)"
    assert (
        refusal(other, home)
        == f"{other}: {key}, and there is no copy of it here: fetch it once with a connection"
    )
    assert without_time(fetch_text(NAME, home).warning) == f"{NAME}: {key}: the copy of TIME is taken, v0"
    monkeypatch.setattr(ask, "find_spec", lambda _: None)
    package = "the package wandb is not installed (pip install wandb)"
    assert refusal(other, home).startswith(f"{other}: {package}, and there is no copy of it here")


def test_damage(server, home):
    """What is not what the manifest says is never taken; what was removed or cut here is fetched again."""
    made = keep(server, {"questions.jsonl": LINE})
    made.files["questions.jsonl"] = LINE.replace(b"Why", b"How")
    assert refusal(NAME, home) == f"{NAME}: what arrived is not what was sent: try again"
    assert not (home / "wandb" / "loopback").exists()
    made.files["questions.jsonl"] = LINE
    folder = fetch_text(NAME, home).folder
    (folder / "questions.jsonl").write_bytes(b"")
    assert refusal(NAME, home, is_offline=True).startswith(
        f"{NAME}: W&B is not asked, as this is offline, and"
    )
    assert (fetch_text(NAME, home).folder / "questions.jsonl").read_bytes() == LINE


@pytest.mark.parametrize("name", ["../../../../../outside", "/outside"])
def test_hostile_names(server, home, name):
    """Nothing is written outside of the folder, nor inside of it."""
    keep(server, {"questions.jsonl": LINE, name: b"x"})
    assert refusal(NAME, home) == f"{NAME}: its file {name!r} would leave its folder"
    assert [path for path in home.parent.rglob("*") if path.name in ("outside", "questions.jsonl")] == []


def test_a_session(server, home):
    """All processes of a session get one version, and one failure is not waited for twice."""
    keep(server, {"questions.jsonl": LINE})
    assert fetch_text(NAME, home, session="1").version == "v0"
    assert fetched_in("1", NAME, home).version == "v0"
    assert fetched_in("2", NAME, home) is None
    keep(server, {"questions.jsonl": LINE * 2})
    asked = len(server.requests)
    assert fetch_text(NAME, home, session="1").version == "v0"
    other = "wandb:loopback/rag/other:latest"
    first = refusal(other, home, session="1")
    asked_again = len(server.requests)
    assert asked < asked_again
    assert refusal(other, home, session="1") == first
    assert fetched_in("1", other, home) is None
    assert len(server.requests) == asked_again
    assert fetch_text(NAME, home, session="2").version == "v1"


def test_at_once(server, home):
    """Several that want the same share one download."""
    keep(server, {"questions.jsonl": LINE})
    found: list[FetchedArtifact] = []
    threads = [
        threading.Thread(target=lambda: found.append(fetch_text(NAME, home, session="1"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {fetched.version for fetched in found} == {"v0"}
    assert len(found) == 4
    assert len([one for one in server.asked("storage") if one.path.endswith("questions.jsonl")]) == 1


def test_use(server, home, capsys):
    """As question files, and as a run."""
    keep(server, {"b.yaml": b"[]", "a.jsonl": LINE, "readme.md": b"#"})
    assert [file.name for file in question_files(fetch_text(NAME, home))] == ["a.jsonl", "b.yaml"]
    keep(server, {"questions.jsonl": LINE, "questions.txt": b"Why?"})
    fetched = fetch_text(NAME, home)
    assert [file.name for file in question_files(fetched)] == ["questions.jsonl"]
    with pytest.raises(RunFileError) as no_run:
        run_folder(fetched)
    listed = "its files are questions.jsonl, questions.txt"
    assert str(no_run.value) == f"{NAME} is no run, it has no records.jsonl: {listed}"
    keep(server, {"records.jsonl": b"{}"}, "run-records", alias="one")
    assert run_of("wandb:rag/one", home).name == "v0"
    assert capsys.readouterr().err == ""
    with pytest.raises(UsageError) as no_questions:
        question_files(fetch_text("wandb:rag/one", home))
    assert str(no_questions.value) == "wandb:rag/one has no question file: its files are records.jsonl"


def test_aliases(server, home, monkeypatch):
    """A version gets further names, which the versions before it lose."""
    old, new = (
        keep(server, {"records.jsonl": text}, "run-records", alias=text.decode()) for text in (b"a", b"b")
    )
    assert give_aliases(run_reference(None, "rag", "a"), ["baseline"]) == "loopback/rag/run-records:v0"
    assert (
        give_aliases(run_reference(ENTITY, "rag", "b"), ["baseline", "main"]) == "loopback/rag/run-records:v1"
    )
    assert give_aliases(run_reference(ENTITY, "rag", "b"), ["baseline"]) == "loopback/rag/run-records:v1"
    assert (set(old.aliases), set(new.aliases)) == ({"a"}, {"latest", "b", "baseline", "main"})
    with pytest.raises(UsageError) as error:
        give_aliases(run_reference(None, "rag", "c"), ["baseline"])
    none = f"wandb:rag/c: {server.url} has no such artifact, or you may not see it"
    assert str(error.value) == f"{none}: `rag-evals replay c` sends the run"
    monkeypatch.setenv("WANDB_MODE", "offline")
    with pytest.raises(UsageError, match="nothing can be changed at W&B"):
        give_aliases(run_reference(None, "rag", "a"), ["baseline"])
