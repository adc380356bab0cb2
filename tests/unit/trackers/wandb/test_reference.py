"""References to W&B, and what is kept of what they mean."""

from __future__ import annotations

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.trackers.wandb import artifact_process
from rag_evals.evals.trackers.wandb.artifact_process import (
    Refused,
    SilenceWatch,
    check_entries,
    is_inside,
    sizes_in,
)
from rag_evals.evals.trackers.wandb.copies import copies_in, note_session, session_outcome
from rag_evals.evals.trackers.wandb.reference import Reference, is_name, parse_reference, run_reference

FORM = (
    "is no reference: write wandb:[ENTITY/]PROJECT/NAME:ALIAS for an artifact, "
    "or wandb:[ENTITY/]PROJECT/RUN_ID for a run"
)


# --- texts ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wandb:team/rag/eval-questions:latest", Reference("team", "rag", "eval-questions", "latest")),
        ("wandb:rag/run-records:baseline", Reference(None, "rag", "run-records", "baseline")),
        ("wandb:my team/rag/x:v3", Reference("my team", "rag", "x", "v3")),
        ("wandb:rag/20261123-051549-abc123", run_reference(None, "rag", "20261123-051549-abc123")),
        ("questions/*.jsonl", None),
        ("latest", None),
    ],
)
def test_parsing(text, expected):
    """Artifacts, runs, and what is neither; a reference can be written as it was read."""
    assert parse_reference(text) == expected
    assert expected is None or str(expected) == text


def test_runs():
    """The records of a run have its id as an alias; the W&B run of one pipeline has the same records."""
    run = parse_reference("wandb:team/rag/20261123-051549-abc123-auto_merging")
    assert (run.name, run.alias) == ("run-records", "20261123-051549-abc123")
    assert parse_reference("wandb:team/rag/other-run").alias == "other-run"


WRONG = [
    "",
    "rag",
    "rag/",
    "/rag/x",
    "a/b/c/d",
    "rag/x:",
    "rag/:v1",
    "rag/x:a:b",
    "../x:v1",
    "rag/..",
    "rag/x:.a",
]
WRONG += ["rag/x\x1b:v1", "a//x:v1", "rag/ x:v1", "rag/x?:v1", f"rag/{'x' * 200}", "https://wandb.ai/rag/x"]


@pytest.mark.parametrize("text", WRONG)
def test_wrong_texts(text):
    """What begins as a reference and is none is said to be, with the right form."""
    with pytest.raises(UsageError) as error:
        parse_reference(f"wandb:{text}")
    assert str(error.value) == f"wandb:{text} {FORM}".replace("\x1b", "\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "a\\b", "C:", "a\x00", "con\n", " a", "*"])
def test_names_of_folders(name):
    """A name from outside becomes the name of a folder, and nothing else."""
    assert not is_name(name)


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../x", "a/../../x", "a\\..\\x", "C:x", "./x", "", "a\x00b", "a\nb"]
)
def test_files_that_would_leave(name):
    """Names of files in an artifact stay in its folder."""
    assert not is_inside(name)
    with pytest.raises(Refused, match="would leave its folder"):
        check_entries({"good": (1, None), name: (1, None)})


def test_files_that_are_refused():
    """Files that lie elsewhere, and too much of them."""
    check_entries({"a/b.jsonl": (10, None)})
    with pytest.raises(Refused, match=r"its file a lies elsewhere, at file:///etc/passwd"):
        check_entries({"a": (1, "file:///etc/passwd")})
    with pytest.raises(Refused, match=r"it has 1 files of 3,072 MiB together, which is too much"):
        check_entries({"a": (3 * 2**30, None)})


def test_what_arrived(tmp_path):
    """Links, and files that were not announced, are not taken."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a").write_text("x")
    assert sizes_in(tmp_path, ["b/a"]) == {"b/a": 1}
    with pytest.raises(Refused, match="what arrived is not what it says: b/a"):
        sizes_in(tmp_path, [])
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(Refused, match="what arrived is not what it says: link"):
        sizes_in(tmp_path, ["b/a", "link"])


# --- copies ---


def test_copies(tmp_path):
    """A version counts with all of its files, and for its server alone."""
    copies = copies_in(tmp_path, "team", "rag", "x", "https://one")
    assert (copies.version("v1"), copies.alias("latest")) == (None, None)
    for text in ("new", "newer"):
        (made := tmp_path / "made").mkdir()
        (made / "a.txt").write_text(text)
        copies.add("v1", made, {"a.txt": len(text)})
    copies.note_alias("latest", "v1", 12.0)
    assert copies.version("v1") == tmp_path / "wandb" / "team" / "rag" / "x" / "v1"
    assert (copies.version("v1") / "a.txt").read_text() == "newer"
    assert copies.alias("latest") == ("v1", 12.0)
    other = copies_in(tmp_path, "team", "rag", "x", "https://other")
    assert (other.version("v1"), other.alias("latest")) == (None, None)
    (copies.version("v1") / "a.txt").write_text("cut")
    assert copies.version("v1") is None
    (copies.folder / "known.json").write_text("[1")
    assert copies.alias("latest") is None


def test_sessions(tmp_path):
    """What came of a reference is remembered for the last fifty sessions."""
    for number in range(60):
        note_session(tmp_path, f"s{number}", "wandb:a/b:c", {"version": f"v{number}"})
    note_session(tmp_path, "s59", "wandb:other/b:c", {"problem": "none"})
    assert session_outcome(tmp_path, "s59", "wandb:a/b:c") == {"version": "v59"}
    assert session_outcome(tmp_path, "s59", "wandb:other/b:c") == {"problem": "none"}
    assert session_outcome(tmp_path, "s10", "wandb:a/b:c") == {"version": "v10"}
    assert session_outcome(tmp_path, "s9", "wandb:a/b:c") is None


def test_an_artifact_that_sends_more_than_it_says_is_left(tmp_path, monkeypatch, capsys):
    """What arrives is watched: sizes that a manifest names may be anything."""
    monkeypatch.setattr(artifact_process, "leave", pytest.exit)
    (tmp_path / "files").mkdir()
    with (tmp_path / "files" / "a").open("wb") as file:
        file.truncate(3 * 2**30)
    with pytest.raises(pytest.exit.Exception):
        SilenceWatch(tmp_path).watch()
    assert "it sends more than it says: nothing of it is kept" in capsys.readouterr().out
