"""`rag-evals questions check`: what it prints, writes and ends with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rag_evals.evals.cli.main import main
from rag_evals.evals.questions.question import Question, Source
from rag_evals.evals.questions.question_set import load_set, save_set
from rag_evals.rag.documents.read import read_documents

SENTENCES = (
    "A router sends every token to two of the eight experts in a layer.",
    "The capacity factor sets how many tokens an expert takes beyond its share.",
    "Training a sparse model needs a loss that keeps the load of its experts even.",
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """A question set of three questions on a document, one more on another, and one without a source."""
    monkeypatch.chdir(tmp_path)
    Path("docs").mkdir()
    Path("docs/a.md").write_text("\n\n".join(SENTENCES))
    Path("docs/b.md").write_text("Nothing else is said here.")
    corpus = read_documents(Path("docs"))
    questions = [question(f"q{n}", sentence, corpus.documents[0]) for n, sentence in enumerate(SENTENCES)]
    questions.append(Question("price", "What does it cost?", answerable=False))
    save_set(Path("q.jsonl"), questions, corpus, {"llm": "fake"})
    return tmp_path


def question(id: str, sentence: str, document) -> Question:
    start = document.text.find(sentence)
    return Question(
        id,
        f"What is {id}?",
        reference=" ".join(sentence.split()[-5:]),
        sources=(Source(document.name, None, start, start + len(sentence), sentence),),
        provenance={
            "origin": "generated",
            "kind": "fact",
            "document_sha256": {document.name: document.sha256},
            "edited": False,
        },
    )


def check(capsys, *arguments: str) -> tuple[int, str, str]:
    status = main(["questions", "check", "q.jsonl", "--docs", "docs", *arguments])
    return status, *capsys.readouterr()


def edit(old: str, new: str) -> None:
    file = Path("docs/a.md")
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


UNCHANGED = """q.jsonl: 4 questions, 2 documents
manifest: as it was written
unchanged 4, moved 0, stale 0, orphaned 0
without a source, so nothing to check: 1
"""


def test_all_is_well(capsys, folder):
    """Nothing is written, no cache is made."""
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert check(capsys) == (0, UNCHANGED, "")
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before


def test_what_has_moved_is_found_and_written(capsys):
    edit("A router", "First of all.\n\nA router")
    status, out, _ = check(capsys)
    assert status == 0
    assert out == (
        "q.jsonl: 4 questions, 2 documents\n"
        "manifest: as it was written\n"
        "unchanged 1, moved 3, stale 0, orphaned 0\n"
        "without a source, so nothing to check: 1\n"
        "\nmoved:\n"
        "  q0: a.md [0:66] -> a.md [15:81]\n"
        "  q1: a.md [68:142] -> a.md [83:157]\n"
        "  q2: a.md [144:221] -> a.md [159:236]\n"
    )
    status, out, _ = check(capsys, "--write")
    assert (status, out.splitlines()[-2:]) == (
        0,
        ["written: q.jsonl (3 questions changed)", "written: q.manifest.json"],
    )
    assert check(capsys) == (0, UNCHANGED, "")
    found = load_set(Path("q.jsonl"))
    corpus = read_documents(Path("docs"))
    assert found.manifest is not None
    assert (found.manifest.corpus, found.manifest.generator) == (corpus.sha256, {"llm": "fake"})
    told = found.questions[0].provenance
    assert told is not None
    assert told["document_sha256"] == {"a.md": corpus.documents[0].sha256}
    assert told["edited"] is False


STALE = """q.jsonl: 4 questions, 2 documents
manifest: as it was written
unchanged 2, moved 0, stale 1, orphaned 1
without a source, so nothing to check: 1

stale: q1
  Q: What is q1?
  A: expert takes beyond its share.
  a.md [68:142], 95% alike
  was                                            | now
  The capacity factor sets how many tokens an    | The capacity factor sets how many tokens an
  expert takes beyond its [share.]               | expert takes beyond its [quota.]
  reference: does not stand there any more; missing: share

orphaned: q2
  Q: What is q2?
  A: load of its experts even.
  nothing like its words is in a.md any more
  was: Training a sparse model needs a loss that keeps the load of its experts even.
"""


def test_stale_and_orphaned_questions_are_shown(capsys):
    """Old and new words side by side, and whether the reference still stands there; the status is 1."""
    edit("its share", "its quota")
    edit(SENTENCES[2], "Gone.")
    status, out, _ = check(capsys)
    assert (status, out) == (1, STALE)
    status, _, _ = check(capsys, "--write")
    assert status == 1
    tags = {question.id: question.tags for question in load_set(Path("q.jsonl")).questions}
    assert tags == {"q0": (), "q1": ("stale",), "q2": ("stale",), "price": ()}
    assert check(capsys)[0] == 1  # it stays so until somebody does something


def test_narrow_terminals_get_one_column(capsys, monkeypatch):
    """Old words above new ones."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    edit("its share", "its quota")
    _, out, _ = check(capsys)
    assert (
        "  was: The capacity factor sets how many tokens an expert\n"
        "       takes beyond its [share.]\n"
        "  now: The capacity factor sets how many tokens an expert\n"
        "       takes beyond its [quota.]\n"
    ) in out


