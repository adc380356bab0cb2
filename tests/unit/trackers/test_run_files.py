"""Question sets as files to keep: what is in them, what is left out, and which files are none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rag_evals.evals.base.errors import GenerationError
from rag_evals.evals.generation.audit import audit_of
from rag_evals.evals.generation.candidate import Candidate, Passage
from rag_evals.evals.generation.rules.default_rules import CRITERIA
from rag_evals.evals.generation.work_file import WorkFile, WorkItem, load_work, work_path
from rag_evals.evals.questions.load import load_questions
from rag_evals.evals.questions.question import Question, Source, questions_digest
from rag_evals.evals.questions.question_set import load_set, save_set
from rag_evals.evals.runs.header import ComponentInfo
from rag_evals.evals.trackers.run_files import COLUMNS, files_of, sets_of
from rag_evals.rag.documents.document import Corpus, Document

KEY = "sk-" + "a1B2" * 8
GENERATOR = {
    "llm": "writer",
    "llm_fingerprint": "f" * 64,
    "prompt_version": 3,
    "seed": 7,
    "mix": {"fact": 100},
}
CORPUS = Corpus((Document("a.md", "x", (), "1" * 64), Document("b.pdf", "y", (0,), "2" * 64)))
QUESTIONS = (
    Question(
        "rivers",
        "Which river is longer?",
        "The Ostra.",
        (Source("a.md", None, 0, 9, "The Ostra"), Source("b.pdf", 2, 5, 13, "The Norr")),
        ("comparison", "generated"),
        provenance={"origin": "generated", "kind": "comparison", "edited": True},
    ),
    Question("the-api-key", f"Is {KEY} the key?", answerable=False, provenance={"kind": "unanswerable"}),
    Question("plain", "Why?"),
)
PASSAGE = Passage("a.md", "1" * 64, None, 0, 14, "secret passage", "")


def saved(folder: Path, questions=QUESTIONS, name="questions.jsonl") -> dict[str, str]:
    """Write a set, and return what the first line of the records says of its file."""
    folder.mkdir(parents=True, exist_ok=True)
    save_set(folder / name, questions, CORPUS, GENERATOR)
    return {"path": f"../../../{folder.name}/{name}", "digest": questions_digest(questions)}


@pytest.fixture
def run(tmp_path) -> Path:
    folder = tmp_path / "home" / "runs" / "R"
    folder.mkdir(parents=True)
    return folder


def sets(run: Path, *files, scratch="scratch"):
    folder = run / scratch
    folder.mkdir()
    return list(sets_of(files, run, folder))


def test_a_set(run, tmp_path):
    """Questions and manifest can be read back as a set; what looks like a secret is masked, hashes stay."""
    (found,) = sets(run, saved(tmp_path / "docs"))
    assert (found.name, found.kind, found.is_used) == ("question-set-questions", "dataset", True)
    digest = questions_digest(QUESTIONS)
    assert found.aliases == (digest[:16],)
    assert found.about == {
        "digest": digest,
        "count": 3,
        "kinds": {"comparison": 1, "unanswerable": 1},
        "generator": GENERATOR,
    }
    assert sorted(found.paths) == ["questions.jsonl", "questions.manifest.json"]
    masked = replace(QUESTIONS[1], question="Is *** the key?")
    read = load_set(found.paths["questions.jsonl"])
    assert read.questions == (QUESTIONS[0], masked, QUESTIONS[2])
    assert read.edits.changed == ("the-api-key",)
    assert read.manifest == load_set(tmp_path / "docs/questions.jsonl").manifest


def test_the_table(run, tmp_path):
    """One row a question, in the order of the file; two sources share a row."""
    (found,) = sets(run, saved(tmp_path / "docs"))
    table = found.table
    assert table is not None
    assert (table.name, table.columns) == ("questions", COLUMNS)
    assert (
        *("id", "kind", "question", "reference", "answerable"),
        *("document", "page", "quote", "origin", "edited", "tags"),
    ) == COLUMNS
    comparison, key, plain = map(list, table.rows)
    assert comparison == [
        "rivers",
        "comparison",
        "Which river is longer?",
        "The Ostra.",
        True,
        "a.md, b.pdf",
        "2",
        "The Ostra\n\nThe Norr",
        "generated",
        True,
        "comparison, generated",
    ]
    assert key[:5] == ["the-api-key", "unanswerable", "Is *** the key?", None, False]
    assert plain == ["plain", "", "Why?", None, True, "", "", "", "curated", False, ""]


def done(number: int, kind: str, outcome: str, **fields) -> WorkItem:
    question = replace(QUESTIONS[0], id=f"q{number}", question=f"secret question {number}?")
    candidate = Candidate(question, kind, PASSAGE, None, number) if outcome != "invalid" else None
    return WorkItem(number, kind, 0, outcome, candidate=candidate, **fields)


ITEMS = (
    done(0, "fact", "kept", values={CRITERIA[0].name: 0.0}),
    done(1, "fact", "dropped", rule=CRITERIA[1].name, threshold=0.125, reason="secret reason"),
    done(2, "fact", "dropped", rule="repeated"),
    done(3, "number", "invalid", output="secret output", reason="secret reason"),
    done(4, "number", "kept"),
)


def worked(out: Path) -> Path:
    """Write the work of a set."""
    work = WorkFile(work_path(out), {"rules": {CRITERIA[0].name: 0.5, CRITERIA[1].name: 0.125}})
    work.load()
    for item in ITEMS:
        work.append(item)
    return work.path


def test_the_audit(run, tmp_path):
    """Counts by kind and rule, with the thresholds that were applied; nothing of texts."""
    file = saved(tmp_path / "docs")
    worked(tmp_path / "docs/questions.jsonl")
    (found,) = sets(run, file)
    text = found.paths["audit.json"].read_text()
    nameless = {"name": "repeated", "description": None, "side": None, "threshold": None}
    nameless |= {"measured": 0, "dropped": 1}
    assert json.loads(text) == {
        "type": "question-audit",
        "items": 5,
        "kept": 2,
        "dropped": 2,
        "invalid": 1,
        "dropped_by": {"repeated": 1, CRITERIA[1].name: 1},
        "rules": [
            {
                "name": one.name,
                "description": one.description,
                "side": one.side,
                "threshold": threshold,
                "measured": measured,
                "dropped": dropped,
            }
            for one, threshold, measured, dropped in zip(CRITERIA, (0.5, 0.125), (1, 0), (0, 1), strict=False)
        ]
        + [nameless],
        "kinds": {
            "fact": {
                "items": 3,
                "kept": 1,
                "dropped": 2,
                "invalid": 0,
                "dropped_by": {"repeated": 1, CRITERIA[1].name: 1},
            },
            "number": {"items": 2, "kept": 1, "dropped": 0, "invalid": 1, "dropped_by": {}},
        },
    }
    assert "secret" not in text


def test_work_that_goes_on_is_left_alone(tmp_path):
    """A line that is being written is not counted, and not cut off; a text may hold any end of a line."""
    work = worked(tmp_path / "q.jsonl")
    with work.open("a", encoding="utf-8") as file:
        file.write('{"type": "item", "num')
    before = work.read_bytes()
    assert audit_of(work).whole.items == len(list(load_work(work))) == 5
    assert work.read_bytes() == before
    odd = done(5, "fact", "invalid", output="one\u2028two\x85three")
    work.write_bytes(before[: before.rfind(b"\n") + 1])
    WorkFile(work, {}).append(odd)
    assert list(load_work(work))[-1] == odd


def test_damaged_work_is_no_audit(run, tmp_path):
    """The set is kept without it."""
    file = saved(tmp_path / "docs")
    work_path(tmp_path / "docs/questions.jsonl").write_text("{}\n")
    (found,) = sets(run, file)
    assert sorted(found.paths) == ["questions.jsonl", "questions.manifest.json"]
    with pytest.raises(GenerationError, match=r":1: not a line of a work file"):
        audit_of(work_path(tmp_path / "docs/questions.jsonl"))


def test_the_same_set_gives_the_same_bytes(run, tmp_path):
    """A version of an artifact is its bytes: a run that is sent again has none of its own."""
    file = saved(tmp_path / "docs")
    worked(tmp_path / "docs/questions.jsonl")
    first, second = (sets(run, file, scratch=scratch)[0] for scratch in ("one", "two"))
    assert {n: p.read_bytes() for n, p in first.paths.items()} == {
        n: p.read_bytes() for n, p in second.paths.items()
    }
    assert first.table == second.table


def test_names(run, tmp_path, monkeypatch):
    """A second set of the same name has its folder's before it; a path from the current folder will do."""
    monkeypatch.chdir(tmp_path)
    files = [
        saved(tmp_path / "docs"),
        saved(tmp_path / "more docs"),
        {**saved(tmp_path / "other", name="größe of it.jsonl"), "path": "other/größe of it.jsonl"},
    ]
    assert [found.name for found in sets(run, *files)] == [
        "question-set-questions",
        "question-set-more-docs-questions",
        "question-set-gr-e-of-it",
    ]


