"""`rag-evals questions review`: keys in a real terminal, decisions on disk at once, nothing lost."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rag_evals.evals.base.errors import QuestionFileError, UsageError
from rag_evals.evals.cli.main import main
from rag_evals.evals.questions.question import Question, Source
from rag_evals.evals.questions.question_set import load_set, save_set
from rag_evals.evals.questions.reviewing.editor import UnfitError, edit_in_editor, editor_of
from rag_evals.evals.questions.reviewing.review import Review, ReviewSession
from rag_evals.evals.reports.terminal.question_check import QuestionView, screen

from tests.servers.terminal_emulator import Emulator

ROOT = Path(__file__).parents[4]
COLUMNS, ROWS = 70, 18
SENTENCES = (
    "A router sends every token to two of the eight experts in a layer.",
    "The capacity factor sets how many tokens an expert takes beyond its share.",
    "Training a sparse model needs a loss that keeps the load of its experts even.",
)


def question(n: int, **more) -> Question:
    sentence = SENTENCES[n]
    fields = {
        "reference": sentence.split()[-1],
        "sources": (Source("a.md", None, None, None, sentence),),
        "provenance": {"origin": "generated", "kind": "fact"},
        **more,
    }
    return Question(f"q{n}", f"What is q{n}?", **fields)


@pytest.fixture
def path(tmp_path, monkeypatch) -> Path:
    """A question set of three questions; its document is beside it."""
    monkeypatch.chdir(tmp_path)
    Path("a.md").write_text("Before it all. " + " ".join(SENTENCES) + " After it all.")
    save_set(Path("q.jsonl"), [question(n) for n in range(3)])
    return tmp_path / "q.jsonl"


def ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


# --- decisions ---


def test_decisions_are_on_disk_at_once(path):
    """What is dropped is gone from the file, and kept beside it; nobody has to close anything."""
    review = Review(path)
    review.keep(0)
    review.drop(1)
    review.edit(2, replace(question(2), question="And now?", provenance=None))
    assert ids(path) == ["q0", "q2"]
    now = load_set(path).questions[1]
    assert (now.question, now.provenance) == (
        "And now?",
        {"origin": "generated", "kind": "fact", "edited": True},
    )
    log = [json.loads(line) for line in (path.parent / ".q.jsonl.review.jsonl").read_text().splitlines()]
    assert [(line["id"], line["verdict"]) for line in log] == [
        ("q0", "kept"),
        ("q1", "dropped"),
        ("q2", "edited"),
    ]
    assert log[1]["question"]["question"] == "What is q1?"


def test_a_review_goes_on_where_it_ended(path):
    Review(path).keep(1)
    review = Review(path)
    assert [item.verdict for item in review.items] == [None, "kept", None]
    assert (review.next_open(0), review.next_open(1), review.next_open(2)) == (0, 2, 2)
    assert dict(review.counts()) == {"kept": 1, "edited": 0, "dropped": 0}
    assert [item.verdict for item in Review(path, is_again=True).items] == [None, None, None]


def test_a_question_that_changed_since_is_open_again(path):
    Review(path).keep(1)
    path.write_text(path.read_text().replace("What is q1?", "What was q1?"))
    assert Review(path).items[1].verdict is None


def test_a_dropped_question_comes_back_with_keep(path):
    """At its old place, byte for byte."""
    before = path.read_bytes()
    review = Review(path)
    review.drop(1)
    review.keep(1)
    assert path.read_bytes() == before
    assert Review(path).items[1].verdict == "kept"


def test_a_dropped_question_that_was_put_back_is_open(path):
    before = path.read_bytes()
    Review(path).drop(1)
    path.write_bytes(before)
    assert [item.verdict for item in Review(path).items] == [None, None, None]


def test_a_line_that_was_cut_costs_one_decision(path):
    """A kill while a decision was noted leaves half a line; the next one has a line of its own."""
    review = Review(path)
    review.keep(0)
    review.keep(1)
    review.log.write_bytes(review.log.read_bytes()[:-9])
    review = Review(path)
    assert [item.verdict for item in review.items] == ["kept", None, None]
    review.keep(2)
    assert [item.verdict for item in Review(path).items] == ["kept", None, "kept"]


def test_the_manifest_follows(path):
    """Edits of the review are no edits behind its back."""
    review = Review(path)
    review.drop(0)
    review.edit(1, replace(question(1), question="Which?"))
    review.close()
    found = load_set(path)
    assert found.manifest is not None
    assert (bool(found.edits), len(found.manifest.questions), found.manifest.curated) == (False, 2, 1)


def test_a_review_without_a_decision_writes_nothing(path):
    path.write_text(path.read_text().replace("What is q0?", "Edited by hand?"))
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    Review(path).close()
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == before


def test_edits_by_hand_are_marked_by_the_next_decision(path):
    path.write_text(path.read_text().replace("What is q0?", "Edited by hand?"))
    review = Review(path)
    review.keep(2)
    review.close()
    found = load_set(path)
    assert (found.questions[0].provenance or {})["edited"] is True
    assert not found.edits


def test_a_file_that_somebody_else_writes_is_left_alone(path):
    review = Review(path)
    theirs = path.read_bytes() + b"// theirs\n"
    path.write_bytes(theirs)
    with pytest.raises(QuestionFileError) as raised:
        review.drop(0)
    assert str(raised.value) == (
        "q.jsonl was changed by somebody else meanwhile: nothing was written; call again, and it is read as "
        "it is now"
    )
    review.close()
    assert path.read_bytes() == theirs


def test_only_questions_with_a_tag(path):
    save_set(path, [question(0), question(1, tags=("stale",)), question(2)])
    review = Review(path, tag="stale")
    assert [item.question.id for item in review.items] == ["q1"]
    review.drop(0)
    assert ids(path) == ["q0", "q2"]


# --- keys ---


def test_what_keys_do(path):
    """Keep, back, edit, drop, next: the place and the message follow, and other keys mean nothing."""
    drafts: list[str | None] = []

    def edit(old: Question, draft: str | None) -> Question:
        drafts.append(draft)
        if len(drafts) == 1:
            raise UnfitError("it has no id", "half of it")
        if len(drafts) == 2:
            raise KeyboardInterrupt
        return replace(old, question="And now?")

    session = ReviewSession(Review(path), None, edit)
    seen = []
    for key in ("k", "x", "b", "e", "e", "e", "n", "d", "k", "k"):
        session.press(key)
        seen.append((key, session.place, session.message))
    assert seen == [
        ("k", 1, ""),
        ("x", 1, ""),
        ("b", 0, ""),
        ("e", 0, "not changed: it has no id; e goes on with what you wrote"),
        ("e", 0, "not changed"),
        ("e", 0, "written"),
        ("n", 1, ""),
        ("d", 2, ""),
        ("k", None, ""),
        ("k", None, ""),
    ]
    assert drafts == [None, "half of it", "half of it"]
    assert session.farewell() == f"{path}: 1 kept, 1 edited, 1 dropped"
    assert [q.question for q in load_set(path).questions] == ["And now?", "What is q2?"]


# --- the screen ---


def view(**more) -> QuestionView:
    fields = {"place": 1, "count": 60, "counts": {"kept": 3, "edited": 1, "dropped": 0}, **more}
    return QuestionView(question=fields.pop("question", question(1)), **fields)


def test_a_screen_without_documents():
    assert screen(view(numbers={"grounded": 0.934, "leaking": 0.1}), 70, 14) == [
        "2 of 60: 3 kept, 1 edited, 0 dropped                                q1",
        "fact · generated",
        "",
        "Q: What is q1?",
        "A: share.",
        "",
        "a.md",
        "  [[The capacity factor sets how many tokens an expert takes beyond",
        "  its share.]]",
        "",
        "grounded 0.93, leaking 0.10",
        "",
        "",
        "k keep   e edit   d drop   n next   b back   q quit",
    ]


def test_a_screen_is_as_large_as_the_terminal():
    """However much text there is and however little room."""
    long = question(1, reference="many words " * 300)
    texts = {"a.md": "before " * 500 + SENTENCES[1] + " after" * 500}
    for columns, rows in ((20, 5), (40, 12), (70, 30), (200, 60)):
        for it in (long, question(1)):
            lines = screen(view(question=it, texts=texts, message="It went wrong."), columns, rows)
            assert len(lines) == rows
            assert all(len(line.replace("[[", "").replace("]]", "")) <= columns for line in lines)


def test_hostile_text_is_printable():
    hostile = "\x1b[2J\x9b1m\u202e\ue000\ue001 x\r\n"
    it = replace(
        question(1, reference=hostile, sources=(Source(f"a{hostile}.md", quote=hostile),)),
        question=hostile,
        provenance={"kind": hostile},
    )
    lines = screen(view(question=it, numbers={hostile: 1.0}, message=hostile), 70, 18)
    assert all(line.isprintable() for line in lines)


def test_marked_words_go_on_over_lines():
    """Every line of them is inverted by itself: nothing else of the screen is."""
    lines = screen(view(texts={"a.md": f"Before. {SENTENCES[1]} After."}), 40, 20, colour=True)
    assert lines[7:10] == [
        "  Before. \x1b[7mThe capacity factor sets\x1b[27m",
        "  \x1b[7mhow many tokens an expert takes\x1b[27m",
        "  \x1b[7mbeyond its share.\x1b[27m After.",
    ]


# --- editing ---


def editor(tmp_path: Path, code: str) -> tuple[str, ...]:
    script = tmp_path / "editor.py"
    script.write_text(f"import json, pathlib, sys\nfile = pathlib.Path(sys.argv[1])\n{code}\n")
    return (sys.executable, str(script))


CHANGE = "value = json.loads(file.read_text())\nvalue[0].update({})\nfile.write_text(json.dumps(value))"


def test_an_edited_question_keeps_where_it_came_from(tmp_path):
    """The editor does not even see it; offsets of a quote that was edited are gone."""
    it = question(0, sources=(Source("a.md", None, 5, 9, "four"),))
    code = CHANGE.replace("{}", '{"question": "Which?", "reference": str(sorted(value[0]))}')
    new = edit_in_editor(it, editor(tmp_path, code))
    assert new == replace(it, question="Which?", reference="['id', 'question', 'reference', 'sources']")
    code = CHANGE.replace("update({})", 'get("sources")[0].update(quote="five")')
    new = edit_in_editor(it, editor(tmp_path, code))
    assert new.sources == (Source("a.md", None, None, None, "five"),)
    assert edit_in_editor(it, editor(tmp_path, "")) == it


def test_an_edited_turn_keeps_its_place_in_the_conversation(tmp_path):
    """One turn of many is edited by itself: its number is not for the editor."""
    it = replace(question(0), conversation="lakes", turn=2)
    code = CHANGE.replace("{}", '{"question": str(sorted(value[0]))}')
    new = edit_in_editor(it, editor(tmp_path, code))
    assert new == replace(it, question="['id', 'question', 'reference', 'sources']")


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (
            "file.write_text('[{')",
            "line 1: invalid JSON at column 3: Expecting property name enclosed in double quotes",
        ),
        ("file.write_text('[]')", "no questions in it"),
        (CHANGE.replace("{}", '{"question": ""}'), 'line 1: "question" is empty'),
        (CHANGE.replace("{}", '{"id": "other"}'), 'the id "q0" stays: other files may name it'),
        (CHANGE.replace("value)", 'value + [{**value[0], "id": "b"}])'), "2 questions in place of one"),
    ],
)
def test_what_is_no_question_can_be_written_on(tmp_path, code, problem):
    """The message says what is wrong, and what was written is not lost."""
    with pytest.raises(UnfitError) as raised:
        edit_in_editor(question(0), editor(tmp_path, code.replace("value[0].update({})\n", "")))
    assert str(raised.value) == f"not changed: {problem}; e goes on with what you wrote"
    again = editor(tmp_path, "pathlib.Path('seen').write_text(file.read_text()); sys.exit(3)")
    with contextlib.chdir(tmp_path), pytest.raises(UsageError) as failed:
        edit_in_editor(question(0), again, raised.value.text)
    assert str(failed.value) == f"not changed: {sys.executable} ended with 3"
    assert (tmp_path / "seen").read_text() == raised.value.text


def test_the_editor_that_is_set():
    assert editor_of({"EDITOR": "vi", "VISUAL": "code --wait"}) == ("code", "--wait")
    assert editor_of({}) == ()
    with pytest.raises(UsageError) as raised:
        editor_of({"EDITOR": "vi '"})
    assert str(raised.value) == "EDITOR=vi ' is no command: No closing quotation"
    with pytest.raises(UsageError) as raised:
        edit_in_editor(question(0), ["no-such-editor"])
    assert str(raised.value) == "no-such-editor cannot be run: No such file or directory; set EDITOR"


# --- the terminal ---


class Terminal:
    """`rag-evals` in a pseudo-terminal: keys in, screen out."""

    def __init__(self, *arguments: str, **environ: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        known = {k: v for k, v in os.environ.items() if k not in ("EDITOR", "VISUAL", "COLUMNS", "LINES")}
        self.before = termios.tcgetattr(theirs)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rag_evals.evals.cli", "questions", "review", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**known, "TERM": "xterm", "NO_COLOR": "1", "PYTHONPATH": str(ROOT), **environ},
            start_new_session=True,
        )
        self._theirs = theirs
        self._screen = Emulator(COLUMNS, ROWS)
        self.text = b""

    def wait(self, text: str, seconds: float = 60) -> list[str]:
        """Read until `text` is on the screen; return its lines."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if text in "\n".join(self.lines):
                return self.lines
            self._read(0.05)
        raise AssertionError(f"{text!r} is not on the screen:\n" + "\n".join(self.lines))

    def _read(self, seconds: float) -> None:
        if select.select([self._ours], [], [], seconds)[0]:
            piece = os.read(self._ours, 65536)
            self.text += piece
            self._screen.feed(piece)

    @property
    def lines(self) -> list[str]:
        return self._screen.lines[-ROWS:]

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def end(self) -> int:
        """Wait for the end; the terminal is as it was before."""
        status = self.process.wait(60)
        self._read(0.05)
        assert termios.tcgetattr(self._theirs) == self.before or status < 0
        return status

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)


