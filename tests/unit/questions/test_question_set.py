"""Question sets: one form of a question, a digest over all, a manifest that tells what was edited."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rag_evals.evals.base.errors import QuestionFileError
from rag_evals.evals.base.files import replace_file
from rag_evals.evals.questions.load import load_questions
from rag_evals.evals.questions.manifest import load_manifest, manifest_path
from rag_evals.evals.questions.question import Question, Source, question_to_json, questions_digest, to_line
from rag_evals.evals.questions.question_set import edited, load_set, marked_edits, save_set
from rag_evals.evals.questions.rewrite import read_writable
from rag_evals.rag.documents.document import Corpus, Document

FULL = Question(
    id="experts",
    question='How many "experts"\u2028process\x9b a token?\n',
    reference="Two \U0001f600 of eight.",
    sources=(Source("a.pdf", 2, 5, 9, "four"), Source("b.md")),
    tags=("fact", "number"),
    answerable=False,
    thresholds=(("faithfulness", 0.85), ("relevancy", 1.0)),
    provenance={"origin": "generated", "kind": "fact", "seed": 1, "nested": {"x": [1.5, None, True]}},
)
PLAIN = Question("plain", "Why?")
CURATED = Question("own", "What for?", "For nothing.")
CORPUS = Corpus((Document("b.md", "words", (), "bb"), Document("a.pdf", "two four", (0,), "aa")))


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "questions.jsonl"


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize(
    "question",
    [FULL, PLAIN, CURATED, replace(PLAIN, provenance={}), replace(PLAIN, sources=(Source("a", quote="b"),))],
    ids=lambda question: question.id,
)
def test_a_question_survives_its_line(question, path):
    """What is written is read back as the very same question."""
    path.write_text(to_line(question_to_json(question)) + "\n", encoding="utf-8")
    assert load_questions([path]) == (question,)


def test_a_line_is_fit_for_a_terminal():
    """Letters of any language stay; what drives a terminal or breaks lines is escaped."""
    line = to_line(question_to_json(replace(FULL, question="Größe\x1b[2J\u202e\u2028?")))
    assert '"question": "Größe\\u001b[2J\\u202e\\u2028?"' in line
    assert line.isprintable()


def test_what_says_nothing_is_left_out():
    assert question_to_json(PLAIN) == {"id": "plain", "question": "Why?"}


def test_the_digest_is_of_the_questions_whatever_their_order():
    """And another one when anything of a question is another."""
    digest = questions_digest([FULL, PLAIN])
    assert digest == questions_digest([PLAIN, FULL])
    assert digest != questions_digest([PLAIN, replace(FULL, tags=("fact",))])
    assert len(digest) == 64


def test_a_set_is_saved_and_loaded(path):
    """The manifest has counts, hashes of the documents, and what wrote the questions."""
    generator = {
        "llm": "fake",
        "llm_fingerprint": "f" * 64,
        "prompt_version": 3,
        "seed": 7,
        "mix": {"fact": 100},
    }
    manifest = save_set(path, [FULL, PLAIN], CORPUS, generator)
    found = load_set(path)
    assert (found.questions, found.manifest, bool(found.edits)) == ((FULL, PLAIN), manifest, False)
    value = json.loads((path.parent / "questions.manifest.json").read_text())
    assert value == {
        "type": "question-set",
        "schema": 1,
        "digest": questions_digest([FULL, PLAIN]),
        "count": 2,
        "curated": 1,
        "kinds": {"fact": 1},
        "corpus": {"sha256": CORPUS.sha256, "documents": {"a.pdf": "aa", "b.md": "bb"}},
        "generator": generator,
        "created_with": "0.1.0",
        "questions": {question.id: manifest.questions[question.id] for question in (FULL, PLAIN)},
    }


def test_the_same_set_gives_the_same_bytes(path, tmp_path):
    other = tmp_path / "other.jsonl"
    for file in (path, other):
        save_set(file, [FULL, PLAIN], CORPUS)
    assert path.read_bytes() == other.read_bytes()
    assert manifest_path(path).read_bytes() == manifest_path(other).read_bytes()


def test_a_question_file_needs_no_manifest(path):
    path.write_text('{"id": "a", "question": "Why?"}\n')
    found = load_set(path)
    assert (found.manifest, bool(found.edits), len(found.questions)) == (None, False, 1)


def test_edits_by_hand_are_noticed(path):
    """Added, removed and changed questions are named."""
    save_set(path, [FULL, PLAIN, CURATED], CORPUS)
    new = Question("new", "And now?")
    path.write_text(
        "".join(f"{to_line(question_to_json(q))}\n" for q in (new, replace(FULL, reference="Four."), PLAIN))
    )
    edits = load_set(path).edits
    assert (edits.added, edits.removed, edits.changed) == (("new",), ("own",), ("experts",))
    assert str(edits) == ("1 question added: new; 1 question removed: own; 1 question changed: experts")


def test_another_order_or_a_comment_is_no_edit(path):
    save_set(path, [FULL, PLAIN])
    path.write_text("// by hand\n\n" + "".join(reversed(path.read_text("utf-8").splitlines(keepends=True))))
    assert not load_set(path).edits


def test_only_the_first_edits_are_named(path):
    save_set(path, [PLAIN])
    path.write_text("".join(f'{{"id": "q{n}", "question": "Why?"}}\n' for n in range(12)))
    assert str(load_set(path).edits) == (
        "12 questions added: q0, q1, q2, q3, q4, q5, q6, q7, q8, q9 and 2 more; 1 question removed: plain"
    )


def test_edited_questions_keep_where_they_came_from(path):
    """A generated one is marked as edited, a new one as curated, one of a person stays as it is."""
    save_set(path, [FULL, CURATED], CORPUS)
    new = Question("new", "And now?")
    now = [replace(FULL, reference="Four."), replace(CURATED, reference="For all."), new]
    path.write_text("".join(f"{to_line(question_to_json(q))}\n" for q in now))
    found = load_set(path)
    marked = marked_edits(found.questions, found.edits)
    assert marked[0].provenance == {**FULL.provenance, "edited": True}
    assert marked[1].provenance is None
    assert marked[2].provenance == {"origin": "curated"}
    assert edited(FULL).provenance == {**FULL.provenance, "edited": True}
    assert save_set(path, marked, CORPUS).curated == 3


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "it is not JSON"),
        ("[]", "list indices must be integers or slices, not str"),
        ('{"type": "run", "schema": 1}', "its type is 'run'"),
        ('{"type": "question-set", "schema": 2}', "its schema is 2, of a later version; known is 1"),
        ('{"type": "question-set", "schema": 1}', "it has no 'digest'"),
        (
            '{"type": "question-set", "schema": 1, "digest": "", "questions": {}, "curated": 0,'
            ' "created_with": "1", "kinds": {"a": Infinity}}',
            "kinds.a is Infinity, not a whole number",
        ),
    ],
)
def test_a_damaged_manifest_is_named(path, text, reason, monkeypatch):
    """With what to do."""
    monkeypatch.chdir(path.parent)
    save_set(path, [PLAIN])
    manifest_path(path).write_text(text)
    with pytest.raises(QuestionFileError) as raised:
        load_manifest(path)
    assert str(raised.value) == (
        f"questions.manifest.json cannot be read as the manifest of a question set ({reason}): remove it, "
        "and `rag-evals questions check questions.jsonl --docs PATH --write` writes it anew"
    )


def test_a_set_that_could_not_be_read_again_is_not_written(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    with pytest.raises(QuestionFileError) as raised:
        save_set(path, [PLAIN, FULL, PLAIN])
    assert str(raised.value) == 'ids that stand twice, so nothing was written:\n  "plain"'
    with pytest.raises(QuestionFileError) as raised:
        save_set(Path("questions.yaml"), [PLAIN])
    assert str(raised.value) == 'questions.yaml: a question set ends in .jsonl, not in ".yaml"'
    assert list(path.parent.iterdir()) == []


# --- files that are written again ---


def test_what_is_not_changed_stays_as_it_was(path):
    """Comments, blank lines, own keys, odd spacing, Windows line ends and the byte order mark."""
    text = (
        '\ufeff{"id":"a",   "question":"Why?","x-note":"mine","reference":"old"}\r\n'
        "// a comment\r\n\r\n"
        '{"id":"b","question":"What?", "sources": [{"document": "d", "x-seen": 1}]}\r\n'
        '{"question":"Gone?","id":"c"}\r\n'
        '{"id":"d",  "question":"When?"}'
    )
    path.write_bytes(text.encode())
    now = {
        "a": Question("a", "Why not?", tags=("new",)),
        "b": Question("b", "What?", sources=(Source("d", quote="words"),)),
        "c": None,
    }
    assert read_writable(path).with_changes(now) == (
        '\ufeff{"id": "a", "question": "Why not?", "x-note": "mine", "tags": ["new"]}\r\n'
        "// a comment\r\n\r\n"
        '{"id": "b", "question": "What?", "sources": [{"document": "d", "x-seen": 1, "quote": "words"}]}\r\n'
        '{"id":"d",  "question":"When?"}'
    )
    assert read_writable(path).with_changes({}) == text


def test_a_json_list_is_written_as_one(tmp_path):
    file = tmp_path / "questions.json"
    file.write_text(
        '[{"id": "a", "question": "Why?", "x-n": 1}, {"id": "b", "question": "No?"}, '
        '{"id": "c", "question": "?"}]'
    )
    text = read_writable(file).with_changes({"a": Question("a", "W\u2028hy?"), "b": None})
    assert json.loads(text) == [
        {"id": "a", "question": "W\u2028hy?", "x-n": 1},
        {"id": "c", "question": "?"},
    ]
    assert all(line.isprintable() for line in text.splitlines())


def test_a_form_that_would_lose_something_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("q.yaml").write_text("- {id: a, question: Why?}")
    with pytest.raises(QuestionFileError) as raised:
        read_writable(Path("q.yaml"))
    assert str(raised.value) == (
        "q.yaml cannot be written again without losing its form: files ending in .jsonl, .ndjson, .json can; "
        "save the questions as one of these"
    )
    with pytest.raises(QuestionFileError) as raised:
        read_writable(Path("gone.jsonl"))
    assert str(raised.value) == "gone.jsonl: cannot be read: No such file or directory"


def test_a_file_that_somebody_else_wrote_is_not_overwritten(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    path.write_bytes(b"theirs")
    with pytest.raises(QuestionFileError) as raised:
        replace_file(Path("questions.jsonl"), "ours", before=b"as it was read")
    assert str(raised.value) == (
        "questions.jsonl was changed by somebody else meanwhile: nothing was written; call again, and it is "
        "read as it is now"
    )
    assert [file.name for file in path.parent.iterdir()] == ["questions.jsonl"]
    assert path.read_bytes() == b"theirs"


def test_a_file_keeps_its_mode_and_a_link_its_target(tmp_path):
    real, link = tmp_path / "real.jsonl", tmp_path / "link.jsonl"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link.symlink_to(real)
    replace_file(link, "new", before=b"old")
    assert link.is_symlink()
    assert (real.read_bytes(), real.stat().st_mode & 0o777) == (b"new", 0o640)


def test_a_folder_that_is_none_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    with pytest.raises(QuestionFileError) as raised:
        replace_file(Path("file/questions.jsonl"), "new")
    assert str(raised.value) == "file/questions.jsonl cannot be written: File exists; nothing was changed"