def test_files_that_are_no_sets(run, tmp_path):
    """Without a manifest, with a damaged one, changed since, gone, or said in a way that nobody knows."""
    plain = saved(tmp_path / "plain")
    (tmp_path / "plain/questions.manifest.json").unlink()
    damaged = saved(tmp_path / "damaged")
    (tmp_path / "damaged/questions.manifest.json").write_text("{")
    changed = saved(tmp_path / "changed")
    save_set(tmp_path / "changed/questions.jsonl", load_questions([tmp_path / "plain/questions.jsonl"])[:2])
    gone = {"path": "gone.jsonl", "digest": "0"}
    assert sets(run, plain, damaged, changed, gone, {}, {"path": "\0"}, {"path": ""}) == []


@pytest.mark.parametrize("index", ["../../secrets", "/etc", "..", "a" * 64, 5, ["a"]])
def test_records_of_somebody_else(run, tmp_path, index):
    """They name no folder of this machine, no file through a link, and no place to write."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "id_rsa").write_text("private")
    indexes = tmp_path / "home" / "indexes"
    indexes.mkdir()
    (indexes / ("a" * 16)).symlink_to(secrets)
    (run / "records.jsonl").write_text("{}\n")
    (run / "traces.jsonl").symlink_to(secrets / "id_rsa")
    scratch = run / "scratch"
    scratch.mkdir()
    components = (
        ComponentInfo("pipeline", "p", "f", {"index": index}, {"index": {"documents": {}}}),
        ComponentInfo("judge", "j", "../../../../gone"),
    )
    kept = {file.name: file.paths for file in files_of([], components, run, scratch, run_id="R")}
    assert {name: set(paths) for name, paths in kept.items()} == {
        "eval-questions": {"questions.jsonl", "questions.txt"},
        "index-p": {"made-from.json"},
        "judge-card": {"judge-card.json"},
        "run-records": {"records.jsonl"},
    }
    assert all(scratch in path.parents for paths in kept.values() for path in paths.values())
