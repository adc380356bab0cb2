"""Lines that another process may have written half, or is writing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rag_evals.evals.base import files
from rag_evals.evals.base.files import all_lines, next_lines, open_plain, read_plain, whole_lines


@pytest.mark.parametrize(
    ("data", "whole", "rest"),
    [
        (b"", [], []),
        (b"one\ntwo\n", [b"one", b"two"], []),
        (b"one\ntw", [b"one"], [b"tw"]),
        (b"on", [], [b"on"]),
        (b"\n\r\n", [b"", b"\r"], []),
        ("a\u2028b\n".encode(), ["a\u2028b".encode()], []),
        (b"x" * 100_000 + b"\ny", [b"x" * 100_000], [b"y"]),
    ],
)
def test_a_last_line_without_an_end(tmp_path, data, whole, rest):
    """It is there for those who ask for it; nothing but a line feed ends a line."""
    file = tmp_path / "lines.jsonl"
    file.write_bytes(data)
    assert [*whole_lines(file)] == whole
    assert [*all_lines(file)] == [*whole, *rest]


def test_a_file_that_is_being_written(tmp_path):
    """A half-written line is given when it is whole, once."""
    file = tmp_path / "lines.jsonl"
    with file.open("wb", buffering=0) as out, file.open("rb") as opened:
        assert [*next_lines(opened)] == []
        out.write(b"one\ntw")
        assert [*next_lines(opened)] == [b"one"]
        assert (opened.tell(), [*next_lines(opened)]) == (4, [])
        out.write(b"o\nthree")
        assert [*next_lines(opened)] == [b"two"]
        out.write(b"\n")
        assert [*next_lines(opened)] == [b"three"]
        assert opened.read(1) == b""


@pytest.mark.parametrize("read", [read_plain, all_lines, whole_lines])
def test_what_is_no_plain_file_is_not_waited_for(read, tmp_path):
    """A pipe that nobody writes to, and a device without end, are refused at once."""
    os.mkfifo(tmp_path / "pipe")
    for file in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(OSError, match="it is no plain file"):
            list(read(file))


def test_a_folder_is_said_to_be_one(tmp_path):
    """As when it is opened in the usual way."""
    with pytest.raises(IsADirectoryError, match="Is a directory"):
        open_plain(tmp_path)


def test_a_plain_file_is_read(tmp_path):
    """So is one by its link."""
    (tmp_path / "file").write_bytes(b"one")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_plain(tmp_path / "link") == b"one"
    assert read_plain(tmp_path / "file", most=3) == b"one"


def test_a_file_of_more_than_memory(tmp_path):
    """It is not read: not even when it has no bytes by what its system says."""
    with (tmp_path / "file").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(OSError, match="it has more than 512 MB"):
        read_plain(tmp_path / "file")
    with pytest.raises(OSError, match="more than 0 MB"):
        read_plain(Path("/proc/self/maps"), most=10)


def test_a_line_without_end(tmp_path, monkeypatch):
    """A line has a bound as well."""
    monkeypatch.setattr(files, "MOST_LINE", 1000)
    (tmp_path / "file").write_bytes(b"one\n" + b"x" * 998 + b"\n" + b"x" * 1000 + b"\n")
    lines = whole_lines(tmp_path / "file")
    assert [next(lines), len(next(lines))] == [b"one", 998]
    with pytest.raises(OSError, match="it has a line of more than"):
        next(lines)