@pytest.fixture
def review(path) -> Iterator:
    opened: list[Terminal] = []

    def start(*arguments: str, **environ: str) -> Terminal:
        opened.append(Terminal("q.jsonl", *arguments, **environ))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()


def test_keys(review, path):
    """Keep, drop, back, next and quit; the next review goes on there."""
    terminal = review("--docs", "a.md")
    lines = terminal.wait("q quit")
    assert lines[0] == "1 of 3: 0 kept, 0 edited, 0 dropped" + " " * 33 + "q0"
    assert lines[6:9] == [
        "a.md: unchanged",
        "  Before it all. [[A router sends every token to two of the eight",
        "  experts in a layer.]] The capacity factor sets how many tokens an",
    ]
    terminal.press("k")
    terminal.wait("2 of 3: 1 kept")
    terminal.press("x\x1b[5~é")  # keys that mean nothing
    terminal.press("d")
    terminal.wait("3 of 3: 1 kept, 0 edited, 1 dropped")
    terminal.press("\x1b[D")
    terminal.wait("q1 (dropped)")
    terminal.press("n")
    terminal.wait("3 of 3")
    terminal.press("q")
    assert terminal.end() == 0
    told = "q.jsonl: 1 kept, 0 edited, 1 dropped, 1 not decided: the same command goes on there"
    assert told in terminal.text.decode()
    assert ids(path) == ["q0", "q2"]
    assert not load_set(path).edits
    terminal = review()
    terminal.wait("2 of 2: 1 kept")
    terminal.press("k")
    assert terminal.end() == 0
    assert "q.jsonl: 2 kept, 0 edited, 0 dropped\r\n" in terminal.text.decode()


