"""The records are read while they are written; messages are read whatever stands between them."""

from __future__ import annotations

import errno
import json

import pytest
from rag_evals.evals.trackers import child
from rag_evals.evals.trackers.child import follow
from rag_evals.evals.trackers.messages import lock_of, messages_in, say, text_of


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(child, "SECONDS_BETWEEN", 0.001)


def write(file, text):
    with file.open("a", encoding="utf-8") as opened:
        opened.write(text)


def test_lines_that_come_in_pieces(tmp_path):
    """A line is given when it is whole; the last one ends it, whatever stands behind."""
    file = tmp_path / "records.jsonl"
    pieces = iter(
        [
            '{"type": "ru',
            'n", "schema": 1}\n{"type": "later", "a": "ö\\u2028"}\n{"type": "eval\n',
            '{"type": "end"}\n{"type": "x"}\n',
        ]
    )
    file.touch()

    def is_over():
        write(file, next(pieces))
        return False

    assert [event["type"] for event in follow(file, is_over=is_over)] == ["run", "later", "end"]


def test_what_was_written_before_the_session_died_is_read(tmp_path):
    """A half line at the end is none."""
    file = tmp_path / "records.jsonl"
    file.touch()
    asked = []

    def is_over():
        asked.append(True)
        if len(asked) == 2:
            write(file, '{"type": "run", "schema": 1}\n{"type": "eval')
        return len(asked) == 2

    assert list(follow(file, is_over=is_over)) == [{"type": "run", "schema": 1}]


def test_a_run_that_goes_on(tmp_path):
    """The end of the session before is none."""
    file = tmp_path / "records.jsonl"
    write(file, '{"type": "run", "schema": 1}\n{"type": "end"}\n{"type": "continued"}\n{"type": "end"}\n')
    found = [event["type"] for event in follow(file, is_over=lambda: False)]
    assert found == ["run", "end", "continued", "end"]


def test_lock_is_named_for_the_tracker(tmp_path):
    assert lock_of(tmp_path, "wandb") == tmp_path / "wandb.lock"


def test_messages_among_other_output(capfd):
    """What a library prints, and what was cut off, is passed over."""
    say(rows=3)
    say(said="a\nb\u2028c")
    output = capfd.readouterr().out.encode()
    found = messages_in(b"wandb: hello\n" + output + b"[1]\n7\n\xff\n" + b"[" * 5000 + b'\n{"done": tr')
    assert found == [{"rows": 3}, {"said": "a\nb\u2028c"}]


def test_saying_to_nobody(monkeypatch):
    """Nothing happens."""

    class Closed:
        def write(self, text):
            raise BrokenPipeError

        def flush(self):
            raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", Closed())
    say(done=True)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RuntimeError(" two\n lines "), "two lines"),
        (RuntimeError(), "RuntimeError"),
        (OSError(errno.ENOSPC, "No space left on device", "a/b"), "No space left on device"),
        (OSError(errno.EACCES, "Permission denied", "a/b"), "[Errno 13] Permission denied: 'a/b'"),
    ],
)
def test_errors_in_one_line(error, text):
    assert text_of(error) == text
    assert json.loads(json.dumps(text_of(error))) == text