def test_edits_by_hand_are_told_and_marked(capsys):
    text = Path("q.jsonl").read_text().replace("What is q0?", "What is it?")
    Path("q.jsonl").write_text(text + '{"id": "mine", "question": "And?"}\n')
    _, out, _ = check(capsys, "--write")
    assert "manifest: edited since: 1 question added: mine; 1 question changed: q0\n" in out
    found = load_set(Path("q.jsonl"))
    told = {question.id: question.provenance or {} for question in found.questions}
    assert (told["q0"]["edited"], told["q1"]["edited"], told["mine"]) == (True, False, {"origin": "curated"})
    assert found.manifest is not None
    assert (found.manifest.curated, bool(found.edits)) == (3, False)


def test_a_file_without_a_manifest(capsys):
    """Works as well; --write makes one."""
    Path("q.manifest.json").unlink()
    status, out, _ = check(capsys)
    assert (status, out.splitlines()[1]) == (0, "manifest: none; --write makes one")
    check(capsys, "--write")
    assert json.loads(Path("q.manifest.json").read_text())["count"] == 4


def test_refusals_on_changed_documents_are_a_note(capsys):
    line = {"id": "p2", "question": "Who paid?", "answerable": False}
    line["provenance"] = {"document_sha256": {"a.md": "another"}}
    with Path("q.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    status, out, _ = check(capsys)
    assert status == 0
    assert "unanswerable, made from other documents; these may say it now: p2\n" in out


def test_many_moved_questions_are_counted(capsys):
    lines = [
        {"id": f"m{n}", "question": "Why?", "sources": [{"document": "x/a.md", "quote": SENTENCES[0]}]}
        for n in range(12)
    ]
    Path("q.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    _, out, _ = check(capsys)
    assert out.splitlines()[-2:] == ["  m9: x/a.md -> a.md", "  and 2 more"]


def test_a_file_that_changes_meanwhile_is_not_overwritten(capsys, monkeypatch):
    """What somebody else wrote stays, and so does the manifest."""
    edit("A router", "First of all.\n\nA router")
    real = read_documents

    def slow(*arguments, **options):
        with Path("q.jsonl").open("a") as file:
            file.write('{"id": "theirs", "question": "Why?"}\n')
        return real(*arguments, **options)

    monkeypatch.setattr("rag_evals.evals.cli.arguments.read_documents", slow)
    manifest = Path("q.manifest.json").read_bytes()
    status, _, err = check(capsys, "--write")
    assert (status, err) == (
        4,
        "ERROR: q.jsonl was changed by somebody else meanwhile: nothing was written; call again, and it is "
        "read as it is now\n",
    )
    assert '"theirs"' in Path("q.jsonl").read_text()
    assert Path("q.manifest.json").read_bytes() == manifest


def test_text_of_documents_cannot_drive_the_terminal(capsys):
    line = {"id": "h", "question": "W\x1b[2Jhy?", "sources": [{"document": "a\x1b.md", "quote": "x\x9b1m"}]}
    Path("q.jsonl").write_text(json.dumps(line) + "\n")
    status, out, _ = check(capsys)
    assert status == 1
    assert all(row.isprintable() for row in out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.jsonl", "--docs", "docs"], "1 problem in question files:\n  gone.jsonl: no such file"),
        (["q.jsonl", "--docs", "gone"], "no such file or folder: gone"),
    ],
)
def test_a_wrong_call(capsys, arguments, message):
    assert main(["questions", "check", *arguments]) == 4
    assert capsys.readouterr().err == f"ERROR: {message}\n"


def test_a_cache_that_is_there_is_used(capsys):
    """It keeps the text of documents: a PDF is read once."""
    from rag_evals.evals.engine.cache import FILE, Cache

    cache = Cache(Path(".rag-evals") / FILE)
    cache.keep("answer", {"0" * 64: b"{}"}, subject="q0", maker=None)
    cache.close()
    before = len(cache_entries())
    assert check(capsys) == (0, UNCHANGED, "")
    assert len(cache_entries()) == before + 2


def cache_entries() -> list:
    from rag_evals.evals.engine.cache import FILE, Cache

    cache = Cache(Path(".rag-evals") / FILE)
    entries = list(cache.entries())
    cache.close()
    return entries