def test_ctrl_c_loses_nothing(review, path):
    terminal = review()
    terminal.wait("1 of 3")
    terminal.press("d")
    terminal.wait("2 of 3")
    terminal.press("\x03")
    # The process is no group of the terminal here, so that the signal is sent to it.
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 130
    assert ids(path) == ["q1", "q2"]
    assert not load_set(path).edits


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_loses_nothing(review, path, number):
    """One that can be caught leaves the terminal as it was, too."""
    terminal = review()
    terminal.wait("1 of 3")
    terminal.press("d")
    terminal.wait("2 of 3")
    terminal.process.send_signal(number)
    assert terminal.end() == (-number if number == signal.SIGKILL else 128 + number)
    assert ids(path) == ["q1", "q2"]
    assert [item.verdict for item in Review(path).items] == [None, None]


def test_the_end_of_the_input_is_quit(review):
    terminal = review()
    terminal.wait("1 of 3")
    terminal.press("\x04")
    assert terminal.end() == 0


def test_an_editor_is_opened(review, path, tmp_path):
    command = " ".join(editor(tmp_path, CHANGE.replace("{}", '{"question": "Which?"}')))
    terminal = review(EDITOR=command)
    terminal.wait("1 of 3")
    terminal.press("e")
    lines = terminal.wait("written")
    assert lines[0].endswith("q0 (edited)")
    assert lines[3] == "Q: Which?"
    terminal.press("k")
    terminal.wait("2 of 3: 0 kept, 1 edited, 0 dropped")
    terminal.press("q")
    assert terminal.end() == 0
    now = load_set(path).questions[0]
    assert (now.question, (now.provenance or {})["edited"]) == ("Which?", True)


