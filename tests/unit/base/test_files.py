"""Lines that another process may have written half, or is writing."""

from __future__ import annotations

import pytest
from rag_evals.evals.base.files import all_lines, next_lines, whole_lines


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