def test_without_an_editor_lines_are_edited(review, path):
    """The text is there to be edited; Ctrl-C gives up the edit, not the review."""
    terminal = review()
    terminal.wait("1 of 3")
    terminal.press("e")
    terminal.wait("question: What is q0?")
    terminal.press("\x7f exactly?\r")
    terminal.wait("reference: layer.")
    terminal.press("\r")
    terminal.wait("written")
    assert load_set(path).questions[0].question == "What is q0 exactly?"
    terminal.press("e")
    terminal.wait("question: What is q0 exactly?")
    terminal.process.send_signal(signal.SIGINT)
    terminal.wait("not changed")
    terminal.press("q")
    assert terminal.end() == 0
    assert load_set(path).questions[0].reference == "layer."


def test_a_stale_question_is_kept_with_the_new_words(review, path):
    text = Path("a.md").read_text()
    Path("a.md").write_text(text.replace("its share", "its quota"))
    assert main(["questions", "check", "q.jsonl", "--docs", "a.md", "--write"]) == 1
    terminal = review("--docs", "a.md", "--tag", "stale")
    lines = terminal.wait("q quit")
    assert "1 of 1" in lines[0]
    assert "a.md: stale" in lines
    assert any(line.startswith("  now: The capacity factor") for line in lines)
    terminal.press("k")
    assert terminal.end() == 0
    now = load_set(path).questions[1]
    assert (now.tags, now.sources[0].quote) == ((), SENTENCES[1].replace("share", "quota"))
    assert main(["questions", "check", "q.jsonl", "--docs", "a.md"]) == 0


def test_numbers_of_the_generation_are_shown(review, path):
    line = {"number": 0, "candidate": {"question": {"id": "q0"}}, "values": {"grounded": 0.91, "copy": None}}
    Path("q.jsonl.work.jsonl").write_text(f'{json.dumps(line)}\n{{"type": "head"}}\n[1]\n{{"cut')
    terminal = review()
    assert "grounded 0.91" in terminal.wait("q quit")


def test_without_a_terminal(path, capsys):
    assert main(["questions", "review", "q.jsonl"]) == 4
    assert capsys.readouterr().err == (
        "ERROR: questions review needs a terminal for its keys: call it in one, or edit the file by hand, "
        "after which `rag-evals questions check FILE --docs PATH --write` brings its manifest up to date\n"
    )
